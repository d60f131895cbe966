/* SPDX-License-Identifier: Apache-2.0 */

/*
 * S3 and what speaks its language.
 *
 *   s3.c              options, the instance, the table of functions
 *   s3-request.c      address, sending, learning region and clock
 *   s3-error.c        what refusals mean
 *   s3-sign.c         Signature Version 4
 *   s3-headers.c      arguments to headers and back
 *   s3-xml.c          the parser
 *   s3-results.c      answers that are lists
 *   s3-digest.c       MD5, SHA-256, CRC32C in one pass
 *   s3-credentials.c  where keys come from; also s3-profile.c, s3-sts.c, s3-metadata.c
 *
 * and the operations in s3-{object,read,write,copy,multipart,list,presign,probe}.c.
 *
 * An instance knows at the start what it was told, and learns the rest from the server: the region, the
 * clock, and, by the probe, which conditions are obeyed.
 */

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "services/s3-credentials.h"
#include "services/s3-digest.h"
#include "services/s3.h"

#define DEFAULT_REGION "us-east-1"

/* clang-format off */
static const struct dal_option options[] = {
	{ "bucket", DAL_OPT_STRING, DAL_OPT_REQUIRED | DAL_OPT_NAMES_STORE, NULL,
	  "the bucket: s3://BUCKET/prefix", "aws_bucket aws_bucket_name bucket_name", NULL },
	{ "endpoint", DAL_OPT_STRING, DAL_OPT_NAMES_STORE, NULL,
	  "URL of the server, for other than AWS; from AWS_ENDPOINT_URL when unset", "url endpoint_url aws_endpoint", NULL },
	{ "region", DAL_OPT_STRING, 0, NULL,
	  "region of the bucket; found out when unset", "aws_region default_region", NULL },
	{ "path_style", DAL_OPT_BOOL, 0, NULL,
	  "bucket in the path, not in the host name; default with an endpoint", "use_path_request_style force_path_style",
	  NULL },
	{ "enable_virtual_host_style", DAL_OPT_BOOL, 0, NULL,
	  "the opposite of path_style", "virtual_host_style virtual_hosted_style_request", NULL },
	{ "skip_signature", DAL_OPT_BOOL, 0, NULL,
	  "send no credentials: for public buckets", "no_sign_request public_bucket anonymous", NULL },
	{ "server_side_encryption", DAL_OPT_STRING, 0, NULL,
	  "AES256, aws:kms or aws:kms:dsse for what is written", "sse", NULL },
	{ "server_side_encryption_aws_kms_key_id", DAL_OPT_STRING, 0, NULL,
	  "the key for aws:kms; the account's default when unset", "sse_kms_key_id", NULL },
	{ "server_side_encryption_customer_algorithm", DAL_OPT_STRING, 0, NULL,
	  "algorithm for a customer's key; AES256 when there is one", "sse_customer_algorithm", NULL },
	{ "server_side_encryption_customer_key", DAL_OPT_STRING, DAL_OPT_SECRET, NULL,
	  "the customer's 256-bit key, in base64", "sse_customer_key", NULL },
	{ "server_side_encryption_customer_key_md5", DAL_OPT_STRING, DAL_OPT_SECRET, NULL,
	  "MD5 of that key, in base64; worked out when unset", "sse_customer_key_md5", NULL },
	{ "default_storage_class", DAL_OPT_STRING, 0, NULL,
	  "storage class of what is written, as STANDARD_IA", "storage_class", NULL },
	{ "default_acl", DAL_OPT_STRING, 0, NULL, "canned ACL of what is written, as bucket-owner-full-control", "acl", NULL },
	{ "checksum_algorithm", DAL_OPT_ENUM, 0, "auto",
	  "checksum sent with what is written; auto: crc32c where the server takes it; none also skips ETags", "checksum",
	  "auto|none|crc32c|sha256" },
	{ "enable_request_payer", DAL_OPT_BOOL, 0, NULL,
	  "pay for requests to somebody else's bucket", "request_payer requester_pays", NULL },
	{ "disable_list_objects_v2", DAL_OPT_BOOL, 0, NULL, "list with the first version of the call", "list_v1", NULL },
	{ "disable_write_with_if_match", DAL_OPT_BOOL, DAL_OPT_HIDDEN, NULL, "never write with If-Match", NULL, NULL },
	{ "delete_max_size", DAL_OPT_UINT, DAL_OPT_HIDDEN, NULL, "keys of one DeleteObjects", "batch_max_operations", NULL },
	{ 0 },
};
/* clang-format on */

static const struct dal_option *const more_options[] = { dal_s3_credentials_options, dal_http_options, NULL };

