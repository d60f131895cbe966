/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The contents of a file when the store fails, forgets, answers too late or belongs to others too, and when
 * memory and disk run out: what is kept, and what is said.
 */

#include <signal.h>
#include <sys/resource.h>

#include "tests/unit/file-fixture.h"

/* Failures */

static void test_failed_put_keeps_everything(void **state)
{
	struct dal_capability cap = S3;
	struct dal_file *f;

	open_store(&cap, SMALL);
	f = dal_file_new(&env);
	put(f, 1, 0, 5000);
	atomic_store(&k->fail[BUCKET_WRITE], 2);
	assert_int_equal(commit(f), -DAL_UNEXPECTED);
	check(f, 1, 0, 5000);
	assert_true(dal_file_dirty(f));
	put(f, 1, 5000, 100);
	assert_int_equal(commit(f), -DAL_UNEXPECTED);
	assert_int_equal(commit(f), 0);
	check_object("f", 1, 5100);
	dal_file_free(f);
	close_store();
}

static void test_parts_survive_a_failed_commit(void **state)
{
	struct dal_capability cap = S3;
	struct dal_file *f;

	open_store(&cap, SMALL);
	f = dal_file_new(&env);
	write_stream(f, 1, 1000000);
	wait_for(parts_sent, f);
	atomic_store(&k->fail[BUCKET_COMPLETE], 1);
	assert_int_equal(commit(f), -DAL_UNEXPECTED);
	assert_int_equal(count(BUCKET_PART), 8);
	assert_int_equal(commit(f), 0);
	/* Only the short last one, which a stream would have gone on behind. */
	assert_true(count(BUCKET_PART) <= 9);
	check_object("f", 1, 1000000);
	dal_file_free(f);
	/* The same for a changed file. */
	f = open_file("f");
	put(f, 1, 500000, 10);
	atomic_store(&k->fail[BUCKET_COMPLETE], 1);
	bucket_reset_counts(k);
	assert_int_equal(commit(f), -DAL_UNEXPECTED);
	assert_int_equal(commit(f), 0);
	assert_int_equal(count(BUCKET_BEGIN), 1);
	assert_int_equal(count(BUCKET_PART), 1);
	assert_int_equal(count(BUCKET_COPY), 2);
	check_object("f", 1, 1000000);
	dal_file_free(f);
	close_store();
}

static void drop_uploads(void)
{
	pthread_mutex_lock(&k->lock);
	while (k->uploads)
		bucket_drop_upload(k, k->uploads);
	pthread_mutex_unlock(&k->lock);
}

static void test_vanished_upload_is_begun_again(void **state)
{
	struct dal_capability cap = S3;
	struct dal_file *f;

	open_store(&cap, SMALL);
	f = dal_file_new(&env);
	write_stream(f, 1, 1000000);
	wait_for(parts_sent, f);
	drop_uploads();
	assert_int_equal(commit(f), 0);
	check_object("f", 1, 1000000);
	dal_file_free(f);
	close_store();
}

static void test_vanished_upload_with_the_only_copy_is_an_error(void **state)
{
	struct dal_capability cap = S3;
	struct dal_call call = within();
	struct dal_file *f;
	char buf[10];
	size_t n;

	open_store(&cap, 8 * DAL_MIB, 128 << 10, 256 << 10);
	f = dal_file_new(&env);
	/* The end is less than a part: it is never sent before the commit. */
	write_stream(f, 1, 12 * DAL_MIB + 1000);
	drop_uploads();
	assert_int_equal(commit(f), -DAL_UNEXPECTED);
	assert_int_equal(commit(f), -DAL_UNEXPECTED);
	assert_int_equal(read_to(f, 0, 10, buf, &n), -DAL_UNEXPECTED);
	/* What is here still reads, and the file can be written anew. */
	check(f, 1, 12 * DAL_MIB, 1000);
	assert_int_equal(dal_file_truncate(f, &call, 0), 0);
	put(f, 2, 0, 1000);
	assert_int_equal(commit(f), 0);
	check_object("f", 2, 1000);
	dal_file_free(f);
	close_store();
}

