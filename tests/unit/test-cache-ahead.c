/* SPDX-License-Identifier: Apache-2.0 */

/* Opening, and reading in order: how many requests, how far ahead, and at whose expense. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/unit/cache-fixture.h"

static struct fixture fx;

static int set_up(void **state)
{
	fixture_init(&fx, 128 * DAL_MIB, 0);
	return 0;
}

static int set_up_small(void **state)
{
	fixture_init(&fx, 32 * DAL_MIB, 0);
	return 0;
}

static int tear_down(void **state)
{
	fixture_done(&fx);
	return 0;
}

static struct dal_cobj *open_ok(const char *name, struct dal_cobj *known, bool expect_changed)
{
	struct dal_call call = dal_call_within(20 * DAL_NS_PER_S);
	struct store_object *in_store = store_find(fx.store, name);
	struct dal_meta meta;
	struct dal_cobj *o;
	bool changed;
	char etag[32];

	if (dal_cache_open(fx.cache, &call, name, known, &meta, &o, &changed) < 0)
		fail_msg("open %s: %s", name, call.err.msg);
	store_etag(etag, sizeof(etag), atomic_load(&in_store->version));
	assert_int_equal(changed, expect_changed);
	assert_string_equal(meta.etag, etag);
	assert_true(meta.has_size);
	assert_int_equal(meta.size, in_store->size);
	assert_string_equal(dal_cobj_etag(o), etag);
	assert_int_equal(dal_cobj_size(o), in_store->size);
	dal_meta_done(&meta);
	return o;
}

static unsigned reads(void)
{
	return atomic_load(&fx.store->reads);
}

static void test_small_file_is_one_request(void **state)
{
	struct dal_reader reader = { 0 };
	struct dal_cobj *o;

	store_add("small", 100000);
	o = open_ok("small", NULL, true);
	read_ok(o, &reader, "small", 1, 0, 100000);
	assert_int_equal(reads(), 1);
	assert_int_equal(atomic_load(&fx.store->stats), 0);
	dal_cobj_unref(o);
}

static void test_known_version_costs_one_request_without_a_body(void **state)
{
	struct dal_cobj *o, *p;

	store_add("small", 100000);
	store_add("large", 10 * DAL_MIB);
	o = open_ok("small", NULL, true);
	p = open_ok("small", o, false);
	assert_ptr_equal(o, p);
	assert_int_equal(reads(), 2);
	assert_int_equal(atomic_load(&fx.store->unchanged), 1);
	assert_int_equal(atomic_load(&fx.store->bytes), 100000);
	dal_cobj_unref(p);
	atomic_store(&store_find(fx.store, "small")->version, 2);
	p = open_ok("small", o, true);
	read_ok(p, NULL, "small", 2, 0, 100000);
	assert_int_equal(reads(), 3);
	dal_cobj_unref(p);
	dal_cobj_unref(o);
	o = open_ok("large", NULL, true);
	settle(&fx);
	p = open_ok("large", o, false);
	assert_int_equal(atomic_load(&fx.store->unchanged), 2);
	dal_cobj_unref(p);
	dal_cobj_unref(o);
}

static void test_known_without_its_head_is_one_request(void **state)
{
	struct dal_cobj *o, *p;

	store_add("small", 100000);
	o = fixture_object(&fx, "small", 1);
	p = open_ok("small", o, false);
	assert_ptr_equal(o, p);
	read_ok(p, NULL, "small", 1, 0, 100000);
	assert_int_equal(reads(), 1);
	assert_int_equal(atomic_load(&fx.store->unchanged), 0);
	dal_cobj_unref(p);
	dal_cobj_unref(o);
}

static void test_empty_and_missing(void **state)
{
	struct dal_call call = { 0 };
	struct dal_meta meta;
	struct dal_cobj *o, *p;
	bool changed;

	store_add("empty", 0);
	o = open_ok("empty", NULL, true);
	assert_int_equal(reads(), 1);
	p = open_ok("empty", o, false);
	assert_int_equal(reads(), 1);
	assert_int_equal(atomic_load(&fx.store->stats), 1);
	dal_cobj_unref(p);
	atomic_store(&store_find(fx.store, "empty")->version, 2);
	store_find(fx.store, "empty")->size = 10;
	p = open_ok("empty", o, true);
	read_ok(p, NULL, "empty", 2, 0, 10);
	assert_int_equal(reads(), 2);
	dal_cobj_unref(p);
	dal_cobj_unref(o);
	assert_int_equal(
		dal_cache_open(fx.cache, &call, "nothing", NULL, &meta, &o, &changed), -DAL_NOT_FOUND);
}

static void test_large_open_does_not_wait_for_the_body(void **state)
{
	struct dal_cobj *o;

	store_add("large", 10 * DAL_MIB);
	atomic_store(&fx.store->gate, true);
	o = open_ok("large", NULL, true);
	atomic_store(&fx.store->gate, false);
	read_ok(o, NULL, "large", 1, 0, 256 * 1024);
	assert_int_equal(reads(), 1);
	dal_cobj_unref(o);
}

static void test_failed_small_open_is_an_error(void **state)
{
	struct dal_call call = { 0 };
	struct dal_meta meta;
	struct dal_cobj *o;
	bool changed;

	store_add("small", 100000);
	atomic_store(&fx.store->corrupt_ends, 1);
	assert_int_equal(
		dal_cache_open(fx.cache, &call, "small", NULL, &meta, &o, &changed), -DAL_UNEXPECTED);
	o = open_ok("small", NULL, true);
	read_ok(o, NULL, "small", 1, 0, 100000);
	assert_int_equal(reads(), 2);
	dal_cobj_unref(o);
}

static void expect_reads(unsigned most)
{
	unsigned i;

	if (reads() <= most)
		return;
	for (i = 0; i < fx.store->logged; i++)
		print_message("%llu KiB +%llu KiB\n", (unsigned long long)fx.store->log[i].off / 1024,
			(unsigned long long)fx.store->log[i].len / 1024);
	fail_msg("%u requests, at most %u are expected", reads(), most);
}

static void read_in_order(const char *name, uint64_t size, size_t step, unsigned most_reads)
{
	struct dal_reader reader = { 0 };
	struct dal_cobj *o;
	uint64_t off;

	store_add(name, size);
	o = open_ok(name, NULL, true);
	for (off = 0; off < size; off += step)
		read_ok(o, &reader, name, 1, off, (size_t)DAL_MIN(size - off, (uint64_t)step));
	dal_cobj_unref(o);
	settle(&fx);
	expect_reads(most_reads);
	/* Each byte once. */
	assert_int_equal(atomic_load(&fx.store->bytes), size);
}

