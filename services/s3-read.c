/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ranged GET as a pull stream. Before the first byte is handed out the answer's head must fit the question:
 *
 *   206   Content-Range names the range asked for, cut at the object's end, and Content-Length is its length
 *   200   the whole object: bytes before the range are skipped, those after it never read
 *   416   nothing there: HEAD with the same conditions gives the metadata of an empty stream
 *
 * and the ETag must be the one that was pinned. When the stream is the whole object and its ETag is an MD5
 * (or a CRC32C came with it), the bytes are hashed as they pass. Nothing is withheld: bytes are handed out as
 * they come, and the read that would deliver the last of them fails when the hash is wrong. If that read was
 * the first, trying again is harmless, and the failure temporary. If not, the wrong byte may be in what was
 * handed out before: then it is PERSISTENT, so that no layer resumes the stream half way, and whoever holds
 * the bytes must drop them.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "services/s3-headers.h"

struct s3_stream {
	struct dal_stream base;
	struct dal_http_response *resp; /* owned; NULL for an empty stream */
	struct dal_s3_hasher *hasher; /* owned; NULL when nothing can be verified */
	char expected[40]; /* what its hash must be: layers above may take the metadata away */
	bool by_crc32c; /* a CRC32C in base64, else an MD5 in hex */
	char *what; /* owned; "s3://bucket/key" for messages */
	uint64_t pos; /* bytes handed out */
	bool exact; /* the answer ends with the stream */
	bool failed;
};

/* The range as the answer has it. */
struct range {
	uint64_t first, len, size;
	uint64_t skip; /* bytes to read and drop before it */
};

static struct s3_stream *stream_of(struct dal_stream *s)
{
	return dal_container_of(s, struct s3_stream, base);
}

static int verify(struct s3_stream *st, struct dal_call *call, bool first_read)
{
	struct dal_s3_digest d;
	int r;

	if (!dal_s3_hasher_finish(st->hasher, &d))
		return dal_fail_nomem(call);
	if (st->by_crc32c ? !strcmp(d.crc32c_base64, st->expected) : !strcasecmp(d.md5, st->expected))
		return 0;
	r = dal_fail_temporary(call, DAL_UNEXPECTED, "GET %s: the bytes received do not fit their %s",
		st->what, st->by_crc32c ? "CRC32C" : "ETag");
	if (!first_read)
		call->err.retry = DAL_PERSISTENT;
	return r;
}

static int stream_read(struct dal_stream *s, struct dal_call *call, void *buf, size_t len, size_t *ret_n)
{
	struct s3_stream *st = stream_of(s);
	uint64_t left = s->len - st->pos;
	size_t n = 0;
	int r;

	if (len > left)
		len = (size_t)left;
	*ret_n = 0;
	if (!len)
		return 0;
	if (st->failed)
		return dal_fail_temporary(
			call, DAL_UNEXPECTED, "GET %s: the stream has failed before", st->what);
	r = dal_http_read(st->resp, call, buf, len, &n);
	if (!r && n < len)
		r = dal_fail_temporary(
			call, DAL_UNEXPECTED, "the body ended %" PRIu64 " bytes early", left - n);
	if (r < 0) {
		st->failed = true;
		return dal_call_context(call, r, "GET %s", st->what);
	}
	if (st->hasher && !dal_s3_hasher_add(st->hasher, buf, n))
		return dal_fail_nomem(call);
	if (st->hasher && n == left) {
		r = verify(st, call, st->pos == 0);
		st->failed = r < 0;
		if (r < 0)
			return r;
	}
	st->pos += n;
	if (st->pos == s->len) {
		/* The end of the answer must be seen for its connection to be used again. */
		if (st->exact)
			dal_s3_drain(call, st->resp);
		st->resp = dal_http_close(st->resp);
	}
	*ret_n = n;
	return 0;
}

static void stream_close(struct dal_stream *s)
{
	struct s3_stream *st = stream_of(s);

	dal_http_close(st->resp);
	dal_s3_hasher_free(st->hasher);
	dal_meta_done(&s->meta);
	free(st->what);
	free(st);
}

static const struct dal_stream_ops stream_ops = { .read = stream_read, .close = stream_close };

