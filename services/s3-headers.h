/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between core's arguments and metadata, and S3's headers. */

#include "services/s3-digest.h"
#include "services/s3-request.h"

/*
 * The headers of something that creates an object (PUT, CreateMultipartUpload, CopyObject with new metadata):
 * content headers, user metadata, encryption, storage class, acl. Conditions are not among them. Metadata
 * that HTTP cannot carry is DAL_UNSUPPORTED.
 */
int dal_s3_headers_create(struct dal_s3 *s, struct dal_call *call, struct dal_s3_request *req,
	const struct dal_write_args *args);
/* The part of them that does not describe the object: for CopyObject with the source's metadata. */
DAL_MUST_CHECK bool dal_s3_headers_store(const struct dal_s3 *s, struct dal_s3_request *req);
/* What every request for an object's contents needs: the customer's key, who pays. */
DAL_MUST_CHECK bool dal_s3_headers_access(const struct dal_s3 *s, struct dal_s3_request *req);
/* The customer's key for the source of a copy. */
DAL_MUST_CHECK bool dal_s3_headers_source(
	const struct dal_s3 *s, struct dal_s3_request *req, const char *key);
/* If-Match in the dialect of the server's PUT, If-None-Match. */
DAL_MUST_CHECK bool dal_s3_headers_condition(
	struct dal_s3 *s, struct dal_s3_request *req, const char *if_match, bool if_not_exists);
/* @etag in quotes, which are added when it has none. Caller owns; NULL: no memory. */
char *dal_s3_etag_quoted(const char *etag);

/* Metadata of object @key, but its size, from an answer to GET, HEAD or PUT. False: no memory. */
DAL_MUST_CHECK bool dal_s3_meta_of(
	const struct dal_http_response *resp, const char *key, struct dal_meta *ret);

/* HEAD of an object, never of a directory that is none: with its size and ETag, or a failure. */
int dal_s3_head(struct dal_s3 *s, struct dal_call *call, const char *path, const struct dal_stat_args *args,
	struct dal_meta *ret_meta);

/* CONDITION_NOT_MATCH unless the version is @etag: for servers that ignore a condition on a copy's source. */
int dal_s3_check_version(struct dal_s3 *s, struct dal_call *call, const char *path, const char *etag);
/* x-amz-copy-source-if-match, where the server obeys it; @etag may be NULL. */
DAL_MUST_CHECK bool dal_s3_headers_source_match(
	struct dal_s3 *s, struct dal_s3_request *req, const char *etag);

/* False when @etag, of the answer to an upload, should be the MD5 of what was sent and is not. */
bool dal_s3_etag_fits(const struct dal_s3 *s, const struct dal_http_response *resp, const char *etag,
	const struct dal_s3_digest *digest);

/* Which digests an upload of a body needs, as an object or as a @part, of enum dal_s3_digest_kind. */
unsigned dal_s3_upload_digests(struct dal_s3 *s, bool part);
/* Puts the digests of a body into its request; *ret_checksum: base64 of the checksum sent, "" for none. */
DAL_MUST_CHECK bool dal_s3_headers_digest(struct dal_s3 *s, struct dal_s3_request *req,
	const struct dal_s3_digest *digest, bool part, char ret_checksum[64]);
/*
 * The algorithm of the checksums sent with whole objects, or with @parts: "CRC32C", "SHA256" or NULL. With
 * parts only where asked for, or on AWS: MinIO takes no copied part in an upload that has checksums.
 */
const char *dal_s3_checksum_name(struct dal_s3 *s, bool parts);
