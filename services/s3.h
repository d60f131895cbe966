/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the parts of the S3 service share: the instance, and the slots that live in other files than s3.c.
 *
 * Threads: an instance is used by any number of threads. What it learns from the server (region, clock,
 * dialect) is either atomic or behind `lock`, which is never held across the network.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "core/service.h"
#include "services/http-client.h"
#include "services/s3-sign.h"

struct dal_s3_credentials;

#define DAL_S3_REGION_MAX 40

/* How checksums travel with uploads. */
enum dal_s3_checksum {
	DAL_S3_CHECKSUM_AUTO, /* CRC32C where the server is known to take it */
	DAL_S3_CHECKSUM_NONE,
	DAL_S3_CHECKSUM_CRC32C,
	DAL_S3_CHECKSUM_SHA256,
};

struct dal_s3 {
	struct dal_backend base;
	struct dal_http *http; /* owned */
	struct dal_s3_signer *signer; /* owned */
	struct dal_s3_credentials *credentials; /* owned; NULL: requests are not signed */
	pthread_mutex_t lock;

	/* where; constant after open */
	char *bucket; /* owned */
	char *scheme; /* owned; "https" */
	char *host; /* owned; with ":port" unless it is the scheme's; NULL for AWS, where the region decides
		     */
	char *base_path; /* owned; of the endpoint, "" or "/x" */
	bool tls, path_style, aws;

	/* how; constant after open */
	char *sse, *sse_kms_key; /* owned or NULL */
	char *ssec_algorithm, *ssec_key, *ssec_md5; /* owned or NULL; the key in base64, wiped */
	char *storage_class, *acl; /* owned or NULL */
	bool request_payer, list_v1, etag_is_not_md5, no_write_if_match;
	enum dal_s3_checksum checksum;

	/* learnt */
	char region[DAL_S3_REGION_MAX]; /* guarded by lock */
	atomic_bool region_guessed; /* nobody has named it, no answer has corrected it */
	_Atomic int64_t skew_ns; /* the server's clock minus ours */
	atomic_bool if_match_bare; /* PUT wants If-Match without quotes (Ceph RGW) */
	atomic_bool takes_crc32c; /* the server echoed a CRC32C: it checks them */
};

extern const struct dal_service dal_service_s3;

static inline struct dal_s3 *dal_s3_of(struct dal_backend *b)
{
	return dal_container_of(b, struct dal_s3, base);
}

/* The slots, as core/service.h describes them. */
int dal_s3_stat(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_stat_args *args, struct dal_meta *ret_meta);
int dal_s3_read(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_read_args *args, struct dal_stream **ret_stream);
int dal_s3_write(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_write_args *args, const struct dal_body *body, struct dal_meta *ret_meta);
int dal_s3_multipart_begin(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_write_args *args, char **ret_id);
int dal_s3_multipart_part(struct dal_backend *b, struct dal_call *call, const char *path, const char *id,
	const struct dal_body *body, struct dal_part *part);
int dal_s3_multipart_copy(struct dal_backend *b, struct dal_call *call, const char *path, const char *id,
	const char *src, uint64_t src_off, const char *src_etag, struct dal_part *part);
int dal_s3_multipart_complete(struct dal_backend *b, struct dal_call *call, const char *path, const char *id,
	const struct dal_part *parts, size_t n, const struct dal_write_args *args, struct dal_meta *ret_meta);
int dal_s3_multipart_abort(struct dal_backend *b, struct dal_call *call, const char *path, const char *id);
int dal_s3_multipart_list(struct dal_backend *b, struct dal_call *call, const char *prefix,
	struct dal_upload **ret_v, size_t *ret_n);
int dal_s3_delete(
	struct dal_backend *b, struct dal_call *call, const char *path, const struct dal_delete_args *args);
int dal_s3_delete_many(
	struct dal_backend *b, struct dal_call *call, const char *const *paths, size_t n, bool *failed);
int dal_s3_copy(struct dal_backend *b, struct dal_call *call, const char *from, const char *to,
	const struct dal_copy_args *args, struct dal_meta *ret_meta);
int dal_s3_create_dir(
	struct dal_backend *b, struct dal_call *call, const char *path, const struct dal_write_args *args);
int dal_s3_list(struct dal_backend *b, struct dal_call *call, const char *prefix,
	const struct dal_list_args *args, const char *token, struct dal_page *ret_page);
int dal_s3_presign(struct dal_backend *b, struct dal_call *call, enum dal_presign_op op, const char *path,
	uint64_t expire_s, struct dal_presigned *ret);
int dal_s3_probe(struct dal_backend *b, struct dal_call *call, const char *root, bool may_write);
