/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The one HTTP client, over libcurl. A request is driven by its caller: an easy handle with a multi handle of its
 * own, taken from a LIFO pool that keeps connections warm. The answer's head comes first; the body is pulled, and
 * libcurl's receive buffer is copied once, to where the caller wants it.
 *
 * Always: no redirects followed, TLS verified, no content decoding, no netrc, HTTP and HTTPS only, signals off, proxies
 * from the environment honoured (unless direct), headers and bodies bounded, deadline, cancel, connect timeout and
 * low-speed limit obeyed.
 *
 * Threads: a client is used by any number of threads; a response by one at a time.
 */

#include "core/call.h"
#include "core/option.h"
#include "core/stream.h"

struct dal_http;

/* Options every HTTP service offers: connect_timeout, stall_timeout, ca_bundle, tls_verify, proxy, user_agent, max_connections. */
extern const struct dal_option dal_http_options[];

/* @cfg holds dal_http_options; NULL means defaults. No network. */
int dal_http_new(struct dal_call *call, const struct dal_config *cfg, struct dal_http **ret_http);
/* Takes NULL; returns NULL. All responses must be closed. */
struct dal_http *dal_http_free(struct dal_http *http);

struct dal_http_request {
	const char *method;
	const char *url;	      /* fully encoded; sent as it is */
	const struct dal_pairs *headers; /* all of them but Host and Content-Length; no CR or LF (checked) */
	const struct dal_body *body;  /* NULL for none; sent with Content-Length, never chunked, never Expect */
	bool direct;		      /* past any proxy: for metadata addresses */
	uint64_t connect_timeout_ns;  /* 0 for the client's */
};

struct dal_http_response;

/*
 * Sends @req and returns when the head of the final answer is there. Fails only when there is no HTTP answer:
 * unreachable, reset, timed out, TLS; each temporary or permanent as it deserves. A status of 400 and more is not a
 * failure here.
 */
int dal_http_send(struct dal_http *http, struct dal_call *call, const struct dal_http_request *req,
	struct dal_http_response **ret_resp);

int dal_http_status(const struct dal_http_response *r);
/* The last value of a header, by name in any case; NULL when absent. Borrowed until close. */
const char *dal_http_header(const struct dal_http_response *r, const char *name);
/* Calls @fn for each header whose name starts with @prefix (any case); names are passed in lower case. */
void dal_http_headers_each(const struct dal_http_response *r, const char *prefix,
	void (*fn)(void *arg, const char *name, const char *value), void *arg);
/* Content-Length, or UINT64_MAX when the answer had none. */
uint64_t dal_http_length(const struct dal_http_response *r);

/*
 * Fills @buf with the next bytes of the body, short only at the end. A body shorter than its Content-Length, or a
 * connection broken before the end of a chunked one, is a temporary failure. Bytes beyond the Content-Length are
 * never delivered.
 */
int dal_http_read(struct dal_http_response *r, struct dal_call *call, void *buf, size_t len, size_t *ret_n);
/* The rest of the body into @out, at most out->max bytes: more is a failure. */
int dal_http_read_all(struct dal_http_response *r, struct dal_call *call, struct dal_buf *out);
/* Returns the connection to the pool when the body was read to its end, closes it otherwise. Takes NULL; returns NULL. */
struct dal_http_response *dal_http_close(struct dal_http_response *r);
void dal_http_closep(struct dal_http_response **r);

/* Retry-After in nanoseconds: seconds or an HTTP date; 0 when absent or unreadable, at most an hour. */
uint64_t dal_http_retry_after(const struct dal_http_response *r);
/* Parses an HTTP date (RFC 9110) or ISO 8601 time into ns since 1970. */
bool dal_http_date(const char *text, int64_t *ret_ns);