static void test_lost_answers_are_not_lost_races(void **state)
{
	struct dal_capability cap = S3;
	struct dal_file *f;

	open_store(&cap, SMALL);
	make_object("f", 1, 100);
	f = open_file("f");
	put(f, 2, 0, 1000);
	atomic_store(&k->lose[BUCKET_WRITE], 1);
	assert_int_equal(commit(f), -DAL_TIMED_OUT);
	/* The version we wrote over is gone, by our own hand. */
	assert_int_equal(commit(f), 0);
	check_object("f", 2, 1000);
	dal_file_free(f);
	f = dal_file_new(&env);
	write_stream(f, 3, 1000000);
	atomic_store(&k->lose[BUCKET_COMPLETE], 1);
	assert_int_equal(commit(f), -DAL_TIMED_OUT);
	bucket_reset_counts(k);
	assert_int_equal(commit(f), 0);
	assert_int_equal(count(BUCKET_BEGIN), 0);
	check_object("f", 3, 1000000);
	check(f, 3, 0, 1000000);
	dal_file_free(f);
	close_store();
}

static void test_a_lost_answer_wins_no_lock_file(void **state)
{
	struct dal_capability cap = S3;
	struct dal_file *f;

	open_store(&cap, SMALL);
	f = dal_file_new(&env);
	atomic_store(&k->fail[BUCKET_WRITE], 1);
	assert_int_equal(commit_as(f, "lock", true, NULL), -DAL_UNEXPECTED);
	/* Someone else's, and the same to the byte. */
	make_object("lock", 1, 0);
	assert_int_equal(commit_as(f, "lock", true, NULL), -DAL_CONDITION_NOT_MATCH);
	dal_file_free(f);
	close_store();
}

static void test_what_is_written_after_a_lost_answer_stays(void **state)
{
	struct dal_capability cap = S3;
	struct dal_call call = within();
	struct dal_file *f;
	unsigned large;

	for (large = 0; large < 2; large++) {
		uint64_t size = large ? 1000000 : 100000;

		open_store(&cap, SMALL);
		make_object("f", 1, size);
		f = open_file("f");
		put(f, 2, 1000, 10);
		atomic_store(&k->lose[large ? BUCKET_COMPLETE : BUCKET_WRITE], 1);
		assert_int_equal(commit(f), -DAL_TIMED_OUT);
		/* The base is ours, nobody has told us yet: what is not here is found all the same. */
		dal_cache_forget(cache, "f");
		assert_int_equal(dal_file_truncate(f, &call, size - 500), 0);
		put(f, 3, 50000, 10);
		check(f, 1, 60000, 30000);
		check(f, 2, 1000, 10);
		assert_int_equal(commit(f), 0);
		check(f, 1, 0, 1000);
		check(f, 2, 1000, 10);
		check(f, 1, 1010, 50000 - 1010);
		check(f, 3, 50000, 10);
		check(f, 1, 50010, size - 500 - 50010);
		assert_int_equal(dal_file_size(f), size - 500);
		dal_file_free(f);
		close_store();
	}
}

/* Conditions */

static void test_lost_race_keeps_data_for_a_conflict_copy(void **state)
{
	struct dal_capability cap = S3;
	struct dal_file *f;

	open_store(&cap, SMALL);
	make_object("f", 1, 100000);
	f = open_file("f");
	put(f, 2, 0, 100000);
	make_object("f", 3, 100000);
	assert_int_equal(commit(f), -DAL_CONDITION_NOT_MATCH);
	check_object("f", 3, 100000);
	check(f, 2, 0, 100000);
	assert_int_equal(commit_as(f, "f.conflict", true, NULL), 0);
	check_object("f.conflict", 2, 100000);
	dal_file_free(f);
	/* Deleted is changed. */
	f = open_file("f");
	put(f, 2, 0, 100000);
	bucket_remove(k, "f");
	assert_int_equal(commit(f), -DAL_CONDITION_NOT_MATCH);
	dal_file_free(f);
	/* A large one: what a stream has let go of memory is in the spool, not in the upload alone. */
	close_store();
	open_store(&cap, 8 * DAL_MIB, 128 << 10, 256 << 10);
	f = dal_file_new(&env);
	{
		struct dal_commit how = { .path = "f", .exclusive = true };
		uint64_t off;

		for (off = 0; off < 12 * DAL_MIB; off += 65536) {
			put(f, 2, off, 65536);
			dal_file_stream(f, &how);
		}
	}
	make_object("f", 3, 10);
	assert_int_equal(commit_as(f, "f", true, NULL), -DAL_CONDITION_NOT_MATCH);
	assert_int_equal(commit_as(f, "f.conflict", true, NULL), 0);
	check_object("f", 3, 10);
	check_object("f.conflict", 2, 12 * DAL_MIB);
	dal_file_free(f);
	close_store();
}

