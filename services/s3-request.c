/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Address, sign, send, and look at the status. A refusal is read to its end and then asked whether it teaches
 * something:
 *
 *   another region   x-amz-bucket-region, <Region>     is kept for all requests to come
 *   another time     RequestTimeTooSkewed and Date     is added to every time that is signed
 *   the same place   a redirect to the very same URL   nothing
 *
 * Then the request is sent again, at once, and each of the three happens at most once per request: a server
 * that teaches in circles gets an error. Redirects to other hosts are not followed: they would receive signed
 * requests and data.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/log.h"
#include "core/uri.h"
#include "services/s3-credentials.h"
#include "services/s3-request.h"

/* The longest error answer that is looked at. */
#define ERROR_BODY_MAX (64 * 1024)
#define URL_MAX (32 * 1024)
/* A clock this far off is refused by S3 (15 minutes), or will be soon. */
#define SKEW_SUSPECT_NS ((int64_t)(300 * DAL_NS_PER_S))

enum lesson {
	LESSON_NONE = 0,
	LESSON_REGION = 1 << 0,
	LESSON_CLOCK = 1 << 1,
	LESSON_AGAIN = 1 << 2,
};

void dal_s3_request_done(struct dal_s3_request *req)
{
	dal_pairs_done(&req->headers);
}

bool dal_s3_header(struct dal_s3_request *req, const char *name, const char *value)
{
	return !value || dal_pairs_set(&req->headers, name, value);
}

bool dal_s3_query(struct dal_buf *query, const char *name, const char *value)
{
	DAL_CLEANUP(dal_mem_freep) char *enc = value ? dal_uri_encode(value, false) : NULL;

	if (value && !enc)
		return false;
	return dal_buf_printf(
		query, "%s%s%s%s", query->len ? "&" : "", name, value ? "=" : "", enc ? enc : "");
}

void dal_s3_region(struct dal_s3 *s, char ret[DAL_S3_REGION_MAX])
{
	pthread_mutex_lock(&s->lock);
	memcpy(ret, s->region, DAL_S3_REGION_MAX);
	pthread_mutex_unlock(&s->lock);
}

int64_t dal_s3_wall(struct dal_s3 *s)
{
	return dal_wall_ns() + atomic_load(&s->skew_ns);
}

bool dal_s3_address(const struct dal_s3 *s, const char *region, const char *key, struct dal_buf *ret_host,
	struct dal_buf *ret_path)
{
	DAL_CLEANUP(dal_mem_freep) char *enc = key ? dal_uri_encode(key, true) : NULL;

	if (key && !enc)
		return false;
	if (!s->path_style && !dal_buf_printf(ret_host, "%s.", s->bucket))
		return false;
	if (s->host ? !dal_buf_puts(ret_host, s->host)
		    : !dal_buf_printf(ret_host, "s3.%s.amazonaws.com%s", region,
			      dal_starts_with(region, "cn-") ? ".cn" : ""))
		return false;
	if (!dal_buf_puts(ret_path, s->base_path))
		return false;
	if (s->path_style && !dal_buf_printf(ret_path, "/%s", s->bucket))
		return false;
	return key || !s->path_style ? dal_buf_printf(ret_path, "/%s", enc ? enc : "") : true;
}

bool dal_s3_is_utf8(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p) {
		unsigned more = *p < 0x80 ? 0 : *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
		/* Overlong forms, surrogates and what lies beyond U+10FFFF show in the first two bytes. */
		bool bad = (*p >= 0x80 && *p < 0xc2) || *p > 0xf4 || (*p == 0xe0 && p[1] < 0xa0) ||
			   (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
			   (*p == 0xf4 && p[1] > 0x8f);

		if (bad)
			return false;
		for (p++; more; more--, p++)
			if ((*p & 0xc0) != 0x80)
				return false;
	}
	return true;
}

