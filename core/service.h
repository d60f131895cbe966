/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The service interface: what a store must do to be reached through an operator. Layers implement the same
 * one.
 *
 * Threads: a `const struct dal_service` is shared by all threads, and a backend is entered by many at a time.
 *
 * Core guarantees, for every slot: @path has passed core/path.h and starts with the operator's root;
 * arguments the backend does not list in its capability never arrive; args and call are never NULL. The
 * service guarantees: 0, or a negative value from dal_fail() and its like; ret_* written only on 0; returns
 * by call->deadline_ns and soon after *call->cancel. Leave NULL what the store cannot do itself.
 */

#include <sys/statvfs.h>

#include "core/call.h"
#include "core/capability.h"
#include "core/meta.h"
#include "core/option.h"
#include "core/stream.h"
#include "core/uri.h"

/* A range that goes to the end of the object. */
#define DAL_TO_END UINT64_MAX

struct dal_backend {
	const struct dal_service *svc;
	struct dal_backend *next; /* owned by the chain: the layer or service below; NULL for a service */
	struct dal_capability cap; /* declared by the service in open(); layers inherit it */
};

struct dal_stat_args {
	const char *if_match, *if_none_match, *version;
};

struct dal_read_args {
	uint64_t off;
	uint64_t len; /* 0 means DAL_TO_END, so that zeroed args read everything */
	const char *if_match; /* fail with CONDITION_NOT_MATCH unless the object has this etag */
	const char *if_none_match; /* fail with CONDITION_NOT_MATCH if it still has this etag (304) */
	const char *version;
};

struct dal_write_args {
	const char *content_type, *cache_control, *content_disposition, *content_encoding;
	const struct dal_pairs *user; /* user metadata; NULL for none */
	const struct dal_posix *posix; /* for stores with cap.posix; NULL for defaults */
	const char *if_match; /* the version that must be there */
	bool if_not_exists; /* nothing must be there */
};

struct dal_copy_args {
	const char *if_match; /* the source's version */
	bool if_not_exists; /* nothing must be at the target */
	const struct dal_write_args *replace; /* new metadata for the target; NULL keeps the source's */
	uint64_t size; /* the source's size when the caller knows it, 0 otherwise: saves a round trip */
};

struct dal_delete_args {
	const char *if_match;
	bool recursive;
	const char *version;
};

struct dal_list_args {
	bool recursive; /* all keys below; without it, one level, deeper keys folded into "dir/" entries */
	const char *start_after; /* only keys greater than this one */
	uint32_t limit; /* entries a page, a hint; 0 for the store's own */
};

struct dal_part {
	unsigned number; /* from 1 */
	uint64_t off; /* where the part begins in the finished object */
	uint64_t len;
	char etag[136]; /* as the server wrote it */
	char checksum[64]; /* base64 of the checksum sent with it, "" for none */
};

struct dal_upload {
	char *id; /* owned */
	char *path; /* owned */
	int64_t started_ns; /* since 1970 */
};

enum dal_presign_op {
	DAL_PRESIGN_STAT,
	DAL_PRESIGN_READ,
	DAL_PRESIGN_WRITE,
	DAL_PRESIGN_DELETE,
};

struct dal_presigned {
	char *method; /* owned */
	char *uri; /* owned */
	struct dal_pairs headers; /* the client must send these */
};

struct dal_setattr_args {
	struct dal_posix set; /* the fields in `valid`; also DAL_POSIX_* times */
	bool atime_now, mtime_now;
	bool truncate; /* to `size` */
	uint64_t size;
};

struct dal_service {
	const char *scheme;
	const char *summary; /* one line for `dalfs services` */
	const struct dal_option *options; /* NULL for layers */
	/* Further tables, shared with other services (those of the HTTP client); ends with NULL; NULL for
	 * none. */
	const struct dal_option *const *more_options;
	/* `root` is an option of the service, which puts it before the paths itself: it is a directory of
	 * this machine. */
	bool owns_root;

	/*
	 * Turns the authority and path of a URI into options: s3://bucket/prefix -> bucket, root. NULL takes
	 * the path as `root` and refuses an authority.
	 */
	int (*from_uri)(struct dal_call *call, const struct dal_uri *uri, struct dal_config *cfg);

	/* Reaches the store described by @cfg. *ret_b is owned by the caller. Must not touch the network. */
	int (*open)(struct dal_call *call, const struct dal_config *cfg, struct dal_backend **ret_b);
	/* Releases @b itself, never b->next. Cannot fail; takes half-opened backends. */
	void (*close)(struct dal_backend *b);

	/*
	 * Proves that the store can be reached with these credentials, with few requests, and refines b->cap
	 * (dialect of conditional writes). @may_write allows a scratch object below @root, which is removed
	 * again.
	 */
	int (*probe)(struct dal_backend *b, struct dal_call *call, const char *root, bool may_write);

	int (*stat)(struct dal_backend *b, struct dal_call *call, const char *path,
		const struct dal_stat_args *args, struct dal_meta *ret_meta);

	/* Opens a pull stream; returns once the answer's head is known. A range past the end gives an empty
	 * stream. */
	int (*read)(struct dal_backend *b, struct dal_call *call, const char *path,
		const struct dal_read_args *args, struct dal_stream **ret_stream);

