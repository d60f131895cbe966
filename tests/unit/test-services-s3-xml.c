/* SPDX-License-Identifier: Apache-2.0 */

/* Answers in XML: good ones from three servers, and all the ways in which one is not to be believed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/service.h"
#include "services/s3-digest.h"
#include "services/s3-xml.h"

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"

static enum dal_s3_xml_result parse_in_steps(const struct dal_s3_xml_sink *sink, const char *text, size_t len,
	size_t step, struct dal_s3_error *ret_error)
{
	struct dal_s3_xml *x = dal_s3_xml_new(sink);
	enum dal_s3_xml_result result;
	bool more = true;

	for (size_t i = 0; more && i < len; i += step)
		more = dal_s3_xml_feed(x, text + i, DAL_MIN(step, len - i));
	result = dal_s3_xml_finish(x);
	assert_true(result != DAL_S3_XML_BROKEN || *dal_s3_xml_why(x));
	if (ret_error)
		*ret_error = *dal_s3_xml_error(x);
	dal_s3_xml_free(x);
	return result;
}

/* The same verdict however the bytes arrive. */
static enum dal_s3_xml_result parse_listing(const char *text, struct dal_page *page, struct dal_s3_listing *l)
{
	static const size_t steps[] = { 1, 2, 7, 1 << 20 };
	enum dal_s3_xml_result result = DAL_S3_XML_BROKEN;

	for (size_t i = 0; i < DAL_COUNT_OF(steps); i++) {
		struct dal_s3_xml_sink sink = dal_s3_listing_sink(l);
		enum dal_s3_xml_result now;

		dal_s3_listing_done(l);
		dal_page_done(page);
		*l = (struct dal_s3_listing){ .page = page };
		now = parse_in_steps(&sink, text, strlen(text), steps[i], NULL);
		if (now == DAL_S3_XML_GOOD && !dal_s3_listing_finish(l))
			now = DAL_S3_XML_BROKEN;
		assert_true(i == 0 || now == result);
		result = now;
	}
	return result;
}

static void expect_listing(
	const char *text, enum dal_s3_xml_result expected, const char *const *keys, const char *next)
{
	struct dal_page page = { 0 };
	struct dal_s3_listing l = { .page = &page };
	size_t n = 0;

	assert_int_equal(parse_listing(text, &page, &l), expected);
	for (; keys && keys[n]; n++) {
		assert_true(n < page.n);
		assert_string_equal(page.v[n].path, keys[n]);
	}
	if (expected == DAL_S3_XML_GOOD) {
		assert_int_equal(page.n, n);
		if (next)
			assert_string_equal(l.next, next);
		else
			assert_null(l.next);
	}
	dal_s3_listing_done(&l);
	dal_page_done(&page);
}

#define OBJECT(key) "<Contents><Key>" key "</Key><Size>3</Size><ETag>&quot;e&quot;</ETag></Contents>"
#define PREFIX(key) "<CommonPrefixes><Prefix>" key "</Prefix></CommonPrefixes>"

