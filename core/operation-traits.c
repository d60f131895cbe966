/* SPDX-License-Identifier: Apache-2.0 */

/* What operations are like: their names, what a store supports, how long they may take, whether they can be
 * repeated. */

#include "core/operation.h"

#include <stdlib.h>

static const char *const names[DAL_OPCODES] = {
	[DAL_OP_PROBE] = "probe",
	[DAL_OP_STAT] = "stat",
	[DAL_OP_READ] = "read",
	[DAL_OP_WRITE] = "write",
	[DAL_OP_MULTIPART_BEGIN] = "multipart_begin",
	[DAL_OP_MULTIPART_PART] = "multipart_part",
	[DAL_OP_MULTIPART_COPY] = "multipart_copy",
	[DAL_OP_MULTIPART_COMPLETE] = "multipart_complete",
	[DAL_OP_MULTIPART_ABORT] = "multipart_abort",
	[DAL_OP_MULTIPART_LIST] = "multipart_list",
	[DAL_OP_APPEND] = "append",
	[DAL_OP_DELETE] = "delete",
	[DAL_OP_DELETE_MANY] = "delete_many",
	[DAL_OP_COPY] = "copy",
	[DAL_OP_RENAME] = "rename",
	[DAL_OP_CREATE_DIR] = "create_dir",
	[DAL_OP_LIST] = "list",
	[DAL_OP_PRESIGN] = "presign",
	[DAL_OP_SETATTR] = "setattr",
	[DAL_OP_SYMLINK] = "symlink",
	[DAL_OP_READLINK] = "readlink",
	[DAL_OP_LINK] = "link",
	[DAL_OP_MKNOD] = "mknod",
	[DAL_OP_STATVFS] = "statvfs",
	[DAL_OP_GETXATTRS] = "getxattrs",
	[DAL_OP_SETXATTR] = "setxattr",
	[DAL_OP_REMOVEXATTR] = "removexattr",
};

const char *dal_opcode_name(enum dal_opcode code)
{
	return names[code];
}

/* Where each operation's slot is in struct dal_service. */
static const size_t slots[DAL_OPCODES] = {
	[DAL_OP_PROBE] = offsetof(struct dal_service, probe),
	[DAL_OP_STAT] = offsetof(struct dal_service, stat),
	[DAL_OP_READ] = offsetof(struct dal_service, read),
	[DAL_OP_WRITE] = offsetof(struct dal_service, write),
	[DAL_OP_MULTIPART_BEGIN] = offsetof(struct dal_service, multipart_begin),
	[DAL_OP_MULTIPART_PART] = offsetof(struct dal_service, multipart_part),
	[DAL_OP_MULTIPART_COPY] = offsetof(struct dal_service, multipart_copy),
	[DAL_OP_MULTIPART_COMPLETE] = offsetof(struct dal_service, multipart_complete),
	[DAL_OP_MULTIPART_ABORT] = offsetof(struct dal_service, multipart_abort),
	[DAL_OP_MULTIPART_LIST] = offsetof(struct dal_service, multipart_list),
	[DAL_OP_APPEND] = offsetof(struct dal_service, append),
	[DAL_OP_DELETE] = offsetof(struct dal_service, delete),
	[DAL_OP_DELETE_MANY] = offsetof(struct dal_service, delete_many),
	[DAL_OP_COPY] = offsetof(struct dal_service, copy),
	[DAL_OP_RENAME] = offsetof(struct dal_service, rename),
	[DAL_OP_CREATE_DIR] = offsetof(struct dal_service, create_dir),
	[DAL_OP_LIST] = offsetof(struct dal_service, list),
	[DAL_OP_PRESIGN] = offsetof(struct dal_service, presign),
	[DAL_OP_SETATTR] = offsetof(struct dal_service, setattr),
	[DAL_OP_SYMLINK] = offsetof(struct dal_service, symlink),
	[DAL_OP_READLINK] = offsetof(struct dal_service, readlink),
	[DAL_OP_LINK] = offsetof(struct dal_service, link),
	[DAL_OP_MKNOD] = offsetof(struct dal_service, mknod),
	[DAL_OP_STATVFS] = offsetof(struct dal_service, statvfs),
	[DAL_OP_GETXATTRS] = offsetof(struct dal_service, getxattrs),
	[DAL_OP_SETXATTR] = offsetof(struct dal_service, setxattr),
	[DAL_OP_REMOVEXATTR] = offsetof(struct dal_service, removexattr),
};

