/* SPDX-License-Identifier: Apache-2.0 */

/* The layers over a service that fails on demand: what is repeated, how often, how long, and what never is.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <pthread.h>
#include <cmocka.h>

#include "tests/unit/fake-service.h"

#define QUICK "retry_min_delay=1ms,retry_max_delay=4ms"

static int reset(void **state)
{
	fake_script = (struct fake){ .size = 1000000 };
	return 0;
}

static struct dal_operator *open_with(const char *options)
{
	struct dal_call call = { 0 };
	struct dal_operator *op = fake_operator(&call, "fake://b", options, 0);

	if (!op)
		fail_msg("%s", call.err.msg);
	return op;
}

static void script_failure(unsigned times, enum dal_kind kind, enum dal_retry retry, uint64_t retry_after_ns)
{
	fake_script.fail = times;
	fake_script.error =
		(struct dal_error){ .kind = kind, .retry = retry, .retry_after_ns = retry_after_ns };
	snprintf(fake_script.error.msg, sizeof(fake_script.error.msg), "503 SlowDown");
}

static uint64_t counted(struct dal_operator *op, const char *operation, bool errors)
{
	struct dal_op_counts c;

	assert_true(dal_operator_counts(op, operation, &c));
	return errors ? c.errors : c.calls;
}

static void test_temporary_failures_are_repeated(void **state)
{
	struct dal_operator *op;
	struct dal_call call = { .attempt = 0 };

	script_failure(3, DAL_RATE_LIMITED, DAL_TEMPORARY, 0);
	op = open_with(QUICK);
	assert_int_equal(dal_op_stat(op, &call, "a", NULL, NULL), 0);
	assert_int_equal(fake_last->calls, 4);
	assert_int_equal(fake_last->attempts[0], 0);
	assert_int_equal(fake_last->attempts[3], 3);
	assert_int_equal(call.attempt, 0);
	assert_int_equal(call.deadline_ns, 0);
	assert_int_equal(counted(op, "stat", false), 1);
	assert_int_equal(counted(op, "stat", true), 0);
	dal_operator_free(op);
}

static void test_spent_tries_are_persistent(void **state)
{
	struct dal_operator *op;
	struct dal_call call = { 0 };

	script_failure(100, DAL_RATE_LIMITED, DAL_TEMPORARY, 0);
	op = open_with(QUICK ",retry_max=2");
	assert_int_equal(dal_op_stat(op, &call, "a", NULL, NULL), -DAL_RATE_LIMITED);
	assert_int_equal(call.err.retry, DAL_PERSISTENT);
	assert_non_null(strstr(call.err.msg, "3 tries"));
	assert_non_null(strstr(call.err.msg, "503 SlowDown"));
	assert_int_equal(fake_last->calls, 3);
	assert_int_equal(counted(op, "stat", true), 1);
	dal_operator_free(op);
}

static void test_permanent_failures_are_not_repeated(void **state)
{
	struct dal_operator *op;
	struct dal_call call = { 0 };

	script_failure(1, DAL_NOT_FOUND, DAL_PERMANENT, 0);
	op = open_with(QUICK);
	assert_int_equal(dal_op_stat(op, &call, "a", NULL, NULL), -DAL_NOT_FOUND);
	assert_int_equal(fake_last->calls, 1);
	dal_operator_free(op);
}

static void test_append_is_not_repeated(void **state)
{
	struct dal_operator *op;
	struct dal_call call = { 0 };
	struct iovec iov;
	struct dal_body body = dal_body_mem(&iov, "x", 1);

	script_failure(1, DAL_UNEXPECTED, DAL_TEMPORARY, 0);
	op = open_with(QUICK);
	assert_int_equal(dal_op_append(op, &call, "a", NULL, 0, &body, NULL), -DAL_UNEXPECTED);
	assert_int_equal(call.err.retry, DAL_PERSISTENT);
	assert_int_equal(fake_last->calls, 1);
	dal_operator_free(op);
}

static void test_retry_after_is_waited_for(void **state)
{
	struct dal_operator *op;
	struct dal_call call = { 0 };
	uint64_t start;

	script_failure(1, DAL_RATE_LIMITED, DAL_TEMPORARY, 80 * DAL_NS_PER_MS);
	op = open_with(QUICK);
	start = dal_now_ns();
	assert_int_equal(dal_op_stat(op, &call, "a", NULL, NULL), 0);
	assert_true(dal_now_ns() - start >= 80 * DAL_NS_PER_MS);
	assert_int_equal(fake_last->calls, 2);
	dal_operator_free(op);
}

static void test_retry_after_past_the_deadline_fails_at_once(void **state)
{
	struct dal_operator *op;
	struct dal_call call = dal_call_within(2 * DAL_NS_PER_S);
	uint64_t start = dal_now_ns();

	script_failure(9, DAL_RATE_LIMITED, DAL_TEMPORARY, 60 * DAL_NS_PER_S);
	op = open_with(QUICK);
	assert_int_equal(dal_op_stat(op, &call, "a", NULL, NULL), -DAL_RATE_LIMITED);
	assert_int_equal(call.err.retry, DAL_PERSISTENT);
	assert_true(dal_now_ns() - start < DAL_NS_PER_S);
	assert_int_equal(fake_last->calls, 1);
	dal_operator_free(op);
}

static void test_hang_without_a_deadline_ends(void **state)
{
	struct dal_operator *op;
	struct dal_call call = { 0 };
	uint64_t start = dal_now_ns();

	fake_script.hang = true;
	op = open_with(QUICK ",timeout=50ms,retry_total=300ms,retry_max=1000");
	assert_int_equal(dal_op_stat(op, &call, "a", NULL, NULL), -DAL_TIMED_OUT);
	assert_int_equal(call.err.retry, DAL_PERSISTENT);
	assert_in_range(dal_now_ns() - start, 200 * DAL_NS_PER_MS, 2 * DAL_NS_PER_S);
	assert_in_range(fake_last->calls, 3, 8);
	dal_operator_free(op);
}

static void test_a_large_body_does_not_prolong_a_stall(void **state)
{
	struct dal_operator *op;
	struct dal_call call = { 0 };
	struct dal_body body = { .len = 64 * DAL_MIB };
	uint64_t start = dal_now_ns();

	script_failure(1000000, DAL_UNEXPECTED, DAL_TEMPORARY, 0);
	op = open_with(QUICK ",retry_total=200ms,retry_max=1000");
	assert_int_equal(dal_op_write(op, &call, "a", NULL, &body, NULL), -DAL_UNEXPECTED);
	assert_int_equal(call.err.retry, DAL_PERSISTENT);
	assert_in_range(dal_now_ns() - start, 100 * DAL_NS_PER_MS, DAL_NS_PER_S);
	dal_operator_free(op);
}

static void test_the_callers_deadline_is_no_reason_to_repeat(void **state)
{
	struct dal_operator *op;
	struct dal_call call = dal_call_within(50 * DAL_NS_PER_MS);

	fake_script.hang = true;
	op = open_with(QUICK);
	assert_int_equal(dal_op_stat(op, &call, "a", NULL, NULL), -DAL_TIMED_OUT);
	assert_int_equal(fake_last->calls, 1);
	dal_operator_free(op);
}

static void test_cause_survives_the_deadline(void **state)
{
	struct dal_operator *op;
	struct dal_call call = dal_call_within(100 * DAL_NS_PER_MS);

	script_failure(1000, DAL_RATE_LIMITED, DAL_TEMPORARY, 0);
	op = open_with("retry_max=1000,retry_min_delay=20ms,retry_max_delay=30ms");
	assert_int_equal(dal_op_stat(op, &call, "a", NULL, NULL), -DAL_RATE_LIMITED);
	assert_non_null(strstr(call.err.msg, "503 SlowDown"));
	assert_int_equal(call.err.retry, DAL_PERSISTENT);
	dal_operator_free(op);
}

static void *cancel_soon(void *arg)
{
	usleep(50000);
	atomic_store((atomic_bool *)arg, true);
	return NULL;
}

static void test_cancel_ends_the_wait(void **state)
{
	struct dal_operator *op;
	atomic_bool cancel = false;
	struct dal_call call = { .cancel = &cancel };
	uint64_t start = dal_now_ns();
	pthread_t thread;

	script_failure(9, DAL_UNEXPECTED, DAL_TEMPORARY, 20 * DAL_NS_PER_S);
	op = open_with(QUICK);
	pthread_create(&thread, NULL, cancel_soon, &cancel);
	assert_int_equal(dal_op_stat(op, &call, "a", NULL, NULL), -DAL_CANCELLED);
	assert_true(dal_now_ns() - start < 5 * DAL_NS_PER_S);
	pthread_join(thread, NULL);
	dal_operator_free(op);
}

/* Reads all of the object and compares. */
static int read_whole(struct dal_operator *op, struct dal_call *call)
{
	DAL_CLEANUP(dal_mem_freep) unsigned char *buf = malloc(1000000);
	size_t n, i;
	int r = dal_op_read_into(op, call, "a", NULL, buf, 1000000, &n, NULL);

	if (r < 0)
		return r;
	assert_int_equal(n, 1000000);
	for (i = 0; i < n; i++)
		if (buf[i] != fake_byte(i))
			fail_msg("wrong byte at %zu", i);
	return 0;
}

