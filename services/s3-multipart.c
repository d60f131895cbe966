/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Multipart uploads. Parts are checked as whole objects are (s3-write.c). The end is the delicate step: its
 * answer may take minutes, come as a 200 with an <Error>, or be lost, and then the repeated request finds no
 * upload. So it is settled by the ETag, which is known beforehand: the MD5 of the parts' MD5s and their
 * number.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "services/s3-headers.h"

/* 10,000 parts with ETag and checksum. */
#define COMPLETE_MAX (8 * DAL_MIB)
#define LIST_PAGES_MAX 1000

int dal_s3_multipart_begin(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_write_args *args, char **ret_id)
{
	struct dal_s3 *s = dal_s3_of(b);
	struct dal_s3_request req = { .method = "POST", .key = path, .query = "uploads" };
	DAL_CLEANUP(dal_mem_freep) char *id = NULL;
	struct dal_s3_want wants[] = { { "UploadId", &id }, { NULL, NULL } };
	struct dal_s3_xml_sink sink = {
		.root = "InitiateMultipartUploadResult", .field = dal_s3_want_field, .arg = wants
	};
	int r = dal_s3_headers_create(s, call, &req, args);

	if (!r && !dal_s3_header(&req, "x-amz-checksum-algorithm", dal_s3_checksum_name(s, true)))
		r = dal_fail_nomem(call);
	if (!r)
		r = dal_s3_send_xml(s, call, &req, &sink);
	if (!r && (!id || !*id))
		r = dal_s3_wrong_answer(s, call, &req, "the answer has no UploadId");
	dal_s3_request_done(&req);
	if (!r)
		*ret_id = dal_take(&id);
	return r;
}

static bool part_query(struct dal_buf *query, unsigned number, const char *id)
{
	return dal_buf_printf(query, "partNumber=%u", number) && dal_s3_query(query, "uploadId", id);
}

static int keep_etag(struct dal_s3 *s, struct dal_call *call, const struct dal_s3_request *req,
	const char *etag, struct dal_part *part)
{
	if (!etag || !*etag || strlen(etag) >= sizeof(part->etag))
		return dal_s3_wrong_answer(s, call, req, "the answer has no ETag");
	snprintf(part->etag, sizeof(part->etag), "%s", etag);
	return 0;
}

int dal_s3_multipart_part(struct dal_backend *b, struct dal_call *call, const char *path, const char *id,
	const struct dal_body *body, struct dal_part *part)
{
	struct dal_s3 *s = dal_s3_of(b);
	DAL_CLEANUP(dal_http_closep) struct dal_http_response *resp = NULL;
	struct dal_s3_request req = { .method = "PUT", .key = path, .body = body };
	struct dal_buf query = DAL_BUF_INIT(4096);
	struct dal_s3_digest digest;
	const char *etag;
	int r = dal_s3_digest_body(body, call, dal_s3_upload_digests(s, true), &digest);

	if (!r && (!part_query(&query, part->number, id) || !dal_s3_headers_access(s, &req) ||
			  !dal_s3_header(&req, "content-type", "application/octet-stream") ||
			  !dal_s3_headers_digest(s, &req, &digest, true, part->checksum)))
		r = dal_fail_nomem(call);
	req.query = query.data;
	if (!r)
		r = dal_s3_send(s, call, &req, &resp);
	if (!r) {
		dal_s3_drain(call, resp);
		etag = dal_http_header(resp, "etag");
		r = keep_etag(s, call, &req, etag, part);
	}
	if (!r && !dal_s3_etag_fits(s, resp, etag, &digest))
		r = dal_s3_wrong_answer(s, call, &req, "the ETag is not the MD5 of the part that was sent");
	dal_s3_request_done(&req);
	dal_buf_done(&query);
	return r;
}

static int send_part_copy(
	struct dal_s3 *s, struct dal_call *call, struct dal_s3_request *req, struct dal_part *part)
{
	DAL_CLEANUP(dal_mem_freep) char *etag = NULL;
	DAL_CLEANUP(dal_mem_freep) char *crc32c = NULL;
	DAL_CLEANUP(dal_mem_freep) char *sha256 = NULL;
	struct dal_s3_want wants[] = { { "ETag", &etag }, { "ChecksumCRC32C", &crc32c },
		{ "ChecksumSHA256", &sha256 }, { NULL, NULL } };
	struct dal_s3_xml_sink sink = {
		.root = "CopyPartResult|CopyObjectResult", .field = dal_s3_want_field, .arg = wants
	};
	const char *name = dal_s3_checksum_name(s, true);
	const char *checksum = !name ? NULL : !strcmp(name, "SHA256") ? sha256 : crc32c;
	int r = dal_s3_send_xml(s, call, req, &sink);

