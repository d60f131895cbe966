/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The answers that are lists: objects, uploads, and what could not be deleted.
 *
 * Keys come URL-encoded, because XML cannot carry every byte; which they are is said by <EncodingType>, and
 * servers differ in where they put it, so decoding waits for the end of the answer. Objects and common
 * prefixes come as two sorted runs and are merged by a sort. Uploads are listed without that encoding: Ceph
 * encodes their keys and does not say so.
 */

#include <stdlib.h>
#include <string.h>

#include "core/service.h"
#include "services/http-client.h"
#include "services/s3-xml.h"

/* Entries of one answer, whatever the server thinks a page is. */
#define ENTRIES_MAX 100000

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes in place, '+' as a space, as AWS and MinIO encode it. False for a broken escape; *ret_nul: a NUL is
 * in the key. */
static bool decode(char *key, bool *ret_nul)
{
	char *out = key;

	for (const char *in = key; *in; in++) {
		int hi, lo;

		if (*in != '%') {
			*out++ = *in == '+' ? ' ' : *in;
			continue;
		}
		hi = hex_digit(in[1]);
		lo = hi < 0 ? -1 : hex_digit(in[2]);
		if (lo < 0)
			return false;
		if (!hi && !lo)
			*ret_nul = true;
		*out++ = (char)(hi * 16 + lo);
		in += 2;
	}
	*out = '\0';
	return true;
}

static bool replace(char **dst, const char *text)
{
	free(*dst);
	*dst = dal_strdup(text);
	return *dst != NULL;
}

static bool contents_field(struct dal_s3_listing *l, const char *name, const char *text)
{
	struct dal_meta *m;

	if (!l->entry) {
		l->entry = l->page->n < ENTRIES_MAX ? dal_page_add(l->page, "") : NULL;
		if (!l->entry)
			return false;
	}
	m = &l->entry->meta;
	if (!strcmp(name, "Key"))
		return *text && replace(&l->entry->path, text);
	if (!strcmp(name, "Size"))
		return m->has_size = dal_parse_u64(text, &m->size);
	if (!strcmp(name, "ETag"))
		return replace(&m->etag, text);
	if (!strcmp(name, "StorageClass"))
		return replace(&m->storage_class, text);
	if (!strcmp(name, "LastModified"))
		dal_http_date(text, &m->mtime_ns); /* an odd form of date is no reason to lose the folder */
	return true;
}

static bool listing_field(void *arg, const char *record, const char *name, const char *text)
{
	struct dal_s3_listing *l = arg;

	if (record && !strcmp(record, "Contents"))
		return contents_field(l, name, text);
	if (record && !strcmp(record, "CommonPrefixes") && !strcmp(name, "Prefix")) {
		struct dal_entry *e = *text && l->page->n < ENTRIES_MAX ? dal_page_add(l->page, text) : NULL;

		if (e)
			e->meta.type = DAL_TYPE_DIR;
		return e != NULL;
	}
	if (record)
		return true;
	if (!strcmp(name, "Contents") || !strcmp(name, "CommonPrefixes"))
		return false; /* a record with nothing in it */
	if (!strcmp(name, "IsTruncated"))
		l->truncated = !strcmp(text, "true");
	else if (!strcmp(name, "EncodingType"))
		l->encoded = !strcmp(text, "url");
	else if (*text && !strcmp(name, "NextContinuationToken"))
		return replace(&l->next, text);
	return true;
}

static bool listing_record_end(void *arg, const char *record)
{
	struct dal_s3_listing *l = arg;
	bool ok = true;

	if (strcmp(record, "Contents") != 0)
		return true;
	/* A record without a key or a size is no object: size 0 must not be made up. */
	ok = l->entry && *l->entry->path && l->entry->meta.has_size;
	l->entry = NULL;
	return ok;
}

struct dal_s3_xml_sink dal_s3_listing_sink(struct dal_s3_listing *l)
{
	return (struct dal_s3_xml_sink){
		.root = "ListBucketResult|ListObjectsV2Result",
		.field = listing_field,
		.record_end = listing_record_end,
		.arg = l,
	};
}

static int by_path(const void *a, const void *b)
{
	const struct dal_entry *x = a, *y = b;

	return strcmp(x->path, y->path);
}

/* Drops the entries whose key was given up: marked by an empty one. */
static void drop_unnamed(struct dal_page *page)
{
	size_t kept = 0;

	for (size_t i = 0; i < page->n; i++) {
		struct dal_entry *e = &page->v[i];

		if (*e->path) {
			page->v[kept++] = *e;
			continue;
		}
		free(e->path);
		dal_meta_done(&e->meta);
	}
	page->n = kept;
}

