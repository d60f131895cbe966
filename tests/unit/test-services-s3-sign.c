/* SPDX-License-Identifier: Apache-2.0 */

/* Signatures against the S3 guide's examples and the published test suite of Signature Version 4. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "services/s3-sign.h"

static const struct dal_s3_key guide_key = { "AKIAIOSFODNN7EXAMPLE",
	"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", NULL };
static const struct dal_s3_key suite_key = { "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	NULL };

static struct dal_s3_to_sign guide(const char *method, const char *path, const char *query)
{
	return (struct dal_s3_to_sign){
		.method = method,
		.host = "examplebucket.s3.amazonaws.com",
		.path = path,
		.query = query,
		.payload = DAL_S3_EMPTY_SHA256,
		.region = "us-east-1",
		.service = "s3",
		.wall_ns = 1369353600 * (int64_t)DAL_NS_PER_S,
	};
}

static struct dal_s3_to_sign suite(const char *method, const char *query)
{
	return (struct dal_s3_to_sign){
		.method = method,
		.host = "example.amazonaws.com",
		.path = "/",
		.query = query,
		.payload = DAL_S3_EMPTY_SHA256,
		.region = "us-east-1",
		.service = "service",
		.wall_ns = 1440938160 * (int64_t)DAL_NS_PER_S,
	};
}

/* @headers are released. */
static void expect(struct dal_s3_signer *s, const struct dal_s3_key *key, const struct dal_s3_to_sign *what,
	struct dal_pairs *headers, const char *names, const char *signature)
{
	struct dal_call call = { 0 };
	char end[512];
	const char *auth;

	assert_int_equal(dal_s3_sign(s, &call, key, what, headers), 0);
	auth = dal_pairs_get(headers, "authorization");
	assert_non_null(auth);
	snprintf(end, sizeof(end), "SignedHeaders=%s, Signature=%s", names, signature);
	assert_non_null(strstr(auth, "/aws4_request, "));
	assert_string_equal(strstr(auth, "SignedHeaders="), end);
	dal_pairs_done(headers);
}

