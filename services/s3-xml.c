/* SPDX-License-Identifier: Apache-2.0 */

/*
 * expat, with a stack that is only a depth: level 1 is the root, level 2 a value or a record, level 3 a value
 * in a record. The text of the innermost element gathers in one buffer, which is handed over when the element
 * ends and was a leaf.
 *
 *   <ListBucketResult>          1   must be the promised root, or Error
 *     <Name>bucket</Name>       2   leaf: field(NULL, "Name", "bucket")
 *     <Contents>                2   record
 *       <Key>a</Key>            3   leaf: field("Contents", "Key", "a")
 *       <Owner><ID>...          4   ignored
 *
 * Keys may hold control characters, which XML 1.0 forbids, even as references. Servers write the references
 * all the same ("&#x01;", AWS and Ceph), where they do not URL-encode, and expat would refuse the whole page
 * for one odd key. So such a reference is replaced, before expat sees it, by one of the 32 "noncharacters"
 * U+FDD0 to U+FDEF, which no text has, and turned into the control character in the finished text.
 */

#include <stdlib.h>
#include <string.h>

#include <expat.h>

#include "services/s3-xml.h"

/* The longest element name that is kept: none of S3's is near. */
#define NAME_MAX_LEN 64
/* The longest reference to a control character that is recognised: "&#x00001f;" */
#define REFERENCE_MAX 12
/* U+FDD0 in UTF-8 is EF B7 90. */
#define STAND_IN_0 0xEF
#define STAND_IN_1 0xB7
#define STAND_IN_2 0x90

struct dal_s3_xml {
	XML_Parser parser; /* owned */
	const struct dal_s3_xml_sink *sink; /* borrowed */
	struct dal_buf text; /* of the innermost element */
	struct dal_buf clean; /* the bytes being fed, without forbidden references */
	char held[REFERENCE_MAX]; /* what may be the beginning of a reference */
	size_t held_len;
	char record[NAME_MAX_LEN]; /* the name at level 2 */
	char name[NAME_MAX_LEN]; /* the name of the element opened last */
	unsigned depth;
	bool leaf; /* nothing was inside the innermost element so far */
	bool started; /* a byte other than white space has come */
	bool is_error;
	bool done; /* the root has ended */
	uint64_t total;
	const char *why; /* NULL while all is well */
	struct dal_s3_error error;
};

static void broken(struct dal_s3_xml *x, const char *why)
{
	if (!x->why)
		x->why = why;
	XML_StopParser(x->parser, XML_FALSE);
}

static void copy_name(char *dst, const char *src)
{
	const char *colon = strrchr(src, ':'); /* prefixes of namespaces mean nothing here */
	size_t len;

	src = colon ? colon + 1 : src;
	len = strnlen(src, NAME_MAX_LEN - 1);
	memcpy(dst, src, len);
	dst[len] = '\0';
}

static bool is_promised(const char *promised, const char *root)
{
	size_t len = strlen(root);

	for (const char *p = promised; p; p = strchr(p, '|')) {
		p += *p == '|';
		if (!strncmp(p, root, len) && (p[len] == '\0' || p[len] == '|'))
			return true;
	}
	return false;
}

static void XMLCALL on_start(void *arg, const char *name, const char **attrs)
{
	struct dal_s3_xml *x = arg;

	if (x->why)
		return;
	if (++x->depth > DAL_S3_XML_DEPTH_MAX) {
		broken(x, "XML too deep");
		return;
	}
	copy_name(x->name, name);
	if (x->depth == 1) {
		x->is_error = !strcmp(x->name, "Error");
		if (!x->is_error && (!x->sink || !is_promised(x->sink->root, x->name)))
			broken(x, "not the XML that was promised");
	} else if (x->depth == 2) {
		memcpy(x->record, x->name, sizeof(x->record));
	}
	x->leaf = true;
	dal_buf_clear(&x->text);
}

static void set(char *dst, size_t size, const char *text)
{
	size_t len = strnlen(text, size - 1);

	memcpy(dst, text, len);
	dst[len] = '\0';
}

