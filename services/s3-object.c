/* SPDX-License-Identifier: Apache-2.0 */

/*
 * HEAD and DELETE.
 *
 * HEAD has no body, so a refused one says little. When little is not enough (403, 400, or a 404 that may be a
 * proxy's), the first byte is asked for with GET, which has words, and which is as good an answer when it
 * succeeds.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "services/s3-headers.h"

/* A listing of one name, to see whether a directory has anything in it. */
static int stat_implicit(struct dal_s3 *s, struct dal_call *call, const char *path, struct dal_meta *ret_meta)
{
	struct dal_list_args args = { .recursive = true, .limit = 1 };
	struct dal_page page = { 0 };
	size_t n;
	int r = dal_s3_list(&s->base, call, path, &args, NULL, &page);

	if (r < 0)
		return r;
	n = page.n;
	dal_page_done(&page);
	if (!n)
		return dal_fail(call, DAL_NOT_FOUND, "HEAD s3://%s/%.100s: there is no such directory",
			s->bucket, path);
	*ret_meta = (struct dal_meta){ .type = DAL_TYPE_DIR, .user_known = true };
	return 0;
}

/* The metadata by GET of the first byte: its refusal has words. */
static int stat_by_get(struct dal_s3 *s, struct dal_call *call, const char *path,
	const struct dal_stat_args *args, struct dal_meta *ret_meta)
{
	struct dal_read_args read = { .len = 1,
		.if_match = args->if_match,
		.if_none_match = args->if_none_match,
		.version = args->version };
	struct dal_stream *stream;
	int r = dal_s3_read(&s->base, call, path, &read, &stream);

	if (r < 0)
		return r;
	*ret_meta = stream->meta;
	stream->meta = (struct dal_meta){ 0 };
	dal_stream_close(stream);
	return 0;
}

static int head_request(struct dal_s3 *s, struct dal_call *call, const struct dal_stat_args *args,
	struct dal_s3_request *req, struct dal_buf *query)
{
	DAL_CLEANUP(dal_mem_freep) char *match = args->if_match ? dal_s3_etag_quoted(args->if_match) : NULL;
	DAL_CLEANUP(dal_mem_freep)
	char *none = args->if_none_match ? dal_s3_etag_quoted(args->if_none_match) : NULL;

	if (args->version) {
		if (!dal_s3_query(query, "versionId", args->version))
			return dal_fail_nomem(call);
		req->query = query->data;
	}
	if ((args->if_match && !match) || (args->if_none_match && !none) ||
		!dal_s3_header(req, "if-match", match) || !dal_s3_header(req, "if-none-match", none) ||
		!dal_s3_headers_access(s, req))
		return dal_fail_nomem(call);
	return 0;
}

/* What a good answer to HEAD says. */
static int head_meta(struct dal_s3 *s, struct dal_call *call, const struct dal_s3_request *req,
	const struct dal_stat_args *args, const struct dal_http_response *resp, struct dal_meta *ret_meta)
{
	const char *etag = dal_http_header(resp, "etag");
	uint64_t size = dal_http_length(resp);

	if (size == UINT64_MAX)
		return dal_s3_wrong_answer(s, call, req, "the answer has no Content-Length");
	if (!etag)
		return dal_s3_wrong_answer(s, call, req, "the answer has no ETag");
	if (args->if_match && !dal_s3_etag_same(etag, args->if_match))
		return dal_s3_wrong_answer(s, call, req, "the answer has another ETag than the one pinned");
	if (!dal_s3_meta_of(resp, req->key, ret_meta))
		return dal_fail_nomem(call);
	ret_meta->size = size;
	ret_meta->has_size = true;
	return 0;
}

int dal_s3_head(struct dal_s3 *s, struct dal_call *call, const char *path, const struct dal_stat_args *args,
	struct dal_meta *ret_meta)
{
	DAL_CLEANUP(dal_http_closep) struct dal_http_response *resp = NULL;
	struct dal_s3_request req = { .method = "HEAD", .key = path };
	struct dal_buf query = DAL_BUF_INIT(4096);
	int r = head_request(s, call, args, &req, &query);
	int status;

	if (!r)
		r = dal_s3_send(s, call, &req, &resp);
	status = req.answer.status;
	if (!r)
		dal_s3_drain(call, resp);
	if (!r)
		r = head_meta(s, call, &req, args, resp, ret_meta);
	else if (status == 403 || status == 400 || (status == 404 && !req.answer.from_s3))
		r = stat_by_get(s, call, path, args, ret_meta);
	dal_s3_request_done(&req);
	dal_buf_done(&query);
	return r;
}

int dal_s3_stat(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_stat_args *args, struct dal_meta *ret_meta)
{
	struct dal_s3 *s = dal_s3_of(b);
	int r;

	if (!*path) {
		*ret_meta = (struct dal_meta){ .type = DAL_TYPE_DIR, .user_known = true };
		return 0;
	}
	r = dal_s3_head(s, call, path, args, ret_meta);
	if (r == -DAL_NOT_FOUND && dal_ends_with(path, "/") && !args->if_match && !args->version)
		return stat_implicit(s, call, path, ret_meta);
	return r;
}

