/* SPDX-License-Identifier: Apache-2.0 */

/*
 * PUT of a whole object.
 *
 * The body is hashed before it is sent. Over plain HTTP the signature covers its SHA-256, so the server
 * refuses a body that was changed on the way; a CRC32C does the same where the server takes one. The ETag of
 * the answer is compared with the MD5: a difference means that something else than the body was stored, and
 * the write fails as temporary.
 *
 * A conditional PUT whose answer was lost is repeated by the retry layer and then refused by its own success.
 * So when a repeated one is refused, the object is looked at: with the ETag of our bytes, it was us.
 */

#include <stdlib.h>
#include <string.h>

#include "services/s3-headers.h"

/* The version we wanted to write is there: an earlier try of this call had succeeded. */
static bool is_ours(struct dal_s3 *s, struct dal_call *call, const char *path, const struct dal_body *body,
	struct dal_s3_digest *digest, struct dal_meta *ret_meta)
{
	static const struct dal_stat_args none;
	struct dal_call child = dal_call_child(call);
	struct dal_meta meta;

	if (s->etag_is_not_md5)
		return false;
	if (!digest->md5[0] && dal_s3_digest_body(body, &child, DAL_S3_MD5, digest) < 0)
		return false;
	if (dal_s3_head(s, &child, path, &none, &meta) < 0)
		return false;
	if (meta.size == body->len && dal_s3_etag_same(meta.etag, digest->md5)) {
		*ret_meta = meta;
		return true;
	}
	dal_meta_done(&meta);
	return false;
}

bool dal_s3_etag_fits(const struct dal_s3 *s, const struct dal_http_response *resp, const char *etag,
	const struct dal_s3_digest *digest)
{
	const char *sse = dal_http_header(resp, "x-amz-server-side-encryption");

	if (s->etag_is_not_md5 || !digest->md5[0] || !dal_s3_etag_is_md5(etag))
		return true;
	/* The bucket may encrypt by its own default, and then ETags are no MD5s. */
	if (sse && dal_starts_with(sse, "aws:kms"))
		return true;
	return dal_s3_etag_same(etag, digest->md5);
}

/* What the answer to a PUT says about the new version. */
static int written(struct dal_s3 *s, struct dal_call *call, const struct dal_s3_request *req,
	const struct dal_http_response *resp, const struct dal_s3_digest *digest, struct dal_meta *ret_meta)
{
	static const struct dal_stat_args none;
	const char *etag = dal_http_header(resp, "etag");

	/* A server that does not repeat the checksum has not looked at it. */
	if (s->checksum == DAL_S3_CHECKSUM_AUTO && atomic_load(&s->takes_crc32c) &&
		!dal_http_header(resp, "x-amz-checksum-crc32c"))
		atomic_store(&s->takes_crc32c, false);
	if (!etag)
		return dal_s3_head(s, call, req->key, &none, ret_meta);
	if (!dal_s3_etag_fits(s, resp, etag, digest))
		return dal_s3_wrong_answer(s, call, req,
			"the ETag is not the MD5 of what was sent (checksum_algorithm=none if this server's "
			"never are)");
	if (!dal_s3_meta_of(resp, req->key, ret_meta))
		return dal_fail_nomem(call);
	ret_meta->user_known = false;
	ret_meta->size = req->body->len;
	ret_meta->has_size = true;
	return 0;
}

int dal_s3_write(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_write_args *args, const struct dal_body *body, struct dal_meta *ret_meta)
{
	struct dal_s3 *s = dal_s3_of(b);
	DAL_CLEANUP(dal_http_closep) struct dal_http_response *resp = NULL;
	struct dal_s3_request req = { .method = "PUT", .key = path, .body = body };
	struct dal_s3_digest digest;
	char checksum[64];
	int r = dal_s3_digest_body(body, call, dal_s3_upload_digests(s, false), &digest);

	if (!r)
		r = dal_s3_headers_create(s, call, &req, args);
	if (!r && (!dal_s3_headers_condition(s, &req, args->if_match, args->if_not_exists) ||
			  !dal_s3_headers_digest(s, &req, &digest, false, checksum)))
		r = dal_fail_nomem(call);
	if (!r)
		r = dal_s3_send(s, call, &req, &resp);
	if (!r)
		dal_s3_drain(call, resp);
	if (!r)
		r = written(s, call, &req, resp, &digest, ret_meta);
	else if (call->attempt > 0 && (req.answer.status == 412 || req.answer.status == 409) &&
		 is_ours(s, call, path, body, &digest, ret_meta))
		r = 0;
	dal_s3_request_done(&req);
	return r;
}

int dal_s3_create_dir(
	struct dal_backend *b, struct dal_call *call, const char *path, const struct dal_write_args *args)
{
	struct dal_write_args marker = *args;
	struct iovec iov;
	struct dal_body body = dal_body_mem(&iov, "", 0);
	struct dal_meta meta;
	int r;

	if (!marker.content_type)
		marker.content_type = "application/x-directory";
	r = dal_s3_write(b, call, path, &marker, &body, &meta);
	if (!r)
		dal_meta_done(&meta);
	return r;
}