static void error_field(struct dal_s3_error *e, const char *name, const char *text)
{
	if (!strcmp(name, "Code"))
		set(e->code, sizeof(e->code), text);
	else if (!strcmp(name, "Message"))
		set(e->message, sizeof(e->message), text);
	else if (!strcmp(name, "RequestId"))
		set(e->request_id, sizeof(e->request_id), text);
	else if (!strcmp(name, "Region"))
		set(e->region, sizeof(e->region), text);
	else if (!strcmp(name, "Endpoint"))
		set(e->endpoint, sizeof(e->endpoint), text);
}

/* Puts the control characters back that stand-ins stand for. False for a NUL, which no key here can have. */
static bool restore(char *text)
{
	char *out = text;

	if (!strchr(text, STAND_IN_0))
		return true;
	for (const unsigned char *in = (const unsigned char *)text; *in; in++) {
		if (in[0] == STAND_IN_0 && in[1] == STAND_IN_1 && in[2] >= STAND_IN_2 &&
			in[2] < STAND_IN_2 + 32) {
			if (in[2] == STAND_IN_2)
				return false;
			*out++ = (char)(in[2] - STAND_IN_2);
			in += 2;
			continue;
		}
		*out++ = (char)*in;
	}
	*out = '\0';
	return true;
}

static void XMLCALL on_end(void *arg, const char *name)
{
	struct dal_s3_xml *x = arg;
	const char *text = x->text.data ? x->text.data : "";
	bool ok = !x->leaf || !x->text.data || restore(x->text.data);

	if (x->why)
		return;
	if (!ok) {
		/* reported below */
	} else if (x->is_error) {
		if (x->leaf && x->depth == 2)
			error_field(&x->error, x->name, text);
	} else if (x->leaf && (x->depth == 2 || x->depth == 3)) {
		ok = x->sink->field(x->sink->arg, x->depth == 3 ? x->record : NULL, x->name, text);
	} else if (x->depth == 2 && x->sink->record_end) {
		ok = x->sink->record_end(x->sink->arg, x->record);
	}
	if (!ok)
		broken(x, "a value makes no sense");
	x->depth--;
	x->leaf = false;
	x->done = x->depth == 0;
	dal_buf_clear(&x->text);
}

static void XMLCALL on_text(void *arg, const char *text, int len)
{
	struct dal_s3_xml *x = arg;

	if (!x->why && x->leaf && x->text.len + (size_t)len > x->text.max)
		broken(x, "XML text too long");
	else if (!x->why && x->leaf && !dal_buf_append(&x->text, text, (size_t)len))
		broken(x, "out of memory");
}

static void XMLCALL on_doctype(
	void *arg, const char *name, const char *sysid, const char *pubid, int internal)
{
	broken(arg, "XML with a DOCTYPE is refused");
}

struct dal_s3_xml *dal_s3_xml_new(const struct dal_s3_xml_sink *sink)
{
	struct dal_s3_xml *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->sink = sink;
	x->text = (struct dal_buf)DAL_BUF_INIT(DAL_S3_XML_TEXT_MAX);
	x->clean = (struct dal_buf)DAL_BUF_INIT(DAL_S3_XML_MAX);
	x->parser = XML_ParserCreate(NULL);
	if (!x->parser)
		return dal_s3_xml_free(x);
	XML_SetUserData(x->parser, x);
	XML_SetElementHandler(x->parser, on_start, on_end);
	XML_SetCharacterDataHandler(x->parser, on_text);
	XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
	return x;
}

struct dal_s3_xml *dal_s3_xml_free(struct dal_s3_xml *x)
{
	if (!x)
		return NULL;
	if (x->parser)
		XML_ParserFree(x->parser);
	dal_buf_done(&x->text);
	dal_buf_done(&x->clean);
	free(x);
	return NULL;
}

void dal_s3_xml_freep(struct dal_s3_xml **x)
{
	*x = dal_s3_xml_free(*x);
}

/* The forbidden control character that reference @ref, "&#x01;" or "&#1;", means; -1 for others. */
static int control_of(const char *ref, size_t len)
{
	bool hex = len > 3 && (ref[2] == 'x' || ref[2] == 'X');
	unsigned value = 0;

	for (size_t i = hex ? 3 : 2; i + 1 < len; i++) {
		char c = ref[i];
		unsigned digit = c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);

		value = value * (hex ? 16 : 10) + digit;
		if (value >= ' ')
			return -1;
	}
	return len < 4 || value == '\t' || value == '\n' || value == '\r' ? -1 : (int)value;
}