static void test_exclusive_is_for_the_first_version(void **state)
{
	struct dal_capability cap = S3;
	unsigned look;

	for (look = 0; look < 2; look++) {
		struct dal_file *f;

		/* Also where the store has no such conditions. */
		cap.write_if_not_exists = cap.complete_if_not_exists = !look;
		cap.write_if_match = cap.complete_if_match = !look;
		open_store(&cap, SMALL);
		f = dal_file_new(&env);
		put(f, 1, 0, 100);
		assert_int_equal(commit_as(f, "f", true, NULL), 0);
		put(f, 1, 100, 1000000);
		assert_int_equal(commit_as(f, "f", true, NULL), 0);
		check_object("f", 1, 1000100);
		dal_file_free(f);
		f = dal_file_new(&env);
		assert_int_equal(commit_as(f, "f", true, NULL), -DAL_CONDITION_NOT_MATCH);
		put(f, 2, 0, 1000000);
		assert_int_equal(commit_as(f, "f", true, NULL), -DAL_CONDITION_NOT_MATCH);
		check_object("f", 1, 1000100);
		dal_file_free(f);
		f = open_file("f");
		put(f, 2, 0, 100);
		make_object("f", 3, 1000100);
		assert_int_equal(commit(f), -DAL_CONDITION_NOT_MATCH);
		check_object("f", 3, 1000100);
		dal_file_free(f);
		close_store();
	}
}

static void test_metadata_is_what_was_sent(void **state)
{
	struct dal_capability cap = S3;
	struct dal_pair pair = { "mode", "33188" }, other = { "mode", "33261" };
	struct dal_pairs user = { &pair, 1 }, later = { &other, 1 };
	struct dal_write_args args = { .user = &user }, args_later = { .user = &later };
	struct dal_commit how = { .path = "f", .args = &args };
	struct dal_call call = within();
	struct dal_meta meta;
	struct dal_file *f;
	uint64_t off;

	open_store(&cap, SMALL);
	f = dal_file_new(&env);
	for (off = 0; off < 1000000; off += 100000) {
		put(f, 1, off, 100000);
		dal_file_stream(f, &how);
	}
	wait_for(parts_sent, f);
	how.args = &args_later;
	assert_int_equal(dal_file_commit(f, &call, &how, &meta), 0);
	/* The upload began with the first: the caller sees that it has to set the second. */
	assert_true(meta.user_known);
	assert_string_equal(dal_pairs_get(&meta.user, "mode"), "33188");
	assert_string_equal(bucket_find(k, "f")->mode, "33188");
	dal_meta_done(&meta);
	dal_file_free(f);
	close_store();
}

/* While others are at it */

struct committer {
	struct dal_file *f;
	int r;
};

static void *commit_thread(void *arg)
{
	struct committer *c = arg;

	c->r = commit(c->f);
	return NULL;
}

static bool put_waits(struct dal_file *f)
{
	return atomic_load(&k->waiting[BUCKET_WRITE]) > 0;
}