/* The endpoint named by the environment, as AWS's own programs take it; NULL for none. */
static const char *environment_endpoint(const struct dal_config *cfg)
{
	const char *url;

	if (dal_config_bool(cfg, "disable_config_load"))
		return NULL;
	url = getenv("AWS_ENDPOINT_URL_S3");
	if (!url || !*url)
		url = getenv("AWS_ENDPOINT_URL");
	return url && *url ? url : NULL;
}

static int from_uri(struct dal_call *call, const struct dal_uri *uri, struct dal_config *cfg)
{
	const char *env = environment_endpoint(cfg);
	int r = 0;

	if (*uri->authority)
		r = dal_config_set(cfg, call, DAL_FROM_URI, "bucket", uri->authority);
	if (!r && *uri->path)
		r = dal_config_set(cfg, call, DAL_FROM_URI, "root", uri->path);
	/* Set here, and not only read in open(), so that it is part of the store's name. */
	if (!r && env)
		r = dal_config_set(cfg, call, DAL_FROM_ENVIRONMENT, "endpoint", env);
	return r;
}

static bool made_of(const char *text, const char *also, size_t max)
{
	size_t len = strlen(text);

	for (const char *p = text; *p; p++)
		if (!(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') && !(*p >= '0' && *p <= '9') &&
			!strchr(also, *p))
			return false;
	return len && len <= max;
}

/* Whether the bucket's name can be a label of a host name that a certificate for *.host covers. */
static bool fits_host(const char *bucket)
{
	for (const char *p = bucket; *p; p++)
		if ((*p >= 'A' && *p <= 'Z') || *p == '.' || *p == '_')
			return false;
	return strlen(bucket) <= 63;
}

static bool is_aws(const struct dal_s3 *s)
{
	return !s->host || dal_ends_with(s->host, ".amazonaws.com") ||
	       dal_ends_with(s->host, ".amazonaws.com.cn");
}

static bool is_loopback(const char *host)
{
	size_t len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

	if (len == strspn(host, "0123456789."))
		return dal_starts_with(host, "127.");
	return (len == 9 && !strncmp(host, "localhost", 9)) || (len == 5 && !strncmp(host, "[::1]", 5));
}

/* Splits the endpoint into scheme, host and base path. */
static int set_endpoint(struct dal_s3 *s, struct dal_call *call, const char *url)
{
	const char *host = strstr(url, "://");
	size_t len, base;

	s->scheme = host ? strndup(url, (size_t)(host - url)) : dal_strdup("https");
	host = host ? host + 3 : url;
	len = strcspn(host, "/");
	base = strlen(host + len);
	while (base && host[len + base - 1] == '/')
		base--;
	s->host = strndup(host, len);
	s->base_path = strndup(host + len, base);
	if (!s->scheme || !s->host || !s->base_path)
		return dal_fail_nomem(call);
	s->tls = !strcmp(s->scheme, "https");
	if (!s->tls && strcmp(s->scheme, "http") != 0)
		return dal_fail(
			call, DAL_CONFIG_INVALID, "s3: endpoint %s: neither http:// nor https://", url);
	if (!made_of(s->host, ".-_:[]", 253) || (*s->base_path && !made_of(s->base_path, "/.-_~%", 1024)))
		return dal_fail(call, DAL_CONFIG_INVALID,
			"s3: endpoint %s: is not a URL like https://host:port", url);
	for (char *p = s->host; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	/* The HTTP client leaves the scheme's own port out of the Host header, which is signed. */
	if (dal_ends_with(s->host, s->tls ? ":443" : ":80"))
		*strrchr(s->host, ':') = '\0';
	return 0;
}

static int set_place(struct dal_s3 *s, struct dal_call *call, const struct dal_config *cfg)
{
	const char *url = dal_config_str(cfg, "endpoint");
	const char *bucket = dal_config_str(cfg, "bucket");
	int r;

	if (!made_of(bucket, ".-_", 255))
		return dal_fail(
			call, DAL_CONFIG_INVALID, "s3: \"%.80s\" is not the name of a bucket", bucket);
	s->bucket = dal_strdup(bucket);
	if (!url || !*url)
		url = environment_endpoint(cfg);
	if (url) {
		r = set_endpoint(s, call, url);
		if (r < 0)
			return r;
	} else {
		s->scheme = dal_strdup("https");
		s->base_path = dal_strdup("");
		s->tls = true;
	}
	if (!s->bucket || !s->scheme || !s->base_path)
		return dal_fail_nomem(call);
	s->aws = is_aws(s);
	if (dal_config_has(cfg, "path_style"))
		s->path_style = dal_config_bool(cfg, "path_style");
	else if (dal_config_has(cfg, "enable_virtual_host_style"))
		s->path_style = !dal_config_bool(cfg, "enable_virtual_host_style");
	else
		s->path_style = !s->aws || !fits_host(bucket);
	return 0;
}

/* "s3.eu-west-1.amazonaws.com" names its region. */
static bool region_of_host(const char *host, char ret[DAL_S3_REGION_MAX])
{
	const char *start = host && dal_starts_with(host, "s3.") ? host + 3 : NULL;
	const char *end = start ? strstr(start, ".amazonaws.com") : NULL;
	size_t len = end ? (size_t)(end - start) : 0;

	if (!len || len >= DAL_S3_REGION_MAX || memchr(start, '.', len))
		return false;
	memcpy(ret, start, len);
	ret[len] = '\0';
	return true;
}

static int set_region(struct dal_s3 *s, struct dal_call *call, const struct dal_config *cfg)
{
	const char *region = dal_config_str(cfg, "region");
	bool load = !dal_config_bool(cfg, "disable_config_load");
	DAL_CLEANUP(dal_mem_freep) char *profile = NULL;

	if ((!region || !*region) && region_of_host(s->host, s->region))
		return 0;
	if ((!region || !*region) && load)
		region = getenv("AWS_REGION");
	if ((!region || !*region) && load)
		region = getenv("AWS_DEFAULT_REGION");
	if ((!region || !*region) && load)
		region = profile = dal_s3_profile_region(cfg);
	atomic_init(&s->region_guessed, !region || !*region);
	if (!region || !*region)
		region = DEFAULT_REGION;
	if (!made_of(region, "-_.", DAL_S3_REGION_MAX - 1))
		return dal_fail(
			call, DAL_CONFIG_INVALID, "s3: \"%.80s\" is not the name of a region", region);
	memcpy(s->region, region, strlen(region) + 1);
	return 0;
}

/* Copies an option's value; an empty one is none. */
static bool keep(const struct dal_config *cfg, const char *name, char **dst)
{
	const char *value = dal_config_str(cfg, name);

	if (!value || !*value)
		return true;
	*dst = dal_strdup(value);
	return *dst != NULL;
}

/* The customer's key: its MD5 goes with every request. */
static int set_customer_key(struct dal_s3 *s, struct dal_call *call)
{
	unsigned char raw[64];
	struct dal_s3_digest d;
	struct iovec iov;
	struct dal_body body;
	size_t len = strlen(s->ssec_key);
	int n = len <= 48 ? EVP_DecodeBlock(raw, (const unsigned char *)s->ssec_key, (int)len) : -1;
	int r = 0;

	/* EVP_DecodeBlock() counts the padding in. */
	for (size_t i = len; n > 0 && i > 0 && s->ssec_key[i - 1] == '='; i--)
		n--;
	if (n != 32)
		r = dal_fail(call, DAL_CONFIG_INVALID,
			"s3: server_side_encryption_customer_key is not 32 bytes in base64");
	else if (!s->tls && !is_loopback(s->host))
		r = dal_fail(call, DAL_CONFIG_INVALID, "s3: a customer's key is sent only over https");
	if (!r && !s->ssec_md5) {
		body = dal_body_mem(&iov, raw, 32);
		r = dal_s3_digest_body(&body, call, DAL_S3_MD5, &d);
		s->ssec_md5 = r < 0 ? NULL : dal_strdup(d.md5_base64);
	}
	OPENSSL_cleanse(raw, sizeof(raw));
	if (!r && !s->ssec_algorithm)
		s->ssec_algorithm = dal_strdup("AES256");
	if (!r && (!s->ssec_md5 || !s->ssec_algorithm))
		r = dal_fail_nomem(call);
	return r;
}

static int set_encryption(struct dal_s3 *s, struct dal_call *call, const struct dal_config *cfg)
{
	if (!keep(cfg, "server_side_encryption", &s->sse) ||
		!keep(cfg, "server_side_encryption_aws_kms_key_id", &s->sse_kms_key) ||
		!keep(cfg, "server_side_encryption_customer_algorithm", &s->ssec_algorithm) ||
		!keep(cfg, "server_side_encryption_customer_key", &s->ssec_key) ||
		!keep(cfg, "server_side_encryption_customer_key_md5", &s->ssec_md5))
		return dal_fail_nomem(call);
	if (s->sse_kms_key && !s->sse) {
		s->sse = dal_strdup("aws:kms");
		if (!s->sse)
			return dal_fail_nomem(call);
	}
	if (s->ssec_key && s->sse)
		return dal_fail(call, DAL_CONFIG_INVALID,
			"s3: server_side_encryption and a customer's key exclude each other");
	if (!s->ssec_key && (s->ssec_algorithm || s->ssec_md5))
		return dal_fail(
			call, DAL_CONFIG_INVALID, "s3: server_side_encryption_customer_key is missing");
	s->etag_is_not_md5 = s->ssec_key || (s->sse && dal_starts_with(s->sse, "aws:kms"));
	return s->ssec_key ? set_customer_key(s, call) : 0;
}

static int set_manners(struct dal_s3 *s, struct dal_call *call, const struct dal_config *cfg)
{
	const char *checksum = dal_config_str(cfg, "checksum_algorithm");

	if (!keep(cfg, "default_storage_class", &s->storage_class) || !keep(cfg, "default_acl", &s->acl))
		return dal_fail_nomem(call);
	s->request_payer = dal_config_bool(cfg, "enable_request_payer");
	s->list_v1 = dal_config_bool(cfg, "disable_list_objects_v2");
	s->no_write_if_match = dal_config_bool(cfg, "disable_write_with_if_match");
	if (!strcmp(checksum, "none"))
		s->checksum = DAL_S3_CHECKSUM_NONE;
	else if (!strcmp(checksum, "crc32c"))
		s->checksum = DAL_S3_CHECKSUM_CRC32C;
	else if (!strcmp(checksum, "sha256"))
		s->checksum = DAL_S3_CHECKSUM_SHA256;
	atomic_init(&s->takes_crc32c, s->aws);
	return 0;
}

/* What every S3 can; conditions on writing are added by the probe. */
static void set_capability(struct dal_s3 *s, const struct dal_config *cfg)
{
	uint64_t batch = dal_config_u64(cfg, "delete_max_size");

	s->base.cap = (struct dal_capability){
		.stat_if_match = true,
		.stat_if_none_match = true,
		.read_if_match = true,
		.read_if_none_match = true,
		.copy_replaces_meta = true,
		.write_user_metadata = true,
		.list_recursive = true,
		.list_start_after = true,
		.list_sorted = true,
		.shared = true,
		.write_max = 5 * DAL_GIB,
		.part_min = 5 * DAL_MIB,
		.part_max = 5 * DAL_GIB,
		.parts_max = 10000,
		.object_max = 5 * 1024 * DAL_GIB,
		.copy_max = 5 * DAL_GIB,
		.key_max = 1024,
		.user_metadata_max = 2048,
		.delete_many_max = batch && batch < 1000 ? batch : 1000,
	};
}

static void s3_close(struct dal_backend *b)
{
	struct dal_s3 *s = dal_s3_of(b);

	dal_s3_credentials_free(s->credentials);
	dal_s3_signer_free(s->signer);
	dal_http_free(s->http);
	free(s->bucket);
	free(s->scheme);
	free(s->host);
	free(s->base_path);
	free(s->sse);
	free(s->sse_kms_key);
	free(s->ssec_algorithm);
	if (s->ssec_key)
		OPENSSL_cleanse(s->ssec_key, strlen(s->ssec_key));
	free(s->ssec_key);
	free(s->ssec_md5);
	free(s->storage_class);
	free(s->acl);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static int s3_open(struct dal_call *call, const struct dal_config *cfg, struct dal_backend **ret_b)
{
	struct dal_s3 *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return dal_fail_nomem(call);
	pthread_mutex_init(&s->lock, NULL);
	s->base.svc = &dal_service_s3;
	s->signer = dal_s3_signer_new();
	r = s->signer ? set_place(s, call, cfg) : dal_fail_nomem(call);
	if (!r)
		r = set_region(s, call, cfg);
	if (!r)
		r = set_encryption(s, call, cfg);
	if (!r)
		r = set_manners(s, call, cfg);
	if (!r)
		r = dal_http_new(call, cfg, &s->http);
	if (!r && !dal_config_bool(cfg, "skip_signature"))
		r = dal_s3_credentials_new(call, cfg, s->http, &s->credentials);
	if (r < 0) {
		s3_close(&s->base);
		return r;
	}
	set_capability(s, cfg);
	*ret_b = &s->base;
	return 0;
}

const struct dal_service dal_service_s3 = {
	.scheme = "s3",
	.summary = "Amazon S3, Ceph RGW, MinIO and other stores with the S3 API",
	.options = options,
	.more_options = more_options,
	.from_uri = from_uri,
	.open = s3_open,
	.close = s3_close,
	.probe = dal_s3_probe,
	.stat = dal_s3_stat,
	.read = dal_s3_read,
	.write = dal_s3_write,
	.multipart_begin = dal_s3_multipart_begin,
	.multipart_part = dal_s3_multipart_part,
	.multipart_copy = dal_s3_multipart_copy,
	.multipart_complete = dal_s3_multipart_complete,
	.multipart_abort = dal_s3_multipart_abort,
	.multipart_list = dal_s3_multipart_list,
	.delete = dal_s3_delete,
	.delete_many = dal_s3_delete_many,
	.copy = dal_s3_copy,
	.create_dir = dal_s3_create_dir,
	.list = dal_s3_list,
	.presign = dal_s3_presign,
};