/* Whether @c may come after @len bytes of a numeric reference. */
static bool goes_on(const char *held, size_t len, char c)
{
	bool hex = len >= 3 && (held[2] == 'x' || held[2] == 'X');
	bool digit = c >= '0' && c <= '9';
	bool hex_digit = digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');

	if (len == 1)
		return c == '#';
	if (len == 2)
		return digit || c == 'x' || c == 'X';
	return c == ';' || (hex ? hex_digit : digit);
}

/* Moves bytes to x->clean; what may be a reference waits in x->held for its end. */
static bool clean(struct dal_s3_xml *x, const char *p, size_t len)
{
	const char *end = p + len;

	while (p < end) {
		const char *amp;
		int control;

		if (!x->held_len) {
			amp = memchr(p, '&', (size_t)(end - p));
			if (!dal_buf_append(&x->clean, p, (size_t)((amp ? amp : end) - p)))
				return false;
			p = amp ? amp + 1 : end;
			if (amp)
				x->held[x->held_len++] = '&';
			continue;
		}
		if (x->held_len == REFERENCE_MAX || !goes_on(x->held, x->held_len, *p)) {
			if (!dal_buf_append(&x->clean, x->held, x->held_len))
				return false;
			x->held_len = 0;
			continue;
		}
		x->held[x->held_len++] = *p++;
		if (p[-1] != ';')
			continue;
		control = control_of(x->held, x->held_len);
		if (control < 0 ? !dal_buf_append(&x->clean, x->held, x->held_len)
				: !dal_buf_printf(
					  &x->clean, "%c%c%c", STAND_IN_0, STAND_IN_1, STAND_IN_2 + control))
			return false;
		x->held_len = 0;
	}
	return true;
}

bool dal_s3_xml_feed(struct dal_s3_xml *x, const char *bytes, size_t len)
{
	if (x->why)
		return false;
	x->total += len;
	if (x->total > DAL_S3_XML_MAX) {
		broken(x, "XML answer too long");
		return false;
	}
	while (!x->started && len && strchr(" \t\r\n", *bytes) && *bytes) {
		bytes++;
		len--;
	}
	if (!len)
		return true;
	x->started = true;
	dal_buf_clear(&x->clean);
	if (!clean(x, bytes, len))
		broken(x, "out of memory");
	else if (x->clean.len &&
		 XML_Parse(x->parser, x->clean.data, (int)x->clean.len, 0) == XML_STATUS_ERROR && !x->why)
		x->why = "not well-formed XML";
	return !x->why;
}

enum dal_s3_xml_result dal_s3_xml_finish(struct dal_s3_xml *x)
{
	if (!x->why && !x->started)
		x->why = "empty answer where XML was promised";
	if (!x->why && XML_Parse(x->parser, x->held, (int)x->held_len, 1) == XML_STATUS_ERROR && !x->why)
		x->why = x->done ? "not well-formed XML" : "XML answer cut short";
	if (!x->why && x->is_error && !x->error.code[0])
		x->why = "an error without a code";
	if (x->why)
		return DAL_S3_XML_BROKEN;
	return x->is_error ? DAL_S3_XML_ERROR : DAL_S3_XML_GOOD;
}

const struct dal_s3_error *dal_s3_xml_error(const struct dal_s3_xml *x)
{
	return &x->error;
}

const char *dal_s3_xml_why(const struct dal_s3_xml *x)
{
	return x->why ? x->why : "";
}

bool dal_s3_want_field(void *arg, const char *record, const char *name, const char *text)
{
	for (struct dal_s3_want *w = arg; !record && w->name; w++) {
		if (strcmp(w->name, name) != 0)
			continue;
		free(*w->value);
		*w->value = dal_strdup(text);
		return *w->value != NULL;
	}
	return true;
}

bool dal_s3_xml_put(struct dal_buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool ok;

		if (c == '&')
			ok = dal_buf_puts(out, "&amp;");
		else if (c == '<')
			ok = dal_buf_puts(out, "&lt;");
		else if (c == '>')
			ok = dal_buf_puts(out, "&gt;");
		else if (c == '"')
			ok = dal_buf_puts(out, "&quot;");
		else if (c == '\t' || c == '\n' || c == '\r')
			ok = dal_buf_printf(out, "&#%u;", c);
		else
			ok = c >= ' ' && dal_buf_append(out, text, 1);
		if (!ok)
			return false;
	}
	return true;
}
