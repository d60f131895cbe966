/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Signature Version 4 in four steps, each feeding the next:
 *
 *   canonical request   method, path, sorted query, sorted headers, their names, payload hash: one a line
 *   string to sign      algorithm, time, scope, SHA-256 of the canonical request
 *   signing key         HMAC chain over the secret, date, region, service
 *   signature           HMAC of the string to sign, for Authorization or X-Amz-Signature
 *
 * The scope is date/region/service/aws4_request. The signing key changes once a day, so the last one is kept.
 * The order of sorting is that of the encoded bytes, names first, values second.
 */

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "core/uri.h"
#include "services/s3-sign.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define SHA_LEN 32
/* A signed request is headers of at most some KiB; presigned URLs and long continuation tokens fit too. */
#define CANONICAL_MAX (256 * 1024)

struct dal_s3_signer {
	pthread_mutex_t lock;
	char *scope; /* owned; "date/region/service"; guarded by lock */
	char *secret; /* owned; guarded by lock */
	unsigned char key[SHA_LEN]; /* derived from the two; guarded by lock */
};

/* The time and scope of one signature. */
struct stamp {
	char time[20]; /* 20130524T000000Z */
	char date[12]; /* 20130524 */
	struct dal_buf scope; /* 20130524/us-east-1/s3 */
};

struct item {
	char *name; /* owned by the caller of the sort */
	const char *value;
	size_t order; /* keeps equal names as they came */
};

void dal_s3_hex(const unsigned char *bytes, size_t n, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		ret[2 * i] = digits[bytes[i] >> 4];
		ret[2 * i + 1] = digits[bytes[i] & 15];
	}
	ret[2 * n] = '\0';
}

struct dal_s3_signer *dal_s3_signer_new(void)
{
	struct dal_s3_signer *s = calloc(1, sizeof(*s));

	if (s)
		pthread_mutex_init(&s->lock, NULL);
	return s;
}

static void forget_key(struct dal_s3_signer *s)
{
	if (s->secret)
		OPENSSL_cleanse(s->secret, strlen(s->secret));
	free(s->secret);
	free(s->scope);
	s->secret = NULL;
	s->scope = NULL;
	OPENSSL_cleanse(s->key, sizeof(s->key));
}

struct dal_s3_signer *dal_s3_signer_free(struct dal_s3_signer *s)
{
	if (!s)
		return NULL;
	forget_key(s);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return NULL;
}

static bool hmac(const void *key, size_t key_len, const char *text, unsigned char ret[SHA_LEN])
{
	unsigned len = SHA_LEN;

	return HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text), ret, &len);
}

static bool derive(const char *secret, const char *date, const char *region, const char *service,
	unsigned char ret[SHA_LEN])
{
	struct dal_buf first = DAL_BUF_INIT(8192);
	unsigned char a[SHA_LEN], b[SHA_LEN];
	bool ok = dal_buf_printf(&first, "AWS4%s", secret) && hmac(first.data, first.len, date, a) &&
		  hmac(a, SHA_LEN, region, b) && hmac(b, SHA_LEN, service, a) &&
		  hmac(a, SHA_LEN, "aws4_request", ret);

	if (first.data)
		OPENSSL_cleanse(first.data, first.len);
	dal_buf_done(&first);
	OPENSSL_cleanse(a, sizeof(a));
	OPENSSL_cleanse(b, sizeof(b));
	return ok;
}

/* The signing key for @secret and @st, from memory when it is the last one used. */
static bool signing_key(struct dal_s3_signer *s, const char *secret, const struct stamp *st,
	const struct dal_s3_to_sign *what, unsigned char ret[SHA_LEN])
{
	bool ok = true;

	pthread_mutex_lock(&s->lock);
	if (!s->scope || !s->secret || strcmp(s->scope, st->scope.data) || strcmp(s->secret, secret)) {
		forget_key(s);
		ok = derive(secret, st->date, what->region, what->service, s->key);
		if (ok) {
			s->scope = dal_strdup(st->scope.data);
			s->secret = dal_strdup(secret);
		}
	}
	if (ok)
		memcpy(ret, s->key, SHA_LEN);
	pthread_mutex_unlock(&s->lock);
	return ok;
}

static bool stamp_init(struct stamp *st, const struct dal_s3_to_sign *what)
{
	time_t now = (time_t)(what->wall_ns / (int64_t)DAL_NS_PER_S);
	struct tm tm;

	if (!gmtime_r(&now, &tm) || !strftime(st->time, sizeof(st->time), "%Y%m%dT%H%M%SZ", &tm) ||
		!strftime(st->date, sizeof(st->date), "%Y%m%d", &tm))
		return false;
	return dal_buf_printf(&st->scope, "%s/%s/%s", st->date, what->region, what->service);
}