static void test_guide_get(void **state)
{
	struct dal_s3_signer *s = dal_s3_signer_new();
	struct dal_s3_to_sign what = guide("GET", "/test.txt", NULL);
	struct dal_pairs headers = { 0 };

	assert_true(dal_pairs_set(&headers, "range", "bytes=0-9"));
	expect(s, &guide_key, &what, &headers, "host;range;x-amz-content-sha256;x-amz-date",
		"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
	dal_s3_signer_free(s);
}

static void test_guide_put(void **state)
{
	struct dal_s3_signer *s = dal_s3_signer_new();
	struct dal_s3_to_sign what = guide("PUT", "/test%24file.text", "");
	struct dal_pairs headers = { 0 };

	what.payload = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
	assert_true(dal_pairs_set(&headers, "X-Amz-Storage-Class", "REDUCED_REDUNDANCY"));
	assert_true(dal_pairs_set(&headers, "Date", "Fri, 24 May 2013 00:00:00 GMT"));
	expect(s, &guide_key, &what, &headers,
		"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
		"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
	dal_s3_signer_free(s);
}

static void test_guide_queries(void **state)
{
	struct dal_s3_signer *s = dal_s3_signer_new();
	struct dal_s3_to_sign lifecycle = guide("GET", "/", "lifecycle");
	struct dal_s3_to_sign list = guide("GET", "/", "prefix=J&max-keys=2");
	const char *names = "host;x-amz-content-sha256;x-amz-date";
	struct dal_pairs headers = { 0 };

	expect(s, &guide_key, &lifecycle, &headers, names,
		"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
	lifecycle.query = "lifecycle=";
	expect(s, &guide_key, &lifecycle, &headers, names,
		"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
	expect(s, &guide_key, &list, &headers, names,
		"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
	dal_s3_signer_free(s);
}

static void test_guide_presigned(void **state)
{
	struct dal_s3_signer *s = dal_s3_signer_new();
	struct dal_s3_to_sign what = guide("GET", "/test.txt", NULL);
	struct dal_call call = { 0 };
	char *query = NULL;

	assert_int_equal(dal_s3_sign_query(s, &call, &guide_key, &what, NULL, 86400, &query), 0);
	assert_string_equal(query,
		"X-Amz-Algorithm=AWS4-HMAC-SHA256"
		"&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
		"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
		"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
	free(query);
	dal_s3_signer_free(s);
}

static void test_suite_queries(void **state)
{
	static const struct {
		const char *method, *query, *signature;
	} cases[] = {
		{ "GET", NULL, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
		{ "POST", NULL, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
		{ "GET", "Param2=value2&Param1=value1",
			"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
		{ "GET", "Param1=value2&Param1=Value1",
			"eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1" },
		{ "GET", "Param1=value2&Param1=value1",
			"5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694" },
		{ "GET",
			"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz="
			"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
			"9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197" },
	};
	struct dal_s3_signer *s = dal_s3_signer_new();

	for (size_t i = 0; i < DAL_COUNT_OF(cases); i++) {
		struct dal_s3_to_sign what = suite(cases[i].method, cases[i].query);
		struct dal_pairs headers = { 0 };

		expect(s, &suite_key, &what, &headers, "host;x-amz-date", cases[i].signature);
	}
	dal_s3_signer_free(s);
}

/* Adds without replacing, as a caller with a header twice would. */
static void add(struct dal_pairs *p, const char *name, const char *value)
{
	p->v = reallocarray(p->v, p->n + 1, sizeof(*p->v));
	p->v[p->n++] = (struct dal_pair){ strdup(name), strdup(value) };
}

static void test_suite_headers(void **state)
{
	struct dal_s3_signer *s = dal_s3_signer_new();
	struct dal_s3_to_sign what = suite("GET", NULL);
	struct dal_pairs headers = { 0 };

	add(&headers, "My-Header1", "value2");
	add(&headers, "My-Header1", "value2");
	add(&headers, "My-Header1", "value1");
	expect(s, &suite_key, &what, &headers, "host;my-header1;x-amz-date",
		"c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea");
	add(&headers, "My-Header1", " value1");
	add(&headers, "My-Header2", " \"a   b   c\"");
	expect(s, &suite_key, &what, &headers, "host;my-header1;my-header2;x-amz-date",
		"acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736");
	dal_s3_signer_free(s);
}

static void test_token_is_signed(void **state)
{
	struct dal_s3_signer *s = dal_s3_signer_new();
	struct dal_s3_key key = { guide_key.id, guide_key.secret, "to/ken+=" };
	struct dal_s3_to_sign what = guide("GET", "/x", NULL);
	struct dal_pairs headers = { 0 };
	struct dal_call call = { 0 };
	char *query = NULL;

	assert_int_equal(dal_s3_sign(s, &call, &key, &what, &headers), 0);
	assert_string_equal(dal_pairs_get(&headers, "x-amz-security-token"), "to/ken+=");
	assert_non_null(strstr(dal_pairs_get(&headers, "authorization"), "x-amz-date;x-amz-security-token,"));
	dal_pairs_done(&headers);
	assert_int_equal(dal_s3_sign_query(s, &call, &key, &what, NULL, 60, &query), 0);
	assert_non_null(strstr(query, "&X-Amz-Security-Token=to%2Fken%2B%3D&"));
	free(query);
	dal_s3_signer_free(s);
}

/* The kept key is that of its day, region, service and secret, and of nothing else. */
static void test_key_changes(void **state)
{
	struct dal_s3_signer *s = dal_s3_signer_new();
	struct dal_s3_key other = { guide_key.id, "another", NULL };
	struct dal_s3_to_sign what = guide("GET", "/", "lifecycle");
	const char *good = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543";
	const char *names = "host;x-amz-content-sha256;x-amz-date";
	struct dal_pairs headers = { 0 };
	struct dal_call call = { 0 };

	for (int i = 0; i < 4; i++) {
		struct dal_s3_to_sign changed = what;

		changed.wall_ns += i == 0 ? 86400 * (int64_t)DAL_NS_PER_S : 0;
		changed.region = i == 1 ? "eu-west-1" : changed.region;
		changed.service = i == 2 ? "sts" : changed.service;
		assert_int_equal(dal_s3_sign(s, &call, i == 3 ? &other : &guide_key, &changed, &headers), 0);
		assert_null(strstr(dal_pairs_get(&headers, "authorization"), good));
		dal_pairs_done(&headers);
		expect(s, &guide_key, &what, &headers, names, good);
	}
	dal_s3_signer_free(s);
}

static void *sign_often(void *arg)
{
	for (int i = 0; i < 200; i++) {
		struct dal_s3_to_sign what = guide("GET", "/", "lifecycle");
		struct dal_pairs headers = { 0 };
		struct dal_call call = { 0 };

		what.region = i % 3 ? "us-east-1" : "eu-west-1";
		if (dal_s3_sign(arg, &call, &guide_key, &what, &headers) < 0)
			return arg;
		if (i % 3 && !strstr(dal_pairs_get(&headers, "authorization"),
				     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"))
			return arg;
		dal_pairs_done(&headers);
	}
	return NULL;
}

static void test_many_threads(void **state)
{
	struct dal_s3_signer *s = dal_s3_signer_new();
	pthread_t threads[4];
	void *failed;

	for (size_t i = 0; i < DAL_COUNT_OF(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sign_often, s), 0);
	for (size_t i = 0; i < DAL_COUNT_OF(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	dal_s3_signer_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guide_get),
		cmocka_unit_test(test_guide_put),
		cmocka_unit_test(test_guide_queries),
		cmocka_unit_test(test_guide_presigned),
		cmocka_unit_test(test_suite_queries),
		cmocka_unit_test(test_suite_headers),
		cmocka_unit_test(test_token_is_signed),
		cmocka_unit_test(test_key_changes),
		cmocka_unit_test(test_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