/* S3 has no such key: it is not there to be read, and cannot be written. */
static int check_key(struct dal_s3 *s, struct dal_call *call, const struct dal_s3_request *req)
{
	bool writes = !strcmp(req->method, "PUT") || !strcmp(req->method, "POST");

	if (!req->key || dal_s3_is_utf8(req->key))
		return 0;
	return dal_fail(call, writes ? DAL_UNSUPPORTED : DAL_NOT_FOUND,
		"%s s3://%s/%.100s: the name is not UTF-8, as all of S3's are", req->method, s->bucket,
		req->key);
}

static int sign(struct dal_s3 *s, struct dal_call *call, const struct dal_s3_request *req, const char *region,
	const char *host, const char *path, struct dal_pairs *headers)
{
	struct dal_s3_to_sign what = {
		.method = req->method,
		.host = host,
		.path = path,
		.query = req->query,
		.payload = req->sha256,
		.region = region,
		.service = "s3",
		.wall_ns = dal_s3_wall(s),
	};
	struct dal_s3_keys keys = { 0 };
	int r;

	if (!s->credentials)
		return 0;
	if (!what.payload)
		what.payload = req->body && req->body->len ? DAL_S3_UNSIGNED : DAL_S3_EMPTY_SHA256;
	r = dal_s3_credentials_get(s->credentials, call, &keys);
	if (r < 0)
		return r;
	r = dal_s3_sign(s->signer, call, &keys.key, &what, headers);
	dal_s3_keys_done(&keys);
	return r;
}

/* One try, with the region and clock of now; *ret_region: the one used. */
static int send_once(struct dal_s3 *s, struct dal_call *call, const struct dal_s3_request *req,
	char ret_region[DAL_S3_REGION_MAX], struct dal_http_response **ret_resp)
{
	struct dal_buf host = DAL_BUF_INIT(512), path = DAL_BUF_INIT(URL_MAX), url = DAL_BUF_INIT(URL_MAX);
	struct dal_http_request http = { .method = req->method, .body = req->body };
	struct dal_pairs headers = { 0 };
	struct iovec iov;
	struct dal_body nothing = dal_body_mem(&iov, "", 0);
	int r = 0;

	/* S3 wants Content-Length: 0 where there could be a body. */
	if (!req->body && (!strcmp(req->method, "PUT") || !strcmp(req->method, "POST")))
		http.body = &nothing;

	dal_s3_region(s, ret_region);
	if (!dal_s3_address(s, ret_region, req->key, &host, &path) ||
		!dal_buf_printf(&url, "%s://%s%s%s%s", s->scheme, host.data, path.data, req->query ? "?" : "",
			req->query ? req->query : "") ||
		!dal_pairs_dup(&headers, &req->headers))
		r = dal_fail(call, DAL_TOO_LONG, "%s: URL too long, or out of memory", req->method);
	if (!r)
		r = sign(s, call, req, ret_region, host.data, path.data, &headers);
	if (!r) {
		http.url = url.data;
		http.headers = &headers;
		r = dal_http_send(s->http, call, &http, ret_resp);
	}
	dal_buf_done(&host);
	dal_buf_done(&path);
	dal_buf_done(&url);
	dal_pairs_done(&headers);
	return r;
}

/* Reads the refusal's body as far as it helps; a broken or long one is just not S3's. */
static void read_refusal(struct dal_call *call, struct dal_http_response *resp, struct dal_s3_answer *a)
{
	DAL_CLEANUP(dal_s3_xml_freep) struct dal_s3_xml *x = dal_s3_xml_new(NULL);
	struct dal_call child = dal_call_child(call);
	uint64_t total = 0;
	char buf[4096];
	size_t n = 1;

	while (x && n && total < ERROR_BODY_MAX) {
		if (dal_http_read(resp, &child, buf, sizeof(buf), &n) < 0)
			return;
		total += n;
		if (n && !dal_s3_xml_feed(x, buf, n))
			return;
	}
	if (x && !n && dal_s3_xml_finish(x) == DAL_S3_XML_ERROR) {
		a->shaped = true;
		a->error = *dal_s3_xml_error(x);
	}
}

static void copy_text(char *dst, size_t size, const char *text)
{
	size_t len = text ? strnlen(text, size - 1) : 0;

	if (len)
		memcpy(dst, text, len);
	dst[len] = '\0';
}