static int by_name(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : (x->order > y->order) - (x->order < y->order);
}

static int by_name_and_value(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : strcmp(x->value, y->value);
}

/* Adds @value without blanks at its ends, and with each run of blanks inside as one. */
static bool put_trimmed(struct dal_buf *out, const char *value)
{
	size_t start = out->len;
	bool blank = false;

	for (; *value; value++) {
		if (*value == ' ' || *value == '\t') {
			blank = out->len > start;
			continue;
		}
		if ((blank && !dal_buf_append(out, " ", 1)) || !dal_buf_append(out, value, 1))
			return false;
		blank = false;
	}
	return true;
}

static char *lower_dup(const char *name)
{
	char *copy = dal_strdup(name);

	for (char *p = copy; p && *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

static void items_free(struct item *v, size_t n)
{
	for (size_t i = 0; v && i < n; i++)
		free(v[i].name);
	free(v);
}

/* Sorted "name:value\n" in @lines, "name;name" in @names; several of one name become one line. */
static bool canonical_headers(
	const char *host, const struct dal_pairs *headers, struct dal_buf *lines, struct dal_buf *names)
{
	size_t n = 1 + (headers ? headers->n : 0);
	struct item *v = calloc(n, sizeof(*v));
	bool ok = v != NULL;

	for (size_t i = 0; ok && i < n; i++) {
		v[i].name = i ? lower_dup(headers->v[i - 1].name) : dal_strdup("host");
		v[i].value = i ? headers->v[i - 1].value : host;
		v[i].order = i;
		ok = v[i].name != NULL;
	}
	if (ok)
		qsort(v, n, sizeof(*v), by_name);
	for (size_t i = 0; ok && i < n; i++) {
		bool again = i && !strcmp(v[i].name, v[i - 1].name);
		bool last = i + 1 == n || strcmp(v[i].name, v[i + 1].name) != 0;

		if (again)
			ok = dal_buf_puts(lines, ",");
		else
			ok = dal_buf_printf(lines, "%s:", v[i].name) &&
			     dal_buf_printf(names, "%s%s", i ? ";" : "", v[i].name);
		ok = ok && put_trimmed(lines, v[i].value) && (!last || dal_buf_puts(lines, "\n"));
	}
	items_free(v, n);
	return ok;
}

/* The parameters of @query sorted; one without a value gets an empty one. */
static bool canonical_query(const char *query, struct dal_buf *out)
{
	DAL_CLEANUP(dal_mem_freep) char *copy = dal_strdup(query ? query : "");
	DAL_CLEANUP(dal_mem_freep) struct item *v = NULL;
	size_t n = 0, room = 1;
	char *rest = copy;

	if (!copy)
		return false;
	for (const char *p = copy; *p; p++)
		room += *p == '&';
	v = calloc(room, sizeof(*v));
	if (!v)
		return false;
	for (char *part = strsep(&rest, "&"); part; part = strsep(&rest, "&")) {
		char *eq = strchr(part, '=');

		if (!*part)
			continue;
		if (eq)
			*eq = '\0';
		v[n++] = (struct item){ .name = part, .value = eq ? eq + 1 : "" };
	}
	if (n > 1)
		qsort(v, n, sizeof(*v), by_name_and_value);
	for (size_t i = 0; i < n; i++)
		if (!dal_buf_printf(out, "%s%s=%s", i ? "&" : "", v[i].name, v[i].value))
			return false;
	return true;
}

/* The signature in hex, and the names of the headers it covers. */
static bool signature(struct dal_s3_signer *s, const struct dal_s3_key *key,
	const struct dal_s3_to_sign *what, const struct stamp *st, const char *query, const char *payload,
	const struct dal_pairs *headers, struct dal_buf *names, char ret[2 * SHA_LEN + 1])
{
	struct dal_buf canon = DAL_BUF_INIT(CANONICAL_MAX), lines = DAL_BUF_INIT(CANONICAL_MAX);
	struct dal_buf text = DAL_BUF_INIT(1024);
	unsigned char digest[SHA_LEN], k[SHA_LEN];
	char hash[2 * SHA_LEN + 1];
	bool ok = canonical_headers(what->host, headers, &lines, names) &&
		  dal_buf_printf(&canon, "%s\n%s\n", what->method, what->path) &&
		  canonical_query(query, &canon) &&
		  dal_buf_printf(&canon, "\n%s\n%s\n%s", lines.data, names->data, payload) &&
		  EVP_Digest(canon.data, canon.len, digest, NULL, EVP_sha256(), NULL);

	if (ok) {
		dal_s3_hex(digest, SHA_LEN, hash);
		ok = dal_buf_printf(&text, "%s\n%s\n%s/aws4_request\n%s", ALGORITHM, st->time, st->scope.data,
			     hash) &&
		     signing_key(s, key->secret, st, what, k) && hmac(k, SHA_LEN, text.data, digest);
		if (ok)
			dal_s3_hex(digest, SHA_LEN, ret);
	}
	OPENSSL_cleanse(k, sizeof(k));
	dal_buf_done(&canon);
	dal_buf_done(&lines);
	dal_buf_done(&text);
	return ok;
}

int dal_s3_sign(struct dal_s3_signer *s, struct dal_call *call, const struct dal_s3_key *key,
	const struct dal_s3_to_sign *what, struct dal_pairs *headers)
{
	struct stamp st = { .scope = DAL_BUF_INIT(512) };
	struct dal_buf names = DAL_BUF_INIT(CANONICAL_MAX), auth = DAL_BUF_INIT(CANONICAL_MAX);
	char sig[2 * SHA_LEN + 1];
	bool token = key->token && *key->token;
	bool ok = stamp_init(&st, what) && dal_pairs_set(headers, "x-amz-date", st.time) &&
		  (strcmp(what->service, "s3") != 0 ||
			  dal_pairs_set(headers, "x-amz-content-sha256", what->payload)) &&
		  (!token || dal_pairs_set(headers, "x-amz-security-token", key->token)) &&
		  signature(s, key, what, &st, what->query, what->payload, headers, &names, sig) &&
		  dal_buf_printf(&auth, "%s Credential=%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
			  ALGORITHM, key->id, st.scope.data, names.data, sig) &&
		  dal_pairs_set(headers, "authorization", auth.data);

	dal_buf_done(&st.scope);
	dal_buf_done(&names);
	dal_buf_done(&auth);
	return ok ? 0 : dal_fail(call, DAL_UNEXPECTED, "request too large to sign, or out of memory");
}

static bool put_param(struct dal_buf *out, const char *name, const char *value)
{
	DAL_CLEANUP(dal_mem_freep) char *enc = dal_uri_encode(value, false);

	return enc && dal_buf_printf(out, "%s%s=%s", out->len ? "&" : "", name, enc);
}

int dal_s3_sign_query(struct dal_s3_signer *s, struct dal_call *call, const struct dal_s3_key *key,
	const struct dal_s3_to_sign *what, const struct dal_pairs *headers, uint64_t expire_s,
	char **ret_query)
{
	struct stamp st = { .scope = DAL_BUF_INIT(512) };
	struct dal_buf lines = DAL_BUF_INIT(CANONICAL_MAX), names = DAL_BUF_INIT(CANONICAL_MAX);
	struct dal_buf query = DAL_BUF_INIT(CANONICAL_MAX), cred = DAL_BUF_INIT(1024),
		       unused = DAL_BUF_INIT(CANONICAL_MAX);
	char sig[2 * SHA_LEN + 1];
	bool token = key->token && *key->token;
	/* The names of the signed headers are part of the query, so they are worked out first. */
	bool ok = stamp_init(&st, what) && canonical_headers(what->host, headers, &lines, &names) &&
		  dal_buf_printf(&cred, "%s/%s/aws4_request", key->id, st.scope.data) &&
		  dal_buf_puts(&query, what->query ? what->query : "") &&
		  put_param(&query, "X-Amz-Algorithm", ALGORITHM) &&
		  put_param(&query, "X-Amz-Credential", cred.data) &&
		  put_param(&query, "X-Amz-Date", st.time) &&
		  dal_buf_printf(&query, "&X-Amz-Expires=%llu", (unsigned long long)expire_s) &&
		  (!token || put_param(&query, "X-Amz-Security-Token", key->token)) &&
		  put_param(&query, "X-Amz-SignedHeaders", names.data) &&
		  signature(s, key, what, &st, query.data, DAL_S3_UNSIGNED, headers, &unused, sig) &&
		  dal_buf_printf(&query, "&X-Amz-Signature=%s", sig);

	*ret_query = ok ? dal_buf_steal(&query) : NULL;
	dal_buf_done(&st.scope);
	dal_buf_done(&lines);
	dal_buf_done(&names);
	dal_buf_done(&query);
	dal_buf_done(&cred);
	dal_buf_done(&unused);
	return ok && *ret_query
		       ? 0
		       : dal_fail(call, DAL_UNEXPECTED, "request too large to sign, or out of memory");
}
