/* SPDX-License-Identifier: Apache-2.0 */

/*
 * CopyObject: the bytes never leave the server.
 *
 * The version of the source is pinned by x-amz-copy-source-if-match where the probe has seen the server obey
 * it. Elsewhere (Ceph RGW ignores it) HEAD looks at the version just before: what is written between the two
 * requests is copied unseen.
 */

#include <stdlib.h>
#include <string.h>

#include "services/s3-headers.h"

int dal_s3_check_version(struct dal_s3 *s, struct dal_call *call, const char *path, const char *etag)
{
	static const struct dal_stat_args none;
	struct dal_meta meta;
	bool same;
	int r = dal_s3_head(s, call, path, &none, &meta);

	if (r < 0)
		return r;
	same = dal_s3_etag_same(meta.etag, etag);
	dal_meta_done(&meta);
	return same ? 0
		    : dal_fail(call, DAL_CONDITION_NOT_MATCH,
			      "s3://%s/%.100s: was changed, its version is no longer %.40s", s->bucket, path,
			      etag);
}

bool dal_s3_headers_source_match(struct dal_s3 *s, struct dal_s3_request *req, const char *etag)
{
	DAL_CLEANUP(dal_mem_freep) char *quoted = etag ? dal_s3_etag_quoted(etag) : NULL;

	if (!etag || !s->base.cap.copy_if_match)
		return true;
	return quoted && dal_s3_header(req, "x-amz-copy-source-if-match", quoted);
}

/* A repeated copy that its own success refused: source and target are the same bytes. */
static bool is_ours(struct dal_s3 *s, struct dal_call *call, const char *from, const char *to)
{
	static const struct dal_stat_args none;
	struct dal_call child = dal_call_child(call);
	struct dal_meta a, b;
	bool same;

	if (dal_s3_head(s, &child, from, &none, &a) < 0)
		return false;
	if (dal_s3_head(s, &child, to, &none, &b) < 0) {
		dal_meta_done(&a);
		return false;
	}
	same = a.size == b.size && dal_s3_etag_same(a.etag, b.etag);
	dal_meta_done(&a);
	dal_meta_done(&b);
	return same;
}

static int copy_headers(struct dal_s3 *s, struct dal_call *call, const char *from,
	const struct dal_copy_args *args, struct dal_s3_request *req)
{
	bool ok = dal_s3_headers_source(s, req, from) &&
		  dal_s3_headers_source_match(s, req, args->if_match) &&
		  dal_s3_header(req, "x-amz-metadata-directive", args->replace ? "REPLACE" : "COPY") &&
		  dal_s3_header(req, "if-none-match", args->if_not_exists ? "*" : NULL);

	if (!ok)
		return dal_fail_nomem(call);
	if (args->replace)
		return dal_s3_headers_create(s, call, req, args->replace);
	return dal_s3_headers_store(s, req) ? 0 : dal_fail_nomem(call);
}

static int send_copy(struct dal_s3 *s, struct dal_call *call, struct dal_s3_request *req,
	const struct dal_copy_args *args, struct dal_meta *ret_meta)
{
	static const struct dal_stat_args none;
	DAL_CLEANUP(dal_mem_freep) char *etag = NULL;
	DAL_CLEANUP(dal_mem_freep) char *modified = NULL;
	struct dal_s3_want wants[] = { { "ETag", &etag }, { "LastModified", &modified }, { NULL, NULL } };
	struct dal_s3_xml_sink sink = {
		.root = "CopyObjectResult", .field = dal_s3_want_field, .arg = wants
	};
	int r = dal_s3_send_xml(s, call, req, &sink);

	if (r < 0)
		return r;
	if (!etag || !*etag)
		return dal_s3_head(s, call, req->key, &none, ret_meta);
	*ret_meta = (struct dal_meta){ .type = dal_ends_with(req->key, "/") ? DAL_TYPE_DIR : DAL_TYPE_FILE,
		.etag = dal_take(&etag),
		.size = args->size,
		.has_size = args->size > 0 };
	if (modified && !dal_http_date(modified, &ret_meta->mtime_ns))
		ret_meta->mtime_ns = 0;
	return 0;
}

int dal_s3_copy(struct dal_backend *b, struct dal_call *call, const char *from, const char *to,
	const struct dal_copy_args *args, struct dal_meta *ret_meta)
{
	static const struct dal_stat_args none;
	struct dal_s3 *s = dal_s3_of(b);
	struct dal_s3_request req = { .method = "PUT", .key = to };
	int r = 0;

	if (args->size > s->base.cap.copy_max)
		return dal_fail(call, DAL_UNSUPPORTED,
			"COPY s3://%s/%.100s: more than 5 GiB are copied in parts", s->bucket, from);
	if (args->if_match && !s->base.cap.copy_if_match)
		r = dal_s3_check_version(s, call, from, args->if_match);
	if (!r)
		r = copy_headers(s, call, from, args, &req);
	if (!r)
		r = send_copy(s, call, &req, args, ret_meta);
	if (r < 0 && args->if_not_exists && call->attempt > 0 && req.answer.status == 412 &&
		is_ours(s, call, from, to))
		r = dal_s3_head(s, call, to, &none, ret_meta);
	dal_s3_request_done(&req);
	return r;
}
