/* SPDX-License-Identifier: Apache-2.0 */

/*
 * For every slot a pair: the layer's side packs the arguments into an operation, the other side unpacks them
 * into the nearest slot below that is filled. What the operations are like (repeatable, how slow) is told at
 * the end.
 */

#include "core/operation.h"

#include <assert.h>
#include <stdlib.h>

int dal_layer_enter(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_layer *l = dal_container_of(b, struct dal_layer, b);

	return l->ops->around(l, call, o);
}

int dal_operation_missing(struct dal_call *call, const struct dal_operation *o)
{
	return dal_fail(call, DAL_UNSUPPORTED, "%s: this store has no %s", o->path, dal_opcode_name(o->code));
}

static int around_probe(struct dal_backend *b, struct dal_call *call, const char *root, bool may_write)
{
	struct dal_operation o = { .code = DAL_OP_PROBE, .path = root, .u.probe = { may_write } };

	return dal_layer_enter(b, call, &o);
}

static int invoke_probe(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, probe);

	return d ? d->svc->probe(d, call, o->path, o->u.probe.may_write) : dal_operation_missing(call, o);
}

static int around_stat(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_stat_args *args, struct dal_meta *ret_meta)
{
	struct dal_operation o = { .code = DAL_OP_STAT, .path = path, .u.stat = { args, ret_meta } };

	return dal_layer_enter(b, call, &o);
}

static int invoke_stat(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, stat);

	return d ? d->svc->stat(d, call, o->path, o->u.stat.args, o->u.stat.ret_meta)
		 : dal_operation_missing(call, o);
}

static int around_read(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_read_args *args, struct dal_stream **ret_stream)
{
	struct dal_operation o = { .code = DAL_OP_READ, .path = path, .u.read = { args, ret_stream } };

	return dal_layer_enter(b, call, &o);
}

static int invoke_read(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, read);

	return d ? d->svc->read(d, call, o->path, o->u.read.args, o->u.read.ret_stream)
		 : dal_operation_missing(call, o);
}

static int around_write(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_write_args *args, const struct dal_body *body, struct dal_meta *ret_meta)
{
	struct dal_operation o = {
		.code = DAL_OP_WRITE, .path = path, .u.write = { args, 0, body, ret_meta }
	};

	return dal_layer_enter(b, call, &o);
}

static int invoke_write(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, write);

	return d ? d->svc->write(d, call, o->path, o->u.write.args, o->u.write.body, o->u.write.ret_meta)
		 : dal_operation_missing(call, o);
}

static int around_multipart_begin(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_write_args *args, char **ret_id)
{
	struct dal_operation o = {
		.code = DAL_OP_MULTIPART_BEGIN, .path = path, .u.begin = { args, ret_id }
	};

	return dal_layer_enter(b, call, &o);
}

static int invoke_multipart_begin(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, multipart_begin);

	return d ? d->svc->multipart_begin(d, call, o->path, o->u.begin.args, o->u.begin.ret_id)
		 : dal_operation_missing(call, o);
}

static int around_multipart_part(struct dal_backend *b, struct dal_call *call, const char *path,
	const char *id, const struct dal_body *body, struct dal_part *part)
{
	struct dal_operation o = {
		.code = DAL_OP_MULTIPART_PART, .path = path, .u.part = { id, body, part }
	};

	return dal_layer_enter(b, call, &o);
}

static int invoke_multipart_part(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, multipart_part);

	return d ? d->svc->multipart_part(d, call, o->path, o->u.part.id, o->u.part.body, o->u.part.part)
		 : dal_operation_missing(call, o);
}

static int around_multipart_copy(struct dal_backend *b, struct dal_call *call, const char *path,
	const char *id, const char *src, uint64_t src_off, const char *src_etag, struct dal_part *part)
{
	struct dal_operation o = { .code = DAL_OP_MULTIPART_COPY,
		.path = path,
		.u.part_copy = { id, src, src_off, src_etag, part } };

	return dal_layer_enter(b, call, &o);
}

static int invoke_multipart_copy(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, multipart_copy);

	return d ? d->svc->multipart_copy(d, call, o->path, o->u.part_copy.id, o->u.part_copy.src,
			   o->u.part_copy.src_off, o->u.part_copy.src_etag, o->u.part_copy.part)
		 : dal_operation_missing(call, o);
}

static int around_multipart_complete(struct dal_backend *b, struct dal_call *call, const char *path,
	const char *id, const struct dal_part *parts, size_t n, const struct dal_write_args *args,
	struct dal_meta *ret_meta)
{
	struct dal_operation o = { .code = DAL_OP_MULTIPART_COMPLETE,
		.path = path,
		.u.complete = { id, parts, n, args, ret_meta } };

