/* SPDX-License-Identifier: Apache-2.0 */

/* The pairs of core/operation.c for the slots that only real filesystems fill. */

#include "core/operation.h"

int dal_around_setattr(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_setattr_args *args, struct dal_meta *ret_meta)
{
	struct dal_operation o = { .code = DAL_OP_SETATTR, .path = path, .u.setattr = { args, ret_meta } };

	return dal_layer_enter(b, call, &o);
}

static int invoke_setattr(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, setattr);

	return d ? d->svc->setattr(d, call, o->path, o->u.setattr.args, o->u.setattr.ret_meta)
		 : dal_operation_missing(call, o);
}

int dal_around_symlink(struct dal_backend *b, struct dal_call *call, const char *target, const char *path,
	const struct dal_posix *posix)
{
	struct dal_operation o = { .code = DAL_OP_SYMLINK, .path = path, .u.symlink = { target, posix } };

	return dal_layer_enter(b, call, &o);
}

static int invoke_symlink(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, symlink);

	return d ? d->svc->symlink(d, call, o->u.symlink.target, o->path, o->u.symlink.posix)
		 : dal_operation_missing(call, o);
}

int dal_around_readlink(struct dal_backend *b, struct dal_call *call, const char *path, char **ret_target)
{
	struct dal_operation o = { .code = DAL_OP_READLINK, .path = path, .u.readlink = { ret_target } };

	return dal_layer_enter(b, call, &o);
}

static int invoke_readlink(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, readlink);

	return d ? d->svc->readlink(d, call, o->path, o->u.readlink.ret_target)
		 : dal_operation_missing(call, o);
}

int dal_around_link(struct dal_backend *b, struct dal_call *call, const char *from, const char *to)
{
	struct dal_operation o = { .code = DAL_OP_LINK, .path = from, .u.link = { to } };

	return dal_layer_enter(b, call, &o);
}

static int invoke_link(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, link);

	return d ? d->svc->link(d, call, o->path, o->u.link.to) : dal_operation_missing(call, o);
}

int dal_around_mknod(
	struct dal_backend *b, struct dal_call *call, const char *path, const struct dal_posix *posix)
{
	struct dal_operation o = { .code = DAL_OP_MKNOD, .path = path, .u.symlink = { NULL, posix } };

	return dal_layer_enter(b, call, &o);
}

static int invoke_mknod(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, mknod);

	return d ? d->svc->mknod(d, call, o->path, o->u.symlink.posix) : dal_operation_missing(call, o);
}

int dal_around_statvfs(struct dal_backend *b, struct dal_call *call, const char *path, struct statvfs *ret)
{
	struct dal_operation o = { .code = DAL_OP_STATVFS, .path = path, .u.statvfs = { ret } };

	return dal_layer_enter(b, call, &o);
}

static int invoke_statvfs(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, statvfs);

	return d ? d->svc->statvfs(d, call, o->path, o->u.statvfs.ret) : dal_operation_missing(call, o);
}

int dal_around_getxattrs(
	struct dal_backend *b, struct dal_call *call, const char *path, struct dal_pairs *ret)
{
	struct dal_operation o = { .code = DAL_OP_GETXATTRS, .path = path, .u.getxattrs = { ret } };

	return dal_layer_enter(b, call, &o);
}

static int invoke_getxattrs(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, getxattrs);

	return d ? d->svc->getxattrs(d, call, o->path, o->u.getxattrs.ret) : dal_operation_missing(call, o);
}

int dal_around_setxattr(struct dal_backend *b, struct dal_call *call, const char *path, const char *name,
	const void *value, size_t len, int flags)
{
	struct dal_operation o = {
		.code = DAL_OP_SETXATTR, .path = path, .u.setxattr = { name, value, len, flags }
	};

	return dal_layer_enter(b, call, &o);
}

static int invoke_setxattr(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, setxattr);

	return d ? d->svc->setxattr(d, call, o->path, o->u.setxattr.name, o->u.setxattr.value,
			   o->u.setxattr.len, o->u.setxattr.flags)
		 : dal_operation_missing(call, o);
}

int dal_around_removexattr(struct dal_backend *b, struct dal_call *call, const char *path, const char *name)
{
	struct dal_operation o = {
		.code = DAL_OP_REMOVEXATTR, .path = path, .u.setxattr = { name, NULL, 0, 0 }
	};

	return dal_layer_enter(b, call, &o);
}

static int invoke_removexattr(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	struct dal_backend *d = DAL_BACKEND_DOING(b, removexattr);

	return d ? d->svc->removexattr(d, call, o->path, o->u.setxattr.name) : dal_operation_missing(call, o);
}

int dal_operation_invoke_posix(struct dal_backend *b, struct dal_call *call, const struct dal_operation *o)
{
	static int (*const invokers[DAL_OPCODES])(
		struct dal_backend * b, struct dal_call * call, const struct dal_operation *o) = {
		[DAL_OP_SETATTR] = invoke_setattr,
		[DAL_OP_SYMLINK] = invoke_symlink,
		[DAL_OP_READLINK] = invoke_readlink,
		[DAL_OP_LINK] = invoke_link,
		[DAL_OP_MKNOD] = invoke_mknod,
		[DAL_OP_STATVFS] = invoke_statvfs,
		[DAL_OP_GETXATTRS] = invoke_getxattrs,
		[DAL_OP_SETXATTR] = invoke_setxattr,
		[DAL_OP_REMOVEXATTR] = invoke_removexattr,
	};

	return invokers[o->code](b, call, o);
}