bool dal_s3_listing_finish(struct dal_s3_listing *l)
{
	struct dal_page *page = l->page;
	bool sorted = true, unnamed = false;

	for (size_t i = 0; i < page->n; i++) {
		struct dal_entry *e = &page->v[i];
		bool nul = false;

		if (l->encoded && !decode(e->path, &nul))
			return false;
		/* C strings cannot carry such a key: it is left out, not its folder. */
		if (nul)
			*e->path = '\0';
		unnamed = unnamed || nul;
		if (!e->meta.type)
			e->meta.type = dal_ends_with(e->path, "/") ? DAL_TYPE_DIR : DAL_TYPE_FILE;
		sorted = sorted && (!i || by_path(e - 1, e) < 0);
	}
	if (unnamed)
		drop_unnamed(page);
	if (!sorted)
		qsort(page->v, page->n, sizeof(*page->v), by_path);
	return true;
}

void dal_s3_listing_done(struct dal_s3_listing *l)
{
	free(l->next);
	l->next = NULL;
}

static struct dal_upload *add_upload(struct dal_s3_uploads *u)
{
	if (u->n == u->cap) {
		size_t cap = u->cap ? 2 * u->cap : 16;
		struct dal_upload *v = u->n < ENTRIES_MAX ? reallocarray(u->v, cap, sizeof(*v)) : NULL;

		if (!v)
			return NULL;
		u->v = v;
		u->cap = cap;
	}
	u->v[u->n] = (struct dal_upload){ 0 };
	return &u->v[u->n];
}

static bool uploads_field(void *arg, const char *record, const char *name, const char *text)
{
	struct dal_s3_uploads *u = arg;

	if (record && !strcmp(record, "Upload")) {
		/* v[n], beyond the count, is the record being read. */
		if (!u->open && !add_upload(u))
			return false;
		u->open = true;
		if (!strcmp(name, "Key"))
			return replace(&u->v[u->n].path, text);
		if (!strcmp(name, "UploadId"))
			return replace(&u->v[u->n].id, text);
		if (!strcmp(name, "Initiated"))
			dal_http_date(text, &u->v[u->n].started_ns);
		return true;
	}
	if (record)
		return true;
	if (!strcmp(name, "Upload"))
		return false;
	if (!strcmp(name, "IsTruncated"))
		u->truncated = !strcmp(text, "true");
	else if (!strcmp(name, "NextKeyMarker"))
		return replace(&u->next_key, text);
	else if (!strcmp(name, "NextUploadIdMarker"))
		return replace(&u->next_id, text);
	return true;
}

static bool uploads_record_end(void *arg, const char *record)
{
	struct dal_s3_uploads *u = arg;

	if (strcmp(record, "Upload") != 0)
		return true;
	if (!u->open || !u->v[u->n].path || !u->v[u->n].id)
		return false;
	u->n++;
	u->open = false;
	return true;
}

struct dal_s3_xml_sink dal_s3_uploads_sink(struct dal_s3_uploads *u)
{
	return (struct dal_s3_xml_sink){
		.root = "ListMultipartUploadsResult",
		.field = uploads_field,
		.record_end = uploads_record_end,
		.arg = u,
	};
}

void dal_s3_uploads_done(struct dal_s3_uploads *u)
{
	for (size_t i = 0; i < u->n + u->open; i++) {
		free(u->v[i].id);
		free(u->v[i].path);
	}
	free(u->v);
	free(u->next_key);
	free(u->next_id);
	*u = (struct dal_s3_uploads){ 0 };
}

static void set(char *dst, size_t size, const char *text)
{
	size_t len = strnlen(text, size - 1);

	memcpy(dst, text, len);
	dst[len] = '\0';
}

static bool deleted_field(void *arg, const char *record, const char *name, const char *text)
{
	struct dal_s3_deleted *d = arg;

	if (!record || strcmp(record, "Error") != 0)
		return true;
	if (!strcmp(name, "Key"))
		return replace(&d->key, text);
	if (!strcmp(name, "Code"))
		set(d->now.code, sizeof(d->now.code), text);
	else if (!strcmp(name, "Message"))
		set(d->now.message, sizeof(d->now.message), text);
	return true;
}

static bool deleted_record_end(void *arg, const char *record)
{
	struct dal_s3_deleted *d = arg;
	bool known = false;

	if (strcmp(record, "Error") != 0)
		return true;
	/* What was not there is a success, here as everywhere. */
	if (strcmp(d->now.code, "NoSuchKey") != 0) {
		for (size_t i = 0; i < d->n; i++) {
			if (d->key && !strcmp(d->paths[i], d->key))
				d->failed[i] = known = true;
		}
		/* An error for something that was not asked about: nothing can be said to be gone. */
		for (size_t i = 0; !known && i < d->n; i++)
			d->failed[i] = true;
		if (!d->errors++)
			d->first = d->now;
	}
	free(d->key);
	d->key = NULL;
	d->now = (struct dal_s3_error){ 0 };
	return true;
}

struct dal_s3_xml_sink dal_s3_deleted_sink(struct dal_s3_deleted *d)
{
	return (struct dal_s3_xml_sink){
		.root = "DeleteResult",
		.field = deleted_field,
		.record_end = deleted_record_end,
		.arg = d,
	};
}

void dal_s3_deleted_done(struct dal_s3_deleted *d)
{
	free(d->key);
	d->key = NULL;
}
