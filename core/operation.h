/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One operation as a value. A layer that does the same around all of them (count, repeat, wait, time) gets
 * each call as a `struct dal_operation`, does its part and invokes the next backend: one function per layer,
 * and no forwarding code in any of them.
 *
 * Threads: a layer is entered by many at a time; an operation belongs to one.
 */

#include "core/service.h"

enum dal_opcode {
	DAL_OP_PROBE,
	DAL_OP_STAT,
	DAL_OP_READ,
	DAL_OP_WRITE,
	DAL_OP_MULTIPART_BEGIN,
	DAL_OP_MULTIPART_PART,
	DAL_OP_MULTIPART_COPY,
	DAL_OP_MULTIPART_COMPLETE,
	DAL_OP_MULTIPART_ABORT,
	DAL_OP_MULTIPART_LIST,
	DAL_OP_APPEND,
	DAL_OP_DELETE,
	DAL_OP_DELETE_MANY,
	DAL_OP_COPY,
	DAL_OP_RENAME,
	DAL_OP_CREATE_DIR,
	DAL_OP_LIST,
	DAL_OP_PRESIGN,
	DAL_OP_SETATTR,
	DAL_OP_SYMLINK,
	DAL_OP_READLINK,
	DAL_OP_LINK,
	DAL_OP_MKNOD,
	DAL_OP_STATVFS,
	DAL_OP_GETXATTRS,
	DAL_OP_SETXATTR,
	DAL_OP_REMOVEXATTR,
	DAL_OPCODES,
};

/* The arguments of the slot of the same name, in its order, without @path. All borrowed for the call. */
struct dal_operation {
	enum dal_opcode code;
	const char *path; /* key, prefix, or source; of delete_many the first one */
	union {
		struct {
			bool may_write;
		} probe;
		struct {
			const struct dal_stat_args *args;
			struct dal_meta *ret_meta;
		} stat;
		struct {
			const struct dal_read_args *args;
			struct dal_stream **ret_stream;
		} read;
		struct {
			const struct dal_write_args *args;
			uint64_t at; /* append only */
			const struct dal_body *body;
			struct dal_meta *ret_meta;
		} write; /* and append */
		struct {
			const struct dal_write_args *args;
			char **ret_id;
		} begin;
		struct {
			const char *id;
			const struct dal_body *body;
			struct dal_part *part;
		} part;
		struct {
			const char *id, *src;
			uint64_t src_off;
			const char *src_etag;
			struct dal_part *part;
		} part_copy;
		struct {
			const char *id;
			const struct dal_part *parts;
			size_t n;
			const struct dal_write_args *args;
			struct dal_meta *ret_meta;
		} complete;
		struct {
			const char *id;
		} abort;
		struct {
			struct dal_upload **ret_v;
			size_t *ret_n;
		} uploads;
		struct {
			const struct dal_delete_args *args;
		} delete;
		struct {
			const char *const *paths;
			size_t n;
			bool *failed; /* never NULL here */
		} delete_many;
		struct {
			const char *to;
			const struct dal_copy_args *args;
			struct dal_meta *ret_meta;
		} copy;
		struct {
			const char *to;
			bool no_replace, exchange;
		} rename;
		struct {
			const struct dal_write_args *args;
		} create_dir;
		struct {
			const struct dal_list_args *args;
			const char *token;
			struct dal_page *ret_page;
		} list;
		struct {
			enum dal_presign_op what;
			uint64_t expire_s;
			struct dal_presigned *ret;
		} presign;
		struct {
			const struct dal_setattr_args *args;
			struct dal_meta *ret_meta;
		} setattr;
		struct {
			const char *target;
			const struct dal_posix *posix;
		} symlink; /* mknod has posix only */
		struct {
			char **ret_target;
		} readlink;
		struct {
			const char *to;
		} link;
		struct {
			struct statvfs *ret;
		} statvfs;
		struct {
			struct dal_pairs *ret;
		} getxattrs;
		struct {
			const char *name;
			const void *value;
			size_t len;
			int flags;
		} setxattr; /* removexattr has name only */
	} u;
};

/* The slot's name, as in "multipart_part". */
const char *dal_opcode_name(enum dal_opcode code);

/* Enters the nearest backend from @b down that does @o. DAL_UNSUPPORTED when none does. */
int dal_operation_invoke(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o);

/* True when the service below @b has a slot for @code. */
bool dal_operation_supported(const struct dal_backend *b, enum dal_opcode code);

/* Bytes the caller hands over (a body's), and how long moving all it moves may take at a slow but sound
 * speed. */
uint64_t dal_operation_bytes_out(const struct dal_operation *o);
uint64_t dal_operation_slow_ns(const struct dal_operation *o);

/* True when doing @o twice is the same as doing it once. */
bool dal_operation_repeatable(const struct dal_operation *o);
/* True when @o carries a condition on what is in the store: done twice it may fail by its own first success.
 */
bool dal_operation_conditional(const struct dal_operation *o);

/* Releases what a successful @o returned and leaves its results empty. */
void dal_operation_drop_results(const struct dal_operation *o);

/*
 * The base of every layer. `around` does the layer's part and calls dal_operation_invoke(l->b.next, …) for
 * the rest; the layer is its container, freed by `free`.
 */
struct dal_layer;
struct dal_layer_ops {
	const char *name;
	int (*around)(struct dal_layer *l, struct dal_call *call, const struct dal_operation *o);
	void (*free)(struct dal_layer *l); /* releases the layer itself, never b.next */
};

struct dal_layer {
	struct dal_backend b; /* first, so that a backend of dal_layer_service is one of these */
	const struct dal_layer_ops *ops;
};

extern const struct dal_service dal_layer_service;

/* Makes @l a layer over @next, which it owns from then on. */
void dal_layer_init(struct dal_layer *l, const struct dal_layer_ops *ops, struct dal_backend *next);
/* The layer @b is, or NULL when it is not one of @ops. */
struct dal_layer *dal_layer_of(const struct dal_backend *b, const struct dal_layer_ops *ops);
/* The service at the bottom of @b's chain. */
const struct dal_backend *dal_layer_bottom(const struct dal_backend *b);

/* Private to operation.c and operation-posix.c: enters a layer, and the two halves of the posix slots. */
int dal_layer_enter(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o);
int dal_operation_missing(struct dal_call *call, const struct dal_operation *o);
int dal_operation_invoke_posix(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o);

int dal_around_setattr(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_setattr_args *args, struct dal_meta *ret_meta);
int dal_around_symlink(struct dal_backend *b, struct dal_call *call, const char *target, const char *path,
	const struct dal_posix *posix);
int dal_around_readlink(struct dal_backend *b, struct dal_call *call, const char *path, char **ret_target);
int dal_around_link(struct dal_backend *b, struct dal_call *call, const char *from, const char *to);
int dal_around_mknod(
	struct dal_backend *b, struct dal_call *call, const char *path, const struct dal_posix *posix);
int dal_around_statvfs(struct dal_backend *b, struct dal_call *call, const char *path, struct statvfs *ret);
int dal_around_getxattrs(
	struct dal_backend *b, struct dal_call *call, const char *path, struct dal_pairs *ret);
int dal_around_setxattr(struct dal_backend *b, struct dal_call *call, const char *path, const char *name,
	const void *value, size_t len, int flags);
int dal_around_removexattr(struct dal_backend *b, struct dal_call *call, const char *path, const char *name);