static void read_answer(struct dal_call *call, struct dal_http_response *resp, struct dal_s3_answer *a)
{
	const char *date = dal_http_header(resp, "date");
	const char *id = dal_http_header(resp, "x-amz-request-id");
	const char *region = dal_http_header(resp, "x-amz-bucket-region");

	*a = (struct dal_s3_answer){ .status = dal_http_status(resp) };
	if (date && !dal_http_date(date, &a->date_ns))
		a->date_ns = 0;
	a->from_s3 = id != NULL;
	a->retry_after_ns = dal_http_retry_after(resp);
	copy_text(a->media_type, sizeof(a->media_type), dal_http_header(resp, "content-type"));
	read_refusal(call, resp, a);
	if (id)
		copy_text(a->error.request_id, sizeof(a->error.request_id), id);
	if (region)
		copy_text(a->error.region, sizeof(a->error.region), region);
}

/* A region becomes part of host names and signatures. */
static bool is_region(const char *region)
{
	size_t len = strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return len && len < DAL_S3_REGION_MAX && !region[len] && *region != '-';
}

static bool about_region(const struct dal_s3_answer *a)
{
	static const char *const codes[] = { "AuthorizationHeaderMalformed", "PermanentRedirect",
		"TemporaryRedirect", "Redirect", "IllegalLocationConstraintException", "IncorrectEndpoint" };

	for (size_t i = 0; i < DAL_COUNT_OF(codes); i++)
		if (!strcmp(a->error.code, codes[i]))
			return true;
	return !a->shaped && (a->status == 301 || a->status == 307 || a->status == 400);
}

static bool learn_region(struct dal_s3 *s, const struct dal_s3_answer *a, const char *used)
{
	bool learnt;

	if (!about_region(a) || !is_region(a->error.region) || !strcmp(a->error.region, used))
		return false;
	pthread_mutex_lock(&s->lock);
	learnt = strcmp(s->region, a->error.region) != 0;
	copy_text(s->region, sizeof(s->region), a->error.region);
	pthread_mutex_unlock(&s->lock);
	atomic_store(&s->region_guessed, false);
	if (learnt)
		dal_log(DAL_LOG_INFO, "s3: bucket %s is in region %s, not %s: option region saves a request",
			s->bucket, a->error.region, used);
	return true;
}

static bool learn_clock(struct dal_s3 *s, const struct dal_s3_request *req, const struct dal_s3_answer *a)
{
	bool told =
		!strcmp(a->error.code, "RequestTimeTooSkewed") || !strcmp(a->error.code, "RequestExpired");
	/* HEAD has no words; a date far from ours explains a 403 well enough to try. */
	bool guessed = !a->shaped && (a->status == 403 || a->status == 400) && !strcmp(req->method, "HEAD");
	int64_t skew = a->date_ns - dal_wall_ns();
	int64_t change = skew - atomic_load(&s->skew_ns);

	if (!a->date_ns || (!told && !guessed) || (change < SKEW_SUSPECT_NS && change > -SKEW_SUSPECT_NS))
		return false;
	atomic_store(&s->skew_ns, skew);
	dal_log(DAL_LOG_WARN,
		"s3: this machine's clock is %" PRId64 " s %s the server's: signing with the server's time",
		(skew < 0 ? -skew : skew) / (int64_t)DAL_NS_PER_S, skew < 0 ? "ahead of" : "behind");
	return true;
}

/* True for a redirect to where the request went anyway: a server that is moving things about. */
static bool is_same_place(
	const struct dal_s3 *s, const struct dal_s3_request *req, const char *region, const char *location)
{
	struct dal_buf host = DAL_BUF_INIT(512), path = DAL_BUF_INIT(URL_MAX), url = DAL_BUF_INIT(URL_MAX);
	bool same = location && dal_s3_address(s, region, req->key, &host, &path) &&
		    dal_buf_printf(&url, "%s://%s%s%s%s", s->scheme, host.data, path.data,
			    req->query ? "?" : "", req->query ? req->query : "") &&
		    (!strcmp(location, url.data) ||
			    (*location == '/' && !strcmp(location, strstr(url.data, path.data))));

	dal_buf_done(&host);
	dal_buf_done(&path);
	dal_buf_done(&url);
	return same;
}

