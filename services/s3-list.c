/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ListObjectsV2, or the first version where asked for. Keys are always asked for URL-encoded: one odd key
 * never costs a folder. A page that is not complete and well-formed to its end is a failure; an empty folder
 * is only what says so itself.
 */

#include <stdlib.h>
#include <string.h>

#include "services/s3-headers.h"

/* Continuation tokens may carry a key of 1,024 bytes in base64, encoded once more. */
#define QUERY_MAX (32 * 1024)

/* Never one: MinIO takes a page of nothing but the marker named as the prefix for the last one. */
static unsigned page_size(uint32_t limit)
{
	return limit < 2 ? 2 : DAL_MIN(limit, 1000u);
}

static bool list_query(const struct dal_s3 *s, const char *prefix, const struct dal_list_args *args,
	const char *token, struct dal_buf *query)
{
	bool ok = s->list_v1 || dal_s3_query(query, "list-type", "2");

	ok = ok && dal_s3_query(query, "encoding-type", "url");
	if (ok && !args->recursive)
		ok = dal_s3_query(query, "delimiter", "/");
	if (ok && *prefix)
		ok = dal_s3_query(query, "prefix", prefix);
	if (ok && args->limit)
		ok = dal_buf_printf(query, "&max-keys=%u", page_size(args->limit));
	if (ok && s->list_v1 && (token || args->start_after))
		ok = dal_s3_query(query, "marker", token ? token : args->start_after);
	else if (ok && token)
		ok = dal_s3_query(query, "continuation-token", token);
	else if (ok && args->start_after)
		ok = dal_s3_query(query, "start-after", args->start_after);
	return ok;
}

/* Checks and keeps how the listing goes on. */
static int next_page(
	struct dal_s3 *s, struct dal_call *call, const struct dal_s3_request *req, struct dal_s3_listing *l)
{
	if (!l->truncated)
		return 0;
	/*
	 * The first version goes on from a key. What it offers as NextMarker comes only with a delimiter, and
	 * encoded or not as the server likes; the last key of the page, prefixes included, is the same.
	 */
	if (!l->next && s->list_v1 && l->page->n) {
		l->next = dal_strdup(l->page->v[l->page->n - 1].path);
		if (!l->next)
			return dal_fail_nomem(call);
	}
	if (!l->next)
		return dal_s3_wrong_answer(
			s, call, req, "the listing is cut short and does not say how it goes on");
	l->page->next = dal_take(&l->next);
	return 0;
}

int dal_s3_list(struct dal_backend *b, struct dal_call *call, const char *prefix,
	const struct dal_list_args *args, const char *token, struct dal_page *ret_page)
{
	struct dal_s3 *s = dal_s3_of(b);
	struct dal_s3_request req = { .method = "GET" };
	struct dal_buf query = DAL_BUF_INIT(QUERY_MAX);
	struct dal_page page = { 0 };
	struct dal_s3_listing l = { .page = &page };
	struct dal_s3_xml_sink sink = dal_s3_listing_sink(&l);
	bool ok = list_query(s, prefix, args, token, &query) &&
		  dal_s3_header(&req, "x-amz-request-payer", s->request_payer ? "requester" : NULL);
	int r = ok ? 0 : dal_fail_nomem(call);

	/* No key begins with what is not UTF-8, and some servers would repeat it in XML that is none. */
	if (!dal_s3_is_utf8(prefix)) {
		dal_s3_request_done(&req);
		dal_buf_done(&query);
		*ret_page = page;
		return r;
	}
	req.query = query.data;
	if (!r)
		r = dal_s3_send_xml(s, call, &req, &sink);
	if (!r && !dal_s3_listing_finish(&l))
		r = dal_s3_wrong_answer(s, call, &req, "a key in the listing is not decodable");
	if (!r)
		r = next_page(s, call, &req, &l);
	if (r < 0) {
		dal_call_context(call, r, "list %.100s", prefix);
		dal_page_done(&page);
	} else {
		*ret_page = page;
	}
	dal_s3_listing_done(&l);
	dal_s3_request_done(&req);
	dal_buf_done(&query);
	return r;
}
