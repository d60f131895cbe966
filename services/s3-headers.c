/* SPDX-License-Identifier: Apache-2.0 */

/* One function per group of headers; who needs which group is the callers' affair. */

#include <stdlib.h>
#include <string.h>

#include "core/uri.h"
#include "services/s3-headers.h"

#define META_PREFIX "x-amz-meta-"

/* Whether HTTP and SigV4 carry @value unchanged: printable ASCII, no blanks that would be trimmed. */
static bool fits_header(const char *value)
{
	size_t len = strlen(value);

	for (const char *p = value; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p > '~' || (*p == ' ' && p[1] == ' '))
			return false;
	return !len || (value[0] != ' ' && value[len - 1] != ' ');
}

static bool fits_name(const char *name)
{
	for (const char *p = name; *p; p++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", *p))
			return false;
	return *name;
}

static int add_user(struct dal_call *call, struct dal_s3_request *req, const struct dal_pairs *user)
{
	for (size_t i = 0; user && i < user->n; i++) {
		DAL_CLEANUP(dal_mem_freep) char *name = dal_asprintf(META_PREFIX "%s", user->v[i].name);

		if (!fits_name(user->v[i].name) || !fits_header(user->v[i].value))
			return dal_fail(call, DAL_UNSUPPORTED,
				"%.100s: user metadata %.40s: S3 takes lower-case names and printable ASCII "
				"values",
				req->key, user->v[i].name);
		if (!name || !dal_s3_header(req, name, user->v[i].value))
			return dal_fail_nomem(call);
	}
	return 0;
}

bool dal_s3_headers_store(const struct dal_s3 *s, struct dal_s3_request *req)
{
	return dal_s3_header(req, "x-amz-server-side-encryption", s->sse) &&
	       dal_s3_header(req, "x-amz-server-side-encryption-aws-kms-key-id", s->sse_kms_key) &&
	       dal_s3_header(req, "x-amz-storage-class", s->storage_class) &&
	       dal_s3_header(req, "x-amz-acl", s->acl) && dal_s3_headers_access(s, req);
}

bool dal_s3_headers_access(const struct dal_s3 *s, struct dal_s3_request *req)
{
	return dal_s3_header(req, "x-amz-server-side-encryption-customer-algorithm", s->ssec_algorithm) &&
	       dal_s3_header(req, "x-amz-server-side-encryption-customer-key", s->ssec_key) &&
	       dal_s3_header(req, "x-amz-server-side-encryption-customer-key-md5", s->ssec_md5) &&
	       dal_s3_header(req, "x-amz-request-payer", s->request_payer ? "requester" : NULL);
}

bool dal_s3_headers_source(const struct dal_s3 *s, struct dal_s3_request *req, const char *key)
{
	DAL_CLEANUP(dal_mem_freep) char *enc = dal_uri_encode(key, true);
	DAL_CLEANUP(dal_mem_freep) char *source = enc ? dal_asprintf("/%s/%s", s->bucket, enc) : NULL;
	const char *prefix = "x-amz-copy-source-server-side-encryption-customer-";
	DAL_CLEANUP(dal_mem_freep) char *algorithm = dal_asprintf("%salgorithm", prefix);
	DAL_CLEANUP(dal_mem_freep) char *secret = dal_asprintf("%skey", prefix);
	DAL_CLEANUP(dal_mem_freep) char *md5 = dal_asprintf("%skey-md5", prefix);

	return source && algorithm && secret && md5 && dal_s3_header(req, "x-amz-copy-source", source) &&
	       dal_s3_header(req, algorithm, s->ssec_algorithm) && dal_s3_header(req, secret, s->ssec_key) &&
	       dal_s3_header(req, md5, s->ssec_md5);
}

char *dal_s3_etag_quoted(const char *etag)
{
	size_t len = strlen(etag);

	return len >= 2 && etag[len - 1] == '"' ? dal_strdup(etag) : dal_asprintf("\"%s\"", etag);
}

bool dal_s3_headers_condition(
	struct dal_s3 *s, struct dal_s3_request *req, const char *if_match, bool if_not_exists)
{
	DAL_CLEANUP(dal_mem_freep) char *etag = NULL;
	size_t len;

	if (if_not_exists && !dal_s3_header(req, "if-none-match", "*"))
		return false;
	if (!if_match)
		return true;
	etag = dal_s3_etag_quoted(if_match);
	if (!etag)
		return false;
	len = strlen(etag);
	if (!atomic_load(&s->if_match_bare))
		return dal_s3_header(req, "if-match", etag);
	etag[len - 1] = '\0';
	return dal_s3_header(req, "if-match", etag + 1);
}

int dal_s3_headers_create(struct dal_s3 *s, struct dal_call *call, struct dal_s3_request *req,
	const struct dal_write_args *args)
{
	const char *const described[] = { args->content_type, args->cache_control, args->content_disposition,
		args->content_encoding };

	for (size_t i = 0; i < DAL_COUNT_OF(described); i++)
		if (described[i] && !fits_header(described[i]))
			return dal_fail(call, DAL_UNSUPPORTED,
				"%.100s: a content header is not printable ASCII", req->key);
	if (!dal_s3_header(req, "content-type",
		    args->content_type ? args->content_type : "application/octet-stream") ||
		!dal_s3_header(req, "cache-control", args->cache_control) ||
		!dal_s3_header(req, "content-disposition", args->content_disposition) ||
		!dal_s3_header(req, "content-encoding", args->content_encoding) ||
		!dal_s3_headers_store(s, req))
		return dal_fail_nomem(call);
	return add_user(call, req, args->user);
}

struct collect {
	struct dal_pairs *user;
	bool failed;
};

static void collect_user(void *arg, const char *name, const char *value)
{
	struct collect *c = arg;

	if (!dal_pairs_set(c->user, name + strlen(META_PREFIX), value))
		c->failed = true;
}

static bool take_header(const struct dal_http_response *resp, const char *name, char **dst)
{
	const char *value = dal_http_header(resp, name);

	if (value && *value)
		*dst = dal_strdup(value);
	return !value || !*value || *dst;
}

bool dal_s3_meta_of(const struct dal_http_response *resp, const char *key, struct dal_meta *ret)
{
	struct dal_meta m = { .type = dal_ends_with(key, "/") ? DAL_TYPE_DIR : DAL_TYPE_FILE,
		.user_known = true };
	struct collect c = { .user = &m.user };
	const char *modified = dal_http_header(resp, "last-modified");
	bool ok = take_header(resp, "etag", &m.etag) && take_header(resp, "x-amz-version-id", &m.version) &&
		  take_header(resp, "content-type", &m.content_type) &&
		  take_header(resp, "cache-control", &m.cache_control) &&
		  take_header(resp, "content-disposition", &m.content_disposition) &&
		  take_header(resp, "content-encoding", &m.content_encoding) &&
		  take_header(resp, "x-amz-storage-class", &m.storage_class);

	if (modified && !dal_http_date(modified, &m.mtime_ns))
		m.mtime_ns = 0;
	dal_http_headers_each(resp, META_PREFIX, collect_user, &c);
	if (!ok || c.failed) {
		dal_meta_done(&m);
		return false;
	}
	*ret = m;
	return true;
}

const char *dal_s3_checksum_name(struct dal_s3 *s, bool parts)
{
	switch (s->checksum) {
	case DAL_S3_CHECKSUM_CRC32C:
		return "CRC32C";
	case DAL_S3_CHECKSUM_SHA256:
		return "SHA256";
	case DAL_S3_CHECKSUM_AUTO:
		return (parts ? s->aws : atomic_load(&s->takes_crc32c)) ? "CRC32C" : NULL;
	case DAL_S3_CHECKSUM_NONE:
		break;
	}
	return NULL;
}

unsigned dal_s3_upload_digests(struct dal_s3 *s, bool part)
{
	const char *checksum = dal_s3_checksum_name(s, part);
	unsigned kinds = 0;

	if (s->credentials && !s->tls)
		kinds |= DAL_S3_SHA256;
	if (checksum)
		kinds |= !strcmp(checksum, "SHA256") ? DAL_S3_SHA256 : DAL_S3_CRC32C;
	if (!s->etag_is_not_md5 && s->checksum != DAL_S3_CHECKSUM_NONE)
		kinds |= DAL_S3_MD5;
	return kinds;
}

bool dal_s3_headers_digest(struct dal_s3 *s, struct dal_s3_request *req, const struct dal_s3_digest *digest,
	bool part, char ret_checksum[64])
{
	const char *checksum = dal_s3_checksum_name(s, part);
	bool sha = checksum && !strcmp(checksum, "SHA256");
	const char *value = !checksum ? "" : sha ? digest->sha256_base64 : digest->crc32c_base64;

	req->sha256 = digest->sha256[0] ? digest->sha256 : NULL;
	snprintf(ret_checksum, 64, "%s", value);
	return !*value || dal_s3_header(req, sha ? "x-amz-checksum-sha256" : "x-amz-checksum-crc32c", value);
}
