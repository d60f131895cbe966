/* SPDX-License-Identifier: Apache-2.0 */

/* Reads of one object: which bytes are asked for, by how many, and what happens when that fails. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/unit/cache-fixture.h"

#define LIMIT (32 * DAL_MIB)

static struct fixture fx;

static int set_up(void **state)
{
	fixture_init(&fx, LIMIT, 0);
	return 0;
}

static int tear_down(void **state)
{
	fixture_done(&fx);
	return 0;
}

static void test_random_reads_fetch_their_pages_only(void **state)
{
	struct dal_reader reader = { 0 };
	struct dal_cobj *o;
	unsigned i;

	store_add("big", 4 * DAL_GIB + 4097);
	o = fixture_object(&fx, "big", 1);
	for (i = 0; i < 200; i++) {
		uint64_t off = (uint64_t)i * 2654435761u % (4 * DAL_GIB);

		read_ok(o, &reader, "big", 1, off, 4096);
	}
	read_ok(o, &reader, "big", 1, 4 * DAL_GIB + 4096, 1);
	assert_int_equal(atomic_load(&fx.store->reads), 201);
	assert_true(atomic_load(&fx.store->bytes) <= 200 * 8192 + 1);
	/* Each again: nothing is asked for. */
	for (i = 0; i < 200; i++) {
		uint64_t off = (uint64_t)i * 2654435761u % (4 * DAL_GIB);

		read_ok(o, NULL, "big", 1, off, 4096);
	}
	assert_int_equal(atomic_load(&fx.store->reads), 201);
	/* Sparse: pages, not blocks, are charged. */
	assert_true(dal_budget_used(fx.budget, DAL_BUDGET_CACHE) < 4 * DAL_MIB);
	dal_cobj_unref(o);
}

static void test_short_at_the_end_only(void **state)
{
	struct dal_call call = { 0 };
	struct dal_cobj *o;
	struct dal_view v;
	char buf[100];
	size_t n;

	store_add("odd", DAL_MIB + 4099);
	store_add("empty", 0);
	o = fixture_object(&fx, "odd", 1);
	assert_int_equal(dal_cobj_read(o, &call, NULL, DAL_MIB + 4000, 1000, &v), 0);
	assert_int_equal(v.len, 99);
	assert_true(view_checks(&v, "odd", 1, DAL_MIB + 4000));
	dal_view_done(&v);
	assert_int_equal(dal_cobj_read(o, &call, NULL, DAL_MIB + 4099, 1, &v), 0);
	assert_int_equal(v.len, 0);
	dal_view_done(&v);
	assert_int_equal(dal_cobj_read_into(o, &call, DAL_MIB + 4090, buf, sizeof(buf), &n), 0);
	assert_int_equal(n, 9);
	assert_true(store_check("odd", 1, DAL_MIB + 4090, buf, n));
	dal_cobj_unref(o);
	o = fixture_object(&fx, "empty", 1);
	assert_int_equal(dal_cobj_read(o, &call, NULL, 0, 1, &v), 0);
	assert_int_equal(v.len, 0);
	dal_view_done(&v);
	dal_cobj_unref(o);
}

static void test_holes_are_filled_by_one_request_when_near(void **state)
{
	struct dal_cobj *o;

	store_add("a", 64 * DAL_MIB);
	o = fixture_object(&fx, "a", 1);
	read_ok(o, NULL, "a", 1, 10 * 4096, 4096);
	read_ok(o, NULL, "a", 1, 20 * 4096, 4096);
	assert_int_equal(atomic_load(&fx.store->reads), 2);
	/* Around two cached pages: one request, and its bytes are no more than were asked for. */
	read_ok(o, NULL, "a", 1, 0, 128 * 1024);
	assert_int_equal(atomic_load(&fx.store->reads), 3);
	assert_int_equal(atomic_load(&fx.store->bytes), 2 * 4096 + 128 * 1024);
	/* A large hole is not fetched through. */
	read_ok(o, NULL, "a", 1, 2 * DAL_MIB, DAL_MIB);
	read_ok(o, NULL, "a", 1, DAL_MIB, 3 * DAL_MIB);
	assert_int_equal(atomic_load(&fx.store->reads), 6);
	assert_int_equal(atomic_load(&fx.store->bytes), 2 * 4096 + 128 * 1024 + 3 * DAL_MIB);
	dal_cobj_unref(o);
}

