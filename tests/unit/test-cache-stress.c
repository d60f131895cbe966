/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Many threads, little memory, a store that fails and objects that change: no wrong byte, no mix of versions,
 * never more memory than the budget, nobody stuck. Seeded: DALFS_TEST_SEED repeats a run.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <sys/mman.h>

#include "cache/internal.h"
#include "tests/unit/cache-fixture.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define LIMIT (16 * DAL_MIB)
#define THREADS 16
#define OBJECTS 6
#define RUN_NS (3 * DAL_NS_PER_S)

static struct fixture fx;
static atomic_bool stop;
static atomic_uint wrong, stuck, over, done_reads, failed_reads, lost_races;

struct dice {
	uint64_t s;
};

static uint64_t roll(struct dice *d, uint64_t sides)
{
	d->s ^= d->s << 13;
	d->s ^= d->s >> 7;
	d->s ^= d->s << 17;
	return d->s % sides;
}

static uint64_t seed(void)
{
	const char *given = getenv("DALFS_TEST_SEED");
	uint64_t v = 0;

	if (!given || !dal_parse_u64(given, &v) || v == 0)
		v = dal_now_ns() | 1;
	print_message("DALFS_TEST_SEED=%llu\n", (unsigned long long)v);
	return v;
}

static void object_name(char *name, size_t size, uint64_t i)
{
	snprintf(name, size, "object-%u", (unsigned)i);
}

static void judge(struct dal_call *call, int r, const struct dal_view *v, const char *name, unsigned version,
	uint64_t off, uint64_t want)
{
	atomic_fetch_add(&done_reads, 1);
	if (r == 0) {
		if (v->len != want || !view_checks(v, name, version, off))
			atomic_fetch_add(&wrong, 1);
		return;
	}
	if (call->err.kind == DAL_TIMED_OUT)
		atomic_fetch_add(&stuck, 1);
	else if (call->err.kind == DAL_CONDITION_NOT_MATCH)
		atomic_fetch_add(&lost_races, 1);
	else
		atomic_fetch_add(&failed_reads, 1);
}

/* Some reads of one open object, here and there or in order. */
static void read_some(struct dice *d, struct dal_cobj *o, const char *name, unsigned version)
{
	uint64_t size = dal_cobj_size(o), off = roll(d, size), n = 1 + roll(d, 30);
	struct dal_reader reader = { 0 };
	bool in_order = roll(d, 2) == 0;

	if (in_order && roll(d, 2) == 0)
		off = 0;
	while (n-- > 0 && off < size && !atomic_load(&stop)) {
		struct dal_call call = dal_call_within(30 * DAL_NS_PER_S);
		size_t len = 1 + (size_t)roll(d, roll(d, 4) == 0 ? DAL_MIB : 20000);
		struct dal_view v;
		int r = dal_cobj_read(o, &call, roll(d, 8) ? &reader : NULL, off, len, &v);

		judge(&call, r, &v, name, version, off, DAL_MIN((uint64_t)len, size - off));
		if (r == 0)
			dal_view_done(&v);
		off = in_order ? off + len : roll(d, size);
	}
}

static void put_some(struct dice *d, struct dal_cobj *o, const char *name, unsigned version)
{
	uint64_t size = dal_cobj_size(o), off = roll(d, size);
	size_t len = (size_t)DAL_MIN(1 + roll(d, 300000), size - off);
	char *bytes = malloc(len);
	struct iovec iov = { bytes, len };

	store_bytes(name, version, off, bytes, len);
	dal_cobj_put(o, off, &iov, 1);
	free(bytes);
}

static void one_turn(struct dice *d)
{
	struct dal_call call = dal_call_within(30 * DAL_NS_PER_S);
	struct dal_cobj *o;
	struct dal_meta meta;
	unsigned version = 0;
	bool changed;
	char name[32];

	object_name(name, sizeof(name), roll(d, OBJECTS));
	if (roll(d, 10) == 0)
		dal_cache_forget(fx.cache, name);
	if (dal_cache_open(fx.cache, &call, name, NULL, &meta, &o, &changed) < 0) {
		atomic_fetch_add(call.err.kind == DAL_TIMED_OUT ? &stuck : &failed_reads, 1);
		return;
	}
	if (sscanf(meta.etag, "\"v%u\"", &version) != 1)
		atomic_fetch_add(&wrong, 1);
	dal_meta_done(&meta);
	if (roll(d, 6) == 0)
		put_some(d, o, name, version);
	read_some(d, o, name, version);
	dal_cobj_unref(o);
}

static void *reader_thread(void *arg)
{
	struct dice d = { .s = *(uint64_t *)arg };

	while (!atomic_load(&stop))
		one_turn(&d);
	return NULL;
}

/* A writer that takes its share of the memory and gives it back. */
static void *writer_thread(void *arg)
{
	struct dice d = { .s = *(uint64_t *)arg };

	while (!atomic_load(&stop)) {
		struct dal_call call = dal_call_within(30 * DAL_NS_PER_S);
		uint64_t n = 1 + roll(&d, LIMIT / 4);

		if (dal_budget_take(fx.budget, &call, DAL_BUDGET_DIRTY, n) < 0) {
			atomic_fetch_add(&stuck, 1);
			continue;
		}
		usleep((useconds_t)roll(&d, 2000));
		dal_budget_give(fx.budget, DAL_BUDGET_DIRTY, n);
	}
	return NULL;
}

static uint64_t resident(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long size = 0, pages = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%llu %llu", &size, &pages), 2);
	fclose(f);
	return pages * 4096;
}

