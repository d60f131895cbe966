/* SPDX-License-Identifier: Apache-2.0 */

/* The thread pool: everything runs once, nothing outlives it, nesting cannot lock up. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/workers.h"

static void count(void *arg)
{
	atomic_fetch_add((atomic_uint *)arg, 1);
}

static void test_free_runs_what_is_queued(void **state)
{
	struct dal_workers *w = dal_workers_new("test", 2);
	atomic_uint n = 0;
	int i;

	for (i = 0; i < 1000; i++)
		assert_true(dal_workers_submit(w, count, &n));
	assert_null(dal_workers_free(w));
	assert_int_equal(n, 1000);
	assert_null(dal_workers_free(NULL));
}

static void test_free_of_an_unused_pool(void **state)
{
	struct dal_workers *w = dal_workers_new("a-name-that-is-too-long", 4);

	assert_int_equal(dal_workers_queued(w), 0);
	dal_workers_free(w);
}

struct table {
	struct dal_workers *w;
	atomic_uint seen[500];
	atomic_uint running, peak;
};

static void mark(void *arg, size_t i)
{
	struct table *t = arg;
	unsigned running = atomic_fetch_add(&t->running, 1) + 1;

	if (running > atomic_load(&t->peak))
		atomic_store(&t->peak, running);
	atomic_fetch_add(&t->seen[i], 1);
	if (i % 50 == 0)
		usleep(1000);
	atomic_fetch_sub(&t->running, 1);
}

static void test_each_does_everything_once(void **state)
{
	struct table t = { .w = dal_workers_new("test", 4) };
	size_t i;

	dal_workers_each(t.w, 3, 500, mark, &t);
	for (i = 0; i < 500; i++)
		assert_int_equal(t.seen[i], 1);
	assert_in_range(t.peak, 1, 4);
	dal_workers_each(t.w, 0, 1, mark, &t);
	dal_workers_each(t.w, 3, 0, mark, &t);
	assert_int_equal(t.seen[0], 2);
	dal_workers_free(t.w);
}

struct nest {
	struct dal_workers *w;
	atomic_uint leaves;
	int depth;
};

static void descend(void *arg, size_t i)
{
	const struct nest *from = arg;
	struct nest *top = arg;

	if (from->depth == 0) {
		atomic_fetch_add(&top->leaves, 1);
		return;
	}
	{
		struct nest below = { .w = from->w, .depth = from->depth - 1 };

		dal_workers_each(from->w, 4, 6, descend, &below);
		atomic_fetch_add(&top->leaves, below.leaves);
	}
}

static void test_each_inside_each_ends(void **state)
{
	struct nest top = { .w = dal_workers_new("test", 2), .depth = 4 };

	alarm(60);
	dal_workers_each(top.w, 4, 6, descend, &top);
	alarm(0);
	assert_int_equal(top.leaves, 6 * 6 * 6 * 6 * 6);
	dal_workers_free(top.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_free_runs_what_is_queued),
		cmocka_unit_test(test_free_of_an_unused_pool),
		cmocka_unit_test(test_each_does_everything_once),
		cmocka_unit_test(test_each_inside_each_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
