/* SPDX-License-Identifier: Apache-2.0 */

/* The operator: the root, the key rules, what is refused without asking, and a store that does not keep its
 * word. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/unit/fake-service.h"

#define ONCE "retry_max=0"

static int reset(void **state)
{
	dal_page_done(&fake_script.page);
	fake_script = (struct fake){ .size = 1000 };
	return 0;
}

static struct dal_operator *open_at(const char *uri, unsigned flags)
{
	struct dal_call call = { 0 };
	struct dal_operator *op = fake_operator(&call, uri, ONCE, flags);

	if (!op)
		fail_msg("%s", call.err.msg);
	return op;
}

static void test_id_and_root(void **state)
{
	struct dal_operator *op = open_at("fake://b//x//y?endpoint=http%3A%2F%2Fu%3Ap%40h%3A1", 0);

	assert_string_equal(dal_operator_root(op), "x/y/");
	assert_string_equal(dal_operator_id(op), "fake://b/x/y?endpoint=http://***@h:1");
	assert_string_equal(dal_operator_scheme(op), "fake");
	dal_operator_free(op);
	op = open_at("fakes://b", 0);
	assert_string_equal(dal_operator_root(op), "");
	assert_string_equal(dal_operator_id(op), "fake://b/");
	dal_operator_free(op);
}

static void test_open_failures_say_what_to_do(void **state)
{
	static const struct {
		const char *uri, *options, *says;
	} rows[] = {
		{ "faek://b", NULL, "did you mean \"fake\"" },
		{ "absent://b", NULL, "needs libabsent" },
		{ "nothingnear://b", NULL, "dalfs services" },
		{ "photos:x", NULL, "config file" },
		{ "fake://b?endpiont=x", NULL, "did you mean \"endpoint\"" },
		{ "fake://b?secret=hunter2", NULL, "environment" },
		{ "fake://b", "secret=hunter2", "environment" },
		{ "fake://b", "retry_max=many", "a number" },
		{ "fake://", NULL, "bucket" },
		{ "fake://b/../c", NULL, "root" },
	};
	size_t i;

	for (i = 0; i < DAL_COUNT_OF(rows); i++) {
		struct dal_call call = { 0 };

		assert_null(fake_operator(&call, rows[i].uri, rows[i].options, 0));
		assert_int_equal(call.err.kind, DAL_CONFIG_INVALID);
		if (!strstr(call.err.msg, rows[i].says))
			fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].uri, call.err.msg, rows[i].says);
		assert_null(strstr(call.err.msg, "hunter2"));
	}
}

static void test_paths_become_keys(void **state)
{
	static const struct {
		unsigned flags;
		const char *path, *key;
	} rows[] = {
		{ 0, "/a//b", "r/a/b" },
		{ 0, " a ", "r/a" },
		{ DAL_OPERATOR_EXACT_KEYS, "a//b", "r/a//b" },
		{ DAL_OPERATOR_EXACT_KEYS, " a ", "r/ a " },
		{ DAL_OPERATOR_EXACT_KEYS, "../a", "r/../a" },
	};
	size_t i;

	for (i = 0; i < DAL_COUNT_OF(rows); i++) {
		struct dal_operator *op = open_at("fake://b/r", rows[i].flags);
		struct dal_call call = { 0 };

		assert_int_equal(dal_op_stat(op, &call, rows[i].path, NULL, NULL), 0);
		assert_string_equal(fake_last->last_path, rows[i].key);
		dal_operator_free(op);
	}
}

static void test_refused_without_asking(void **state)
{
	struct dal_operator *op = open_at("fake://b", 0);
	struct dal_call call = { 0 };
	struct dal_write_args if_match = { .if_match = "\"x\"" };
	struct dal_stream *s;
	struct iovec iov;
	struct dal_body body = dal_body_mem(&iov, "x", 1);
	char large[200];

	memset(large, 'k', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	assert_int_equal(dal_op_stat(op, &call, large, NULL, NULL), -DAL_TOO_LONG);
	assert_int_equal(dal_op_stat(op, &call, "a/../b", NULL, NULL), -DAL_CONFIG_INVALID);
	assert_int_equal(dal_op_read(op, &call, "dir/", NULL, &s), -DAL_IS_A_DIRECTORY);
	assert_int_equal(dal_op_write(op, &call, "", NULL, &body, NULL), -DAL_IS_A_DIRECTORY);
	assert_int_equal(dal_op_delete(op, &call, "/", NULL), -DAL_IS_A_DIRECTORY);
	assert_int_equal(dal_op_rename(op, &call, "a", "b", false, false), -DAL_UNSUPPORTED);
	assert_int_equal(dal_op_write(op, &call, "a", &if_match, &body, NULL), -DAL_UNSUPPORTED);
	assert_int_equal(fake_last->calls, 0);
	/* What probe() finds counts from then on. */
	assert_int_equal(dal_op_probe(op, &call, false), 0);
	assert_int_equal(dal_op_write(op, &call, "a", &if_match, &body, NULL), 0);
	dal_operator_free(op);
}