static void test_writers_do_not_wait_for_a_commit(void **state)
{
	struct dal_capability cap = S3;
	unsigned failing;

	for (failing = 0; failing < 2; failing++) {
		struct committer c = { 0 };
		struct dal_call call = within();
		pthread_t t;

		open_store(&cap, SMALL);
		c.f = dal_file_new(&env);
		put(c.f, 1, 0, 100000);
		atomic_store(&k->gate, 1u << BUCKET_WRITE);
		pthread_create(&t, NULL, commit_thread, &c);
		wait_for(put_waits, c.f);
		/* Changed under the sender's hands, grown, and cut: it sends what was there when it began. */
		put(c.f, 2, 0, 50);
		assert_int_equal(dal_file_truncate(c.f, &call, 90000), 0);
		put(c.f, 3, 90000, 30000);
		check(c.f, 2, 0, 50);
		check(c.f, 1, 50, 89950);
		check(c.f, 3, 90000, 30000);
		atomic_store(&k->fail[BUCKET_WRITE], 0);
		if (failing)
			atomic_store(&k->lose[BUCKET_WRITE], 1);
		atomic_store(&k->gate, 0);
		pthread_join(t, NULL);
		assert_int_equal(c.r, failing ? -DAL_TIMED_OUT : 0);
		check_object("f", 1, 100000);
		check(c.f, 2, 0, 50);
		check(c.f, 1, 50, 89950);
		check(c.f, 3, 90000, 30000);
		assert_true(dal_file_dirty(c.f));
		if (!failing)
			assert_int_equal(dal_file_dirty_bytes(c.f), 30050);
		assert_int_equal(commit(c.f), 0);
		check(c.f, 2, 0, 50);
		check(c.f, 1, 50, 89950);
		check(c.f, 3, 90000, 30000);
		assert_false(dal_file_dirty(c.f));
		dal_file_free(c.f);
		close_store();
	}
}

static void test_detached_file_keeps_its_contents(void **state)
{
	struct dal_capability cap = S3;
	struct dal_call call = within();
	struct dal_file *f;

	/* More than memory has room for. */
	open_store(&cap, 8 * DAL_MIB, 128 << 10, 256 << 10);
	make_object("f", 1, 10 * DAL_MIB);
	f = open_file("f");
	put(f, 2, 5000, 70000);
	assert_int_equal(dal_file_detach(f, &call), 0);
	assert_null(dal_file_base(f));
	bucket_remove(k, "f");
	check(f, 1, 0, 5000);
	check(f, 2, 5000, 70000);
	check(f, 1, 75000, 10 * DAL_MIB - 75000);
	assert_true(dal_budget_used(budget, DAL_BUDGET_DIRTY) <= 4 * DAL_MIB);
	dal_file_free(f);
	/* And one that is being streamed, whose beginning is only in the upload. */
	f = dal_file_new(&env);
	write_stream(f, 1, 12 * DAL_MIB);
	assert_int_equal(dal_file_detach(f, &call), 0);
	bucket_remove(k, "f");
	check(f, 1, 0, 12 * DAL_MIB);
	dal_file_free(f);
	close_store();
}

static void test_memory_is_enough_for_anything(void **state)
{
	struct dal_capability cap = S3;
	struct dal_file *a, *b;
	unsigned i;

	open_store(&cap, 8 * DAL_MIB, 128 << 10, 256 << 10);
	/* One file takes all dirty memory, out of order so that nothing streams; the other can write all the
	 * same. */
	a = dal_file_new(&env);
	for (i = 0; i < 100; i++)
		put(a, 1, (99 - i) * 100000, 100000);
	b = dal_file_new(&env);
	for (i = 0; i < 100; i++)
		put(b, 2, ((i * 37) % 100) * 100000, 100000);
	assert_true(dal_budget_used(budget, DAL_BUDGET_DIRTY) <= 4 * DAL_MIB);
	check(a, 1, 0, 10000000);
	check(b, 2, 0, 10000000);
	/* Written again, in the spool. */
	put(a, 3, 123456, 400000);
	check(a, 3, 123456, 400000);
	assert_int_equal(commit_as(a, "a", false, NULL), 0);
	assert_int_equal(commit_as(b, "b", false, NULL), 0);
	check_object("b", 2, 10000000);
	dal_file_free(a);
	dal_file_free(b);
	close_store();
}

