/* SPDX-License-Identifier: Apache-2.0 */

/* Byte sets against a bitmap, and upload plans against their promises. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "fs/commit-plan.h"
#include "fs/extents.h"

static void check_shape(const struct dal_extents *e)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = 0; i < e->n; i++) {
		assert_true(e->v[i].off < e->v[i].end);
		/* Neither overlapping nor touching. */
		assert_true(i == 0 || e->v[i - 1].end < e->v[i].off);
		bytes += e->v[i].end - e->v[i].off;
	}
	assert_int_equal(bytes, e->bytes);
}

static void test_add_joins_and_cut_splits(void **state)
{
	struct dal_extents e = { 0 };
	struct dal_extent run;

	assert_true(dal_extents_reserve(&e, 8));
	dal_extents_add(&e, 10, 20);
	dal_extents_add(&e, 30, 40);
	assert_int_equal(e.n, 2);
	dal_extents_add(&e, 20, 30);
	assert_int_equal(e.n, 1);
	assert_true(dal_extents_covers(&e, 10, 40));
	assert_false(dal_extents_covers(&e, 9, 40));
	dal_extents_cut(&e, 15, 16);
	assert_int_equal(e.n, 2);
	assert_int_equal(e.bytes, 29);
	assert_true(dal_extents_next(&e, 15, 100, &run));
	assert_int_equal(run.off, 16);
	assert_int_equal(run.end, 40);
	assert_false(dal_extents_overlaps(&e, 15, 16));
	assert_int_equal(dal_extents_prefix(&e), 0);
	dal_extents_add(&e, 0, 12);
	assert_int_equal(dal_extents_prefix(&e), 15);
	dal_extents_cut(&e, 14, UINT64_MAX);
	assert_int_equal(e.n, 1);
	assert_int_equal(e.bytes, 14);
	dal_extents_done(&e);
}

#define BITS 300

static void compare(const struct dal_extents *e, const unsigned char *bits)
{
	struct dal_extent run;
	uint64_t at = 0;
	unsigned i;

	check_shape(e);
	while (dal_extents_next(e, at, BITS, &run)) {
		for (; at < run.off; at++)
			assert_int_equal(bits[at], 0);
		for (; at < run.end; at++)
			assert_int_equal(bits[at], 1);
	}
	for (; at < BITS; at++)
		assert_int_equal(bits[at], 0);
	for (i = 0; i < 20; i++) {
		unsigned off = (unsigned)rand() % BITS, end = off + (unsigned)rand() % (BITS - off), k, n = 0;

		for (k = off; k < end; k++)
			n += bits[k];
		assert_int_equal(dal_extents_covers(e, off, end), n == end - off);
		assert_int_equal(dal_extents_overlaps(e, off, end), n > 0);
	}
}

static void test_random_against_bitmap(void **state)
{
	struct dal_extents e = { 0 }, dup;
	unsigned char bits[BITS] = { 0 }, part[BITS] = { 0 };
	unsigned seed = (unsigned)time(NULL), step;

	printf("seed %u\n", seed);
	srand(seed);
	for (step = 0; step < 20000; step++) {
		unsigned off = (unsigned)rand() % BITS, len = (unsigned)rand() % (step % 3 ? 12 : BITS);
		unsigned end = off + len > BITS ? BITS : off + len;

		assert_true(dal_extents_reserve(&e, 1));
		if (rand() % 2)
			dal_extents_add(&e, off, end);
		else
			dal_extents_cut(&e, off, end);
		memset(bits + off, e.n && dal_extents_overlaps(&e, off, end), end - off);
		if (step % 7 == 0)
			compare(&e, bits);
	}
	assert_true(dal_extents_dup(&dup, &e, 50, 200));
	memcpy(part + 50, bits + 50, 150);
	compare(&dup, part);
	dal_extents_done(&dup);
	dal_extents_done(&e);
}

static const struct dal_capability s3 = {
	.multipart = true, .part_min = 5 * DAL_MIB, .part_max = 5 * DAL_GIB, .parts_max = 10000
};