	checksum = !name ? NULL : !strcmp(name, "SHA256") ? sha256 : crc32c;
	if (!r)
		r = keep_etag(s, call, req, etag, part);
	if (!r)
		snprintf(part->checksum, sizeof(part->checksum), "%s", checksum ? checksum : "");
	return r;
}

int dal_s3_multipart_copy(struct dal_backend *b, struct dal_call *call, const char *path, const char *id,
	const char *src, uint64_t src_off, const char *src_etag, struct dal_part *part)
{
	struct dal_s3 *s = dal_s3_of(b);
	struct dal_s3_request req = { .method = "PUT", .key = path };
	struct dal_buf query = DAL_BUF_INIT(4096);
	char range[64];
	int r = 0;

	if (src_etag && !s->base.cap.copy_if_match)
		r = dal_s3_check_version(s, call, src, src_etag);
	snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, src_off, src_off + part->len - 1);
	if (!r && (!part_query(&query, part->number, id) || !dal_s3_headers_access(s, &req) ||
			  !dal_s3_headers_source(s, &req, src) ||
			  !dal_s3_headers_source_match(s, &req, src_etag) ||
			  !dal_s3_header(&req, "x-amz-copy-source-range", range)))
		r = dal_fail_nomem(call);
	req.query = query.data;
	if (!r)
		r = send_part_copy(s, call, &req, part);
	dal_s3_request_done(&req);
	dal_buf_done(&query);
	return r;
}

