/* SPDX-License-Identifier: Apache-2.0 */

/* The log: no credential reaches it, a line is a line, files are opened with care and again after rotation.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/log.h"

static void test_redaction(void **state)
{
	static const struct {
		const char *line, *want;
	} rows[] = {
		{ "nothing here: token ring, a=b", "nothing here: token ring, a=b" },
		{ "Authorization: AWS4-HMAC-SHA256 Credential=A/b, Signature=c", "Authorization: ***" },
		{ "authorization:Basic Zm9v\r\nHost: x", "authorization:***\r\nHost: x" },
		{ "Cookie: a=b; c=d", "Cookie: ***" },
		{ "X-Amz-Security-Token: FwoG", "X-Amz-Security-Token: ***" },
		{ "x-amz-server-side-encryption-customer-key: MTIz",
			"x-amz-server-side-encryption-customer-key: ***" },
		{ "X-aws-ec2-metadata-token: AQAE", "X-aws-ec2-metadata-token: ***" },
		{ "GET /k?X-Amz-Credential=A%2Fb&X-Amz-Signature=0a1b&n=1",
			"GET /k?X-Amz-Credential=***&X-Amz-Signature=***&n=1" },
		{ "?X-Amz-Security-Token=abcd&n=1 x", "?X-Amz-Security-Token=***" },
		{ "/k?sv=1&sig=abcd%3D&se=2", "/k?sv=1&sig=***&se=2" },
		{ "design=abcd", "design=abcd" },
		{ "access_token=abcdef next", "access_token=*** next" },
		{ "sig=ab", "sig=**" },
		{ "https://user:hunter2@host/p@q", "https://***@host/p@q" },
		{ "https://host/p@q", "https://host/p@q" },
		{ "{\"SecretAccessKey\" : \"abcd\", \"Token\":\"efgh\"}",
			"{\"SecretAccessKey\" : \"***\", \"Token\":\"***\"}" },
		{ "<SecretAccessKey>abcd</SecretAccessKey>", "<SecretAccessKey>***</SecretAccessKey>" },
		{ "secret_access_key=abcd,region=x", "secret_access_key=***,region=x" },
		{ "password='a' passwd=bcde", "password='*' passwd=***" },
		{ "AccountKey=abc==;Endpoint=x", "AccountKey=***;Endpoint=x" },
		{ "token=", "token=" },
		{ "sig", "sig" },
		{ "://", "://" },
		{ "", "" },
	};
	size_t i;

	for (i = 0; i < DAL_COUNT_OF(rows); i++) {
		char line[256];

		snprintf(line, sizeof(line), "%s", rows[i].line);
		dal_redact(line);
		assert_string_equal(line, rows[i].want);
	}
}

static size_t slurp(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(buf, 1, size - 1, f);
	buf[n] = '\0';
	fclose(f);
	return n;
}

static void test_file(void **state)
{
	char dir[] = "/tmp/dalfs-test-log-XXXXXX", path[64], moved[64], text[8192];
	struct dal_call call = { 0 };
	struct stat st;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
	snprintf(moved, sizeof(moved), "%s/old", dir);
	assert_int_equal(dal_log_open(&call, DAL_LOG_TO_FILE, path, DAL_LOG_INFO), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	dal_log(DAL_LOG_INFO, "two\nlines \x1b[0m and sig=abcdef");
	dal_log(DAL_LOG_DEBUG, "not asked for");
	slurp(path, text, sizeof(text));
	assert_non_null(strstr(text, "info  two lines ?[0m and sig=***\n"));
	assert_null(strstr(text, "not asked for"));
	assert_int_equal(rename(path, moved), 0);
	dal_log_reopen();
	dal_log(DAL_LOG_ERROR, "%5000s", "after rotation");
	assert_true(slurp(path, text, sizeof(text)) < 2100);
	assert_int_equal(text[strlen(text) - 1], '\n');
	/* A link is not followed: /tmp is a place where others may put one. The old sink stays. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(moved, path), 0);
	assert_true(dal_log_open(&call, DAL_LOG_TO_FILE, path, DAL_LOG_TRACE) < 0);
	assert_true(dal_log_on(DAL_LOG_INFO));
	assert_false(dal_log_on(DAL_LOG_DEBUG));
	assert_int_equal(dal_log_open(&call, DAL_LOG_TO_NONE, NULL, DAL_LOG_TRACE), 0);
	assert_false(dal_log_on(DAL_LOG_ERROR));
	unlink(path);
	unlink(moved);
	rmdir(dir);
}

static void test_levels(void **state)
{
	enum dal_log_level level = DAL_LOG_ERROR;

	assert_true(dal_log_level_parse("Debug", &level));
	assert_int_equal(level, DAL_LOG_DEBUG);
	assert_false(dal_log_level_parse("loud", &level));
	assert_int_equal(level, DAL_LOG_DEBUG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_redaction),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