static enum lesson learn(struct dal_s3 *s, const struct dal_s3_request *req, const char *region,
	struct dal_http_response *resp)
{
	const struct dal_s3_answer *a = &req->answer;

	if (learn_region(s, a, region))
		return LESSON_REGION;
	if (learn_clock(s, req, a))
		return LESSON_CLOCK;
	if (a->status / 100 == 3 && a->status != 304 &&
		is_same_place(s, req, region, dal_http_header(resp, "location")))
		return LESSON_AGAIN;
	return LESSON_NONE;
}

int dal_s3_send(struct dal_s3 *s, struct dal_call *call, struct dal_s3_request *req,
	struct dal_http_response **ret_resp)
{
	unsigned learnt = 0;
	int r = check_key(s, call, req);

	req->answer = (struct dal_s3_answer){ 0 };
	if (r < 0)
		return r;
	for (;;) {
		DAL_CLEANUP(dal_http_closep) struct dal_http_response *resp = NULL;
		char region[DAL_S3_REGION_MAX];
		enum lesson lesson;
		int status;

		r = send_once(s, call, req, region, &resp);
		if (r < 0)
			return dal_call_context(call, r, "%s s3://%s/%.100s", req->method, s->bucket,
				req->key ? req->key : "");
		status = dal_http_status(resp);
		if (status >= 200 && status < 300) {
			*ret_resp = dal_take(&resp);
			return 0;
		}
		read_answer(call, resp, &req->answer);
		lesson = learn(s, req, region, resp);
		if (lesson == LESSON_NONE || (learnt & lesson))
			return dal_s3_refused(s, call, req);
		learnt |= lesson;
	}
}

void dal_s3_drain(struct dal_call *call, struct dal_http_response *resp)
{
	struct dal_call child = dal_call_child(call);
	char buf[1024];
	size_t n = 1;

	for (size_t total = 0; n && total < ERROR_BODY_MAX; total += n)
		if (dal_http_read(resp, &child, buf, sizeof(buf), &n) < 0)
			return;
}

int dal_s3_send_only(struct dal_s3 *s, struct dal_call *call, struct dal_s3_request *req)
{
	DAL_CLEANUP(dal_http_closep) struct dal_http_response *resp = NULL;
	int r = dal_s3_send(s, call, req, &resp);

	if (!r)
		dal_s3_drain(call, resp);
	return r;
}

int dal_s3_send_xml(struct dal_s3 *s, struct dal_call *call, struct dal_s3_request *req,
	const struct dal_s3_xml_sink *sink)
{
	DAL_CLEANUP(dal_http_closep) struct dal_http_response *resp = NULL;
	DAL_CLEANUP(dal_s3_xml_freep) struct dal_s3_xml *x = dal_s3_xml_new(sink);
	enum { CHUNK = 32 * 1024 };
	DAL_CLEANUP(dal_mem_freep) char *buf = malloc(CHUNK);
	const char *id;
	size_t n = 1;
	int r;

	if (!x || !buf)
		return dal_fail_nomem(call);
	r = dal_s3_send(s, call, req, &resp);
	while (!r && n) {
		r = dal_http_read(resp, call, buf, CHUNK, &n);
		if (!r && n && !dal_s3_xml_feed(x, buf, n))
			break;
	}
	if (r < 0)
		return r;
	switch (dal_s3_xml_finish(x)) {
	case DAL_S3_XML_GOOD:
		return 0;
	case DAL_S3_XML_BROKEN:
		return dal_s3_wrong_answer(s, call, req, dal_s3_xml_why(x));
	case DAL_S3_XML_ERROR:
		break;
	}
	id = dal_http_header(resp, "x-amz-request-id");
	req->answer = (struct dal_s3_answer){
		.status = dal_http_status(resp),
		.shaped = true,
		.from_s3 = true,
		.error = *dal_s3_xml_error(x),
	};
	if (id)
		copy_text(req->answer.error.request_id, sizeof(req->answer.error.request_id), id);
	return dal_s3_refused(s, call, req);
}