static void test_listing(void **state)
{
	static const char *const keys[] = { "d/", "d/a b", "d/a+b", "d/a-b", "d/a/", "d/a0", "d/\xc3\xa9",
		NULL };
	struct dal_page page = { 0 };
	struct dal_s3_listing l = { .page = &page };
	const char *text =
		HEAD "\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>"
		     "<IsTruncated>true</IsTruncated><NextContinuationToken>1/x=</NextContinuationToken>"
		     "<Contents><Key>d%2F</Key><LastModified>2024-02-29T12:00:00.500Z</LastModified>"
		     "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>0</Size>"
		     "<StorageClass>STANDARD</StorageClass><Owner><ID>me</ID><Key>not "
		     "this</Key></Owner></Contents>" OBJECT("d/a+b") OBJECT("d/a%2Bb") OBJECT("d/a-b")
			     OBJECT("d/a0") OBJECT("d/%C3%A9")
				     PREFIX("d/a/") "<EncodingType>url</EncodingType></ListBucketResult>\n";

	expect_listing(text, DAL_S3_XML_GOOD, keys, "1/x=");
	assert_int_equal(parse_listing(text, &page, &l), DAL_S3_XML_GOOD);
	assert_true(l.truncated);
	assert_int_equal(page.v[0].meta.type, DAL_TYPE_DIR);
	assert_string_equal(page.v[0].meta.etag, "\"d41d8cd98f00b204e9800998ecf8427e\"");
	assert_string_equal(page.v[0].meta.storage_class, "STANDARD");
	assert_true(page.v[0].meta.mtime_ns / (int64_t)DAL_NS_PER_S == 1709208000);
	assert_int_equal(page.v[1].meta.type, DAL_TYPE_FILE);
	assert_true(page.v[1].meta.has_size && page.v[1].meta.size == 3);
	assert_int_equal(page.v[4].meta.type, DAL_TYPE_DIR);
	dal_s3_listing_done(&l);
	dal_page_done(&page);
}

static void test_listing_not_encoded(void **state)
{
	static const char *const keys[] = { "a%2Bb", "a+b", NULL };

	expect_listing("<ListBucketResult>" OBJECT("a+b") OBJECT("a%2Bb") "</ListBucketResult>",
		DAL_S3_XML_GOOD, keys, NULL);
}

/* Ceph writes the continuation token, a key, with references that XML forbids. */
static void test_control_characters(void **state)
{
	static const char *const keys[] = { "a\x01", NULL };

	expect_listing("<ListBucketResult><EncodingType>url</EncodingType>" OBJECT(
			       "a%01") "<NextContinuationToken>a&#x01;b&amp;&#x1f;&#13;&#2;c&#233;&#x41;</"
				       "NextContinuationToken></ListBucketResult>",
		DAL_S3_XML_GOOD, keys,
		"a\x01"
		"b&\x1f\r\x02"
		"c\xc3\xa9"
		"A");
	expect_listing(
		"<ListBucketResult><NextContinuationToken>a&#0;</NextContinuationToken></ListBucketResult>",
		DAL_S3_XML_BROKEN, NULL, NULL);
	expect_listing(
		"<ListBucketResult><Name>&#x;</Name></ListBucketResult>", DAL_S3_XML_BROKEN, NULL, NULL);
	expect_listing(
		"<ListBucketResult><Name>&#x01</Name></ListBucketResult>", DAL_S3_XML_BROKEN, NULL, NULL);
	expect_listing(
		"<ListBucketResult><Name>x</Name></ListBucketResult>&#x01;", DAL_S3_XML_BROKEN, NULL, NULL);
	expect_listing(
		"<ListBucketResult><Name>x</Name></ListBucketResult>&#x0", DAL_S3_XML_BROKEN, NULL, NULL);
}

static void test_nul_costs_one_key(void **state)
{
	static const char *const keys[] = { "a", "c", NULL };

	expect_listing("<ListBucketResult><EncodingType>url</EncodingType>" OBJECT("a") OBJECT("b%00b")
			       OBJECT("c") "</ListBucketResult>",
		DAL_S3_XML_GOOD, keys, NULL);
}

