/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Digests of what is sent and received, several in one pass over the bytes.
 *
 * Threads: a hasher belongs to one call.
 */

#include "core/stream.h"

enum dal_s3_digest_kind {
	DAL_S3_MD5 = 1 << 0,
	DAL_S3_SHA256 = 1 << 1,
	DAL_S3_CRC32C = 1 << 2,
};

/* The results; those not asked for are "". */
struct dal_s3_digest {
	char md5[33]; /* hex, as in an ETag */
	char md5_base64[25]; /* as in Content-MD5 */
	char sha256[65]; /* hex, as in x-amz-content-sha256 */
	char sha256_base64[45];
	char crc32c_base64[9];
};

struct dal_s3_hasher;

/* @kinds: of enum dal_s3_digest_kind. NULL when memory has run out. */
struct dal_s3_hasher *dal_s3_hasher_new(unsigned kinds);
struct dal_s3_hasher *dal_s3_hasher_free(struct dal_s3_hasher *h);
void dal_s3_hasher_freep(struct dal_s3_hasher **h);
DAL_MUST_CHECK bool dal_s3_hasher_add(struct dal_s3_hasher *h, const void *bytes, size_t len);
/* To be called once, at the end. */
DAL_MUST_CHECK bool dal_s3_hasher_finish(struct dal_s3_hasher *h, struct dal_s3_digest *ret);

/* Hashes @body: in place when it is in memory, through a small buffer otherwise. */
int dal_s3_digest_body(
	const struct dal_body *body, struct dal_call *call, unsigned kinds, struct dal_s3_digest *ret);

/* True when @etag, quoted or not, has the form of an MD5: 32 hexadecimal digits. */
bool dal_s3_etag_is_md5(const char *etag);
/* True when the two are the same, quotes aside. */
bool dal_s3_etag_same(const char *a, const char *b);
/* The ETag of an upload of these parts: the MD5 of their MD5s, "-", their number. False: one is no MD5. */
struct dal_part;
bool dal_s3_etag_of_parts(const struct dal_part *parts, size_t n, char ret[48]);