/* Watches memory, and now and then changes an object. Returns the most memory in use beyond @before. */
static uint64_t watch(struct dice *d, uint64_t ns, uint64_t before, bool change)
{
	uint64_t end = dal_now_ns() + ns, most = 0;

	while (dal_now_ns() < end) {
		uint64_t now = resident();

		if (dal_budget_used(fx.budget, DAL_BUDGET_CLASSES) > LIMIT)
			atomic_fetch_add(&over, 1);
		most = DAL_MAX(most, now > before ? now - before : 0);
		if (change && roll(d, 20) == 0) {
			char name[32];

			object_name(name, sizeof(name), roll(d, OBJECTS));
			atomic_fetch_add(&store_find(fx.store, name)->version, 1);
		}
		usleep(2000);
	}
	return most;
}

/* With nobody at work: every page that holds memory is charged, and every page charged holds memory. */
static void check_every_page(void)
{
	struct dal_cache *c = fx.cache;
	unsigned char in_core[BLOCK_PAGES];
	uint64_t pages = 0;
	size_t i, j;

	for (i = 0; i < c->slots_used; i++) {
		unsigned there = 0;

		assert_int_equal(mincore(c->arena + i * DAL_BLOCK_SIZE, DAL_BLOCK_SIZE, in_core), 0);
		for (j = 0; j < BLOCK_PAGES; j++)
			there += in_core[j] & 1;
		assert_int_equal(c->block[i].pins, 0);
		assert_int_equal(there, c->block[i].obj ? dal_map_count(c->block[i].valid) : 0);
		pages += there;
	}
	assert_int_equal(dal_budget_used(fx.budget, DAL_BUDGET_CACHE),
		pages * DAL_PAGE_SIZE + c->blocks * BLOCK_OVERHEAD);
}

static void run(bool faults, bool change, bool writers)
{
	struct dice d = { .s = seed() };
	uint64_t seeds[THREADS + 2], before, most;
	pthread_t t[THREADS + 2];
	unsigned i, n = writers ? THREADS + 2 : THREADS;
	char name[32];

	fixture_init(&fx, LIMIT, 4);
	for (i = 0; i < OBJECTS; i++) {
		object_name(name, sizeof(name), i);
		store_add(name, i == 0	 ? 5000
				: i == 1 ? 700 * 1024 + 1
					 : (uint64_t)i * 9 * DAL_MIB + i * 1001);
	}
	atomic_store(&fx.store->fail_percent, faults ? 8 : 0);
	atomic_store(&stop, false);
	before = resident();
	for (i = 0; i < n; i++) {
		seeds[i] = d.s + i * 1000003 + 1;
		pthread_create(&t[i], NULL, i < THREADS ? reader_thread : writer_thread, &seeds[i]);
	}
	most = watch(&d, RUN_NS, before, change);
	atomic_store(&stop, true);
	for (i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	settle(&fx);
	check_every_page();
	print_message("%u reads, %u failed, %u lost races, %llu KiB more memory\n", atomic_load(&done_reads),
		atomic_load(&failed_reads), atomic_load(&lost_races), (unsigned long long)most / 1024);
	assert_int_equal(atomic_load(&wrong), 0);
	assert_int_equal(atomic_load(&stuck), 0);
	assert_int_equal(atomic_load(&over), 0);
	assert_true(atomic_load(&done_reads) > 100);
	if (!faults && !change)
		assert_int_equal(atomic_load(&failed_reads) + atomic_load(&lost_races), 0);
	/* Blocks, and a little for threads and their heaps. */
	if (!SANITIZED)
		assert_true(most < LIMIT + 8 * DAL_MIB);
	fixture_done(&fx);
}

static int reset(void **state)
{
	atomic_store(&wrong, 0);
	atomic_store(&stuck, 0);
	atomic_store(&done_reads, 0);
	atomic_store(&failed_reads, 0);
	atomic_store(&lost_races, 0);
	return 0;
}

static void test_little_memory(void **state)
{
	run(false, false, false);
}

static void test_little_memory_and_writers(void **state)
{
	run(false, false, true);
}

static void test_faults_and_changes(void **state)
{
	run(true, true, true);
}

/* More small objects than there are slots: descriptors and objects go with their blocks. */
static void test_many_small_objects(void **state)
{
	struct dal_cache_stats stats;
	char name[32], etag[32];
	unsigned i;

	fixture_init(&fx, LIMIT, 0);
	for (i = 0; i < STORE_OBJECTS; i++) {
		object_name(name, sizeof(name), i);
		store_add(name, 3000);
	}
	for (i = 0; i < 20000; i++) {
		unsigned version = 1 + i / STORE_OBJECTS;
		struct store_object *in_store;
		struct dal_cobj *o;

		object_name(name, sizeof(name), i % STORE_OBJECTS);
		in_store = store_find(fx.store, name);
		atomic_store(&in_store->version, version);
		store_etag(etag, sizeof(etag), version);
		o = dal_cache_object(fx.cache, name, etag, 3000);
		read_ok(o, NULL, name, version, 0, 3000);
		dal_cobj_unref(o);
	}
	dal_cache_stats(fx.cache, &stats);
	assert_true(stats.objects <= LIMIT / 16384);
	assert_int_equal(stats.objects, stats.blocks);
	assert_true(stats.evicted_bytes > 0);
	fixture_done(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_little_memory, reset),
		cmocka_unit_test_setup(test_little_memory_and_writers, reset),
		cmocka_unit_test_setup(test_faults_and_changes, reset),
		cmocka_unit_test_setup(test_many_small_objects, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