/* "bytes 0-9/100" */
static bool parse_content_range(const char *text, uint64_t *ret_first, uint64_t *ret_last, uint64_t *ret_size)
{
	DAL_CLEANUP(dal_mem_freep) char *copy = dal_strdup(text);
	char *dash = copy ? strchr(copy, '-') : NULL;
	char *slash = dash ? strchr(dash, '/') : NULL;

	if (!slash || !dal_starts_with(copy, "bytes "))
		return false;
	*dash = *slash = '\0';
	return dal_parse_u64(copy + strlen("bytes "), ret_first) && dal_parse_u64(dash + 1, ret_last) &&
	       dal_parse_u64(slash + 1, ret_size) && *ret_last >= *ret_first && *ret_last < *ret_size;
}

/* NULL when the answer's head is what was asked for, else what is wrong with it. */
static const char *check_range(const struct dal_http_response *resp, const struct dal_read_args *args,
	uint64_t want, struct range *ret)
{
	const char *header = dal_http_header(resp, "content-range");
	uint64_t length = dal_http_length(resp), last;

	if (dal_http_status(resp) == 200) {
		if (length == UINT64_MAX)
			return "the answer does not say how long it is";
		ret->size = length;
		ret->first = DAL_MIN(args->off, length);
		ret->len = DAL_MIN(want, length - ret->first);
		ret->skip = ret->first;
		return NULL;
	}
	if (dal_http_status(resp) != 206)
		return "neither 200 nor 206";
	if (!header || !parse_content_range(header, &ret->first, &last, &ret->size))
		return "partial content without a good Content-Range";
	ret->len = last - ret->first + 1;
	if (ret->first != args->off || ret->len != DAL_MIN(want, ret->size - args->off))
		return "another range than the one asked for";
	if (length != UINT64_MAX && length != ret->len)
		return "Content-Length and Content-Range differ";
	return NULL;
}

static int skip(struct dal_http_response *resp, struct dal_call *call, uint64_t n)
{
	DAL_CLEANUP(dal_mem_freep) void *buf = n ? malloc(64 * 1024) : NULL;

	if (n && !buf)
		return dal_fail_nomem(call);
	while (n) {
		size_t got = 0;
		int r = dal_http_read(resp, call, buf, (size_t)DAL_MIN(n, (uint64_t)(64 * 1024)), &got);

		if (r < 0)
			return r;
		if (!got)
			return dal_fail_temporary(call, DAL_UNEXPECTED, "the body ended early");
		n -= got;
	}
	return 0;
}

static bool start_hasher(struct dal_s3 *s, struct s3_stream *st)
{
	const char *crc = dal_http_header(st->resp, "x-amz-checksum-crc32c");
	const char *sse = dal_http_header(st->resp, "x-amz-server-side-encryption");
	bool kms = sse && dal_starts_with(sse, "aws:kms");
	const char *etag = st->base.meta.etag;

	if (s->checksum == DAL_S3_CHECKSUM_NONE || st->base.off || st->base.len != st->base.meta.size ||
		!st->base.len)
		return true;
	/* The checksum of a multipart object has a "-N" and says nothing about the bytes as they come. */
	if (crc && strlen(crc) == 8) {
		st->by_crc32c = true;
		snprintf(st->expected, sizeof(st->expected), "%s", crc);
	} else if (!s->etag_is_not_md5 && !kms && dal_s3_etag_is_md5(etag)) {
		snprintf(st->expected, sizeof(st->expected), "%.32s", etag + (*etag == '"'));
	} else {
		return true;
	}
	st->hasher = dal_s3_hasher_new(st->by_crc32c ? DAL_S3_CRC32C : DAL_S3_MD5);
	return st->hasher != NULL;
}

static struct s3_stream *stream_new(const struct dal_s3 *s, const char *path)
{
	struct s3_stream *st = calloc(1, sizeof(*st));

	if (!st)
		return NULL;
	st->base.ops = &stream_ops;
	st->what = dal_asprintf("s3://%s/%.200s", s->bucket, path);
	if (!st->what) {
		free(st);
		return NULL;
	}
	return st;
}

/* The range lies beyond the end: an empty stream, with the metadata HEAD gives. */
static int empty_stream(struct dal_s3 *s, struct dal_call *call, const char *path,
	const struct dal_read_args *args, struct dal_stream **ret_stream)
{
	struct dal_stat_args stat = {
		.if_match = args->if_match, .if_none_match = args->if_none_match, .version = args->version
	};
	struct s3_stream *st;
	struct dal_meta meta;
	int r = dal_s3_head(s, call, path, &stat, &meta);

	if (r < 0)
		return r;
	if (meta.size > args->off) {
		/* It grew between the two requests, or the 416 was a lie. */
		dal_meta_done(&meta);
		return dal_fail_temporary(call, DAL_UNEXPECTED,
			"GET s3://%s/%.100s: 416 for a range within the object", s->bucket, path);
	}
	st = stream_new(s, path);
	if (!st) {
		dal_meta_done(&meta);
		return dal_fail_nomem(call);
	}
	st->base.meta = meta;
	st->base.off = args->off;
	*ret_stream = &st->base;
	return 0;
}