	return dal_layer_enter(b, call, &o);
}

static int invoke_multipart_complete(
	struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, multipart_complete);

	return d ? d->svc->multipart_complete(d, call, o->path, o->u.complete.id, o->u.complete.parts,
			   o->u.complete.n, o->u.complete.args, o->u.complete.ret_meta)
		 : dal_operation_missing(call, o);
}

static int around_multipart_abort(
	struct dal_backend *b, struct dal_call *call, const char *path, const char *id)
{
	struct dal_operation o = { .code = DAL_OP_MULTIPART_ABORT, .path = path, .u.abort = { id } };

	return dal_layer_enter(b, call, &o);
}

static int invoke_multipart_abort(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, multipart_abort);

	return d ? d->svc->multipart_abort(d, call, o->path, o->u.abort.id) : dal_operation_missing(call, o);
}

static int around_multipart_list(struct dal_backend *b, struct dal_call *call, const char *prefix,
	struct dal_upload **ret_v, size_t *ret_n)
{
	struct dal_operation o = {
		.code = DAL_OP_MULTIPART_LIST, .path = prefix, .u.uploads = { ret_v, ret_n }
	};

	return dal_layer_enter(b, call, &o);
}

static int invoke_multipart_list(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, multipart_list);

	return d ? d->svc->multipart_list(d, call, o->path, o->u.uploads.ret_v, o->u.uploads.ret_n)
		 : dal_operation_missing(call, o);
}

static int around_append(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_write_args *args, uint64_t at, const struct dal_body *body,
	struct dal_meta *ret_meta)
{
	struct dal_operation o = {
		.code = DAL_OP_APPEND, .path = path, .u.write = { args, at, body, ret_meta }
	};

	return dal_layer_enter(b, call, &o);
}

static int invoke_append(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, append);

	return d ? d->svc->append(d, call, o->path, o->u.write.args, o->u.write.at, o->u.write.body,
			   o->u.write.ret_meta)
		 : dal_operation_missing(call, o);
}

static int around_delete(
	struct dal_backend *b, struct dal_call *call, const char *path, const struct dal_delete_args *args)
{
	struct dal_operation o = { .code = DAL_OP_DELETE, .path = path, .u.delete = { args } };

	return dal_layer_enter(b, call, &o);
}

static int invoke_delete(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, delete);

	return d ? d->svc->delete (d, call, o->path, o->u.delete.args) : dal_operation_missing(call, o);
}

static int around_delete_many(
	struct dal_backend *b, struct dal_call *call, const char *const *paths, size_t n, bool *failed)
{
	struct dal_operation o = {
		.code = DAL_OP_DELETE_MANY, .path = paths[0], .u.delete_many = { paths, n, failed }
	};

	return dal_layer_enter(b, call, &o);
}

static int invoke_delete_many(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, delete_many);

	return d ? d->svc->delete_many(
			   d, call, o->u.delete_many.paths, o->u.delete_many.n, o->u.delete_many.failed)
		 : dal_operation_missing(call, o);
}

static int around_copy(struct dal_backend *b, struct dal_call *call, const char *from, const char *to,
	const struct dal_copy_args *args, struct dal_meta *ret_meta)
{
	struct dal_operation o = { .code = DAL_OP_COPY, .path = from, .u.copy = { to, args, ret_meta } };

	return dal_layer_enter(b, call, &o);
}

static int invoke_copy(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, copy);

	return d ? d->svc->copy(d, call, o->path, o->u.copy.to, o->u.copy.args, o->u.copy.ret_meta)
		 : dal_operation_missing(call, o);
}

static int around_rename(struct dal_backend *b, struct dal_call *call, const char *from, const char *to,
	bool no_replace, bool exchange)
{
	struct dal_operation o = {
		.code = DAL_OP_RENAME, .path = from, .u.rename = { to, no_replace, exchange }
	};

	return dal_layer_enter(b, call, &o);
}

static int invoke_rename(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, rename);

	return d ? d->svc->rename(
			   d, call, o->path, o->u.rename.to, o->u.rename.no_replace, o->u.rename.exchange)
		 : dal_operation_missing(call, o);
}

static int around_create_dir(
	struct dal_backend *b, struct dal_call *call, const char *path, const struct dal_write_args *args)
{
	struct dal_operation o = { .code = DAL_OP_CREATE_DIR, .path = path, .u.create_dir = { args } };

	return dal_layer_enter(b, call, &o);
}

static int invoke_create_dir(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, create_dir);

	return d ? d->svc->create_dir(d, call, o->path, o->u.create_dir.args)
		 : dal_operation_missing(call, o);
}