static void test_download_goes_on_where_it_broke(void **state)
{
	struct dal_operator *op;
	struct dal_call call = { 0 };

	fake_script.break_at[0] = 1;
	fake_script.break_at[1] = 400001;
	fake_script.break_at[2] = 999999;
	op = open_with(QUICK);
	assert_int_equal(read_whole(op, &call), 0);
	assert_int_equal(fake_last->calls, 4);
	assert_int_equal(fake_last->last_off, 999999);
	assert_int_equal(fake_last->last_len, 1);
	assert_string_equal(fake_last->last_if_match, "\"one\"");
	assert_int_equal(fake_last->closed, 4);
	dal_operator_free(op);
}

static void test_download_goes_on_when_the_break_does_not_tell(void **state)
{
	struct dal_operator *op;
	struct dal_call call = { 0 };

	fake_script.break_at[0] = 700000;
	fake_script.partial_untold = true;
	op = open_with(QUICK);
	assert_int_equal(read_whole(op, &call), 0);
	assert_int_equal(fake_last->last_off, 2 * 256 * 1024);
	dal_operator_free(op);
}

static void test_short_download_goes_on(void **state)
{
	struct dal_operator *op;
	struct dal_call call = { 0 };

	fake_script.lie_short = 1000;
	op = open_with(QUICK ",retry_max=3");
	assert_int_equal(read_whole(op, &call), -DAL_UNEXPECTED);
	assert_int_equal(call.err.retry, DAL_PERSISTENT);
	dal_operator_free(op);
}