static void test_broken_listings(void **state)
{
	static const char *const broken[] = {
		"",
		" \r\n ",
		"null",
		"{\"not\": \"xml\"}",
		"<html><body>502 Bad Gateway</body></html>",
		"<ListAllMyBucketsResult></ListAllMyBucketsResult>",
		"<ListBucketResult>",
		"<ListBucketResult><Contents><Key>a</Key><Size>1</Size>",
		"<ListBucketResult></ListBucketResult><ListBucketResult></ListBucketResult>",
		"<ListBucketResult></ListBucketResult>garbage",
		"<ListBucketResult>" OBJECT("") "</ListBucketResult>",
		"<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
		"<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>",
		"<ListBucketResult><Contents><Key>a</Key><Size>99999999999999999999</Size></Contents></"
		"ListBucketResult>",
		"<ListBucketResult><Contents></Contents></ListBucketResult>",
		"<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
		"<ListBucketResult><EncodingType>url</EncodingType>" OBJECT("a%2") "</ListBucketResult>",
		"<ListBucketResult><EncodingType>url</EncodingType>" OBJECT("a%zz") "</ListBucketResult>",
		"<ListBucketResult><Name>\xff\xfe</Name></ListBucketResult>",
		"<ListBucketResult><Name>&undefined;</Name></ListBucketResult>",
		HEAD "<!DOCTYPE x><ListBucketResult></ListBucketResult>",
		HEAD "<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult><Name>&a;</Name></ListBucketResult>",
		HEAD "<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><ListBucketResult></ListBucketResult>",
		"<Error></Error>",
	};

	for (size_t i = 0; i < DAL_COUNT_OF(broken); i++)
		expect_listing(broken[i], DAL_S3_XML_BROKEN, NULL, NULL);
}

static void test_entity_bomb(void **state)
{
	struct dal_buf text = DAL_BUF_INIT(1 << 20);

	assert_true(dal_buf_puts(&text, HEAD "<!DOCTYPE lolz [<!ENTITY l0 \"lol\">"));
	for (int i = 1; i < 20; i++) {
		assert_true(dal_buf_printf(&text, "<!ENTITY l%d \"", i));
		for (int j = 0; j < 10; j++)
			assert_true(dal_buf_printf(&text, "&l%d;", i - 1));
		assert_true(dal_buf_puts(&text, "\">"));
	}
	assert_true(dal_buf_puts(&text, "]><ListBucketResult><Name>&l19;</Name></ListBucketResult>"));
	expect_listing(text.data, DAL_S3_XML_BROKEN, NULL, NULL);
	dal_buf_done(&text);
}

static void test_bounds(void **state)
{
	struct dal_buf deep = DAL_BUF_INIT(1 << 20), wide = DAL_BUF_INIT(1 << 20);
	struct dal_s3_xml *x = dal_s3_xml_new(NULL);
	static char spaces[1 << 20];
	bool more;

	assert_true(dal_buf_puts(&deep, "<ListBucketResult>"));
	for (int i = 0; i < 1000; i++)
		assert_true(dal_buf_puts(&deep, "<a>"));
	expect_listing(deep.data, DAL_S3_XML_BROKEN, NULL, NULL);
	assert_true(dal_buf_puts(&wide, "<ListBucketResult><Name>"));
	for (int i = 0; i <= DAL_S3_XML_TEXT_MAX; i++)
		assert_true(dal_buf_puts(&wide, "x"));
	assert_true(dal_buf_puts(&wide, "</Name></ListBucketResult>"));
	expect_listing(wide.data, DAL_S3_XML_BROKEN, NULL, NULL);
	/* Without an end: white space, which is skipped, counts too. */
	memset(spaces, ' ', sizeof(spaces));
	for (more = true; more;)
		more = dal_s3_xml_feed(x, spaces, sizeof(spaces));
	assert_int_equal(dal_s3_xml_finish(x), DAL_S3_XML_BROKEN);
	dal_s3_xml_free(x);
	dal_buf_done(&deep);
	dal_buf_done(&wide);
}

