/* SPDX-License-Identifier: Apache-2.0 */

/* The budget: what may be taken, who waits, and what the machine's limits are. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/budget.h"
#include "cache/memory-limit.h"

static void test_limits(void **state)
{
	struct dal_budget *b = dal_budget_new(1000);

	assert_true(dal_budget_try(b, DAL_BUDGET_CACHE, 600));
	assert_false(dal_budget_try(b, DAL_BUDGET_CACHE, 401));
	assert_true(dal_budget_try(b, DAL_BUDGET_DIRTY, 400));
	assert_int_equal(dal_budget_take_free(b, DAL_BUDGET_CACHE, 7), 7);
	dal_budget_give(b, DAL_BUDGET_CACHE, 600);
	assert_false(dal_budget_try(b, DAL_BUDGET_DIRTY, 101));
	assert_true(dal_budget_take_free(b, DAL_BUDGET_DIRTY, 101) == UINT64_MAX);
	assert_true(dal_budget_try(b, DAL_BUDGET_DIRTY, 100));
	assert_int_equal(dal_budget_used(b, DAL_BUDGET_DIRTY), 500);
	dal_budget_give(b, DAL_BUDGET_DIRTY, 500);
	dal_budget_free(b);
}

static void test_take_fails_in_time(void **state)
{
	struct dal_budget *b = dal_budget_new(1000);
	struct dal_call call = dal_call_within(30 * DAL_NS_PER_MS);
	atomic_bool cancel = true;
	uint64_t before;

	assert_int_equal(dal_budget_take(b, &call, DAL_BUDGET_CACHE, 1001), -DAL_NO_MEMORY);
	assert_int_equal(dal_budget_take(b, &call, DAL_BUDGET_DIRTY, 501), -DAL_NO_MEMORY);
	assert_int_equal(dal_budget_take(b, &call, DAL_BUDGET_CACHE, 1000), 0);
	before = dal_now_ns();
	assert_int_equal(dal_budget_take(b, &call, DAL_BUDGET_CACHE, 1), -DAL_TIMED_OUT);
	assert_true(dal_now_ns() - before < DAL_NS_PER_S);
	call = (struct dal_call){ .cancel = &cancel };
	assert_int_equal(dal_budget_take(b, &call, DAL_BUDGET_DIRTY, 1), -DAL_CANCELLED);
	dal_budget_give(b, DAL_BUDGET_CACHE, 1000);
	dal_budget_free(b);
}

static void *give_later(void *arg)
{
	usleep(30000);
	dal_budget_give(arg, DAL_BUDGET_DIRTY, 500);
	return NULL;
}

static void test_take_waits(void **state)
{
	struct dal_budget *b = dal_budget_new(1000);
	struct dal_call call = dal_call_within(10 * DAL_NS_PER_S);
	pthread_t t;

	assert_true(dal_budget_try(b, DAL_BUDGET_DIRTY, 500));
	pthread_create(&t, NULL, give_later, b);
	assert_int_equal(dal_budget_take(b, &call, DAL_BUDGET_DIRTY, 400), 0);
	pthread_join(t, NULL);
	dal_budget_give(b, DAL_BUDGET_DIRTY, 400);
	dal_budget_free(b);
}

struct hook {
	struct dal_budget *b;
	uint64_t has, asked;
};

static uint64_t reclaim(void *arg, uint64_t bytes)
{
	struct hook *h = arg;
	uint64_t n = DAL_MIN(bytes, h->has);

	h->asked += bytes;
	h->has -= n;
	dal_budget_give(h->b, DAL_BUDGET_CACHE, n);
	return n;
}

static void test_reclaims_what_is_lacking(void **state)
{
	struct hook h = { .b = dal_budget_new(1000), .has = 800 };

	dal_budget_set_reclaim(h.b, reclaim, &h);
	assert_true(dal_budget_try(h.b, DAL_BUDGET_CACHE, 800));
	assert_true(dal_budget_try(h.b, DAL_BUDGET_DIRTY, 500));
	assert_int_equal(h.asked, 300);
	assert_true(dal_budget_try(h.b, DAL_BUDGET_CACHE, 100));
	assert_int_equal(h.has, 400);
	assert_false(dal_budget_try(h.b, DAL_BUDGET_CACHE, 500));
	dal_budget_give(h.b, DAL_BUDGET_CACHE, dal_budget_used(h.b, DAL_BUDGET_CACHE));
	dal_budget_give(h.b, DAL_BUDGET_DIRTY, 500);
	dal_budget_free(h.b);
}

static atomic_uint_fast64_t in_use, most;

static void *take_and_give(void *arg)
{
	struct dal_budget *b = arg;
	unsigned i;

	for (i = 0; i < 2000; i++) {
		enum dal_budget_class class = i % 2 ? DAL_BUDGET_CACHE : DAL_BUDGET_DIRTY;
		struct dal_call call = dal_call_within(20 * DAL_NS_PER_S);
		uint64_t n = 1 + i % 400, now;

		assert_int_equal(dal_budget_take(b, &call, class, n), 0);
		now = atomic_fetch_add(&in_use, n) + n;
		while (now > atomic_load(&most))
			atomic_store(&most, now);
		atomic_fetch_sub(&in_use, n);
		dal_budget_give(b, class, n);
	}
	return NULL;
}

static void test_many_takers_never_pass_the_limit(void **state)
{
	struct dal_budget *b = dal_budget_new(1000);
	pthread_t t[6];
	size_t i;

	for (i = 0; i < DAL_COUNT_OF(t); i++)
		pthread_create(&t[i], NULL, take_and_give, b);
	for (i = 0; i < DAL_COUNT_OF(t); i++)
		pthread_join(t[i], NULL);
	assert_true(atomic_load(&most) <= 1000);
	assert_int_equal(dal_budget_used(b, DAL_BUDGET_CACHE) + dal_budget_used(b, DAL_BUDGET_DIRTY), 0);
	dal_budget_free(b);
}

/* A tree with files as the kernel shows them. */
static void put_file(const char *root, const char *path, const char *text)
{
	char name[512], *at;
	FILE *f;

	snprintf(name, sizeof(name), "%s%s", root, path);
	for (at = name + strlen(root) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(name, 0700);
		*at = '/';
	}
	f = fopen(name, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void remove_tree(const char *root)
{
	char command[600];

	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	assert_int_equal(system(command), 0);
}

static void test_memory_limit_of_cgroups(void **state)
{
	char root[] = "/tmp/dalfs-test-XXXXXX";

	assert_non_null(mkdtemp(root));
	assert_int_equal(dal_memory_limit(root), 0);
	put_file(root, "/proc/meminfo", "MemTotal:        1000 kB\nMemFree: 1 kB\n");
	assert_int_equal(dal_memory_limit(root), 1000 * 1024);
	put_file(root, "/proc/self/cgroup", "0::/a/b\n");
	put_file(root, "/sys/fs/cgroup/a/b/memory.max", "max\n");
	put_file(root, "/sys/fs/cgroup/a/memory.max", "500000\n");
	assert_int_equal(dal_memory_limit(root), 500000);
	put_file(root, "/sys/fs/cgroup/memory.max", "400000\n");
	assert_int_equal(dal_memory_limit(root), 400000);
	put_file(root, "/proc/self/cgroup", "5:cpu,memory:/c\n4:memoryless:/x\n0::/\n");
	put_file(root, "/sys/fs/cgroup/memory/c/memory.limit_in_bytes", "300000\n");
	assert_int_equal(dal_memory_limit(root), 300000);
	put_file(root, "/sys/fs/cgroup/memory/c/memory.limit_in_bytes", "9223372036854771712\n");
	assert_int_equal(dal_memory_limit(root), 400000);
	remove_tree(root);
}

static void test_default_is_within_bounds(void **state)
{
	uint64_t n = dal_budget_default();

	assert_true(n >= 64 * DAL_MIB && n <= DAL_GIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_take_fails_in_time),
		cmocka_unit_test(test_take_waits),
		cmocka_unit_test(test_reclaims_what_is_lacking),
		cmocka_unit_test(test_many_takers_never_pass_the_limit),
		cmocka_unit_test(test_memory_limit_of_cgroups),
		cmocka_unit_test(test_default_is_within_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
