/* SPDX-License-Identifier: Apache-2.0 */

/* URIs of every form, good and bad. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/uri.h"

static void test_forms(void **state)
{
	static const struct {
		const char *text;
		enum dal_uri_kind kind;
		const char *scheme, *authority, *path;
	} rows[] = {
		{ "s3://bucket/a/b", DAL_URI_SCHEME, "s3", "bucket", "a/b" },
		{ "s3://bucket", DAL_URI_SCHEME, "s3", "bucket", "" },
		{ "s3://bucket/", DAL_URI_SCHEME, "s3", "bucket", "" },
		{ "s3://bucket//a", DAL_URI_SCHEME, "s3", "bucket", "/a" },
		{ "s3://bucket/a%20b%25#c", DAL_URI_SCHEME, "s3", "bucket", "a b%#c" },
		{ "s3://bucket?region=x", DAL_URI_SCHEME, "s3", "bucket", "" },
		{ "memory://", DAL_URI_SCHEME, "memory", "", "" },
		{ "fs:///home/x", DAL_URI_SCHEME, "fs", "", "home/x" },
		{ "sftp://user@host:22/p", DAL_URI_SCHEME, "sftp", "user@host:22", "p" },
		{ "webdav://[::1]:80/p", DAL_URI_SCHEME, "webdav", "[::1]:80", "p" },
		{ "photos:2024/may", DAL_URI_REMOTE, "photos", "", "2024/may" },
		{ "photos:/2024", DAL_URI_REMOTE, "photos", "", "2024" },
		{ "my-remote_1.x:", DAL_URI_REMOTE, "my-remote_1.x", "", "" },
		{ "photos:a%20b?c", DAL_URI_REMOTE, "photos", "", "a%20b?c" },
		{ "/a/b%20", DAL_URI_LOCAL, "fs", "", "/a/b%20" },
		{ "./a:b", DAL_URI_LOCAL, "fs", "", "./a:b" },
		{ "../x", DAL_URI_LOCAL, "fs", "", "../x" },
		{ ".", DAL_URI_LOCAL, "fs", "", "." },
	};
	size_t i;

	for (i = 0; i < DAL_COUNT_OF(rows); i++) {
		struct dal_call call = { 0 };
		struct dal_uri uri;

		if (dal_uri_parse(&call, rows[i].text, &uri) < 0)
			fail_msg("%s: %s", rows[i].text, call.err.msg);
		assert_int_equal(uri.kind, rows[i].kind);
		assert_string_equal(uri.scheme, rows[i].scheme);
		assert_string_equal(uri.authority, rows[i].authority);
		assert_string_equal(uri.path, rows[i].path);
		dal_uri_done(&uri);
	}
}

static void test_query(void **state)
{
	struct dal_call call = { 0 };
	struct dal_uri uri;

	assert_int_equal(
		dal_uri_parse(&call, "s3://b/k?endpoint=http%3A%2F%2Fh&path_style&&x=a=b&y=+", &uri), 0);
	assert_int_equal(uri.query.n, 4);
	assert_string_equal(dal_pairs_get(&uri.query, "endpoint"), "http://h");
	assert_string_equal(dal_pairs_get(&uri.query, "path_style"), "");
	assert_string_equal(dal_pairs_get(&uri.query, "x"), "a=b");
	assert_string_equal(dal_pairs_get(&uri.query, "y"), "+");
	dal_uri_done(&uri);
}

static void test_bad_ones_are_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"bucket",
		"a/b",
		"://x",
		"s3://b/%",
		"s3://b/%4",
		"s3://b/%zz",
		"s3://b/a%00b",
		"s3://b/k?x=%00",
		"s3://b/k?=x",
		"s3://b ucket/k",
		"s3://b\nucket/k",
		"sftp://user:hunter2@host/p",
		"sftp://user:hunter2@at@host/p",
	};
	size_t i;

	for (i = 0; i < DAL_COUNT_OF(rows); i++) {
		struct dal_call call = { 0 };
		struct dal_uri uri;

		if (dal_uri_parse(&call, rows[i], &uri) != -DAL_CONFIG_INVALID)
			fail_msg("\"%s\" was taken", rows[i]);
		assert_true(call.err.msg[0]);
		assert_null(strstr(call.err.msg, "hunter2"));
	}
}

static void test_too_long(void **state)
{
	struct dal_call call = { 0 };
	struct dal_uri uri;
	char *large = malloc(10001);

	memset(large, 'a', 10000);
	large[10000] = '\0';
	large[0] = '/';
	assert_int_equal(dal_uri_parse(&call, large, &uri), -DAL_CONFIG_INVALID);
	free(large);
}

static void test_escapes(void **state)
{
	char all[256], *escaped, *back;
	int i;

	for (i = 1; i < 256; i++)
		all[i - 1] = (char)i;
	all[255] = '\0';
	escaped = dal_uri_encode(all, false);
	assert_null(strchr(escaped, '/'));
	back = dal_uri_decode(escaped);
	assert_string_equal(back, all);
	free(back);
	free(escaped);
	escaped = dal_uri_encode("a/b c~\xc3\xa4", true);
	assert_string_equal(escaped, "a/b%20c~%C3%A4");
	free(escaped);
	assert_null(dal_uri_decode("%0"));
	assert_null(dal_uri_decode("%00"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_bad_ones_are_refused),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