static void test_a_checkerboard_is_filled(void **state)
{
	struct dal_cobj *o;
	unsigned i;

	store_add("a", 8 * DAL_MIB);
	o = fixture_object(&fx, "a", 1);
	for (i = 0; i < 512; i++)
		read_ok(o, NULL, "a", 1, i * 2 * 4096, 4096);
	read_ok(o, NULL, "a", 1, 4096 * 3 + 17, 4 * DAL_MIB - 5 * 4096);
	read_ok(o, NULL, "a", 1, 0, 4 * DAL_MIB);
	assert_int_equal(dal_budget_used(fx.budget, DAL_BUDGET_CACHE), 4 * DAL_MIB + 4 * 2048);
	dal_cobj_unref(o);
}

struct reading {
	struct dal_cobj *o;
	uint64_t off;
	size_t len;
	uint64_t timeout_ns;
	int r;
	bool right;
};

static void *read_thread(void *arg)
{
	struct reading *rd = arg;
	struct dal_call call = dal_call_within(rd->timeout_ns ? rd->timeout_ns : 20 * DAL_NS_PER_S);
	struct dal_view v;

	rd->r = dal_cobj_read(rd->o, &call, NULL, rd->off, rd->len, &v);
	if (rd->r < 0)
		return NULL;
	rd->right = view_checks(&v, "a", 1, rd->off);
	dal_view_done(&v);
	return NULL;
}

static void run_readings(struct reading *rd, size_t n)
{
	pthread_t t[16];
	size_t i;

	for (i = 0; i < n; i++)
		pthread_create(&t[i], NULL, read_thread, &rd[i]);
	for (i = 0; i < n; i++)
		pthread_join(t[i], NULL);
}

static void test_many_readers_of_a_cold_range_are_one_request(void **state)
{
	struct reading rd[16];
	size_t i;

	store_add("a", 16 * DAL_MIB);
	atomic_store(&fx.store->latency_us, 30000);
	for (i = 0; i < DAL_COUNT_OF(rd); i++)
		rd[i] = (struct reading){
			.o = fixture_object(&fx, "a", 1), .off = 5 * DAL_MIB - 100, .len = 300000
		};
	run_readings(rd, DAL_COUNT_OF(rd));
	for (i = 0; i < DAL_COUNT_OF(rd); i++) {
		assert_int_equal(rd[i].r, 0);
		assert_true(rd[i].right);
		dal_cobj_unref(rd[i].o);
	}
	assert_int_equal(atomic_load(&fx.store->reads), 1);
}

static void test_a_reader_waits_for_its_own_bytes_only(void **state)
{
	struct dal_cobj *o;
	struct reading slow, quick;
	pthread_t t;
	uint64_t before;

	store_add("a", 16 * DAL_MIB);
	o = fixture_object(&fx, "a", 1);
	slow = (struct reading){ .o = o, .off = 0, .len = 4 * DAL_MIB };
	quick = (struct reading){ .o = o, .off = 4096, .len = 4096 };
	atomic_store(&fx.store->piece_us, 20000); /* 32 pieces: more than half a second */
	pthread_create(&t, NULL, read_thread, &slow);
	while (atomic_load(&fx.store->reads) == 0)
		usleep(100);
	before = dal_now_ns();
	read_thread(&quick);
	assert_true(dal_now_ns() - before < 300 * DAL_NS_PER_MS);
	assert_true(quick.right);
	pthread_join(t, NULL);
	assert_true(slow.right);
	assert_int_equal(atomic_load(&fx.store->reads), 1);
	dal_cobj_unref(o);
}