static bool complete_body(struct dal_s3 *s, const struct dal_part *parts, size_t n, struct dal_buf *out)
{
	const char *name = dal_s3_checksum_name(s, true);
	bool ok = dal_buf_puts(
		out, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");

	for (size_t i = 0; ok && i < n; i++) {
		const struct dal_part *p = &parts[i];

		ok = dal_buf_printf(out, "<Part><PartNumber>%u</PartNumber><ETag>", p->number) &&
		     dal_s3_xml_put(out, p->etag) && dal_buf_puts(out, "</ETag>");
		if (ok && name && p->checksum[0])
			ok = dal_buf_printf(out, "<Checksum%s>%s</Checksum%s>", name, p->checksum, name);
		ok = ok && dal_buf_puts(out, "</Part>");
	}
	return ok && dal_buf_puts(out, "</CompleteMultipartUpload>");
}

/* What the object must be when the upload was completed. */
struct outcome {
	const char *path;
	uint64_t size;
	char etag[48]; /* "" when the parts' ETags are no MD5s */
};

/* The object as the upload would have made it is there. */
static bool is_done(
	struct dal_s3 *s, struct dal_call *call, const struct outcome *o, struct dal_meta *ret_meta)
{
	static const struct dal_stat_args none;
	struct dal_call child = dal_call_child(call);
	struct dal_meta meta;

	if (!o->etag[0] || dal_s3_head(s, &child, o->path, &none, &meta) < 0)
		return false;
	if (meta.size == o->size && dal_s3_etag_same(meta.etag, o->etag)) {
		*ret_meta = meta;
		return true;
	}
	dal_meta_done(&meta);
	return false;
}

/*
 * The answer's ETag @etag is what was expected, or, for servers that make them differently, what HEAD says
 * too. An answer that lies fails as temporary: the repeated request finds no upload, and is_done() settles
 * it.
 */
static int completed(struct dal_s3 *s, struct dal_call *call, const struct dal_s3_request *req,
	const struct outcome *o, char *etag, struct dal_meta *ret_meta)
{
	static const struct dal_stat_args none;
	struct dal_meta meta;
	bool good;
	int r;

	if (etag && *etag && (!o->etag[0] || dal_s3_etag_same(etag, o->etag))) {
		*ret_meta = (struct dal_meta){ .type = DAL_TYPE_FILE, .has_size = true, .size = o->size };
		ret_meta->etag = dal_strdup(etag);
		return ret_meta->etag ? 0 : dal_fail_nomem(call);
	}
	r = dal_s3_head(s, call, o->path, &none, &meta);
	if (r < 0)
		return r;
	/* Ceph's answer has an empty ETag: then the object's own must be the parts', where that is known. */
	if (etag && *etag)
		good = dal_s3_etag_same(meta.etag, o->etag) || dal_s3_etag_same(meta.etag, etag);
	else
		good = !o->etag[0] || dal_s3_etag_same(meta.etag, o->etag);
	good = good && meta.size == o->size;
	if (good) {
		*ret_meta = meta;
		return 0;
	}
	dal_meta_done(&meta);
	return dal_s3_wrong_answer(s, call, req, "the ETag of the finished upload is not that of its parts");
}

int dal_s3_multipart_complete(struct dal_backend *b, struct dal_call *call, const char *path, const char *id,
	const struct dal_part *parts, size_t n, const struct dal_write_args *args, struct dal_meta *ret_meta)
{
	struct dal_s3 *s = dal_s3_of(b);
	struct dal_s3_request req = { .method = "POST", .key = path };
	struct dal_buf query = DAL_BUF_INIT(4096), xml = DAL_BUF_INIT(COMPLETE_MAX);
	DAL_CLEANUP(dal_mem_freep) char *etag = NULL;
	struct dal_s3_want wants[] = { { "ETag", &etag }, { NULL, NULL } };
	struct dal_s3_xml_sink sink = {
		.root = "CompleteMultipartUploadResult", .field = dal_s3_want_field, .arg = wants
	};
	struct outcome o = { .path = path };
	struct dal_s3_digest digest;
	struct dal_body body;
	struct iovec iov;
	bool ok = dal_s3_query(&query, "uploadId", id) && complete_body(s, parts, n, &xml) &&
		  dal_s3_headers_condition(s, &req, args->if_match, args->if_not_exists) &&
		  dal_s3_header(&req, "content-type", "application/xml") && dal_s3_headers_access(s, &req);
	int r = ok ? 0 : dal_fail_nomem(call);

	for (size_t i = 0; i < n; i++)
		o.size += parts[i].len;
	if (s->etag_is_not_md5 || !dal_s3_etag_of_parts(parts, n, o.etag))
		o.etag[0] = '\0';
	if (!r) {
		body = dal_body_mem(&iov, xml.data, xml.len);
		r = dal_s3_digest_body(&body, call, DAL_S3_SHA256, &digest);
		req.body = &body;
		req.sha256 = digest.sha256;
		req.query = query.data;
	}
	if (!r) {
		r = dal_s3_send_xml(s, call, &req, &sink);
		if (!r)
			r = completed(s, call, &req, &o, etag, ret_meta);
		else if (call->attempt > 0 && (r == -DAL_NOT_FOUND || r == -DAL_CONDITION_NOT_MATCH) &&
			 is_done(s, call, &o, ret_meta))
			r = 0;
	}
	dal_s3_request_done(&req);
	dal_buf_done(&query);
	dal_buf_done(&xml);
	return r;
}

int dal_s3_multipart_abort(struct dal_backend *b, struct dal_call *call, const char *path, const char *id)
{
	struct dal_s3 *s = dal_s3_of(b);
	struct dal_s3_request req = { .method = "DELETE", .key = path };
	struct dal_buf query = DAL_BUF_INIT(4096);
	int r = dal_s3_query(&query, "uploadId", id) && dal_s3_headers_access(s, &req) ? 0
										       : dal_fail_nomem(call);

	req.query = query.data;
	if (!r)
		r = dal_s3_send_only(s, call, &req);
	dal_s3_request_done(&req);
	dal_buf_done(&query);
	/* Gone already is what was wanted. */
	return r == -DAL_NOT_FOUND ? 0 : r;
}

/* One page, added to @u. */
static int list_page(struct dal_s3 *s, struct dal_call *call, const char *prefix, struct dal_s3_uploads *u)
{
	struct dal_s3_request req = { .method = "GET" };
	struct dal_buf query = DAL_BUF_INIT(32 * 1024);
	struct dal_s3_xml_sink sink = dal_s3_uploads_sink(u);
	size_t before = u->n;
	bool ok = dal_s3_query(&query, "uploads", NULL) && dal_s3_query(&query, "max-uploads", "1000") &&
		  dal_s3_query(&query, "prefix", prefix) &&
		  (!u->next_key || dal_s3_query(&query, "key-marker", u->next_key)) &&
		  (!u->next_id || dal_s3_query(&query, "upload-id-marker", u->next_id));
	int r = ok ? 0 : dal_fail_nomem(call);

	req.query = query.data;
	free(dal_take(&u->next_key));
	free(dal_take(&u->next_id));
	u->truncated = false;
	if (!r)
		r = dal_s3_send_xml(s, call, &req, &sink);
	if (!r && u->truncated && (!u->next_key || u->n == before))
		r = dal_s3_wrong_answer(s, call, &req, "the listing of uploads does not say how it goes on");
	dal_s3_request_done(&req);
	dal_buf_done(&query);
	return r;
}

int dal_s3_multipart_list(struct dal_backend *b, struct dal_call *call, const char *prefix,
	struct dal_upload **ret_v, size_t *ret_n)
{
	struct dal_s3 *s = dal_s3_of(b);
	struct dal_s3_uploads u = { .truncated = true };
	int r = 0;

	for (unsigned page = 0; !r && u.truncated && page < LIST_PAGES_MAX; page++)
		r = list_page(s, call, prefix, &u);
	if (!r) {
		*ret_v = dal_take(&u.v);
		*ret_n = u.n;
		u.n = 0;
		u.open = false;
	}
	dal_s3_uploads_done(&u);
	return r;
}