static void test_sequential_64_mib_is_ten_requests(void **state)
{
	read_in_order("a", 64 * DAL_MIB, 128 * 1024, 10);
}

static void test_sequential_in_large_steps(void **state)
{
	read_in_order("a", 64 * DAL_MIB + 77, DAL_MIB, 10);
}

static void test_sequential_in_small_odd_steps(void **state)
{
	read_in_order("a", 20 * DAL_MIB + 3, 4321, 6);
}

static void test_sequential_in_a_tight_budget(void **state)
{
	/* Chunks are 4 MiB then. */
	read_in_order("a", 64 * DAL_MIB, 128 * 1024, 19);
	assert_true(dal_budget_used(fx.budget, DAL_BUDGET_CACHE) <= dal_budget_limit(fx.budget));
}

static void test_requests_run_in_parallel(void **state)
{
	atomic_store(&fx.store->latency_us, 5000);
	read_in_order("a", 100 * DAL_MIB, 128 * 1024, 15);
	assert_true(atomic_load(&fx.store->peak) >= 3);
	assert_true(atomic_load(&fx.store->peak) <= 9);
}

static void test_from_the_middle_grows_slowly(void **state)
{
	struct dal_reader reader = { 0 };
	struct dal_cobj *o;
	uint64_t off, at = 100 * DAL_MIB + 4096 * 3;

	store_add("a", 512 * DAL_MIB);
	o = fixture_object(&fx, "a", 1);
	/* Two neighbours may be chance: little is fetched for them. */
	read_ok(o, &reader, "a", 1, at, 4096);
	read_ok(o, &reader, "a", 1, at + 4096, 4096);
	settle(&fx);
	assert_true(atomic_load(&fx.store->bytes) <= 6 * 4096);
	/* Many are not. */
	for (off = 2 * 4096; off < 4 * DAL_MIB; off += 4096)
		read_ok(o, &reader, "a", 1, at + off, 4096);
	expect_reads(20);
	dal_cobj_unref(o);
}