static void test_errors(void **state)
{
	struct dal_s3_error e;
	const char *text =
		"   \n" HEAD
		"\n<Error><Code>InternalError</Code><Message>We &lt;encountered&gt; an error</Message>"
		"<Region>eu-west-1</Region><Endpoint>b.s3.eu-west-1.amazonaws.com</Endpoint>"
		"<RequestId>4442587FB7D0A2F9</RequestId><Resource><Code>no</Code></Resource></Error>";
	struct dal_s3_want none[] = { { NULL, NULL } };
	struct dal_s3_xml_sink sink = {
		.root = "CompleteMultipartUploadResult", .field = dal_s3_want_field, .arg = none
	};

	assert_int_equal(parse_in_steps(&sink, text, strlen(text), 3, &e), DAL_S3_XML_ERROR);
	assert_string_equal(e.code, "InternalError");
	assert_string_equal(e.message, "We <encountered> an error");
	assert_string_equal(e.region, "eu-west-1");
	assert_string_equal(e.request_id, "4442587FB7D0A2F9");
	assert_int_equal(parse_in_steps(NULL, text, strlen(text), 100, &e), DAL_S3_XML_ERROR);
	/* Cut anywhere, it is no error either: nothing of it is believed. */
	for (size_t len = 0; len < strlen(text); len++)
		assert_int_equal(parse_in_steps(NULL, text, len, 100, NULL), DAL_S3_XML_BROKEN);
}

static void test_wants(void **state)
{
	char *etag = NULL, *id = NULL;
	struct dal_s3_want wants[] = { { "ETag", &etag }, { "UploadId", &id }, { NULL, NULL } };
	struct dal_s3_xml_sink sink = {
		.root = "CopyPartResult|CopyObjectResult", .field = dal_s3_want_field, .arg = wants
	};
	const char *text = " \n\n <x:CopyObjectResult "
			   "xmlns:x=\"y\"><x:ETag>\"e-1\"</x:ETag><r><UploadId>no</UploadId></r>"
			   "<UploadId/></x:CopyObjectResult>";

	assert_int_equal(parse_in_steps(&sink, text, strlen(text), 5, NULL), DAL_S3_XML_GOOD);
	assert_string_equal(etag, "\"e-1\"");
	assert_string_equal(id, "");
	free(etag);
	free(id);
	etag = id = NULL;
	sink.root = "CopyPartResult|CopyObjectResultX";
	assert_int_equal(parse_in_steps(&sink, text, strlen(text), 5, NULL), DAL_S3_XML_BROKEN);
	assert_null(etag);
}

static void test_uploads(void **state)
{
	struct dal_s3_uploads u = { 0 };
	struct dal_s3_xml_sink sink = dal_s3_uploads_sink(&u);
	const char *text =
		"<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>b&#x01;</"
		"NextKeyMarker>"
		"<NextUploadIdMarker>2~x</NextUploadIdMarker>"
		"<Upload><Key>a b%20</Key><UploadId>2~w</UploadId><Initiator><ID>i</ID></Initiator>"
		"<Initiated>1970-01-01T00:00:01.000Z</Initiated></Upload>"
		"<Upload><Key>b&#x01;</Key><UploadId>2~x</UploadId></Upload></ListMultipartUploadsResult>";
	const char *half = "<ListMultipartUploadsResult><Upload><Key>a</Key><UploadId>i</UploadId>";

	assert_int_equal(parse_in_steps(&sink, text, strlen(text), 4, NULL), DAL_S3_XML_GOOD);
	assert_int_equal(u.n, 2);
	assert_string_equal(u.v[0].path, "a b%20");
	assert_string_equal(u.v[0].id, "2~w");
	assert_true(u.v[0].started_ns == (int64_t)DAL_NS_PER_S);
	assert_string_equal(u.v[1].path, "b\x01");
	assert_string_equal(u.next_key, "b\x01");
	assert_string_equal(u.next_id, "2~x");
	assert_true(u.truncated);
	dal_s3_uploads_done(&u);
	assert_int_equal(parse_in_steps(&sink, half, strlen(half), 4, NULL), DAL_S3_XML_BROKEN);
	dal_s3_uploads_done(&u);
}