static void test_a_failure_is_tried_again_by_those_who_wait(void **state)
{
	struct reading rd[8];
	size_t i, failed = 0;

	store_add("a", 16 * DAL_MIB);
	atomic_store(&fx.store->latency_us, 30000);
	atomic_store(&fx.store->fail_opens, 1);
	for (i = 0; i < DAL_COUNT_OF(rd); i++)
		rd[i] = (struct reading){ .o = fixture_object(&fx, "a", 1), .len = 100000 };
	run_readings(rd, DAL_COUNT_OF(rd));
	for (i = 0; i < DAL_COUNT_OF(rd); i++) {
		failed += rd[i].r < 0;
		assert_true(rd[i].r < 0 || rd[i].right);
		dal_cobj_unref(rd[i].o);
	}
	assert_int_equal(failed, 1);
	assert_int_equal(atomic_load(&fx.store->reads), 2);
}

static void test_a_store_that_is_down_is_not_asked_by_each_in_turn(void **state)
{
	struct reading rd[16];
	size_t i;

	store_add("a", 16 * DAL_MIB);
	atomic_store(&fx.store->latency_us, 20000);
	atomic_store(&fx.store->fail_opens, 1000);
	for (i = 0; i < DAL_COUNT_OF(rd); i++)
		rd[i] = (struct reading){ .o = fixture_object(&fx, "a", 1), .len = 100000 };
	run_readings(rd, DAL_COUNT_OF(rd));
	for (i = 0; i < DAL_COUNT_OF(rd); i++) {
		assert_int_equal(rd[i].r, -DAL_UNEXPECTED);
		dal_cobj_unref(rd[i].o);
	}
	assert_true(atomic_load(&fx.store->reads) <= 4);
}

static void test_the_deadline_is_the_callers_own(void **state)
{
	struct dal_cobj *o;
	struct reading slow, hasty;
	pthread_t t;
	uint64_t before;

	store_add("a", 16 * DAL_MIB);
	o = fixture_object(&fx, "a", 1);
	slow = (struct reading){ .o = o, .len = 4096 };
	hasty = (struct reading){ .o = o, .len = 4096, .timeout_ns = 30 * DAL_NS_PER_MS };
	atomic_store(&fx.store->gate, true);
	pthread_create(&t, NULL, read_thread, &slow);
	while (atomic_load(&fx.store->open_streams) == 0)
		usleep(100);
	before = dal_now_ns();
	read_thread(&hasty);
	assert_int_equal(hasty.r, -DAL_TIMED_OUT);
	assert_true(dal_now_ns() - before < DAL_NS_PER_S);
	atomic_store(&fx.store->gate, false);
	pthread_join(t, NULL);
	assert_true(slow.right);
	dal_cobj_unref(o);
}

static void test_one_who_gives_up_does_not_fail_the_others(void **state)
{
	struct dal_cobj *o;
	struct reading patient, hasty;
	pthread_t t, u;

	store_add("a", 16 * DAL_MIB);
	o = fixture_object(&fx, "a", 1);
	hasty = (struct reading){ .o = o, .len = 4096, .timeout_ns = 50 * DAL_NS_PER_MS };
	patient = (struct reading){ .o = o, .len = 4096 };
	atomic_store(&fx.store->gate, true);
	pthread_create(&t, NULL, read_thread, &hasty);
	while (atomic_load(&fx.store->open_streams) == 0)
		usleep(100);
	pthread_create(&u, NULL, read_thread, &patient);
	pthread_join(t, NULL);
	assert_int_equal(hasty.r, -DAL_TIMED_OUT);
	atomic_store(&fx.store->gate, false);
	pthread_join(u, NULL);
	assert_int_equal(patient.r, 0);
	assert_true(patient.right);
	dal_cobj_unref(o);
}