/* After a refused condition: whether the earlier try of this very call has removed it. */
static bool is_gone(struct dal_s3 *s, const struct dal_call *call, const char *path)
{
	static const struct dal_stat_args none;
	struct dal_call child = dal_call_child(call);
	struct dal_meta meta;
	int r = dal_s3_head(s, &child, path, &none, &meta);

	if (!r)
		dal_meta_done(&meta);
	return r == -DAL_NOT_FOUND;
}

int dal_s3_delete(
	struct dal_backend *b, struct dal_call *call, const char *path, const struct dal_delete_args *args)
{
	struct dal_s3 *s = dal_s3_of(b);
	struct dal_s3_request req = { .method = "DELETE", .key = path };
	struct dal_buf query = DAL_BUF_INIT(4096);
	DAL_CLEANUP(dal_mem_freep) char *etag = args->if_match ? dal_s3_etag_quoted(args->if_match) : NULL;
	bool ok = (!args->if_match || etag) && dal_s3_header(&req, "if-match", etag) &&
		  dal_s3_header(&req, "x-amz-request-payer", s->request_payer ? "requester" : NULL) &&
		  (!args->version || dal_s3_query(&query, "versionId", args->version));
	int r;

	req.query = query.data;
	r = ok ? dal_s3_send_only(s, call, &req) : dal_fail_nomem(call);
	/* Gone already is what was wanted; a bucket that is gone is another matter and another kind. */
	if (r == -DAL_NOT_FOUND)
		r = 0;
	if (r == -DAL_CONDITION_NOT_MATCH && call->attempt > 0 && is_gone(s, call, path))
		r = 0;
	dal_s3_request_done(&req);
	dal_buf_done(&query);
	return r;
}

static bool delete_body(const char *const *paths, size_t n, struct dal_buf *out)
{
	bool ok = dal_buf_puts(
		out, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");

	for (size_t i = 0; ok && i < n; i++)
		ok = dal_buf_puts(out, "<Object><Key>") && dal_s3_xml_put(out, paths[i]) &&
		     dal_buf_puts(out, "</Key></Object>");
	return ok && dal_buf_puts(out, "</Delete>");
}

/* One by one: for keys with characters XML cannot carry. */
static int delete_each(
	struct dal_s3 *s, struct dal_call *call, const char *const *paths, size_t n, bool *failed)
{
	static const struct dal_delete_args none;
	struct dal_error first = { 0 };

	for (size_t i = 0; i < n; i++) {
		failed[i] = dal_s3_delete(&s->base, call, paths[i], &none) < 0;
		if (failed[i] && !first.kind)
			first = call->err;
	}
	return first.kind ? dal_call_fail_as(call, &first) : 0;
}

static int delete_batch(
	struct dal_s3 *s, struct dal_call *call, const struct dal_buf *xml, struct dal_s3_deleted *d)
{
	struct dal_s3_request req = { .method = "POST", .query = "delete" };
	struct dal_s3_xml_sink sink = dal_s3_deleted_sink(d);
	struct dal_s3_digest digest;
	struct iovec iov;
	struct dal_body body = dal_body_mem(&iov, xml->data, xml->len);
	int r = dal_s3_digest_body(&body, call, DAL_S3_MD5 | DAL_S3_SHA256, &digest);

	if (r < 0)
		return r;
	req.body = &body;
	req.sha256 = digest.sha256;
	if (!dal_s3_header(&req, "content-md5", digest.md5_base64) ||
		!dal_s3_header(&req, "content-type", "application/xml") ||
		!dal_s3_header(&req, "x-amz-request-payer", s->request_payer ? "requester" : NULL))
		r = dal_fail_nomem(call);
	if (!r)
		r = dal_s3_send_xml(s, call, &req, &sink);
	if (!r && d->errors) {
		req.answer = (struct dal_s3_answer){
			.status = 200, .shaped = true, .from_s3 = true, .error = d->first
		};
		r = dal_s3_refused(s, call, &req);
	}
	dal_s3_request_done(&req);
	return r;
}

int dal_s3_delete_many(
	struct dal_backend *b, struct dal_call *call, const char *const *paths, size_t n, bool *failed)
{
	struct dal_s3 *s = dal_s3_of(b);
	struct dal_buf xml = DAL_BUF_INIT(16 * DAL_MIB);
	DAL_CLEANUP(dal_mem_freep) bool *own = failed ? NULL : calloc(n ? n : 1, sizeof(*own));
	struct dal_s3_deleted d = { .paths = paths, .n = n, .failed = failed ? failed : own };
	int r;

	if (!d.failed)
		return dal_fail_nomem(call);
	if (!n)
		return 0;
	memset(d.failed, 0, n * sizeof(*d.failed));
	if (!delete_body(paths, n, &xml)) {
		r = delete_each(s, call, paths, n, d.failed);
	} else {
		r = delete_batch(s, call, &xml, &d);
		/* No list of what failed: nothing can be said to be gone. */
		for (size_t i = 0; r < 0 && !d.errors && i < n; i++)
			d.failed[i] = true;
	}
	dal_s3_deleted_done(&d);
	dal_buf_done(&xml);
	return r;
}