static int around_list(struct dal_backend *b, struct dal_call *call, const char *prefix,
	const struct dal_list_args *args, const char *token, struct dal_page *ret_page)
{
	struct dal_operation o = { .code = DAL_OP_LIST, .path = prefix, .u.list = { args, token, ret_page } };

	return dal_layer_enter(b, call, &o);
}

static int invoke_list(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, list);

	return d ? d->svc->list(d, call, o->path, o->u.list.args, o->u.list.token, o->u.list.ret_page)
		 : dal_operation_missing(call, o);
}

static int around_presign(struct dal_backend *b, struct dal_call *call, enum dal_presign_op what,
	const char *path, uint64_t expire_s, struct dal_presigned *ret)
{
	struct dal_operation o = {
		.code = DAL_OP_PRESIGN, .path = path, .u.presign = { what, expire_s, ret }
	};

	return dal_layer_enter(b, call, &o);
}

static int invoke_presign(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, presign);

	return d ? d->svc->presign(
			   d, call, o->u.presign.what, o->path, o->u.presign.expire_s, o->u.presign.ret)
		 : dal_operation_missing(call, o);
}

typedef int (*invoke_fn)(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o);

/* Slots of real filesystems are in operation-posix.c. */
static const invoke_fn invokers[DAL_OPCODES] = {
	[DAL_OP_PROBE] = invoke_probe,
	[DAL_OP_STAT] = invoke_stat,
	[DAL_OP_READ] = invoke_read,
	[DAL_OP_WRITE] = invoke_write,
	[DAL_OP_MULTIPART_BEGIN] = invoke_multipart_begin,
	[DAL_OP_MULTIPART_PART] = invoke_multipart_part,
	[DAL_OP_MULTIPART_COPY] = invoke_multipart_copy,
	[DAL_OP_MULTIPART_COMPLETE] = invoke_multipart_complete,
	[DAL_OP_MULTIPART_ABORT] = invoke_multipart_abort,
	[DAL_OP_MULTIPART_LIST] = invoke_multipart_list,
	[DAL_OP_APPEND] = invoke_append,
	[DAL_OP_DELETE] = invoke_delete,
	[DAL_OP_DELETE_MANY] = invoke_delete_many,
	[DAL_OP_COPY] = invoke_copy,
	[DAL_OP_RENAME] = invoke_rename,
	[DAL_OP_CREATE_DIR] = invoke_create_dir,
	[DAL_OP_LIST] = invoke_list,
	[DAL_OP_PRESIGN] = invoke_presign,
};

int dal_operation_invoke(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	assert(o->code < DAL_OPCODES);
	return invokers[o->code] ? invokers[o->code](b, call, o) : dal_operation_invoke_posix(b, call, o);
}

static void close_layer(struct dal_backend *b)
{
	struct dal_layer *l = dal_container_of(b, struct dal_layer, b);

	l->ops->free(l);
}

const struct dal_service dal_layer_service = {
	.scheme = "layer",
	.summary = "a layer over a service",
	.close = close_layer,
	.probe = around_probe,
	.stat = around_stat,
	.read = around_read,
	.write = around_write,
	.multipart_begin = around_multipart_begin,
	.multipart_part = around_multipart_part,
	.multipart_copy = around_multipart_copy,
	.multipart_complete = around_multipart_complete,
	.multipart_abort = around_multipart_abort,
	.multipart_list = around_multipart_list,
	.append = around_append,
	.delete = around_delete,
	.delete_many = around_delete_many,
	.copy = around_copy,
	.rename = around_rename,
	.create_dir = around_create_dir,
	.list = around_list,
	.presign = around_presign,
	.setattr = dal_around_setattr,
	.symlink = dal_around_symlink,
	.readlink = dal_around_readlink,
	.link = dal_around_link,
	.mknod = dal_around_mknod,
	.statvfs = dal_around_statvfs,
	.getxattrs = dal_around_getxattrs,
	.setxattr = dal_around_setxattr,
	.removexattr = dal_around_removexattr,
};

void dal_layer_init(struct dal_layer *l, const struct dal_layer_ops *ops, struct dal_backend *next)
{
	l->b.svc = &dal_layer_service;
	l->b.next = next;
	l->b.cap = next->cap;
	l->ops = ops;
}

struct dal_layer *dal_layer_of(const struct dal_backend *b, const struct dal_layer_ops *ops)
{
	struct dal_layer *l;

	if (b->svc != &dal_layer_service)
		return NULL;
	l = (struct dal_layer *)(uintptr_t)b;
	return l->ops == ops ? l : NULL;
}

const struct dal_backend *dal_layer_bottom(const struct dal_backend *b)
{
	while (b->next)
		b = b->next;
	return b;
}
