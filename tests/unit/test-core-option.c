/* SPDX-License-Identifier: Apache-2.0 */

/* Options: types, sources and their precedence, secrets, suggestions, the environment, --help. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/option.h"

static const struct dal_option first[] = {
	{ "bucket", DAL_OPT_STRING, DAL_OPT_REQUIRED, NULL, "the bucket", "bucket_name aws_bucket", NULL },
	{ "secret_access_key", DAL_OPT_STRING, DAL_OPT_SECRET, NULL, "the key", "aws_secret_access_key",
		NULL },
	{ "mode", DAL_OPT_ENUM, 0, "auto", "how", NULL, "auto|path|virtual" },
	{ 0 },
};

static const struct dal_option second[] = {
	{ "ro", DAL_OPT_BOOL, 0, "false", "no writes", NULL, NULL },
	{ "atime", DAL_OPT_BOOL, 0, "true", "read times", NULL, NULL },
	{ "umask", DAL_OPT_OCTAL, 0, "022", "permissions taken away", NULL, NULL },
	{ "memory", DAL_OPT_SIZE, 0, NULL, "memory", NULL, NULL },
	{ "ttl", DAL_OPT_DURATION, 0, "60s", "staleness", NULL, NULL },
	{ "uid", DAL_OPT_UINT, 0, NULL, "owner", NULL, NULL },
	{ "bucket", DAL_OPT_STRING, 0, "never", "hidden by the first table", NULL, NULL },
	{ "inner", DAL_OPT_STRING, DAL_OPT_HIDDEN, NULL, "not shown", NULL, NULL },
	{ 0 },
};

static struct dal_config *new_config(void)
{
	const struct dal_option *const tables[] = { first, second, NULL };

	return dal_config_new(tables);
}

static void test_defaults(void **state)
{
	struct dal_config *cfg = new_config();

	assert_null(dal_config_str(cfg, "bucket"));
	assert_string_equal(dal_config_str(cfg, "mode"), "auto");
	assert_false(dal_config_bool(cfg, "ro"));
	assert_true(dal_config_bool(cfg, "atime"));
	assert_int_equal(dal_config_u64(cfg, "umask"), 022);
	assert_int_equal(dal_config_u64(cfg, "ttl"), 60 * DAL_NS_PER_S);
	assert_int_equal(dal_config_u64(cfg, "memory"), 0);
	assert_false(dal_config_has(cfg, "ttl"));
	dal_config_free(cfg);
}

static void test_list(void **state)
{
	struct dal_config *cfg = new_config(), *copy;
	struct dal_call call = { 0 };

	assert_int_equal(dal_config_set_list(cfg, &call, DAL_FROM_COMMAND_LINE,
				 ",bucket_name=a\\,b\\\\c\\d,ro,noatime,umask=077,memory=1GiB,ttl=1.5s,uid=0,"
				 "mode=path,"),
		0);
	assert_string_equal(dal_config_str(cfg, "bucket"), "a,b\\c\\d");
	copy = dal_config_dup(cfg);
	dal_config_free(cfg);
	assert_true(dal_config_bool(copy, "ro"));
	assert_false(dal_config_bool(copy, "atime"));
	assert_int_equal(dal_config_u64(copy, "umask"), 077);
	assert_int_equal(dal_config_u64(copy, "memory"), DAL_GIB);
	assert_int_equal(dal_config_u64(copy, "ttl"), 1500 * DAL_NS_PER_MS);
	assert_true(dal_config_has(copy, "uid"));
	assert_string_equal(dal_config_str(copy, "mode"), "path");
	dal_config_free(copy);
}

static void test_wrong_values_are_refused(void **state)
{
	static const struct {
		const char *list, *says;
	} rows[] = {
		{ "uid=-1", "a number" },
		{ "uid", "needs a value" },
		{ "umask=8", "octal" },
		{ "umask=", "octal" },
		{ "memory=lots", "64M" },
		{ "ttl=soon", "500ms" },
		{ "ro=maybe", "true or false" },
		{ "mode=other", "auto|path|virtual" },
		{ "mode=auto|path", "auto|path|virtual" },
		{ "memroy=1", "did you mean \"memory\"" },
		{ "regoin=1", "no option \"regoin\"" },
		{ "noumask", "no option" },
		{ "nobucket", "no option" },
		{ "=x", "no option" },
		{ "a\x1b[31m", "no option" },
	};
	size_t i;

	for (i = 0; i < DAL_COUNT_OF(rows); i++) {
		struct dal_config *cfg = new_config();
		struct dal_call call = { 0 };

		assert_int_equal(dal_config_set_list(cfg, &call, DAL_FROM_CONFIG_FILE, rows[i].list),
			-DAL_CONFIG_INVALID);
		if (!strstr(call.err.msg, rows[i].says))
			fail_msg("%s: \"%s\"", rows[i].list, call.err.msg);
		assert_null(strchr(call.err.msg, '\x1b'));
		dal_config_free(cfg);
	}
}

static void test_precedence(void **state)
{
	struct dal_config *cfg = new_config();
	struct dal_call call = { 0 };

	assert_int_equal(dal_config_set(cfg, &call, DAL_FROM_ENVIRONMENT, "bucket", "env"), 0);
	assert_int_equal(dal_config_set(cfg, &call, DAL_FROM_COMMAND_LINE, "bucket", "line"), 0);
	assert_int_equal(dal_config_set(cfg, &call, DAL_FROM_CONFIG_FILE, "aws_bucket", "file"), 0);
	assert_string_equal(dal_config_str(cfg, "bucket"), "line");
	assert_int_equal(dal_config_set(cfg, &call, DAL_FROM_COMMAND_LINE, "bucket", "later"), 0);
	assert_string_equal(dal_config_str(cfg, "bucket"), "later");
	assert_int_equal(dal_config_set(cfg, &call, DAL_FROM_URI, "bucket", "uri"), 0);
	assert_string_equal(dal_config_str(cfg, "bucket"), "uri");
	/* A value that loses must still be right. */
	assert_int_equal(dal_config_set(cfg, &call, DAL_FROM_URI, "uid", "1"), 0);
	assert_int_equal(dal_config_set(cfg, &call, DAL_FROM_ENVIRONMENT, "uid", "x"), -DAL_CONFIG_INVALID);
	dal_config_free(cfg);
}

