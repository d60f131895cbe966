/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One S3 request: address, signature, sending, and what a refusal means. Region and clock are corrected here,
 * once, by what the server says, and the request is sent again; everything else that may pass is left to the
 * retry layer.
 *
 * Threads: a request belongs to one call.
 */

#include "services/s3-xml.h"
#include "services/s3.h"

/* What came back instead of success. */
struct dal_s3_answer {
	int status; /* 0: no HTTP answer at all */
	bool shaped; /* `error` was parsed from an S3 error body */
	bool from_s3; /* the answer has a request id: it is the server's, not a proxy's */
	int64_t date_ns; /* the server's clock, 0 when unknown */
	uint64_t retry_after_ns;
	char media_type[48];
	struct dal_s3_error error;
};

struct dal_s3_request {
	const char *method;
	const char *key; /* NULL: the bucket */
	const char *query; /* encoded; NULL for none */
	struct dal_pairs headers; /* owned; dal_s3_request_done() */
	const struct dal_body *body; /* NULL for none */
	const char *sha256; /* of the body in hex; NULL: not known, sent unsigned over TLS */
	struct dal_s3_answer answer; /* filled when the server refused */
};

void dal_s3_request_done(struct dal_s3_request *req);

/* Adds a header; a NULL value adds none. False when memory has run out. */
DAL_MUST_CHECK bool dal_s3_header(struct dal_s3_request *req, const char *name, const char *value);

/*
 * Sends @req. 0 only for a 2xx status; the caller owns *ret_resp. A refusal is mapped to a kind, its details
 * are in req->answer.
 */
int dal_s3_send(struct dal_s3 *s, struct dal_call *call, struct dal_s3_request *req,
	struct dal_http_response **ret_resp);

/* Reads the rest of an answer, so that its connection can be used again. Failures mean nothing here. */
void dal_s3_drain(struct dal_call *call, struct dal_http_response *resp);

/* dal_s3_send() for requests whose answer is of no interest beyond success. */
int dal_s3_send_only(struct dal_s3 *s, struct dal_call *call, struct dal_s3_request *req);

/*
 * dal_s3_send(), and parses the answer with @sink. Anything but the promised XML is a temporary failure; an
 * <Error> in a 200 fails as one with that code does.
 */
int dal_s3_send_xml(struct dal_s3 *s, struct dal_call *call, struct dal_s3_request *req,
	const struct dal_s3_xml_sink *sink);

/* Records what @req->answer means, in words for the user. Returns -kind. */
int dal_s3_refused(struct dal_s3 *s, struct dal_call *call, const struct dal_s3_request *req);
/* Records a temporary failure of @req for a wrong answer: "PUT s3://b/k: the answer has no ETag". */
int dal_s3_wrong_answer(
	struct dal_s3 *s, struct dal_call *call, const struct dal_s3_request *req, const char *why);

/* Adds "name=value" to a query, the value encoded; a NULL value leaves the name alone. */
DAL_MUST_CHECK bool dal_s3_query(struct dal_buf *query, const char *name, const char *value);

/* Whether @text is UTF-8, as S3's keys are. */
bool dal_s3_is_utf8(const char *text);

/* Where @key is for @region: the Host header's value, and the encoded path without a query. */
DAL_MUST_CHECK bool dal_s3_address(const struct dal_s3 *s, const char *region, const char *key,
	struct dal_buf *ret_host, struct dal_buf *ret_path);
/* A copy of the region in use. */
void dal_s3_region(struct dal_s3 *s, char ret[DAL_S3_REGION_MAX]);
/* The time by the server's clock. */
int64_t dal_s3_wall(struct dal_s3 *s);
