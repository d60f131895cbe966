/* SPDX-License-Identifier: Apache-2.0 */

/* The contents of a file: what each way of reading and writing gives, and what it costs in requests. */

#include "tests/unit/file-fixture.h"

/* What it costs */

static void test_small_new_file_is_one_request(void **state)
{
	struct dal_capability cap = bucket_s3(5 * DAL_MIB);
	struct dal_file *f;

	open_store(&cap, 256 * DAL_MIB, 0, 0);
	f = dal_file_new(&env);
	put(f, 1, 0, 4096);
	assert_true(dal_file_dirty(f));
	/* A page of memory, not a block. */
	assert_int_equal(dal_budget_used(budget, DAL_BUDGET_DIRTY), 4096);
	assert_int_equal(commit(f), 0);
	assert_false(dal_file_dirty(f));
	assert_int_equal(bucket_requests(k), 1);
	assert_int_equal(count(BUCKET_WRITE), 1);
	/* Reading it back asks nobody, nor does another commit. */
	check(f, 1, 0, 4096);
	assert_int_equal(commit(f), 0);
	assert_int_equal(bucket_requests(k), 1);
	assert_int_equal(dal_budget_used(budget, DAL_BUDGET_DIRTY), 0);
	check_object("f", 1, 4096);
	dal_file_free(f);
	/* So is an empty one. */
	f = dal_file_new(&env);
	assert_false(dal_file_dirty(f));
	assert_int_equal(commit_as(f, "empty", true, NULL), 0);
	assert_int_equal(bucket_requests(k), 2);
	assert_int_equal(commit_as(f, "empty", true, NULL), 0);
	assert_int_equal(bucket_requests(k), 2);
	dal_file_free(f);
	close_store();
}

static void test_append_to_large_file_downloads_nothing(void **state)
{
	struct dal_capability cap = bucket_s3(5 * DAL_MIB);
	struct dal_file *f;
	uint64_t at = 0;
	struct dal_call call = within();
	char *p = pattern(1, 64 * DAL_MIB, 1024);

	open_store(&cap, 256 * DAL_MIB, 0, 0);
	make_object("f", 1, 64 * DAL_MIB);
	f = open_file("f");
	assert_int_equal(dal_file_write(f, &call, p, 1024, 0, true, &at), 0);
	free(p);
	assert_int_equal(at, 64 * DAL_MIB);
	assert_int_equal(commit(f), 0);
	assert_int_equal(count(BUCKET_READ), 0);
	assert_int_equal(count(BUCKET_BEGIN), 1);
	assert_int_equal(count(BUCKET_COPY), 1);
	assert_int_equal(count(BUCKET_PART), 1);
	assert_int_equal(count(BUCKET_COMPLETE), 1);
	assert_int_equal(bucket_requests(k), 4);
	assert_int_equal(atomic_load(&k->bytes_out), 1024);
	check_object("f", 1, 64 * DAL_MIB + 1024);
	check(f, 1, 64 * DAL_MIB, 1024);
	/* A change in the middle sends one part of the least size, and reads what that lacks. */
	bucket_reset_counts(k);
	put(f, 1, 30 * DAL_MIB + 5, 100);
	assert_int_equal(commit(f), 0);
	assert_int_equal(count(BUCKET_COPY), 2);
	assert_int_equal(count(BUCKET_PART), 1);
	assert_true(atomic_load(&k->bytes_in) < 6 * DAL_MIB);
	assert_int_equal(atomic_load(&k->bytes_out), 5 * DAL_MIB);
	check_object("f", 1, 64 * DAL_MIB + 1024);
	dal_file_free(f);
	close_store();
}

static void test_change_of_small_file_reads_the_rest_once(void **state)
{
	struct dal_capability cap = S3;
	struct dal_file *f;

	open_store(&cap, SMALL);
	make_object("f", 1, 100000);
	f = open_file("f");
	put(f, 2, 50000, 10000);
	assert_int_equal(bucket_requests(k), 0);
	check(f, 2, 50000, 10000);
	assert_int_equal(bucket_requests(k), 0);
	assert_int_equal(dal_file_dirty_bytes(f), 10000);
	assert_int_equal(commit(f), 0);
	assert_int_equal(count(BUCKET_WRITE), 1);
	assert_true(count(BUCKET_READ) <= 2);
	check(f, 1, 0, 50000);
	check(f, 2, 50000, 10000);
	check(f, 1, 60000, 40000);
	/* Overwritten as a whole, nothing is read. */
	bucket_reset_counts(k);
	put(f, 3, 0, 100000);
	assert_int_equal(commit(f), 0);
	assert_int_equal(bucket_requests(k), 1);
	check_object("f", 3, 100000);
	dal_file_free(f);
	close_store();
}