static void test_several_streams_and_strays_on_one_handle(void **state)
{
	struct dal_reader reader = { 0 };
	struct dal_cobj *o;
	uint64_t off;
	unsigned i, n;

	store_add("a", DAL_GIB);
	o = fixture_object(&fx, "a", 1);
	for (off = 0, n = 0; off < 8 * DAL_MIB; off += 128 * 1024, n++) {
		for (i = 0; i < 3; i++)
			read_ok(o, &reader, "a", 1, i * 300 * DAL_MIB + off, 128 * 1024);
		if (n % 8 == 0)
			read_ok(o, &reader, "a", 1, 950 * DAL_MIB + n * 65536, 4096);
	}
	/* 3 streams of 8 MiB and 8 strays. */
	expect_reads(8 + 3 * 9);
	dal_cobj_unref(o);
}

static void test_skips_inside_the_window_cost_nothing(void **state)
{
	struct dal_reader reader = { 0 };
	struct dal_cobj *o;
	uint64_t off;

	store_add("a", 64 * DAL_MIB);
	o = open_ok("a", NULL, true);
	for (off = 0; off < 64 * DAL_MIB; off += off < DAL_MIB ? 128 * 1024 : 384 * 1024)
		read_ok(o, &reader, "a", 1, off, 65536);
	settle(&fx);
	expect_reads(12);
	dal_cobj_unref(o);
}

static void test_strays_inside_the_window_do_not_move_it(void **state)
{
	struct dal_reader reader = { 0 };
	struct dal_cobj *o;
	uint64_t off;
	unsigned i = 0;

	store_add("a", 64 * DAL_MIB);
	o = open_ok("a", NULL, true);
	for (off = 0; off < 64 * DAL_MIB; off += 128 * 1024) {
		read_ok(o, &reader, "a", 1, off, 128 * 1024);
		if (i++ % 20 == 10 && off < 56 * DAL_MIB)
			read_ok(o, &reader, "a", 1, off + 3 * DAL_MIB + i * 4096, 4096);
	}
	settle(&fx);
	expect_reads(12);
	assert_int_equal(atomic_load(&fx.store->bytes), 64 * DAL_MIB);
	dal_cobj_unref(o);
}

static void test_reads_out_of_order_are_one_stream(void **state)
{
	struct dal_reader reader = { 0 };
	struct dal_cobj *o;
	uint64_t off;

	store_add("a", 32 * DAL_MIB);
	o = open_ok("a", NULL, true);
	for (off = 0; off < 32 * DAL_MIB; off += 512 * 1024) {
		read_ok(o, &reader, "a", 1, off + 128 * 1024, 128 * 1024);
		read_ok(o, &reader, "a", 1, off, 128 * 1024);
		read_ok(o, &reader, "a", 1, off + 384 * 1024, 128 * 1024);
		read_ok(o, &reader, "a", 1, off + 256 * 1024, 128 * 1024);
	}
	settle(&fx);
	expect_reads(9);
	assert_int_equal(atomic_load(&fx.store->bytes), 32 * DAL_MIB);
	dal_cobj_unref(o);
}

static void test_readers_do_not_drop_each_others_read_ahead(void **state)
{
	struct dal_reader reader[4] = { 0 };
	struct dal_cobj *o[4];
	char name[4][8];
	uint64_t off;
	unsigned i;

	/* 4 windows of 8 MiB are more than the memory there is. */
	for (i = 0; i < 4; i++) {
		snprintf(name[i], sizeof(name[i]), "f%u", i);
		store_add(name[i], 32 * DAL_MIB);
		o[i] = open_ok(name[i], NULL, true);
	}
	for (off = 0; off < 32 * DAL_MIB; off += 256 * 1024)
		for (i = 0; i < 4; i++)
			read_ok(o[i], &reader[i], name[i], 1, off, 256 * 1024);
	settle(&fx);
	if (atomic_load(&fx.store->bytes) > 4 * 32 * DAL_MIB * 105 / 100)
		fail_msg("%llu bytes were fetched for %llu",
			(unsigned long long)atomic_load(&fx.store->bytes),
			(unsigned long long)(4 * 32 * DAL_MIB));
	for (i = 0; i < 4; i++)
		dal_cobj_unref(o[i]);
}