static void test_full_spool_is_no_space_and_takes_nothing(void **state)
{
	struct dal_capability cap = S3;
	struct rlimit old, small;
	struct dal_file *f, *g;
	int r = 0;
	unsigned i;

	open_store(&cap, 8 * DAL_MIB, 128 << 10, 256 << 10);
	f = dal_file_new(&env);
	g = dal_file_new(&env);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = DAL_MIB;
	setrlimit(RLIMIT_FSIZE, &small);
	for (i = 0; i < 200 && r == 0; i++) {
		struct dal_call call = dal_call_within(DAL_NS_PER_S / 2);
		char *p = pattern(1, (199 - i) * 100000, 100000);

		r = dal_file_write(f, &call, p, 100000, (199 - i) * 100000, false, NULL);
		free(p);
	}
	assert_int_equal(r, -DAL_NO_SPACE);
	i--;
	assert_true(i > 40);
	check(f, 0, 0, (200 - i) * 100000);
	check(f, 1, (200 - i) * 100000, i * 100000);
	/* The other file waits for memory, and gets it when the first is gone. */
	dal_file_free(f);
	assert_int_equal(try_put(g, 2, 0, 100000), 0);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(commit(g), 0);
	check_object("f", 2, 100000);
	dal_file_free(g);
	close_store();
}

static void test_store_without_multipart(void **state)
{
	struct dal_capability cap = { .read_if_match = true };
	struct dal_file *f;

	bucket_plain = true;
	open_store(&cap, 8 * DAL_MIB, 128 << 10, 256 << 10);
	f = dal_file_new(&env);
	write_stream(f, 1, 6 * DAL_MIB);
	assert_int_equal(commit(f), 0);
	assert_int_equal(count(BUCKET_WRITE), 1);
	put(f, 1, 6 * DAL_MIB, 1000);
	put(f, 1, 3 * DAL_MIB, 1000);
	assert_int_equal(commit(f), 0);
	check_object("f", 1, 6 * DAL_MIB + 1000);
	check(f, 1, 0, 6 * DAL_MIB + 1000);
	dal_file_free(f);
	close_store();
	bucket_plain = false;
}

static void test_renamed_base(void **state)
{
	struct dal_capability cap = S3;
	struct dal_cobj *obj;
	struct dal_file *f;
	char etag[64];

	open_store(&cap, SMALL);
	make_object("f", 1, 1000000);
	f = open_file("f");
	put(f, 1, 5, 10);
	make_object("g", 1, 1000000);
	bucket_remove(k, "f");
	snprintf(etag, sizeof(etag), "%s", bucket_find(k, "g")->etag);
	obj = dal_cache_object(cache, "g", etag, 1000000);
	dal_file_moved(f, obj);
	dal_cobj_unref(obj);
	assert_int_equal(commit_as(f, "g", false, NULL), 0);
	check_object("g", 1, 1000000);
	/* Written under another name, the base is copied from where it is. */
	bucket_reset_counts(k);
	assert_int_equal(commit_as(f, "h", false, NULL), 0);
	check_object("h", 1, 1000000);
	assert_int_equal(count(BUCKET_PART), 0);
	dal_file_free(f);
	close_store();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failed_put_keeps_everything),
		cmocka_unit_test(test_parts_survive_a_failed_commit),
		cmocka_unit_test(test_vanished_upload_is_begun_again),
		cmocka_unit_test(test_vanished_upload_with_the_only_copy_is_an_error),
		cmocka_unit_test(test_lost_answers_are_not_lost_races),
		cmocka_unit_test(test_a_lost_answer_wins_no_lock_file),
		cmocka_unit_test(test_what_is_written_after_a_lost_answer_stays),
		cmocka_unit_test(test_lost_race_keeps_data_for_a_conflict_copy),
		cmocka_unit_test(test_exclusive_is_for_the_first_version),
		cmocka_unit_test(test_metadata_is_what_was_sent),
		cmocka_unit_test(test_writers_do_not_wait_for_a_commit),
		cmocka_unit_test(test_detached_file_keeps_its_contents),
		cmocka_unit_test(test_memory_is_enough_for_anything),
		cmocka_unit_test(test_full_spool_is_no_space_and_takes_nothing),
		cmocka_unit_test(test_store_without_multipart),
		cmocka_unit_test(test_renamed_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