static void test_failure_in_the_middle_keeps_what_came(void **state)
{
	struct dal_call call = { 0 };
	struct dal_cobj *o;
	struct dal_view v;
	uint64_t bytes;

	store_add("a", 2 * DAL_MIB);
	o = fixture_object(&fx, "a", 1);
	atomic_store(&fx.store->corrupt_ends, 1);
	/* The last byte of the object fails; what came before it stays, without more memory than that. */
	assert_int_equal(dal_cobj_read(o, &call, NULL, DAL_MIB, DAL_MIB, &v), -DAL_UNEXPECTED);
	bytes = atomic_load(&fx.store->bytes);
	assert_int_equal(dal_budget_used(fx.budget, DAL_BUDGET_CACHE), (1024 - 128) * 1024 + 2048);
	read_ok(o, NULL, "a", 1, DAL_MIB, 512 * 1024);
	assert_int_equal(atomic_load(&fx.store->bytes), bytes);
	read_ok(o, NULL, "a", 1, DAL_MIB, DAL_MIB);
	assert_int_equal(atomic_load(&fx.store->bytes), bytes + 128 * 1024);
	dal_cobj_unref(o);
}

static void test_a_changed_object_is_never_mixed(void **state)
{
	struct dal_call call = { 0 };
	struct dal_cobj *o, *p;
	struct dal_view v;

	store_add("a", 2 * DAL_MIB);
	o = fixture_object(&fx, "a", 1);
	read_ok(o, NULL, "a", 1, 0, 4096);
	atomic_store(&store_find(fx.store, "a")->version, 2);
	assert_int_equal(dal_cobj_read(o, &call, NULL, 0, 8192, &v), -DAL_CONDITION_NOT_MATCH);
	read_ok(o, NULL, "a", 1, 0, 4096);
	p = fixture_object(&fx, "a", 2);
	read_ok(p, NULL, "a", 2, 0, 8192);
	dal_cobj_unref(p);
	dal_cobj_unref(o);
}

static void test_without_conditions_the_answer_is_compared(void **state)
{
	struct dal_call call = { 0 };
	struct fixture plain;
	struct dal_cobj *o;
	struct dal_view v;

	store_without_conditions = true;
	fixture_init(&plain, LIMIT, 0);
	store_without_conditions = false;
	store_add("a", 2 * DAL_MIB);
	o = fixture_object(&plain, "a", 1);
	read_ok(o, NULL, "a", 1, 0, 4096);
	atomic_store(&store_find(plain.store, "a")->version, 2);
	assert_int_equal(dal_cobj_read(o, &call, NULL, 0, 8192, &v), -DAL_CONDITION_NOT_MATCH);
	dal_cobj_unref(o);
	fixture_done(&plain);
}

static void test_versions_are_found_again_private_ones_not(void **state)
{
	struct dal_cache_stats stats;
	struct dal_cobj *o, *p;

	store_add("a", DAL_MIB);
	o = fixture_object(&fx, "a", 1);
	read_ok(o, NULL, "a", 1, 0, 4096);
	dal_cobj_unref(o);
	p = fixture_object(&fx, "a", 1);
	read_ok(p, NULL, "a", 1, 0, 4096);
	assert_int_equal(atomic_load(&fx.store->reads), 1);
	dal_cobj_unref(p);
	fx.store->no_etags = true;
	o = dal_cache_object(fx.cache, "a", NULL, DAL_MIB);
	p = dal_cache_object(fx.cache, "a", NULL, DAL_MIB);
	assert_ptr_not_equal(o, p);
	read_ok(o, NULL, "a", 1, 0, 4096);
	read_ok(p, NULL, "a", 1, 0, 4096);
	assert_int_equal(atomic_load(&fx.store->reads), 3);
	dal_cobj_unref(o);
	dal_cobj_unref(p);
	dal_cache_stats(fx.cache, &stats);
	assert_int_equal(stats.objects, 1);
	assert_int_equal(stats.blocks, 1);
}