static void test_what_nobody_came_for_leaves_room(void **state)
{
	struct dal_cobj *o[10];
	char name[16];
	unsigned i;

	/* More than half of the memory is fetched ahead of readers who then close their files. */
	for (i = 0; i < 10; i++) {
		struct dal_reader reader = { 0 };
		uint64_t off;

		snprintf(name, sizeof(name), "f%u", i);
		store_add(name, 40 * DAL_MIB);
		o[i] = open_ok(name, NULL, true);
		for (off = 0; off < 5 * DAL_MIB; off += 128 * 1024)
			read_ok(o[i], &reader, name, 1, off, 128 * 1024);
		dal_cobj_unref(o[i]);
	}
	settle(&fx);
	usleep(250000);
	atomic_store(&fx.store->reads, 0);
	atomic_store(&fx.store->peak, 0);
	atomic_store(&fx.store->bytes, 0);
	atomic_store(&fx.store->latency_us, 5000);
	read_in_order("a", 40 * DAL_MIB, 128 * 1024, 8);
	assert_true(atomic_load(&fx.store->peak) >= 2);
}

static void test_read_ahead_goes_on_after_a_failure(void **state)
{
	struct dal_reader reader = { 0 };
	struct dal_call call;
	struct dal_cobj *o;
	struct dal_view v;
	unsigned failed = 0;
	uint64_t off;

	store_add("a", 64 * DAL_MIB);
	o = open_ok("a", NULL, true);
	for (off = 0; off < 64 * DAL_MIB; off += 128 * 1024) {
		call = dal_call_within(20 * DAL_NS_PER_S);
		if (off == 16 * DAL_MIB) {
			settle(&fx);
			atomic_store(&fx.store->fail_opens, 2);
		}
		if (dal_cobj_read(o, &call, &reader, off, 128 * 1024, &v) < 0) {
			failed++;
			continue;
		}
		assert_true(view_checks(&v, "a", 1, off));
		dal_view_done(&v);
	}
	assert_true(failed <= 1);
	expect_reads(20);
	dal_cobj_unref(o);
}

static void test_stores_without_conditions_are_asked_by_stat(void **state)
{
	struct fixture saved = fx;
	struct dal_cobj *o, *p;

	store_without_conditions = true;
	fixture_init(&fx, 32 * DAL_MIB, 0);
	store_without_conditions = false;
	store_add("small", 100000);
	o = open_ok("small", NULL, true);
	p = open_ok("small", o, false);
	assert_int_equal(reads(), 1);
	assert_int_equal(atomic_load(&fx.store->stats), 1);
	dal_cobj_unref(p);
	atomic_store(&store_find(fx.store, "small")->version, 2);
	p = open_ok("small", o, true);
	read_ok(p, NULL, "small", 2, 0, 100000);
	dal_cobj_unref(p);
	dal_cobj_unref(o);
	fixture_done(&fx);
	fx = saved;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_small_file_is_one_request, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_known_version_costs_one_request_without_a_body, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_known_without_its_head_is_one_request, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_empty_and_missing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_large_open_does_not_wait_for_the_body, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failed_small_open_is_an_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sequential_64_mib_is_ten_requests, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sequential_in_large_steps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sequential_in_small_odd_steps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sequential_in_a_tight_budget, set_up_small, tear_down),
		cmocka_unit_test_setup_teardown(test_requests_run_in_parallel, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_from_the_middle_grows_slowly, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_several_streams_and_strays_on_one_handle, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_skips_inside_the_window_cost_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_strays_inside_the_window_do_not_move_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reads_out_of_order_are_one_stream, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_readers_do_not_drop_each_others_read_ahead, set_up_small, tear_down),
		cmocka_unit_test_setup_teardown(test_what_nobody_came_for_leaves_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_read_ahead_goes_on_after_a_failure, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_stores_without_conditions_are_asked_by_stat, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
