/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The operator: a handle on one store, layers included. It is the only way to reach a service. It puts the
 * root before every path and takes it off every name listed, normalises paths, refuses what the store cannot
 * do before the store is asked, holds services to their promises, counts and traces.
 *
 * Threads: every function may be called from any thread. dal_operator_free() needs all calls and streams
 * ended.
 */

#include "core/service.h"

struct dal_operator;

enum dal_operator_flag {
	/* Paths are keys to the byte: "a//b" is not "a/b". For the filesystem, which escapes names itself. */
	DAL_OPERATOR_EXACT_KEYS = 1 << 0,
};

/* The operator's own options: root. */
extern const struct dal_option dal_operator_options[];

/*
 * An empty config for @svc: its options, the operator's, the layers' and those of the NULL-ended list @more
 * (NULL for none). What dal_operator_open() is given must have been made this way. NULL when memory has run
 * out.
 */
struct dal_config *dal_operator_config(const struct dal_service *svc, const struct dal_option *const *more);

/*
 * Sets what @uri says: its query, then its authority and path by the service's from_uri(). @uri is no remote:
 * callers resolve those. Sources of lower precedence (-o, config file, environment) are set after it.
 */
int dal_operator_config_uri(struct dal_call *call, const struct dal_service *svc, const struct dal_uri *uri,
	struct dal_config *cfg);

/*
 * Opens @svc with @cfg (checked by dal_config_check()) under the layers that @cfg asks for; see
 * core/layers/layers.h. Option `root` is the operator's: services never see it apart from its paths, but for
 * those that own it (dal_service.owns_root). Does not touch the network.
 */
int dal_operator_open(struct dal_call *call, const struct dal_service *svc, const struct dal_config *cfg,
	unsigned flags, struct dal_operator **ret_op);

/*
 * Opens what @uri names: the service by its scheme, options from @uri, then @cfg_text ("name=value,…", may be
 * NULL, source command line), then the environment. Unknown schemes suggest the nearest. Remotes of a config
 * file are resolved by the caller.
 */
int dal_operator_open_uri(struct dal_call *call, const char *uri, const char *cfg_text, unsigned flags,
	struct dal_operator **ret_op);

/* Takes NULL; returns NULL. */
struct dal_operator *dal_operator_free(struct dal_operator *op);
void dal_operator_freep(struct dal_operator **op);

const char *dal_operator_scheme(const struct dal_operator *op);
const char *dal_operator_root(const struct dal_operator *op); /* "" or ends in '/' */
/* What the store can do; pointer valid as long as the operator, values may grow once at dal_op_probe(). */
const struct dal_capability *dal_operator_cap(const struct dal_operator *op);
/* A name for this store without secrets, the same in every process: "s3://bucket/prefix". Cache key and mount
 * source. */
const char *dal_operator_id(const struct dal_operator *op);

struct dal_op_counts {
	uint64_t calls, errors, bytes_in, bytes_out, ns;
};
/* Totals since open for one operation by its slot name ("stat", "read", …); false for an unknown one. */
bool dal_operator_counts(const struct dal_operator *op, const char *operation, struct dal_op_counts *ret);
/* All of them as one JSON object. Caller owns; NULL: no memory. */
char *dal_operator_stats_json(const struct dal_operator *op);

/*
 * The operations: core/service.h says what each does. NULL args mean all-zero args. Unsupported ones return
 * DAL_UNSUPPORTED without asking the store. ret_meta may be NULL where the caller does not care.
 * The root always exists: stat of "" is a directory, without asking a store that is no real filesystem.
 */
int dal_op_probe(struct dal_operator *op, struct dal_call *call, bool may_write);
int dal_op_stat(struct dal_operator *op, struct dal_call *call, const char *path,
	const struct dal_stat_args *args, struct dal_meta *ret_meta);
int dal_op_read(struct dal_operator *op, struct dal_call *call, const char *path,
	const struct dal_read_args *args, struct dal_stream **ret_stream);