static void test_root_is_a_directory_without_asking(void **state)
{
	struct dal_operator *op = open_at("fake://b/r", 0);
	struct dal_call call = { 0 };
	struct dal_meta meta;

	assert_int_equal(dal_op_stat(op, &call, "/", NULL, &meta), 0);
	assert_int_equal(meta.type, DAL_TYPE_DIR);
	assert_int_equal(fake_last->calls, 0);
	dal_operator_free(op);
}

static int list_with(
	struct dal_operator *op, const char *prefix, bool recursive, const char *token, struct dal_page *page)
{
	struct dal_call call = { 0 };
	struct dal_list_args args = { .recursive = recursive };

	return dal_op_list(op, &call, prefix, &args, token, page);
}

static void test_list_takes_the_root_off(void **state)
{
	struct dal_operator *op;
	struct dal_call call = { 0 };
	struct dal_list_args args = { .start_after = "d/a" };
	struct dal_page page;

	dal_page_add(&fake_script.page, "r/d/");
	dal_page_add(&fake_script.page, "r/d/x");
	dal_page_add(&fake_script.page, "r/d/y/");
	op = open_at("fake://b/r", 0);
	assert_int_equal(dal_op_list(op, &call, "d/", &args, NULL, &page), 0);
	assert_string_equal(fake_last->last_path, "r/d/");
	assert_string_equal(fake_last->last_if_match, "r/d/a");
	assert_int_equal(page.n, 3);
	assert_string_equal(page.v[0].path, "d/");
	assert_string_equal(page.v[2].path, "d/y/");
	dal_page_done(&page);
	dal_operator_free(op);
}

static void test_list_refuses_names_from_elsewhere(void **state)
{
	static const struct {
		const char *name;
		bool recursive;
		int r;
	} rows[] = {
		{ "other/x", false, -DAL_UNEXPECTED },
		{ "r/", false, -DAL_UNEXPECTED },
		{ "../etc/passwd", false, -DAL_UNEXPECTED },
		{ "/etc/passwd", false, -DAL_UNEXPECTED },
		{ "r/d/x/y", false, -DAL_UNEXPECTED },
		{ "r/d/x/y", true, 0 },
		{ "r/d/x/", false, 0 },
	};
	size_t i;

	for (i = 0; i < DAL_COUNT_OF(rows); i++) {
		struct dal_operator *op;
		struct dal_page page = { 0 };

		reset(NULL);
		dal_page_add(&fake_script.page, rows[i].name);
		op = open_at("fake://b/r", 0);
		assert_int_equal(list_with(op, "d/", rows[i].recursive, NULL, &page), rows[i].r);
		dal_page_done(&page);
		dal_operator_free(op);
	}
}

