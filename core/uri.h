/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where a store is, as users write it:
 *
 *   scheme://authority/path?name=value&name=value     s3://bucket/prefix?region=eu-west-1
 *   NAME:path                                         a remote of the config file
 *   /path, ./path, ../path                            a local path (service fs)
 *
 * Percent-escapes are decoded in the path and the query of the first form, and nothing in the others. A user
 * name and password in the authority are refused when a password is there: it would show in process lists.
 */

#include "core/call.h"
#include "core/meta.h"

enum dal_uri_kind {
	DAL_URI_SCHEME,
	DAL_URI_REMOTE,
	DAL_URI_LOCAL,
};

struct dal_uri {
	enum dal_uri_kind kind;
	char *scheme; /* owned; or the remote's name; "fs" for a local path */
	char *authority; /* owned; "" when there is none */
	char *path; /* owned; without the leading '/', but for local paths, which are kept as written */
	struct dal_pairs query;
};

/* DAL_CONFIG_INVALID with a sentence when @text is none of the forms. *ret_uri is set only on success. */
int dal_uri_parse(struct dal_call *call, const char *text, struct dal_uri *ret_uri);
void dal_uri_done(struct dal_uri *uri);

/* Percent-encodes all but the unreserved characters of RFC 3986 (and '/' when @keep_slash). Caller owns;
 * NULL: no memory. */
char *dal_uri_encode(const char *text, bool keep_slash);
/* Decodes %XX; NULL when an escape is broken, a NUL would result, or memory has run out. Caller owns. */
char *dal_uri_decode(const char *text);
