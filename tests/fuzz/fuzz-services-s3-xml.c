/* SPDX-License-Identifier: Apache-2.0 */

/* Every answer of S3 that is parsed, with the bytes arriving in two pieces: where the first byte of the input
 * says. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/service.h"
#include "services/s3-xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum dal_s3_xml_result parse(
	const struct dal_s3_xml_sink *sink, const char *text, size_t len, size_t cut)
{
	struct dal_s3_xml *x = dal_s3_xml_new(sink);
	enum dal_s3_xml_result result;

	if (dal_s3_xml_feed(x, text, cut))
		dal_s3_xml_feed(x, text + cut, len - cut);
	result = dal_s3_xml_finish(x);
	assert((result == DAL_S3_XML_BROKEN) == (*dal_s3_xml_why(x) != '\0'));
	assert(result != DAL_S3_XML_ERROR || *dal_s3_xml_error(x)->code);
	dal_s3_xml_free(x);
	return result;
}

static void listing(const char *text, size_t len, size_t cut)
{
	struct dal_page page = { 0 };
	struct dal_s3_listing l = { .page = &page };
	struct dal_s3_xml_sink sink = dal_s3_listing_sink(&l);

	if (parse(&sink, text, len, cut) == DAL_S3_XML_GOOD && dal_s3_listing_finish(&l)) {
		for (size_t i = 0; i < page.n; i++) {
			assert(*page.v[i].path && page.v[i].meta.type);
			assert(page.v[i].meta.has_size || page.v[i].meta.type == DAL_TYPE_DIR);
			assert(!i || strcmp(page.v[i - 1].path, page.v[i].path) <= 0);
		}
	}
	dal_s3_listing_done(&l);
	dal_page_done(&page);
}

static void others(const char *text, size_t len, size_t cut)
{
	static const char *const paths[] = { "a", "b" };
	char *etag = NULL, *id = NULL;
	struct dal_s3_want wants[] = { { "ETag", &etag }, { "UploadId", &id }, { NULL, NULL } };
	struct dal_s3_xml_sink small = {
		.root = "CopyObjectResult|CopyPartResult|CompleteMultipartUploadResult|"
			"InitiateMultipartUploadResult",
		.field = dal_s3_want_field,
		.arg = wants
	};
	bool failed[2] = { false };
	struct dal_s3_deleted deleted = { .paths = paths, .n = 2, .failed = failed };
	struct dal_s3_uploads uploads = { 0 };
	struct dal_s3_xml_sink sink = dal_s3_deleted_sink(&deleted);

	parse(NULL, text, len, cut);
	parse(&small, text, len, cut);
	free(etag);
	free(id);
	parse(&sink, text, len, cut);
	dal_s3_deleted_done(&deleted);
	sink = dal_s3_uploads_sink(&uploads);
	if (parse(&sink, text, len, cut) == DAL_S3_XML_GOOD)
		for (size_t i = 0; i < uploads.n; i++)
			assert(uploads.v[i].path && uploads.v[i].id);
	dal_s3_uploads_done(&uploads);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	size_t cut;

	if (!size)
		return 0;
	cut = size > 1 ? data[0] % size : 0;
	listing(text, size - 1, cut < size ? cut : 0);
	others(text, size - 1, cut < size ? cut : 0);
	return 0;
}
