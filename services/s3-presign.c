/* SPDX-License-Identifier: Apache-2.0 */

/* URLs that carry their own signature: whoever has one may do the one thing it says until it expires. */

#include <stdlib.h>
#include <string.h>

#include "services/s3-credentials.h"
#include "services/s3-headers.h"

#define EXPIRE_MAX_S 604800 /* seven days: S3's limit */

static const char *method_of(enum dal_presign_op op)
{
	switch (op) {
	case DAL_PRESIGN_STAT:
		return "HEAD";
	case DAL_PRESIGN_READ:
		return "GET";
	case DAL_PRESIGN_WRITE:
		return "PUT";
	case DAL_PRESIGN_DELETE:
		return "DELETE";
	}
	return "GET";
}

/* Headers that the object needs and that therefore are part of the signature. */
static bool presign_headers(const struct dal_s3 *s, enum dal_presign_op op, struct dal_s3_request *req)
{
	if (op == DAL_PRESIGN_DELETE)
		return dal_s3_header(req, "x-amz-request-payer", s->request_payer ? "requester" : NULL);
	return op == DAL_PRESIGN_WRITE ? dal_s3_headers_store(s, req) : dal_s3_headers_access(s, req);
}

/* Whoever uses the URL cannot correct the region it is signed for: a guess is made certain before. */
static void find_region(struct dal_s3 *s, struct dal_call *call)
{
	struct dal_s3_request req = { .method = "HEAD" };
	struct dal_call child = dal_call_child(call);

	if (!s->aws || !atomic_load(&s->region_guessed))
		return;
	if (!dal_s3_send_only(s, &child, &req))
		atomic_store(&s->region_guessed, false);
	dal_s3_request_done(&req);
}

static int sign_url(struct dal_s3 *s, struct dal_call *call, const struct dal_s3_request *req,
	uint64_t expire_s, char **ret_uri)
{
	struct dal_buf host = DAL_BUF_INIT(512), path = DAL_BUF_INIT(32 * 1024);
	DAL_CLEANUP(dal_mem_freep) char *query = NULL;
	struct dal_s3_to_sign what = { .method = req->method, .service = "s3", .wall_ns = dal_s3_wall(s) };
	char region[DAL_S3_REGION_MAX];
	struct dal_s3_keys keys = { 0 };
	int r = dal_s3_credentials_get(s->credentials, call, &keys);

	if (r < 0)
		return r;
	find_region(s, call);
	dal_s3_region(s, region);
	if (!dal_s3_address(s, region, req->key, &host, &path))
		r = dal_fail_nomem(call);
	what.host = host.data;
	what.path = path.data;
	what.region = region;
	if (!r)
		r = dal_s3_sign_query(s->signer, call, &keys.key, &what, &req->headers, expire_s, &query);
	dal_s3_keys_done(&keys);
	if (!r) {
		*ret_uri = dal_asprintf("%s://%s%s?%s", s->scheme, host.data, path.data, query);
		r = *ret_uri ? 0 : dal_fail_nomem(call);
	}
	dal_buf_done(&host);
	dal_buf_done(&path);
	return r;
}

int dal_s3_presign(struct dal_backend *b, struct dal_call *call, enum dal_presign_op op, const char *path,
	uint64_t expire_s, struct dal_presigned *ret)
{
	struct dal_s3 *s = dal_s3_of(b);
	struct dal_s3_request req = { .method = method_of(op), .key = path };
	struct dal_presigned p = { 0 };
	int r;

	if (!s->credentials)
		return dal_fail(call, DAL_UNSUPPORTED,
			"presign s3://%s/%.100s: there are no credentials (skip_signature)", s->bucket, path);
	if (!expire_s || expire_s > EXPIRE_MAX_S)
		return dal_fail(call, DAL_UNSUPPORTED,
			"presign s3://%s/%.100s: a URL lives between 1 s and 7 days", s->bucket, path);
	p.method = dal_strdup(req.method);
	r = p.method && presign_headers(s, op, &req) ? 0 : dal_fail_nomem(call);
	if (!r)
		r = sign_url(s, call, &req, expire_s, &p.uri);
	p.headers = req.headers;
	if (r < 0)
		dal_presigned_done(&p);
	else
		*ret = p;
	return r;
}