static void test_download_never_mixes_versions(void **state)
{
	struct dal_operator *op;
	struct dal_call call = { 0 };
	int round;

	for (round = 0; round < 2; round++) {
		reset(NULL);
		fake_script.break_at[0] = 500000;
		fake_script.etag_after_break = "\"two\"";
		fake_script.ignore_if_match = round == 1;
		op = open_with(QUICK);
		assert_int_equal(read_whole(op, &call), -DAL_CONDITION_NOT_MATCH);
		dal_operator_free(op);
	}
}

static void test_download_without_a_version_is_not_gone_on_with(void **state)
{
	struct dal_operator *op;
	struct dal_call call = { 0 };

	fake_script.break_at[0] = 500000;
	fake_script.etag = "";
	op = open_with(QUICK);
	assert_int_equal(read_whole(op, &call), -DAL_UNEXPECTED);
	assert_int_equal(call.err.retry, DAL_PERSISTENT);
	assert_int_equal(fake_last->calls, 1);
	dal_operator_free(op);
}

static void test_stalled_download_ends(void **state)
{
	struct dal_operator *op;
	struct dal_call call = { 0 };
	struct dal_stream *s;
	char buf[10];
	size_t n;

	op = open_with(QUICK ",timeout=30ms,retry_total=200ms,retry_max=1000");
	assert_int_equal(dal_op_read(op, &call, "a", NULL, &s), 0);
	fake_last->hang = true;
	assert_int_equal(dal_stream_read(s, &call, buf, sizeof(buf), &n), -DAL_TIMED_OUT);
	fake_last->hang = false;
	assert_int_equal(dal_stream_read(s, &call, buf, sizeof(buf), &n), 0);
	assert_int_equal(n, sizeof(buf));
	dal_stream_close(s);
	dal_operator_free(op);
}