static void test_forget_drops_unreferenced_versions(void **state)
{
	struct dal_cache_stats stats;
	struct dal_cobj *o, *p;

	store_add("a", DAL_MIB);
	store_add("b", DAL_MIB);
	o = fixture_object(&fx, "a", 1);
	read_ok(o, NULL, "a", 1, 0, 4096);
	atomic_store(&store_find(fx.store, "a")->version, 2);
	p = fixture_object(&fx, "a", 2);
	read_ok(p, NULL, "a", 2, 0, 4096);
	dal_cobj_unref(p);
	dal_cache_forget(fx.cache, "a");
	dal_cache_stats(fx.cache, &stats);
	assert_int_equal(stats.objects, 1);
	read_ok(o, NULL, "a", 1, 0, 4096);
	assert_int_equal(atomic_load(&fx.store->reads), 2);
	dal_cobj_unref(o);
	dal_cache_forget(fx.cache, "a");
	dal_cache_stats(fx.cache, &stats);
	assert_int_equal(stats.objects, 0);
	assert_int_equal(stats.blocks, 0);
	assert_int_equal(dal_budget_used(fx.budget, DAL_BUDGET_CACHE), 0);
}

static void test_put_is_read_without_the_store(void **state)
{
	struct dal_call call = { 0 };
	size_t size = 3 * DAL_MIB + 1000;
	char *bytes = malloc(size);
	struct dal_cobj *o;
	struct iovec iov[3];
	char buf[10000];
	size_t n;

	store_add("a", size);
	store_bytes("a", 1, 0, bytes, size);
	o = fixture_object(&fx, "a", 1);
	/* Not from the start and in odd pieces: the first, partial, page is not taken. */
	iov[0] = (struct iovec){ bytes + 100, 5000 };
	iov[1] = (struct iovec){ bytes + 5100, 0 };
	iov[2] = (struct iovec){ bytes + 5100, size - 5100 };
	dal_cobj_put(o, 100, iov, 3);
	read_ok(o, NULL, "a", 1, 4096, 3 * DAL_MIB - 4096);
	read_ok(o, NULL, "a", 1, 3 * DAL_MIB, 1000);
	assert_int_equal(atomic_load(&fx.store->reads), 0);
	assert_int_equal(dal_cobj_read_into(o, &call, 0, buf, sizeof(buf), &n), 0);
	assert_int_equal(n, sizeof(buf));
	assert_memory_equal(buf, bytes, n);
	assert_int_equal(atomic_load(&fx.store->reads), 1);
	assert_int_equal(atomic_load(&fx.store->bytes), 4096);
	free(bytes);
	dal_cobj_unref(o);
}

static void test_read_into_fetches_large_ranges_in_parallel(void **state)
{
	struct dal_call call = { 0 };
	size_t n, size = 20 * DAL_MIB;
	char *bytes = malloc(size);
	struct dal_cobj *o;

	store_add("a", 64 * DAL_MIB);
	o = fixture_object(&fx, "a", 1);
	assert_int_equal(dal_cobj_read_into(o, &call, 3 * DAL_MIB + 5, bytes, size, &n), 0);
	assert_int_equal(n, size);
	assert_true(store_check("a", 1, 3 * DAL_MIB + 5, bytes, size));
	settle(&fx);
	assert_true(atomic_load(&fx.store->bytes) <= size + 8192);
	free(bytes);
	dal_cobj_unref(o);
}

static void test_writers_get_what_the_cache_can_spare(void **state)
{
	struct dal_call call = dal_call_within(5 * DAL_NS_PER_S);
	struct dal_cobj *o;
	struct dal_view v;
	unsigned i;

	store_add("a", 64 * DAL_MIB);
	o = fixture_object(&fx, "a", 1);
	for (i = 0; i < 40; i++)
		read_ok(o, NULL, "a", 1, i * DAL_MIB, DAL_MIB);
	assert_true(dal_budget_used(fx.budget, DAL_BUDGET_CACHE) <= LIMIT);
	assert_int_equal(dal_cobj_read(o, &call, NULL, 50 * DAL_MIB, 2 * DAL_MIB, &v), 0);
	assert_int_equal(dal_budget_take(fx.budget, &call, DAL_BUDGET_DIRTY, LIMIT / 2), 0);
	assert_true(view_checks(&v, "a", 1, 50 * DAL_MIB));
	dal_view_done(&v);
	read_ok(o, NULL, "a", 1, 0, 4 * DAL_MIB);
	dal_budget_give(fx.budget, DAL_BUDGET_DIRTY, LIMIT / 2);
	dal_cobj_unref(o);
}