static void test_secrets(void **state)
{
	struct dal_config *cfg = new_config();
	struct dal_call call = { 0 };

	assert_int_equal(dal_config_set(cfg, &call, DAL_FROM_URI, "aws_secret_access_key", "hunter2"),
		-DAL_CONFIG_INVALID);
	assert_null(strstr(call.err.msg, "hunter2"));
	assert_non_null(strstr(call.err.msg, "secret_access_key"));
	assert_non_null(strstr(call.err.msg, "0600"));
	assert_int_equal(dal_config_set_list(cfg, &call, DAL_FROM_COMMAND_LINE, "secret_access_key=hunter2"),
		-DAL_CONFIG_INVALID);
	assert_null(strstr(call.err.msg, "hunter2"));
	assert_int_equal(dal_config_set(cfg, &call, DAL_FROM_CONFIG_FILE, "secret_access_key", "hunter2"), 0);
	assert_string_equal(dal_config_str(cfg, "secret_access_key"), "hunter2");
	dal_config_free(cfg);
}

static void test_environment(void **state)
{
	struct dal_config *cfg = new_config();
	struct dal_call call = { 0 };

	setenv("DALFS_S3_SECRET_ACCESS_KEY", "hunter2", 1);
	setenv("DALFS_S3_BUCKET", "", 1);
	assert_int_equal(dal_config_set_env(cfg, &call, "s3"), 0);
	assert_string_equal(dal_config_str(cfg, "secret_access_key"), "hunter2");
	assert_null(dal_config_str(cfg, "bucket"));
	setenv("DALFS_S3_UID", "x", 1);
	assert_int_equal(dal_config_set_env(cfg, &call, "s3"), -DAL_CONFIG_INVALID);
	assert_non_null(strstr(call.err.msg, "DALFS_S3_UID"));
	unsetenv("DALFS_S3_UID");
	unsetenv("DALFS_S3_BUCKET");
	unsetenv("DALFS_S3_SECRET_ACCESS_KEY");
	dal_config_free(cfg);
}

static void test_check(void **state)
{
	struct dal_config *cfg = new_config();
	struct dal_call call = { 0 };

	assert_int_equal(dal_config_check(cfg, &call, "s3"), -DAL_CONFIG_INVALID);
	assert_string_equal(call.err.msg, "s3: option bucket is required: the bucket");
	assert_int_equal(dal_config_set(cfg, &call, DAL_FROM_URI, "bucket", "b"), 0);
	assert_int_equal(dal_config_check(cfg, &call, "s3"), 0);
	dal_config_free(cfg);
}

static void test_print(void **state)
{
	char text[4096] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	dal_option_print(out, first);
	dal_option_print(out, second);
	fclose(out);
	assert_non_null(strstr(text, "bucket=TEXT"));
	assert_non_null(strstr(text, "mode=auto|path|virtual"));
	assert_non_null(strstr(text, "[auto]"));
	assert_non_null(strstr(text, "(secret"));
	assert_null(strstr(text, "inner"));
}

static void test_edit_distance(void **state)
{
	assert_int_equal(dal_edit_distance("", ""), 0);
	assert_int_equal(dal_edit_distance("abc", ""), 3);
	assert_int_equal(dal_edit_distance("kitten", "sitting"), 3);
	assert_int_equal(dal_edit_distance("s3", "s3"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_wrong_values_are_refused),
		cmocka_unit_test(test_precedence),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_edit_distance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