static void test_list_that_does_not_lead_on_fails(void **state)
{
	struct dal_operator *op;
	struct dal_page page = { 0 };

	fake_script.page.next = strdup("t");
	op = open_at("fake://b", 0);
	assert_int_equal(list_with(op, "", false, NULL, &page), 0);
	dal_page_done(&page);
	assert_int_equal(list_with(op, "", false, "t", &page), -DAL_UNEXPECTED);
	dal_operator_free(op);
}

static int read_some(struct dal_operator *op, struct dal_call *call, uint64_t off, size_t len, size_t *ret_n)
{
	struct dal_read_args args = { .off = off };
	char buf[2000];

	return dal_op_read_into(op, call, "a", &args, buf, len, ret_n, NULL);
}

static void test_streams_are_held_to_their_length(void **state)
{
	struct dal_operator *op = open_at("fake://b", 0);
	struct dal_call call = { 0 };
	size_t n;

	assert_int_equal(read_some(op, &call, 900, 200, &n), 0);
	assert_int_equal(n, 100);
	assert_int_equal(read_some(op, &call, 5000, 200, &n), 0);
	assert_int_equal(n, 0);
	fake_last->lie_long = 1;
	assert_int_equal(read_some(op, &call, 900, 100, &n), -DAL_UNEXPECTED);
	assert_non_null(strstr(call.err.msg, "more than"));
	fake_last->lie_long = 0;
	fake_last->lie_short = 1;
	assert_int_equal(read_some(op, &call, 900, 100, &n), -DAL_UNEXPECTED);
	assert_non_null(strstr(call.err.msg, "early"));
	fake_last->lie_short = 0;
	fake_last->ignore_range = true;
	assert_int_equal(read_some(op, &call, 900, 100, &n), -DAL_UNEXPECTED);
	dal_operator_free(op);
}

static void test_environment_is_the_last_source(void **state)
{
	struct dal_operator *op;

	setenv("DALFS_FAKE_ENDPOINT", "from-env", 1);
	setenv("DALFS_FAKE_SECRET", "hunter2", 1);
	op = open_at("fake://b", 0);
	assert_string_equal(dal_operator_id(op), "fake://b/?endpoint=from-env");
	dal_operator_free(op);
	op = open_at("fake://b?endpoint=from-uri", 0);
	assert_string_equal(dal_operator_id(op), "fake://b/?endpoint=from-uri");
	dal_operator_free(op);
	unsetenv("DALFS_FAKE_ENDPOINT");
	unsetenv("DALFS_FAKE_SECRET");
}

static void test_delete_many_of_any_number(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g" };
	struct dal_operator *op = open_at("fake://b", 0);
	struct dal_call call = { 0 };

	assert_int_equal(dal_op_delete_many(op, &call, names, 7, NULL), 0);
	assert_int_equal(fake_last->calls, 3);
	assert_string_equal(fake_last->deleted, "a b c d e f g ");
	dal_operator_free(op);
}

static int finish(void **state)
{
	return reset(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_id_and_root, reset),
		cmocka_unit_test_setup(test_open_failures_say_what_to_do, reset),
		cmocka_unit_test_setup(test_paths_become_keys, reset),
		cmocka_unit_test_setup(test_refused_without_asking, reset),
		cmocka_unit_test_setup(test_root_is_a_directory_without_asking, reset),
		cmocka_unit_test_setup(test_list_takes_the_root_off, reset),
		cmocka_unit_test_setup(test_list_refuses_names_from_elsewhere, reset),
		cmocka_unit_test_setup(test_list_that_does_not_lead_on_fails, reset),
		cmocka_unit_test_setup(test_streams_are_held_to_their_length, reset),
		cmocka_unit_test_setup(test_environment_is_the_last_source, reset),
		cmocka_unit_test_setup(test_delete_many_of_any_number, reset),
	};

	return cmocka_run_group_tests(tests, NULL, finish);
}