static void test_deleted(void **state)
{
	static const char *const paths[] = { "a", "b", "c" };
	bool failed[3] = { false };
	struct dal_s3_deleted d = { .paths = paths, .n = 3, .failed = failed };
	struct dal_s3_xml_sink sink = dal_s3_deleted_sink(&d);
	const char *text = "<DeleteResult><Deleted><Key>a</Key></Deleted>"
			   "<Error><Key>b</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
			   "<Error><Key>c</Key><Code>NoSuchKey</Code></Error></DeleteResult>";
	const char *odd =
		"<DeleteResult><Error><Key>z</Key><Code>InternalError</Code></Error></DeleteResult>";

	assert_int_equal(parse_in_steps(&sink, text, strlen(text), 9, NULL), DAL_S3_XML_GOOD);
	assert_int_equal(d.errors, 1);
	assert_string_equal(d.first.code, "AccessDenied");
	assert_true(!failed[0] && failed[1] && !failed[2]);
	dal_s3_deleted_done(&d);
	/* About a key nobody asked for: then none is known to be gone. */
	assert_int_equal(parse_in_steps(&sink, odd, strlen(odd), 9, NULL), DAL_S3_XML_GOOD);
	assert_true(failed[0] && failed[1] && failed[2]);
	dal_s3_deleted_done(&d);
}

static void test_put(void **state)
{
	struct dal_buf out = DAL_BUF_INIT(100);

	assert_true(dal_s3_xml_put(&out, "a&b<c>\"\r\n\xc3\xa9"));
	assert_string_equal(out.data, "a&amp;b&lt;c&gt;&quot;&#13;&#10;\xc3\xa9");
	assert_false(dal_s3_xml_put(&out, "\x01"));
	dal_buf_done(&out);
}

static void test_digests(void **state)
{
	struct iovec iov[2] = { { (void *)"12345", 5 }, { (void *)"6789", 4 } };
	struct dal_body body = dal_body_iov(iov, 2);
	struct dal_part parts[2] = { { .etag = "\"202cb962ac59075b964b07152d234b70\"" },
		{ .etag = "202cb962ac59075b964b07152d234b70" } };
	struct dal_call call = { 0 };
	struct dal_s3_digest d;
	char etag[48];

	assert_int_equal(dal_s3_digest_body(&body, &call, DAL_S3_MD5 | DAL_S3_SHA256 | DAL_S3_CRC32C, &d), 0);
	assert_string_equal(d.md5, "25f9e794323b453885f5181f1b624d0b");
	assert_string_equal(d.md5_base64, "JfnnlDI7RTiF9RgfG2JNCw==");
	assert_string_equal(d.sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225");
	assert_string_equal(d.crc32c_base64, "4waSgw==");
	assert_int_equal(dal_s3_digest_body(&body, &call, 0, &d), 0);
	assert_string_equal(d.md5, "");
	assert_true(dal_s3_etag_is_md5("\"202cb962ac59075b964b07152d234b70\""));
	assert_false(dal_s3_etag_is_md5("\"202cb962ac59075b964b07152d234b70-2\""));
	assert_false(dal_s3_etag_is_md5("W/\"202cb962ac59075b964b07152d234b70\""));
	assert_false(dal_s3_etag_is_md5(NULL));
	assert_true(dal_s3_etag_same("\"a\"", "a") && !dal_s3_etag_same("\"a\"", "ab") &&
		    !dal_s3_etag_same(NULL, NULL));
	assert_true(dal_s3_etag_of_parts(parts, 2, etag));
	assert_string_equal(etag, "85d8c87f2a6c86bfac911021483bf92c-2");
	parts[1].etag[0] = '\0';
	assert_false(dal_s3_etag_of_parts(parts, 2, etag));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listing),
		cmocka_unit_test(test_listing_not_encoded),
		cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_nul_costs_one_key),
		cmocka_unit_test(test_broken_listings),
		cmocka_unit_test(test_entity_bomb),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_wants),
		cmocka_unit_test(test_uploads),
		cmocka_unit_test(test_deleted),
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_digests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