static void test_a_view_outlives_its_reference(void **state)
{
	struct dal_call call = { 0 };
	struct dal_cobj *o;
	struct dal_view v;
	unsigned i;

	store_add("a", 64 * DAL_MIB);
	fx.store->no_etags = true;
	o = dal_cache_object(fx.cache, "a", NULL, 64 * DAL_MIB);
	assert_int_equal(dal_cobj_read(o, &call, NULL, 1000, 2 * DAL_MIB, &v), 0);
	dal_cobj_unref(o);
	o = dal_cache_object(fx.cache, "a", NULL, 64 * DAL_MIB);
	for (i = 0; i < 64; i++)
		read_ok(o, NULL, "a", 1, i * DAL_MIB, DAL_MIB);
	assert_true(view_checks(&v, "a", 1, 1000));
	dal_view_done(&v);
	dal_cobj_unref(o);
}

static void test_whole_small_object_is_handed_out_only_verified(void **state)
{
	struct dal_call call = { 0 };
	struct dal_reader reader = { 0 };
	struct dal_cobj *o;
	struct dal_view v;

	store_add("small", 900 * 1024);
	o = fixture_object(&fx, "small", 1);
	atomic_store(&fx.store->corrupt_ends, 2);
	assert_int_equal(dal_cobj_read(o, &call, &reader, 0, 900 * 1024, &v), -DAL_UNEXPECTED);
	assert_int_equal(dal_budget_used(fx.budget, DAL_BUDGET_CACHE), 2048);
	dal_cobj_unref(o);
	store_add("small2", 900 * 1024);
	atomic_store(&fx.store->corrupt_ends, 0);
	atomic_store(&fx.store->reads, 0);
	memset(&reader, 0, sizeof(reader));
	o = fixture_object(&fx, "small2", 1);
	read_ok(o, &reader, "small2", 1, 0, 4096);
	read_ok(o, &reader, "small2", 1, 4096, 900 * 1024 - 4096);
	assert_int_equal(atomic_load(&fx.store->reads), 1);
	dal_cobj_unref(o);
}

static void test_larger_whole_object_found_wrong_is_not_found_again(void **state)
{
	struct dal_call call = { 0 };
	struct dal_reader reader = { 0 };
	struct dal_cobj *o;
	struct dal_view v;

	store_add("a", 2 * DAL_MIB);
	o = fixture_object(&fx, "a", 1);
	atomic_store(&fx.store->corrupt_ends, 1);
	assert_int_equal(dal_cobj_read(o, &call, NULL, 0, 2 * DAL_MIB, &v), -DAL_UNEXPECTED);
	read_ok(o, &reader, "a", 1, 0, 4096);
	assert_int_equal(atomic_load(&fx.store->reads), 2);
	dal_cobj_unref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random_reads_fetch_their_pages_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_short_at_the_end_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_holes_are_filled_by_one_request_when_near, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_checkerboard_is_filled, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_many_readers_of_a_cold_range_are_one_request, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_reader_waits_for_its_own_bytes_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_failure_is_tried_again_by_those_who_wait, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_store_that_is_down_is_not_asked_by_each_in_turn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_deadline_is_the_callers_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_one_who_gives_up_does_not_fail_the_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_failure_in_the_middle_keeps_what_came, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_changed_object_is_never_mixed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_without_conditions_the_answer_is_compared, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_versions_are_found_again_private_ones_not, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_forget_drops_unreferenced_versions, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_put_is_read_without_the_store, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_read_into_fetches_large_ranges_in_parallel, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_writers_get_what_the_cache_can_spare, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_view_outlives_its_reference, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_whole_small_object_is_handed_out_only_verified, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_larger_whole_object_found_wrong_is_not_found_again, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