static void test_batch_repeats_only_what_remains(void **state)
{
	static const char *const names[] = { "a", "b", "c" };
	static const char *const stays[] = { "b", NULL };
	bool failed[3] = { true, true, true };
	struct dal_operator *op;
	struct dal_call call = { 0 };

	script_failure(2, DAL_RATE_LIMITED, DAL_TEMPORARY, 0);
	fake_script.remain = stays;
	op = open_with(QUICK);
	assert_int_equal(dal_op_delete_many(op, &call, names, 3, failed), 0);
	assert_string_equal(fake_last->deleted, "a !b c !b b ");
	assert_false(failed[0] || failed[1] || failed[2]);
	dal_operator_free(op);
}

static void test_batch_says_what_remains(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };
	static const char *const stays[] = { "b", "e", NULL };
	bool failed[5];
	struct dal_operator *op;
	struct dal_call call = { 0 };

	script_failure(1000, DAL_RATE_LIMITED, DAL_TEMPORARY, 0);
	fake_script.remain = stays;
	op = open_with(QUICK ",retry_max=1");
	assert_int_equal(dal_op_delete_many(op, &call, names, 5, failed), -DAL_RATE_LIMITED);
	assert_true(!failed[0] && failed[1] && !failed[2] && !failed[3] && failed[4]);
	dal_operator_free(op);
}

static void *stat_slow(void *arg)
{
	struct dal_call call = { 0 };

	assert_int_equal(dal_op_stat(arg, &call, "slow", NULL, NULL), 0);
	return NULL;
}