/* Reads [args->off, + len) into @buf in one go; *ret_n is short only at the end of the object. @ret_meta may
 * be NULL. */
int dal_op_read_into(struct dal_operator *op, struct dal_call *call, const char *path,
	const struct dal_read_args *args, void *buf, size_t len, size_t *ret_n, struct dal_meta *ret_meta);
int dal_op_write(struct dal_operator *op, struct dal_call *call, const char *path,
	const struct dal_write_args *args, const struct dal_body *body, struct dal_meta *ret_meta);
int dal_op_multipart_begin(struct dal_operator *op, struct dal_call *call, const char *path,
	const struct dal_write_args *args, char **ret_id);
int dal_op_multipart_part(struct dal_operator *op, struct dal_call *call, const char *path, const char *id,
	const struct dal_body *body, struct dal_part *part);
int dal_op_multipart_copy(struct dal_operator *op, struct dal_call *call, const char *path, const char *id,
	const char *src, uint64_t src_off, const char *src_etag, struct dal_part *part);
int dal_op_multipart_complete(struct dal_operator *op, struct dal_call *call, const char *path,
	const char *id, const struct dal_part *parts, size_t n, const struct dal_write_args *args,
	struct dal_meta *ret_meta);
int dal_op_multipart_abort(struct dal_operator *op, struct dal_call *call, const char *path, const char *id);
int dal_op_multipart_list(struct dal_operator *op, struct dal_call *call, const char *prefix,
	struct dal_upload **ret_v, size_t *ret_n);
int dal_op_append(struct dal_operator *op, struct dal_call *call, const char *path,
	const struct dal_write_args *args, uint64_t at, const struct dal_body *body,
	struct dal_meta *ret_meta);
int dal_op_delete(
	struct dal_operator *op, struct dal_call *call, const char *path, const struct dal_delete_args *args);
/* Any @n: split by cap.delete_many_max, or one by one where the store has no batches. @failed as in the slot.
 */
int dal_op_delete_many(
	struct dal_operator *op, struct dal_call *call, const char *const *paths, size_t n, bool *failed);
int dal_op_copy(struct dal_operator *op, struct dal_call *call, const char *from, const char *to,
	const struct dal_copy_args *args, struct dal_meta *ret_meta);
int dal_op_rename(struct dal_operator *op, struct dal_call *call, const char *from, const char *to,
	bool no_replace, bool exchange);
int dal_op_create_dir(
	struct dal_operator *op, struct dal_call *call, const char *path, const struct dal_write_args *args);
int dal_op_list(struct dal_operator *op, struct dal_call *call, const char *prefix,
	const struct dal_list_args *args, const char *token, struct dal_page *ret_page);
int dal_op_presign(struct dal_operator *op, struct dal_call *call, enum dal_presign_op what, const char *path,
	uint64_t expire_s, struct dal_presigned *ret);
int dal_op_setattr(struct dal_operator *op, struct dal_call *call, const char *path,
	const struct dal_setattr_args *args, struct dal_meta *ret_meta);
int dal_op_symlink(struct dal_operator *op, struct dal_call *call, const char *target, const char *path,
	const struct dal_posix *posix);
int dal_op_readlink(struct dal_operator *op, struct dal_call *call, const char *path, char **ret_target);
int dal_op_link(struct dal_operator *op, struct dal_call *call, const char *from, const char *to);
int dal_op_mknod(
	struct dal_operator *op, struct dal_call *call, const char *path, const struct dal_posix *posix);
int dal_op_statvfs(struct dal_operator *op, struct dal_call *call, const char *path, struct statvfs *ret);
int dal_op_getxattrs(struct dal_operator *op, struct dal_call *call, const char *path, struct dal_pairs *ret);
int dal_op_setxattr(struct dal_operator *op, struct dal_call *call, const char *path, const char *name,
	const void *value, size_t len, int flags);
int dal_op_removexattr(struct dal_operator *op, struct dal_call *call, const char *path, const char *name);
