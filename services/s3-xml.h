/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * S3's XML answers, parsed as they arrive. All of them are of one shape: a root, values below it, and records
 * of values one level deeper. The parser hands over each value as its element ends and ignores what lies
 * deeper.
 *
 * An answer is good only when it is well-formed to its end and its root is the one that was promised. A
 * DOCTYPE, too deep a tree, too long a text or document make it broken: nothing of it may then be believed.
 * An <Error> in the place of what was promised is read as one, whatever the HTTP status said.
 *
 * Threads: a parser belongs to one call.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/meta.h"
#include "core/util.h"

/* The longest text of one element; a URL-encoded key of 1,024 bytes is at most 3,072. */
#define DAL_S3_XML_TEXT_MAX 16384
/* Elements within each other. */
#define DAL_S3_XML_DEPTH_MAX 16
/* The longest answer: a page of 1,000 long keys is under 4 MiB. */
#define DAL_S3_XML_MAX (32 * DAL_MIB)

/* What an <Error> said; texts are cut to what fits. */
struct dal_s3_error {
	char code[64];
	char message[200];
	char request_id[80];
	char region[40];
	char endpoint[256];
};

struct dal_s3_xml_sink {
	const char *root; /* the promised root, or several separated by '|' */
	/*
	 * One value: @record is the name of the record it is in, NULL right below the root. False stops the
	 * parser: the answer is broken, or memory has run out.
	 */
	bool (*field)(void *arg, const char *record, const char *name, const char *text);
	/* A record is complete; may be NULL. */
	bool (*record_end)(void *arg, const char *record);
	void *arg;
};

enum dal_s3_xml_result {
	DAL_S3_XML_GOOD, /* all of it was parsed */
	DAL_S3_XML_ERROR, /* an <Error>, in dal_s3_xml_error() */
	DAL_S3_XML_BROKEN, /* see dal_s3_xml_why() */
};

struct dal_s3_xml;

/* @sink is borrowed; NULL when only an <Error> is expected. NULL when memory has run out. */
struct dal_s3_xml *dal_s3_xml_new(const struct dal_s3_xml_sink *sink);
struct dal_s3_xml *dal_s3_xml_free(struct dal_s3_xml *x);
void dal_s3_xml_freep(struct dal_s3_xml **x);
/* The next bytes. False when there is no sense in going on. White space before the document is skipped. */
bool dal_s3_xml_feed(struct dal_s3_xml *x, const char *bytes, size_t len);
/* After the last byte: the verdict. */
enum dal_s3_xml_result dal_s3_xml_finish(struct dal_s3_xml *x);
/* Borrowed from @x. */
const struct dal_s3_error *dal_s3_xml_error(const struct dal_s3_xml *x);
const char *dal_s3_xml_why(const struct dal_s3_xml *x);

/* Values wanted from below the root of a small answer: *value is set to a copy, the caller frees it. */
struct dal_s3_want {
	const char *name;
	char **value;
};

/* A sink's `field` for an array of struct dal_s3_want ended by a NULL name, given as @arg. */
bool dal_s3_want_field(void *arg, const char *record, const char *name, const char *text);

/* What a page of ListObjects or ListObjectsV2 said. */
struct dal_s3_listing {
	struct dal_page *page; /* borrowed: entries are added with full keys */
	bool encoded; /* keys are URL-encoded: set by EncodingType, which servers send before or after the
			 keys */
	bool truncated;
	char *next; /* owned; NextContinuationToken, NULL for none */
	struct dal_entry *entry; /* borrowed; the record being read */
};
struct dal_s3_xml_sink dal_s3_listing_sink(struct dal_s3_listing *l);
/* Decodes the keys and sorts the entries. False: a key was not decodable. To be called once. */
bool dal_s3_listing_finish(struct dal_s3_listing *l);
void dal_s3_listing_done(struct dal_s3_listing *l);

/* A page of ListMultipartUploads; to be zeroed first. */
struct dal_s3_uploads {
	struct dal_upload *v; /* owned */
	size_t n, cap;
	bool truncated;
	bool open; /* v[n] is a record being read */
	char *next_key, *next_id; /* owned */
};
struct dal_s3_xml_sink dal_s3_uploads_sink(struct dal_s3_uploads *u);
void dal_s3_uploads_done(struct dal_s3_uploads *u);

/* The errors of a DeleteResult: @failed of each key named in an <Error>, the first kept. */
struct dal_s3_deleted {
	const char *const *paths; /* borrowed; what was asked for */
	size_t n;
	bool *failed; /* borrowed; n flags */
	size_t errors;
	struct dal_s3_error first;
	char *key; /* owned; of the record being read */
	struct dal_s3_error now;
};
struct dal_s3_xml_sink dal_s3_deleted_sink(struct dal_s3_deleted *d);
void dal_s3_deleted_done(struct dal_s3_deleted *d);

/* Puts @text as XML character data; false also for characters that XML 1.0 cannot carry. */
DAL_MUST_CHECK bool dal_s3_xml_put(struct dal_buf *out, const char *text);
