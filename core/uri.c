/* SPDX-License-Identifier: Apache-2.0 */

/*
 * URIs, cut from the left: "://" makes it a URI of a scheme, a word and ':' a remote, '/' or '.' a local
 * path. A '#' is part of the path, since object keys may hold it and nothing here has fragments.
 */

#include "core/uri.h"

#include <stdlib.h>
#include <string.h>

/* Longer ones are no URIs of anything. */
#define URI_MAX_LEN 8192

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

char *dal_uri_encode(const char *text, bool keep_slash)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = malloc(strlen(text) * 3 + 1), *p = out;

	if (!out)
		return NULL;
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (is_alnum(*text) || strchr("-._~", c) || (keep_slash && c == '/')) {
			*p++ = *text;
			continue;
		}
		*p++ = '%';
		*p++ = hex[c >> 4];
		*p++ = hex[c & 15];
	}
	*p = '\0';
	return out;
}

/* Decodes the @len bytes at @text. */
static char *decode(const char *text, size_t len)
{
	DAL_CLEANUP(dal_mem_freep) char *out = malloc(len + 1);
	size_t i, n = 0;

	if (!out)
		return NULL;
	for (i = 0; i < len; i++) {
		int hi, lo;

		if (text[i] != '%') {
			out[n++] = text[i];
			continue;
		}
		if (i + 2 >= len)
			return NULL;
		hi = hex_digit(text[i + 1]);
		lo = hex_digit(text[i + 2]);
		if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
			return NULL;
		out[n++] = (char)(hi << 4 | lo);
		i += 2;
	}
	out[n] = '\0';
	return dal_take(&out);
}

char *dal_uri_decode(const char *text)
{
	return decode(text, strlen(text));
}

void dal_uri_done(struct dal_uri *uri)
{
	free(uri->scheme);
	free(uri->authority);
	free(uri->path);
	dal_pairs_done(&uri->query);
	*uri = (struct dal_uri){ 0 };
}

/* Cuts "name=value&name=value"; a name alone gets "". */
static int parse_query(struct dal_call *call, const char *text, struct dal_pairs *query)
{
	while (*text) {
		size_t len = strcspn(text, "&");
		const char *eq = memchr(text, '=', len);
		size_t name_len = eq ? (size_t)(eq - text) : len;
		DAL_CLEANUP(dal_mem_freep) char *name = decode(text, name_len);
		DAL_CLEANUP(dal_mem_freep) char *value = eq ? decode(eq + 1, len - name_len - 1) : strdup("");

		if (!name || !value)
			return dal_fail(call, DAL_CONFIG_INVALID, "the URI's query has a broken %%-escape");
		if (len > 0 && !*name)
			return dal_fail(
				call, DAL_CONFIG_INVALID, "the URI's query has a value without a name");
		if (len > 0 && !dal_pairs_set(query, name, value))
			return dal_fail_nomem(call);
		text += len;
		if (*text)
			text++;
	}
	return 0;
}

static int check_authority(struct dal_call *call, const char *authority)
{
	const char *at = strrchr(authority, '@');
	const char *p;

	if (at && memchr(authority, ':', (size_t)(at - authority)))
		return dal_fail(call, DAL_CONFIG_INVALID,
			"a password in a URI shows in process lists: give it as an option from the "
			"environment or from "
			"the config file (mode 0600)");
	for (p = authority; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return dal_fail(call, DAL_CONFIG_INVALID,
				"the URI's host or bucket has a space or control character");
	return 0;
}

/* @text: "scheme://…", @sep points at "://". */
static int parse_scheme(struct dal_call *call, const char *text, const char *sep, struct dal_uri *uri)
{
	const char *authority = sep + 3;
	size_t authority_len = strcspn(authority, "/?");
	const char *path = authority + authority_len;
	size_t path_len = strcspn(path, "?");
	const char *query = path + path_len;
	int r;

	uri->kind = DAL_URI_SCHEME;
	uri->scheme = strndup(text, (size_t)(sep - text));
	uri->authority = strndup(authority, authority_len);
	if (!uri->scheme || !uri->authority)
		return dal_fail_nomem(call);
	r = check_authority(call, uri->authority);
	if (r < 0)
		return r;
	if (path_len > 0) {
		path++;
		path_len--;
	}
	uri->path = decode(path, path_len);
	if (!uri->path)
		return dal_fail(call, DAL_CONFIG_INVALID,
			"%.200s: a broken %%-escape in the path; a '%%' itself is written %%25", text);
	return *query ? parse_query(call, query + 1, &uri->query) : 0;
}

static int parse_remote(struct dal_call *call, const char *text, size_t name_len, struct dal_uri *uri)
{
	const char *path = text + name_len + 1;

	uri->kind = DAL_URI_REMOTE;
	uri->scheme = strndup(text, name_len);
	uri->authority = strdup("");
	uri->path = strdup(path + strspn(path, "/"));
	return uri->scheme && uri->authority && uri->path ? 0 : dal_fail_nomem(call);
}

static int parse_local(struct dal_call *call, const char *text, struct dal_uri *uri)
{
	uri->kind = DAL_URI_LOCAL;
	uri->scheme = strdup("fs");
	uri->authority = strdup("");
	uri->path = strdup(text);
	return uri->scheme && uri->authority && uri->path ? 0 : dal_fail_nomem(call);
}

static bool is_local(const char *text)
{
	return text[0] == '/' || strcmp(text, ".") == 0 || strcmp(text, "..") == 0 ||
	       dal_starts_with(text, "./") || dal_starts_with(text, "../");
}

/* The length of a scheme or remote name at the start of @text. */
static size_t name_len(const char *text)
{
	size_t n = 0;

	while (is_alnum(text[n]) || (n > 0 && text[n] && strchr("+-._", text[n])))
		n++;
	return n;
}

static int parse(struct dal_call *call, const char *text, struct dal_uri *uri)
{
	size_t n = name_len(text);

	if (strnlen(text, URI_MAX_LEN + 1) > URI_MAX_LEN)
		return dal_fail(call, DAL_CONFIG_INVALID, "a URI of more than %d bytes", URI_MAX_LEN);
	if (is_local(text))
		return parse_local(call, text, uri);
	if (n > 0 && dal_starts_with(text + n, "://"))
		return parse_scheme(call, text, text + n, uri);
	if (n > 0 && text[n] == ':')
		return parse_remote(call, text, n, uri);
	if (!*text)
		return dal_fail(
			call, DAL_CONFIG_INVALID, "an empty URI; write scheme://…, NAME:path or a path");
	return dal_fail(call, DAL_CONFIG_INVALID,
		"%.100s: neither scheme://…, NAME:path nor a path; a path here is written ./%.60s", text,
		text);
}

int dal_uri_parse(struct dal_call *call, const char *text, struct dal_uri *ret_uri)
{
	struct dal_uri uri = { 0 };
	int r = parse(call, text, &uri);

	if (r < 0) {
		dal_uri_done(&uri);
		return r;
	}
	*ret_uri = uri;
	return 0;
}
