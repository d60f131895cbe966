/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * AWS Signature Version 4: in headers, and in the query of a presigned URL. Nothing is normalised here: path
 * and query are signed as they are sent, so they must be percent-encoded with dal_uri_encode() (only
 * unreserved characters stay), which is what S3 expects.
 *
 * Threads: a signer may be used by any number of threads; it keeps the last derived key behind a lock of its
 * own.
 */

#include <stdint.h>

#include "core/call.h"
#include "core/meta.h"

/* A payload hash for bodies that are not hashed: only over TLS, and for presigned URLs. */
#define DAL_S3_UNSIGNED "UNSIGNED-PAYLOAD"
/* The SHA-256 of nothing. */
#define DAL_S3_EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* Borrowed strings: one set of credentials. */
struct dal_s3_key {
	const char *id;
	const char *secret;
	const char *token; /* session token; NULL or "" for none */
};

/* What is signed; all strings borrowed. */
struct dal_s3_to_sign {
	const char *method;
	const char *host; /* as the Host header says it: with ":port" unless that is the scheme's own */
	const char *path; /* encoded, with the leading '/' */
	const char *query; /* encoded, any order, without the '?'; NULL or "" for none */
	const char *payload; /* 64 hex digits of SHA-256, or DAL_S3_UNSIGNED */
	const char *region; /* "us-east-1" */
	const char *service; /* "s3", "sts" */
	int64_t wall_ns; /* the time to sign with, ns since 1970: the server's idea of it */
};

struct dal_s3_signer;

/* NULL when memory has run out. */
struct dal_s3_signer *dal_s3_signer_new(void);
/* Takes NULL; returns NULL. The derived key is wiped. */
struct dal_s3_signer *dal_s3_signer_free(struct dal_s3_signer *s);

/*
 * Adds x-amz-date, x-amz-content-sha256 (services s3 only), x-amz-security-token (with a token) and
 * authorization to
 * @headers. All headers already in there are signed, and `host`, which the HTTP client adds itself.
 */
int dal_s3_sign(struct dal_s3_signer *s, struct dal_call *call, const struct dal_s3_key *key,
	const struct dal_s3_to_sign *what, struct dal_pairs *headers);

/*
 * The query of a presigned URL, complete with its signature: @what->query plus X-Amz-*. @headers, if not
 * NULL, must be sent by whoever uses the URL. @what->payload is ignored. Caller owns *ret_query.
 */
int dal_s3_sign_query(struct dal_s3_signer *s, struct dal_call *call, const struct dal_s3_key *key,
	const struct dal_s3_to_sign *what, const struct dal_pairs *headers, uint64_t expire_s,
	char **ret_query);

/* Lower-case hexadecimal of @n bytes; @ret has room for 2n + 1. */
void dal_s3_hex(const unsigned char *bytes, size_t n, char *ret);