static void test_read_of_clean_file_is_the_caches(void **state)
{
	struct dal_capability cap = S3;
	struct dal_call call = within();
	struct dal_file_view v;
	struct dal_file *f;

	open_store(&cap, SMALL);
	make_object("f", 1, 100000);
	f = open_file("f");
	assert_int_equal(dal_file_read(f, &call, NULL, 1000, 50000, &v), 0);
	assert_int_equal(v.len, 50000);
	/* Pinned, not copied. */
	assert_null(v.owned);
	dal_file_view_done(&v);
	assert_int_equal(dal_file_read(f, &call, NULL, 100000, 10, &v), 0);
	assert_int_equal(v.len, 0);
	dal_file_view_done(&v);
	assert_int_equal(dal_file_read(f, &call, NULL, 99990, 1000, &v), 0);
	assert_int_equal(v.len, 10);
	dal_file_view_done(&v);
	dal_file_free(f);
	close_store();
}

/* Truncation */

static void test_what_was_cut_off_does_not_come_back(void **state)
{
	struct dal_capability cap = S3;
	struct dal_call call = within();
	struct dal_file *f;

	open_store(&cap, SMALL);
	make_object("f", 1, 100000);
	f = open_file("f");
	put(f, 2, 90000, 20000);
	assert_int_equal(dal_file_truncate(f, &call, 95000), 0);
	assert_int_equal(dal_file_truncate(f, &call, 50000), 0);
	assert_int_equal(dal_file_truncate(f, &call, 200000), 0);
	assert_int_equal(dal_file_size(f), 200000);
	check(f, 1, 0, 50000);
	check(f, 0, 50000, 150000);
	put(f, 3, 199990, 10);
	assert_int_equal(commit(f), 0);
	check(f, 1, 0, 50000);
	check(f, 0, 50000, 149990);
	check(f, 3, 199990, 10);
	/* A file that is only cut is written anew without its old bytes' end. */
	assert_int_equal(dal_file_truncate(f, &call, 40000), 0);
	assert_true(dal_file_dirty(f));
	assert_int_equal(commit(f), 0);
	check_object("f", 1, 40000);
	assert_int_equal(dal_file_truncate(f, &call, INT64_MAX), -DAL_NO_SPACE);
	dal_file_free(f);
	close_store();
}

/* Streaming */

static void test_parts_leave_while_writing(void **state)
{
	struct dal_capability cap = S3;
	struct dal_file *f;

	open_store(&cap, SMALL);
	f = dal_file_new(&env);
	write_stream(f, 1, 1000000);
	wait_for(parts_sent, f);
	assert_int_equal(count(BUCKET_COMPLETE), 0);
	assert_int_equal(commit(f), 0);
	/* Seven full parts and the rest, each sent once. */
	assert_int_equal(count(BUCKET_PART), 8);
	assert_int_equal(atomic_load(&k->bytes_out), 1000000);
	assert_int_equal(bucket_requests(k), 10);
	check_object("f", 1, 1000000);
	/* All of it was put into the cache. */
	check(f, 1, 0, 1000000);
	assert_int_equal(count(BUCKET_READ), 0);
	dal_file_free(f);
	close_store();
}

static void test_rewritten_part_is_sent_again(void **state)
{
	struct dal_capability cap = S3;
	struct dal_file *f;

	open_store(&cap, SMALL);
	f = dal_file_new(&env);
	write_stream(f, 1, 1000000);
	wait_for(parts_sent, f);
	put(f, 2, 10, 5);
	put(f, 1, 200000, 5);
	check(f, 2, 10, 5);
	assert_int_equal(commit(f), 0);
	assert_int_equal(count(BUCKET_PART), 10);
	assert_int_equal(count(BUCKET_COMPLETE), 1);
	check(f, 1, 0, 10);
	check(f, 2, 10, 5);
	check(f, 1, 15, 1000000 - 15);
	dal_file_free(f);
	close_store();
}