static void test_schedule_reaches_5_tib(void **state)
{
	struct dal_plan_limits l = dal_plan_limits(&s3, 8 * DAL_MIB, DAL_MIB);
	uint64_t off = 0;
	size_t i;

	for (i = 0; i < 10000; i++) {
		assert_int_equal(dal_plan_stream_off(&l, i), off);
		assert_int_equal(dal_plan_stream_len(&l, i) % DAL_MIB, 0);
		off += dal_plan_stream_len(&l, i);
	}
	assert_int_equal(dal_plan_stream_len(&l, 999), 8 * DAL_MIB);
	assert_int_equal(dal_plan_stream_len(&l, 1000), 32 * DAL_MIB);
	assert_int_equal(dal_plan_stream_len(&l, 9999), 768 * DAL_MIB);
	assert_true(off >= 5 * 1024 * DAL_GIB);
	assert_int_equal(l.size_max, off);
	/* A store's own limits. */
	l = dal_plan_limits(&(struct dal_capability){ .multipart = true,
				    .part_min = 64 * DAL_MIB,
				    .part_max = 100 * DAL_MIB,
				    .parts_max = 50,
				    .object_max = DAL_GIB },
		8 * DAL_MIB, DAL_MIB);
	assert_int_equal(l.part_size, 64 * DAL_MIB);
	assert_int_equal(dal_plan_stream_len(&l, 49), 100 * DAL_MIB);
	assert_int_equal(l.size_max, DAL_GIB);
}

/* What every plan must hold. */
static void check_plan(const struct dal_plan_limits *l, uint64_t size, uint64_t base_limit,
	const struct dal_extents *dirty, const struct dal_plan_part *v, size_t n)
{
	uint64_t off = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		assert_int_equal(v[i].off, off);
		assert_true(v[i].len > 0 && v[i].len <= l->part_max);
		assert_true(i + 1 == n || v[i].len >= l->part_min);
		if (v[i].copy) {
			assert_true(v[i].off + v[i].len <= base_limit);
			assert_false(dal_extents_overlaps(dirty, v[i].off, v[i].off + v[i].len));
		}
		off += v[i].len;
	}
	assert_int_equal(off, size);
}

static void test_append_copies_and_sends_little(void **state)
{
	struct dal_plan_limits l = dal_plan_limits(&s3, 8 * DAL_MIB, DAL_MIB);
	struct dal_extents dirty = { 0 };
	struct dal_plan_part *v;
	size_t n;

	assert_true(dal_extents_reserve(&dirty, 1));
	dal_extents_add(&dirty, 64 * DAL_MIB, 64 * DAL_MIB + 1024);
	assert_true(
		dal_plan_make(&l, 64 * DAL_MIB + 1024, 64 * DAL_MIB, &dirty, true, 512 * DAL_MIB, &v, &n));
	assert_int_equal(n, 2);
	assert_true(v[0].copy && v[0].len == 64 * DAL_MIB);
	assert_true(!v[1].copy && v[1].len == 1024);
	free(v);
	/* A change at the front: the least part, and the rest copied. */
	dal_extents_clear(&dirty);
	dal_extents_add(&dirty, 0, 10);
	assert_true(dal_plan_make(&l, 64 * DAL_MIB, 64 * DAL_MIB, &dirty, true, 512 * DAL_MIB, &v, &n));
	assert_int_equal(n, 2);
	assert_true(!v[0].copy && v[0].len == 5 * DAL_MIB);
	assert_true(v[1].copy && v[1].len == 59 * DAL_MIB);
	free(v);
	dal_extents_done(&dirty);
}

static void test_random_plans_keep_their_promises(void **state)
{
	unsigned seed = (unsigned)time(NULL), round;

	printf("seed %u\n", seed);
	srand(seed);
	for (round = 0; round < 3000; round++) {
		struct dal_capability cap = { .multipart = true,
			.part_min = 1 + (uint64_t)rand() % 50,
			.part_max = 4096 + (uint64_t)rand() % 9000,
			.parts_max = 30 + (uint64_t)rand() % 300 };
		struct dal_plan_limits l = dal_plan_limits(&cap, 16 + (uint64_t)rand() % 200, 16);
		uint64_t size = 1 + (uint64_t)rand() % 60000, base = (uint64_t)rand() % (size + 1);
		struct dal_extents dirty = { 0 };
		struct dal_plan_part *v;
		unsigned k, holes = (unsigned)rand() % 200;
		size_t n;

		if (size > l.size_max)
			continue;
		assert_true(dal_extents_reserve(&dirty, holes + 1));
		for (k = 0; k < holes; k++) {
			uint64_t off = (uint64_t)rand() % size;

			dal_extents_add(&dirty, off, DAL_MIN(off + 1 + (uint64_t)rand() % 300, size));
		}
		if (base && rand() % 4 == 0)
			base = size;
		assert_true(dal_plan_make(&l, size, base, &dirty, rand() % 4 != 0, 500, &v, &n));
		check_plan(&l, size, base, &dirty, v, n);
		assert_true(n <= cap.parts_max);
		free(v);
		dal_extents_done(&dirty);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_joins_and_cut_splits),
		cmocka_unit_test(test_random_against_bitmap),
		cmocka_unit_test(test_schedule_reaches_5_tib),
		cmocka_unit_test(test_append_copies_and_sends_little),
		cmocka_unit_test(test_random_plans_keep_their_promises),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