static int make_request(struct dal_s3 *s, struct dal_call *call, const struct dal_read_args *args,
	uint64_t want, struct dal_s3_request *req, struct dal_buf *query)
{
	DAL_CLEANUP(dal_mem_freep) char *match = args->if_match ? dal_s3_etag_quoted(args->if_match) : NULL;
	DAL_CLEANUP(dal_mem_freep)
	char *none = args->if_none_match ? dal_s3_etag_quoted(args->if_none_match) : NULL;
	char range[64] = "";
	bool ok = (!args->if_match || match) && (!args->if_none_match || none);

	if (want != DAL_TO_END)
		snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, args->off, args->off + want - 1);
	else if (args->off)
		snprintf(range, sizeof(range), "bytes=%" PRIu64 "-", args->off);
	if (args->version) {
		ok = ok && dal_s3_query(query, "versionId", args->version);
		req->query = query->data;
	}
	ok = ok && dal_s3_header(req, "if-match", match) && dal_s3_header(req, "if-none-match", none) &&
	     dal_s3_header(req, "range", *range ? range : NULL) && dal_s3_headers_access(s, req);
	/* Only from the start can a stream turn out to be the whole object. */
	if (ok && !args->off && s->checksum != DAL_S3_CHECKSUM_NONE)
		ok = dal_s3_header(req, "x-amz-checksum-mode", "ENABLED");
	return ok ? 0 : dal_fail_nomem(call);
}

/* Turns the good answer @resp into a stream. */
static int open_stream(struct dal_s3 *s, struct dal_call *call, const struct dal_s3_request *req,
	const struct dal_read_args *args, uint64_t want, struct dal_http_response **resp,
	struct dal_stream **ret_stream)
{
	struct range range = { 0 };
	const char *wrong = check_range(*resp, args, want, &range);
	const char *etag = dal_http_header(*resp, "etag");
	struct s3_stream *st;
	int r;

	if (!wrong && !etag)
		wrong = "the answer has no ETag";
	if (!wrong && args->if_match && !dal_s3_etag_same(etag, args->if_match))
		wrong = "the answer has another ETag than the one pinned";
	if (wrong)
		return dal_s3_wrong_answer(s, call, req, wrong);
	r = skip(*resp, call, range.skip);
	if (r < 0)
		return r;
	st = stream_new(s, req->key);
	if (!st)
		return dal_fail_nomem(call);
	st->resp = dal_take(resp);
	if (!dal_s3_meta_of(st->resp, req->key, &st->base.meta)) {
		stream_close(&st->base);
		return dal_fail_nomem(call);
	}
	st->base.meta.size = range.size;
	st->base.meta.has_size = true;
	st->base.off = range.first;
	st->base.len = range.len;
	st->exact = dal_http_length(st->resp) == range.skip + range.len;
	if (!start_hasher(s, st)) {
		stream_close(&st->base);
		return dal_fail_nomem(call);
	}
	*ret_stream = &st->base;
	return 0;
}

int dal_s3_read(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_read_args *args, struct dal_stream **ret_stream)
{
	struct dal_s3 *s = dal_s3_of(b);
	DAL_CLEANUP(dal_http_closep) struct dal_http_response *resp = NULL;
	struct dal_s3_request req = { .method = "GET", .key = path };
	struct dal_buf query = DAL_BUF_INIT(4096);
	uint64_t want = args->len ? args->len : DAL_TO_END;
	int r;

	/* A range whose end does not fit is one to the end. */
	if (want > UINT64_MAX - 1 - args->off)
		want = DAL_TO_END;
	r = make_request(s, call, args, want, &req, &query);
	if (!r)
		r = dal_s3_send(s, call, &req, &resp);
	if (!r)
		r = open_stream(s, call, &req, args, want, &resp, ret_stream);
	else if (req.answer.status == 416)
		r = empty_stream(s, call, path, args, ret_stream);
	dal_s3_request_done(&req);
	dal_buf_done(&query);
	return r;
}