static void test_limit_bounds_what_runs(void **state)
{
	struct dal_operator *op = open_with(QUICK ",max_concurrency=3");
	pthread_t threads[12];
	size_t i;

	for (i = 0; i < DAL_COUNT_OF(threads); i++)
		pthread_create(&threads[i], NULL, stat_slow, op);
	for (i = 0; i < DAL_COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	assert_in_range(fake_last->peak, 2, 3);
	assert_int_equal(counted(op, "stat", false), 12);
	dal_operator_free(op);
}

static void test_download_holds_its_slot(void **state)
{
	struct dal_operator *op = open_with(QUICK ",max_concurrency=1");
	struct dal_call call = dal_call_within(50 * DAL_NS_PER_MS);
	atomic_bool cancel = true;
	struct dal_stream *s;

	assert_int_equal(dal_op_read(op, &call, "a", NULL, &s), 0);
	assert_int_equal(dal_op_stat(op, &call, "a", NULL, NULL), -DAL_TIMED_OUT);
	call = (struct dal_call){ .cancel = &cancel };
	assert_int_equal(dal_op_stat(op, &call, "a", NULL, NULL), -DAL_CANCELLED);
	dal_stream_close(s);
	call = dal_call_within(5 * DAL_NS_PER_S);
	assert_int_equal(dal_op_stat(op, &call, "a", NULL, NULL), 0);
	dal_operator_free(op);
}

static void test_a_waiting_call_holds_no_slot(void **state)
{
	struct dal_operator *op;
	struct dal_call call = { 0 };

	/* With one slot, the second try could not begin if the first one still had it. */
	script_failure(2, DAL_RATE_LIMITED, DAL_TEMPORARY, 0);
	fake_script.break_at[0] = 3;
	op = open_with(QUICK ",max_concurrency=1");
	assert_int_equal(read_whole(op, &call), 0);
	dal_operator_free(op);
}

static void test_metrics_count_bytes(void **state)
{
	struct dal_operator *op = open_with(QUICK);
	struct dal_call call = { 0 };
	struct dal_op_counts c;
	struct iovec iov;
	struct dal_body body = dal_body_mem(&iov, "hello", 5);
	char *json;

	assert_int_equal(read_whole(op, &call), 0);
	assert_int_equal(dal_op_write(op, &call, "a", NULL, &body, NULL), 0);
	assert_true(dal_operator_counts(op, "read", &c));
	assert_int_equal(c.bytes_in, 1000000);
	assert_true(dal_operator_counts(op, "write", &c));
	assert_int_equal(c.bytes_out, 5);
	assert_false(dal_operator_counts(op, "dance", &c));
	json = dal_operator_stats_json(op);
	assert_non_null(strstr(json, "\"write\":{\"calls\":1,\"errors\":0,\"bytes_in\":0,\"bytes_out\":5,"));
	free(json);
	dal_operator_free(op);
}

static void test_chaos_is_survived_and_repeatable(void **state)
{
	unsigned calls[2];
	int round;

	for (round = 0; round < 2; round++) {
		struct dal_operator *op;
		struct dal_call call = { 0 };
		int i;

		reset(NULL);
		op = open_with(
			"retry_min_delay=1us,retry_max_delay=1us,retry_max=50,chaos_rate=30%,chaos_seed=42");
		for (i = 0; i < 30; i++)
			assert_int_equal(read_whole(op, &call), 0);
		calls[round] = fake_last->calls;
		dal_operator_free(op);
	}
	assert_true(calls[0] > 35);
	assert_int_equal(calls[0], calls[1]);
}

static void test_chaos_refuses_nonsense(void **state)
{
	struct dal_call call = { 0 };

	assert_null(fake_operator(&call, "fake://b", "chaos_rate=2", 0));
	assert_int_equal(call.err.kind, DAL_CONFIG_INVALID);
	assert_null(fake_operator(&call, "fake://b", "chaos_rate=5%,chaos_ops=stat:dance", 0));
	assert_non_null(strstr(call.err.msg, "dance"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_temporary_failures_are_repeated, reset),
		cmocka_unit_test_setup(test_spent_tries_are_persistent, reset),
		cmocka_unit_test_setup(test_permanent_failures_are_not_repeated, reset),
		cmocka_unit_test_setup(test_append_is_not_repeated, reset),
		cmocka_unit_test_setup(test_retry_after_is_waited_for, reset),
		cmocka_unit_test_setup(test_retry_after_past_the_deadline_fails_at_once, reset),
		cmocka_unit_test_setup(test_hang_without_a_deadline_ends, reset),
		cmocka_unit_test_setup(test_a_large_body_does_not_prolong_a_stall, reset),
		cmocka_unit_test_setup(test_the_callers_deadline_is_no_reason_to_repeat, reset),
		cmocka_unit_test_setup(test_cause_survives_the_deadline, reset),
		cmocka_unit_test_setup(test_cancel_ends_the_wait, reset),
		cmocka_unit_test_setup(test_download_goes_on_where_it_broke, reset),
		cmocka_unit_test_setup(test_download_goes_on_when_the_break_does_not_tell, reset),
		cmocka_unit_test_setup(test_short_download_goes_on, reset),
		cmocka_unit_test_setup(test_download_never_mixes_versions, reset),
		cmocka_unit_test_setup(test_download_without_a_version_is_not_gone_on_with, reset),
		cmocka_unit_test_setup(test_stalled_download_ends, reset),
		cmocka_unit_test_setup(test_batch_repeats_only_what_remains, reset),
		cmocka_unit_test_setup(test_batch_says_what_remains, reset),
		cmocka_unit_test_setup(test_limit_bounds_what_runs, reset),
		cmocka_unit_test_setup(test_download_holds_its_slot, reset),
		cmocka_unit_test_setup(test_a_waiting_call_holds_no_slot, reset),
		cmocka_unit_test_setup(test_metrics_count_bytes, reset),
		cmocka_unit_test_setup(test_chaos_is_survived_and_repeatable, reset),
		cmocka_unit_test_setup(test_chaos_refuses_nonsense, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