static void test_stream_larger_than_memory(void **state)
{
	struct dal_capability cap = S3;
	struct dal_file *f;

	open_store(&cap, 8 * DAL_MIB, 128 << 10, 256 << 10);
	f = dal_file_new(&env);
	write_stream(f, 1, 24 * DAL_MIB);
	assert_true(dal_budget_used(budget, DAL_BUDGET_DIRTY) <= 4 * DAL_MIB);
	assert_int_equal(count(BUCKET_COMPLETE), 0);
	/* Its beginning is only in the upload: whoever reads it gets it all the same. */
	check(f, 1, 0, 10);
	assert_int_equal(count(BUCKET_COMPLETE), 1);
	put(f, 2, 24 * DAL_MIB, 1000);
	put(f, 2, 5, 10);
	assert_int_equal(commit(f), 0);
	check(f, 1, 0, 5);
	check(f, 2, 5, 10);
	check(f, 1, 15, 24 * DAL_MIB - 15);
	check(f, 2, 24 * DAL_MIB, 1000);
	dal_file_free(f);
	close_store();
}

static void test_writing_what_is_only_in_the_upload(void **state)
{
	struct dal_capability cap = S3;
	struct dal_call call = within();
	struct dal_file *f;

	open_store(&cap, 8 * DAL_MIB, 128 << 10, 256 << 10);
	f = dal_file_new(&env);
	write_stream(f, 1, 12 * DAL_MIB);
	put(f, 2, 100, 10);
	assert_int_equal(count(BUCKET_COMPLETE), 1);
	check(f, 1, 0, 100);
	check(f, 2, 100, 10);
	check(f, 1, 110, 12 * DAL_MIB - 110);
	assert_int_equal(commit(f), 0);
	dal_file_free(f);
	/* And cutting it in the middle. */
	f = dal_file_new(&env);
	write_stream(f, 1, 12 * DAL_MIB);
	assert_int_equal(dal_file_truncate(f, &call, 300001), 0);
	assert_int_equal(commit(f), 0);
	check_object("f", 1, 300001);
	dal_file_free(f);
	/* To nothing: it begins again, without asking anybody. */
	f = dal_file_new(&env);
	write_stream(f, 1, 12 * DAL_MIB);
	bucket_reset_counts(k);
	assert_int_equal(dal_file_truncate(f, &call, 0), 0);
	assert_int_equal(count(BUCKET_COMPLETE), 0);
	write_stream(f, 3, 2 * DAL_MIB);
	assert_int_equal(commit(f), 0);
	check_object("f", 3, 2 * DAL_MIB);
	dal_file_free(f);
	close_store();
}

static void test_abandoned_stream_leaves_no_upload(void **state)
{
	struct dal_capability cap = S3;
	struct dal_file *f;

	open_store(&cap, SMALL);
	f = dal_file_new(&env);
	write_stream(f, 1, 1000000);
	dal_file_free(f);
	assert_null(k->uploads);
	f = dal_file_new(&env);
	write_stream(f, 1, 1000000);
	assert_int_equal(dal_file_stream_abort(f), 0);
	assert_int_equal(commit_as(f, "other", false, NULL), 0);
	check_object("other", 1, 1000000);
	dal_file_free(f);
	close_store();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_new_file_is_one_request),
		cmocka_unit_test(test_append_to_large_file_downloads_nothing),
		cmocka_unit_test(test_change_of_small_file_reads_the_rest_once),
		cmocka_unit_test(test_read_of_clean_file_is_the_caches),
		cmocka_unit_test(test_what_was_cut_off_does_not_come_back),
		cmocka_unit_test(test_parts_leave_while_writing),
		cmocka_unit_test(test_rewritten_part_is_sent_again),
		cmocka_unit_test(test_stream_larger_than_memory),
		cmocka_unit_test(test_writing_what_is_only_in_the_upload),
		cmocka_unit_test(test_abandoned_stream_leaves_no_upload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
