/* SPDX-License-Identifier: Apache-2.0 */

/* Path rules, row by row. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/path.h"

static void test_normalize(void **state)
{
	static const struct {
		const char *path, *want; /* NULL: refused */
	} rows[] = {
		{ "", "" },
		{ "/", "" },
		{ "///", "" },
		{ " / ", "" },
		{ "a", "a" },
		{ "/a", "a" },
		{ "a/", "a/" },
		{ "a//b///c//", "a/b/c/" },
		{ "\t a b \n", "a b" },
		{ "a/ b/c", "a/ b/c" },
		{ "...", "..." },
		{ ".a/..b", ".a/..b" },
		{ "a\x01\xff", "a\x01\xff" },
		{ ".", NULL },
		{ "..", NULL },
		{ "a/./b", NULL },
		{ "a/../b", NULL },
		{ "a/..", NULL },
		{ "../a", NULL },
		{ "a/ .. ", "a/ .." },
	};
	size_t i;

	for (i = 0; i < DAL_COUNT_OF(rows); i++) {
		struct dal_call call = { 0 };
		char *got = NULL;
		int r = dal_path_normalize(&call, rows[i].path, &got);

		if (!rows[i].want) {
			assert_int_equal(r, -DAL_CONFIG_INVALID);
			assert_null(got);
			continue;
		}
		assert_int_equal(r, 0);
		assert_string_equal(got, rows[i].want);
		free(got);
	}
}

static void test_normalizing_twice_changes_nothing(void **state)
{
	static const char alphabet[] = "a/. b";
	char path[7];
	unsigned n, i;

	for (n = 0; n < 15625; n++) {
		struct dal_call call = { 0 };
		char *once, *twice;
		unsigned v = n;

		for (i = 0; i < 6; i++, v /= 5)
			path[i] = alphabet[v % 5];
		path[6] = '\0';
		if (dal_path_normalize(&call, path, &once) < 0)
			continue;
		assert_true(once[0] != '/');
		assert_null(strstr(once, "//"));
		if (dal_path_normalize(&call, once, &twice) == 0) {
			/* A part of spaces alone at an end is trimmed only when it is the end. */
			assert_true(strlen(twice) <= strlen(once));
			free(twice);
		}
		free(once);
	}
}

static void test_too_long(void **state)
{
	struct dal_call call = { 0 };
	char *large = malloc(DAL_PATH_MAX_LEN + 2), *got;

	memset(large, 'x', DAL_PATH_MAX_LEN + 1);
	large[DAL_PATH_MAX_LEN + 1] = '\0';
	assert_int_equal(dal_path_check(&call, large), -DAL_TOO_LONG);
	assert_int_equal(dal_path_normalize(&call, large, &got), -DAL_TOO_LONG);
	large[DAL_PATH_MAX_LEN] = '\0';
	assert_int_equal(dal_path_check(&call, large), 0);
	free(large);
}

static void test_parts(void **state)
{
	char *joined = dal_path_join("a/", "b");

	assert_string_equal(joined, "a/b");
	free(joined);
	assert_string_equal(dal_path_name("a/b/c"), "c");
	assert_string_equal(dal_path_name("a/b/"), "b/");
	assert_string_equal(dal_path_name("a"), "a");
	assert_string_equal(dal_path_name(""), "");
	assert_int_equal(dal_path_parent_len("a/b"), 2);
	assert_int_equal(dal_path_parent_len("a/b/"), 2);
	assert_int_equal(dal_path_parent_len("a"), 0);
	assert_int_equal(dal_path_parent_len(""), 0);
	assert_true(dal_path_is_dir(""));
	assert_true(dal_path_is_dir("a/"));
	assert_false(dal_path_is_dir("a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_normalize),
		cmocka_unit_test(test_normalizing_twice_changes_nothing),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
