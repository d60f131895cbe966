/* SPDX-License-Identifier: Apache-2.0 */

/* Numbers as users write them, bounded buffers, errors as one line, CRC32C. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/call.h"
#include "core/crc32c.h"
#include "core/meta.h"
#include "core/stream.h"
#include "core/util.h"

static void test_sizes(void **state)
{
	uint64_t v = 7;

	assert_true(dal_parse_size("4096", &v) && v == 4096);
	assert_true(dal_parse_size("64M", &v) && v == 64 * DAL_MIB);
	assert_true(dal_parse_size("1GiB", &v) && v == DAL_GIB);
	assert_true(dal_parse_size("512kB", &v) && v == 512 * DAL_KIB);
	assert_true(dal_parse_size("12B", &v) && v == 12);
	v = 7;
	assert_false(dal_parse_size("", &v));
	assert_false(dal_parse_size("M", &v));
	assert_false(dal_parse_size("-1", &v));
	assert_false(dal_parse_size("1Mi", &v));
	assert_false(dal_parse_size("1MBx", &v));
	assert_false(dal_parse_size("99999999999999T", &v));
	assert_int_equal(v, 7);
}

static void test_durations(void **state)
{
	uint64_t v = 7;

	assert_true(dal_parse_duration("10", &v) && v == 10 * DAL_NS_PER_S);
	assert_true(dal_parse_duration("1.5s", &v) && v == 1500 * DAL_NS_PER_MS);
	assert_true(dal_parse_duration("500ms", &v) && v == 500 * DAL_NS_PER_MS);
	assert_true(dal_parse_duration("2m", &v) && v == 120 * DAL_NS_PER_S);
	assert_true(dal_parse_duration("1h", &v) && v == 3600 * DAL_NS_PER_S);
	assert_true(dal_parse_duration("0.25", &v) && v == 250 * DAL_NS_PER_MS);
	v = 7;
	assert_false(dal_parse_duration("1.", &v));
	assert_false(dal_parse_duration(".5", &v));
	assert_false(dal_parse_duration("1y", &v));
	assert_false(dal_parse_duration("99999999999d", &v));
	assert_int_equal(v, 7);
}

static void test_u64(void **state)
{
	uint64_t v = 7;

	assert_true(dal_parse_u64("18446744073709551615", &v) && v == UINT64_MAX);
	v = 7;
	assert_false(dal_parse_u64("18446744073709551616", &v));
	assert_false(dal_parse_u64("+1", &v));
	assert_false(dal_parse_u64(" 1", &v));
	assert_false(dal_parse_u64("1 ", &v));
	assert_int_equal(v, 7);
}

static void test_buf_never_passes_its_maximum(void **state)
{
	struct dal_buf b = DAL_BUF_INIT(8);
	char *s;

	assert_true(dal_buf_puts(&b, "1234"));
	assert_true(dal_buf_printf(&b, "%d", 5678));
	assert_false(dal_buf_puts(&b, "9"));
	assert_false(dal_buf_printf(&b, "%s", "9"));
	assert_string_equal(b.data, "12345678");
	s = dal_buf_steal(&b);
	assert_string_equal(s, "12345678");
	free(s);
	s = dal_buf_steal(&b);
	assert_string_equal(s, "");
	free(s);
	dal_buf_done(&b);
}

static void test_error_is_one_line(void **state)
{
	struct dal_call call = { 0 };
	char large[1000];

	assert_int_equal(dal_fail(&call, DAL_NOT_FOUND, "a\nb\x1b[31m\x7f"), -DAL_NOT_FOUND);
	assert_string_equal(call.err.msg, "a b?[31m?");
	assert_int_equal(call.err.retry, DAL_PERMANENT);
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	dal_fail(&call, DAL_UNEXPECTED, "%s", large);
	assert_int_equal(strlen(call.err.msg), sizeof(call.err.msg) - 1);
	assert_int_equal(dal_call_context(&call, -DAL_UNEXPECTED, "in %s", "here"), -DAL_UNEXPECTED);
	assert_memory_equal(call.err.msg, "in here: xxx", 12);
}

static void test_error_cut_inside_a_character_drops_it(void **state)
{
	struct dal_call call = { 0 };
	char text[400] = "";
	size_t i;

	for (i = 0; i + 3 < sizeof(text) - 1; i += 3)
		memcpy(text + i, "\xe2\x80\xa6", 3);
	dal_fail(&call, DAL_UNEXPECTED, "x%s", text);
	assert_int_equal((unsigned char)call.err.msg[strlen(call.err.msg) - 1], 0xa6);
	assert_int_equal((strlen(call.err.msg) - 1) % 3, 0);
}

static void test_error_hides_credentials(void **state)
{
	struct dal_call call = { 0 };

	dal_fail(&call, DAL_UNEXPECTED, "GET http://h/b?X-Amz-Signature=0123abc&x=1");
	assert_null(strstr(call.err.msg, "0123abc"));
	assert_non_null(strstr(call.err.msg, "x=1"));
}

static void test_errno_kinds(void **state)
{
	static const struct {
		int e;
		enum dal_kind kind;
	} rows[] = {
		{ ENOENT, DAL_NOT_FOUND },
		{ EACCES, DAL_PERMISSION_DENIED },
		{ EPERM, DAL_PERMISSION_DENIED },
		{ ENOSPC, DAL_NO_SPACE },
		{ EDQUOT, DAL_NO_SPACE },
		{ EEXIST, DAL_ALREADY_EXISTS },
		{ ENOTDIR, DAL_NOT_A_DIRECTORY },
		{ EISDIR, DAL_IS_A_DIRECTORY },
		{ ENOTEMPTY, DAL_NOT_EMPTY },
		{ ENAMETOOLONG, DAL_TOO_LONG },
		{ EROFS, DAL_READ_ONLY },
		{ ETIMEDOUT, DAL_TIMED_OUT },
		{ ENOMEM, DAL_NO_MEMORY },
		{ EIO, DAL_UNEXPECTED },
	};
	struct dal_call call = { 0 };
	size_t i;

	for (i = 0; i < DAL_COUNT_OF(rows); i++) {
		assert_int_equal(dal_fail_errno(&call, rows[i].e, "open %s", "f"), -(int)rows[i].kind);
		assert_int_equal(call.err.sys_errno, rows[i].e);
		assert_memory_equal(call.err.msg, "open f: ", 8);
	}
}

static void test_sleep_obeys_deadline_and_cancel(void **state)
{
	struct dal_call call = dal_call_within(30 * DAL_NS_PER_MS);
	atomic_bool cancel = true;
	uint64_t start = dal_now_ns();

	assert_int_equal(dal_call_sleep(&call, 10 * DAL_NS_PER_S), -DAL_TIMED_OUT);
	assert_true(dal_now_ns() - start < DAL_NS_PER_S);
	call = dal_call_within(0);
	call.cancel = &cancel;
	assert_int_equal(dal_call_sleep(&call, 10 * DAL_NS_PER_S), -DAL_CANCELLED);
	call = dal_call_within(0);
	assert_int_equal(dal_call_sleep(&call, DAL_NS_PER_MS), 0);
	assert_int_equal(dal_call_remaining(&call, 5), 5);
}

static void test_pairs(void **state)
{
	struct dal_pairs p = { 0 }, q;

	assert_true(dal_pairs_set(&p, "a", "1"));
	assert_true(dal_pairs_set(&p, "b", "2"));
	assert_true(dal_pairs_set(&p, "a", "3"));
	assert_true(dal_pairs_dup(&q, &p));
	assert_true(dal_pairs_set(&p, "a", NULL));
	assert_null(dal_pairs_get(&p, "a"));
	assert_string_equal(dal_pairs_get(&p, "b"), "2");
	assert_string_equal(dal_pairs_get(&q, "a"), "3");
	dal_pairs_done(&p);
	dal_pairs_done(&q);
}

static void test_body_over_pieces(void **state)
{
	struct iovec iov[3] = { { (void *)(uintptr_t) "abc", 3 }, { NULL, 0 },
		{ (void *)(uintptr_t) "defg", 4 } };
	struct dal_body body = dal_body_iov(iov, 3);
	struct dal_call call = { 0 };
	char buf[8] = "";

	assert_int_equal(body.len, 7);
	assert_int_equal(dal_body_read(&body, &call, buf, 4, 2), 0);
	assert_memory_equal(buf, "cdef", 4);
	assert_int_equal(dal_body_read(&body, &call, buf, 0, 7), 0);
}

static void test_crc32c_vectors(void **state)
{
	unsigned char bytes[32];
	int i;

	assert_int_equal(dal_crc32c(0, "123456789", 9), 0xe3069283);
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(dal_crc32c(0, bytes, sizeof(bytes)), 0x8a9136aa); /* RFC 3720 B.4 */
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(dal_crc32c(0, bytes, sizeof(bytes)), 0x62a8ab43);
	for (i = 0; i < 32; i++)
		bytes[i] = (unsigned char)i;
	assert_int_equal(dal_crc32c(0, bytes, sizeof(bytes)), 0x46dd794e);
	assert_int_equal(dal_crc32c(dal_crc32c(0, bytes, 13), bytes + 13, 19), 0x46dd794e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_buf_never_passes_its_maximum),
		cmocka_unit_test(test_error_is_one_line),
		cmocka_unit_test(test_error_cut_inside_a_character_drops_it),
		cmocka_unit_test(test_error_hides_credentials),
		cmocka_unit_test(test_errno_kinds),
		cmocka_unit_test(test_sleep_obeys_deadline_and_cancel),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_body_over_pieces),
		cmocka_unit_test(test_crc32c_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