bool dal_operation_supported(const struct dal_backend *b, enum dal_opcode code)
{
	const char *svc = (const char *)dal_layer_bottom(b)->svc;

	return *(void (*const *)(void))(const void *)(svc + slots[code]) != NULL;
}

uint64_t dal_operation_bytes_out(const struct dal_operation *o)
{
	switch (o->code) {
	case DAL_OP_WRITE:
	case DAL_OP_APPEND:
		return o->u.write.body->len;
	case DAL_OP_MULTIPART_PART:
		return o->u.part.body->len;
	default:
		return 0;
	}
}

/* Slowest sound speeds: over the network, and from place to place inside the store. */
#define SLOW_NETWORK (256 * DAL_KIB)
#define SLOW_STORE (16 * DAL_MIB)
/* Putting parts together moves no bytes in most stores; one that does is at it for a while. */
#define SLOW_COMPLETE (64 * DAL_MIB)

uint64_t dal_operation_slow_ns(const struct dal_operation *o)
{
	uint64_t bytes = 0;
	size_t i;

	switch (o->code) {
	case DAL_OP_COPY:
		return o->u.copy.args->size / SLOW_STORE * DAL_NS_PER_S;
	case DAL_OP_MULTIPART_COPY:
		return o->u.part_copy.part->len / SLOW_STORE * DAL_NS_PER_S;
	case DAL_OP_MULTIPART_COMPLETE:
		for (i = 0; i < o->u.complete.n; i++)
			bytes += o->u.complete.parts[i].len;
		return bytes / SLOW_COMPLETE * DAL_NS_PER_S;
	default:
		return dal_operation_bytes_out(o) / SLOW_NETWORK * DAL_NS_PER_S;
	}
}

bool dal_operation_repeatable(const struct dal_operation *o)
{
	switch (o->code) {
	case DAL_OP_APPEND:
	case DAL_OP_RENAME:
	case DAL_OP_LINK:
	case DAL_OP_SYMLINK:
	case DAL_OP_MKNOD:
	case DAL_OP_REMOVEXATTR:
		return false;
	case DAL_OP_SETXATTR:
		return o->u.setxattr.flags == 0;
	default:
		return true;
	}
}

static bool write_conditional(const struct dal_write_args *args)
{
	return args->if_match || args->if_not_exists;
}

bool dal_operation_conditional(const struct dal_operation *o)
{
	switch (o->code) {
	case DAL_OP_WRITE:
	case DAL_OP_APPEND:
		return write_conditional(o->u.write.args);
	case DAL_OP_MULTIPART_COMPLETE:
		return true; /* the upload is gone after the first success */
	case DAL_OP_CREATE_DIR:
		return write_conditional(o->u.create_dir.args);
	case DAL_OP_COPY:
		return o->u.copy.args->if_not_exists;
	case DAL_OP_DELETE:
		return o->u.delete.args->if_match != NULL;
	default:
		return false;
	}
}

void dal_operation_drop_results(const struct dal_operation *o)
{
	switch (o->code) {
	case DAL_OP_STAT:
		dal_meta_done(o->u.stat.ret_meta);
		break;
	case DAL_OP_READ:
		*o->u.read.ret_stream = dal_stream_close(*o->u.read.ret_stream);
		break;
	case DAL_OP_WRITE:
	case DAL_OP_APPEND:
		dal_meta_done(o->u.write.ret_meta);
		break;
	case DAL_OP_MULTIPART_BEGIN:
		free(dal_take(o->u.begin.ret_id));
		break;
	case DAL_OP_MULTIPART_COMPLETE:
		dal_meta_done(o->u.complete.ret_meta);
		break;
	case DAL_OP_MULTIPART_LIST:
		dal_uploads_free(*o->u.uploads.ret_v, *o->u.uploads.ret_n);
		*o->u.uploads.ret_v = NULL;
		*o->u.uploads.ret_n = 0;
		break;
	case DAL_OP_COPY:
		dal_meta_done(o->u.copy.ret_meta);
		break;
	case DAL_OP_LIST:
		dal_page_done(o->u.list.ret_page);
		break;
	case DAL_OP_PRESIGN:
		dal_presigned_done(o->u.presign.ret);
		break;
	case DAL_OP_SETATTR:
		dal_meta_done(o->u.setattr.ret_meta);
		break;
	case DAL_OP_READLINK:
		free(dal_take(o->u.readlink.ret_target));
		break;
	case DAL_OP_GETXATTRS:
		dal_pairs_done(o->u.getxattrs.ret);
		break;
	default:
		break;
	}
}
