/* SPDX-License-Identifier: Apache-2.0 */

/*
 * MD5 because ETags are made of it, SHA-256 because signatures are, CRC32C because it costs next to nothing.
 * The bytes of one chunk are in the processor's cache for the second and third digest.
 */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "core/crc32c.h"
#include "core/service.h"
#include "services/s3-digest.h"
#include "services/s3-sign.h"

/* Hashed at a time by all digests: stays in the second level cache. */
#define CHUNK (128 * 1024)

struct dal_s3_hasher {
	unsigned kinds;
	EVP_MD_CTX *md5, *sha256; /* owned or NULL */
	uint32_t crc32c;
};

static EVP_MD_CTX *start(const EVP_MD *md)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (ctx && !EVP_DigestInit_ex(ctx, md, NULL)) {
		EVP_MD_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}

struct dal_s3_hasher *dal_s3_hasher_new(unsigned kinds)
{
	struct dal_s3_hasher *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->kinds = kinds;
	h->md5 = kinds & DAL_S3_MD5 ? start(EVP_md5()) : NULL;
	h->sha256 = kinds & DAL_S3_SHA256 ? start(EVP_sha256()) : NULL;
	if ((kinds & DAL_S3_MD5 && !h->md5) || (kinds & DAL_S3_SHA256 && !h->sha256))
		return dal_s3_hasher_free(h);
	return h;
}

struct dal_s3_hasher *dal_s3_hasher_free(struct dal_s3_hasher *h)
{
	if (!h)
		return NULL;
	EVP_MD_CTX_free(h->md5);
	EVP_MD_CTX_free(h->sha256);
	free(h);
	return NULL;
}

void dal_s3_hasher_freep(struct dal_s3_hasher **h)
{
	*h = dal_s3_hasher_free(*h);
}

bool dal_s3_hasher_add(struct dal_s3_hasher *h, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	while (len) {
		size_t n = DAL_MIN(len, (size_t)CHUNK);

		if ((h->md5 && !EVP_DigestUpdate(h->md5, p, n)) ||
			(h->sha256 && !EVP_DigestUpdate(h->sha256, p, n)))
			return false;
		if (h->kinds & DAL_S3_CRC32C)
			h->crc32c = dal_crc32c(h->crc32c, p, n);
		p += n;
		len -= n;
	}
	return true;
}

static void base64(const unsigned char *bytes, size_t n, char *ret)
{
	EVP_EncodeBlock((unsigned char *)ret, bytes, (int)n);
}

bool dal_s3_hasher_finish(struct dal_s3_hasher *h, struct dal_s3_digest *ret)
{
	unsigned char raw[32];

	*ret = (struct dal_s3_digest){ 0 };
	if (h->md5) {
		if (!EVP_DigestFinal_ex(h->md5, raw, NULL))
			return false;
		dal_s3_hex(raw, 16, ret->md5);
		base64(raw, 16, ret->md5_base64);
	}
	if (h->sha256) {
		if (!EVP_DigestFinal_ex(h->sha256, raw, NULL))
			return false;
		dal_s3_hex(raw, 32, ret->sha256);
		base64(raw, 32, ret->sha256_base64);
	}
	if (h->kinds & DAL_S3_CRC32C) {
		for (int i = 0; i < 4; i++)
			raw[i] = (unsigned char)(h->crc32c >> (24 - 8 * i));
		base64(raw, 4, ret->crc32c_base64);
	}
	return true;
}

/* Hashes a body that has to be read. */
static int add_read(struct dal_s3_hasher *h, const struct dal_body *body, struct dal_call *call)
{
	DAL_CLEANUP(dal_mem_freep) void *buf = malloc(CHUNK);

	if (!buf)
		return dal_fail_nomem(call);
	for (uint64_t off = 0; off < body->len;) {
		size_t n = (size_t)DAL_MIN(body->len - off, (uint64_t)CHUNK);
		int r = dal_body_read(body, call, buf, n, off);

		if (r < 0)
			return r;
		if (!dal_s3_hasher_add(h, buf, n))
			return dal_fail_nomem(call);
		off += n;
	}
	return 0;
}

int dal_s3_digest_body(
	const struct dal_body *body, struct dal_call *call, unsigned kinds, struct dal_s3_digest *ret)
{
	DAL_CLEANUP(dal_s3_hasher_freep) struct dal_s3_hasher *h = dal_s3_hasher_new(kinds);
	int r = h ? 0 : dal_fail_nomem(call);

	*ret = (struct dal_s3_digest){ 0 };
	if (!r && !kinds)
		return 0;
	if (!r && !body->iov)
		r = add_read(h, body, call);
	for (size_t i = 0; !r && body->iov && i < body->iov_n; i++)
		if (!dal_s3_hasher_add(h, body->iov[i].iov_base, body->iov[i].iov_len))
			r = dal_fail_nomem(call);
	if (!r && !dal_s3_hasher_finish(h, ret))
		r = dal_fail_nomem(call);
	return r;
}

/* The text between the quotes. */
static const char *bare(const char *etag, size_t *ret_len)
{
	size_t len = strlen(etag);

	if (len >= 2 && etag[0] == '"' && etag[len - 1] == '"') {
		etag++;
		len -= 2;
	}
	*ret_len = len;
	return etag;
}

bool dal_s3_etag_is_md5(const char *etag)
{
	size_t len;
	const char *p = etag ? bare(etag, &len) : NULL;

	return p && len == 32 && strspn(p, "0123456789abcdefABCDEF") == 32;
}

bool dal_s3_etag_same(const char *a, const char *b)
{
	size_t a_len, b_len;

	if (!a || !b)
		return false;
	a = bare(a, &a_len);
	b = bare(b, &b_len);
	return a_len == b_len && !strncasecmp(a, b, a_len);
}

static bool unhex(const char *text, unsigned char ret[16])
{
	for (int i = 0; i < 16; i++) {
		char pair[3] = { text[2 * i], text[2 * i + 1], '\0' };

		ret[i] = (unsigned char)strtoul(pair, NULL, 16);
	}
	return true;
}

bool dal_s3_etag_of_parts(const struct dal_part *parts, size_t n, char ret[48])
{
	EVP_MD_CTX *ctx = start(EVP_md5());
	unsigned char raw[16];
	bool ok = ctx && n;
	size_t len;

	for (size_t i = 0; ok && i < n; i++)
		ok = dal_s3_etag_is_md5(parts[i].etag) && unhex(bare(parts[i].etag, &len), raw) &&
		     EVP_DigestUpdate(ctx, raw, sizeof(raw));
	ok = ok && EVP_DigestFinal_ex(ctx, raw, NULL);
	EVP_MD_CTX_free(ctx);
	if (ok) {
		dal_s3_hex(raw, sizeof(raw), ret);
		snprintf(ret + 32, 16, "-%u", (unsigned)n);
	}
	return ok;
}