	/* Writes one whole object, replacing. On success it is durable and visible. ret_meta: etag, size at
	 * least. */
	int (*write)(struct dal_backend *b, struct dal_call *call, const char *path,
		const struct dal_write_args *args, const struct dal_body *body, struct dal_meta *ret_meta);

	/* Multipart upload. Parts may be sent in any order and in parallel, and again: the last one of a
	 * number counts. */
	int (*multipart_begin)(struct dal_backend *b, struct dal_call *call, const char *path,
		const struct dal_write_args *args, char **ret_id);
	/* @part: number, off and len are inputs; etag and checksum are filled. */
	int (*multipart_part)(struct dal_backend *b, struct dal_call *call, const char *path, const char *id,
		const struct dal_body *body, struct dal_part *part);
	/* The same with bytes [@src_off, + part->len) of object @src at version @src_etag (may be NULL). */
	int (*multipart_copy)(struct dal_backend *b, struct dal_call *call, const char *path, const char *id,
		const char *src, uint64_t src_off, const char *src_etag, struct dal_part *part);
	/* @args: the conditions only. */
	int (*multipart_complete)(struct dal_backend *b, struct dal_call *call, const char *path,
		const char *id, const struct dal_part *parts, size_t n, const struct dal_write_args *args,
		struct dal_meta *ret_meta);
	int (*multipart_abort)(
		struct dal_backend *b, struct dal_call *call, const char *path, const char *id);
	/* Unfinished uploads below @prefix, all of them. The caller frees *ret_v with dal_uploads_free(). */
	int (*multipart_list)(struct dal_backend *b, struct dal_call *call, const char *prefix,
		struct dal_upload **ret_v, size_t *ret_n);

	/* Adds @body at the end; @at is the size the caller believes the object has, a mismatch is
	 * CONDITION_NOT_MATCH. */
	int (*append)(struct dal_backend *b, struct dal_call *call, const char *path,
		const struct dal_write_args *args, uint64_t at, const struct dal_body *body,
		struct dal_meta *ret_meta);

	/* Removes one object, or an empty directory when @path ends in '/'. What is not there is a success.
	 */
	int (*delete)(struct dal_backend *b, struct dal_call *call, const char *path,
		const struct dal_delete_args *args);
	/*
	 * Removes @n objects, n <= cap.delete_many_max. 0 when all are gone; else the first failure, and
	 * failed[i] is set for each path that may remain (@failed: n flags of the caller's, zeroed by the
	 * service; may be NULL).
	 */
	int (*delete_many)(struct dal_backend *b, struct dal_call *call, const char *const *paths, size_t n,
		bool *failed);

	int (*copy)(struct dal_backend *b, struct dal_call *call, const char *from, const char *to,
		const struct dal_copy_args *args, struct dal_meta *ret_meta);
	/* Atomic. Replaces a file at @to unless @no_replace; both exist and change places with @exchange. */
	int (*rename)(struct dal_backend *b, struct dal_call *call, const char *from, const char *to,
		bool no_replace, bool exchange);

	/* @path ends in '/'. An existing directory is a success. */
	int (*create_dir)(struct dal_backend *b, struct dal_call *call, const char *path,
		const struct dal_write_args *args);

	/*
	 * One page of the names starting with @prefix. @token: NULL for the first page, then the last page's
	 * `next`. What is not there lists as empty. With prefix "d/", an object named "d/" itself (a marker)
	 * is an entry.
	 */
	int (*list)(struct dal_backend *b, struct dal_call *call, const char *prefix,
		const struct dal_list_args *args, const char *token, struct dal_page *ret_page);

	int (*presign)(struct dal_backend *b, struct dal_call *call, enum dal_presign_op op, const char *path,
		uint64_t expire_s, struct dal_presigned *ret);

	/* Stores that are real filesystems. None follows a symlink in the last part; none leaves the root. */
	int (*setattr)(struct dal_backend *b, struct dal_call *call, const char *path,
		const struct dal_setattr_args *args, struct dal_meta *ret_meta);
	int (*symlink)(struct dal_backend *b, struct dal_call *call, const char *target, const char *path,
		const struct dal_posix *posix);
	int (*readlink)(struct dal_backend *b, struct dal_call *call, const char *path, char **ret_target);
	int (*link)(struct dal_backend *b, struct dal_call *call, const char *from, const char *to);
	int (*mknod)(struct dal_backend *b, struct dal_call *call, const char *path,
		const struct dal_posix *posix);
	int (*statvfs)(struct dal_backend *b, struct dal_call *call, const char *path, struct statvfs *ret);
	int (*getxattrs)(
		struct dal_backend *b, struct dal_call *call, const char *path, struct dal_pairs *ret);
	int (*setxattr)(struct dal_backend *b, struct dal_call *call, const char *path, const char *name,
		const void *value, size_t len, int flags);
	int (*removexattr)(struct dal_backend *b, struct dal_call *call, const char *path, const char *name);
};

/* The nearest backend from @b down that does @op itself: how a layer lets an operation through. NULL if none
 * does. */
#define DAL_BACKEND_DOING(b, op)                                                                             \
	({                                                                                                   \
		struct dal_backend *_doing = (b);                                                            \
		while (_doing && !_doing->svc->op)                                                           \
			_doing = _doing->next;                                                               \
		_doing;                                                                                      \
	})

void dal_uploads_free(struct dal_upload *v, size_t n);
void dal_presigned_done(struct dal_presigned *p);
