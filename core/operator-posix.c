/* SPDX-License-Identifier: Apache-2.0 */

/* Operations that only stores with cap.posix have: attributes, links, nodes, extended attributes, space. */

#include "core/operator-private.h"

#include <stdlib.h>

int dal_op_setattr(struct dal_operator *op, struct dal_call *call, const char *path,
	const struct dal_setattr_args *args, struct dal_meta *ret_meta)
{
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	struct dal_meta meta = { 0 };
	struct dal_operation o = { .code = DAL_OP_SETATTR };
	int r = dal_operator_key(op, call, path, &key);

	if (r < 0)
		return r;
	o.path = key;
	o.u.setattr.args = args;
	o.u.setattr.ret_meta = &meta;
	r = dal_operator_run(op, call, &o);
	if (r < 0)
		return r;
	if (ret_meta)
		*ret_meta = meta;
	else
		dal_meta_done(&meta);
	return 0;
}

int dal_op_symlink(struct dal_operator *op, struct dal_call *call, const char *target, const char *path,
	const struct dal_posix *posix)
{
	static const struct dal_posix none;
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	struct dal_operation o = { .code = DAL_OP_SYMLINK };
	int r = dal_operator_object_key(op, call, path, &key);

	if (r < 0)
		return r;
	o.path = key;
	o.u.symlink.target = target;
	o.u.symlink.posix = posix ? posix : &none;
	return dal_operator_run(op, call, &o);
}

int dal_op_readlink(struct dal_operator *op, struct dal_call *call, const char *path, char **ret_target)
{
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	char *target = NULL;
	struct dal_operation o = { .code = DAL_OP_READLINK };
	int r = dal_operator_object_key(op, call, path, &key);

	if (r < 0)
		return r;
	o.path = key;
	o.u.readlink.ret_target = &target;
	r = dal_operator_run(op, call, &o);
	if (r == 0)
		*ret_target = target;
	return r;
}

int dal_op_link(struct dal_operator *op, struct dal_call *call, const char *from, const char *to)
{
	DAL_CLEANUP(dal_mem_freep) char *from_key = NULL;
	DAL_CLEANUP(dal_mem_freep) char *to_key = NULL;
	struct dal_operation o = { .code = DAL_OP_LINK };
	int r = dal_operator_object_key(op, call, from, &from_key);

	if (r == 0)
		r = dal_operator_object_key(op, call, to, &to_key);
	if (r < 0)
		return r;
	o.path = from_key;
	o.u.link.to = to_key;
	return dal_operator_run(op, call, &o);
}

int dal_op_mknod(
	struct dal_operator *op, struct dal_call *call, const char *path, const struct dal_posix *posix)
{
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	struct dal_operation o = { .code = DAL_OP_MKNOD };
	int r = dal_operator_object_key(op, call, path, &key);

	if (r < 0)
		return r;
	o.path = key;
	o.u.symlink.posix = posix;
	return dal_operator_run(op, call, &o);
}

int dal_op_statvfs(struct dal_operator *op, struct dal_call *call, const char *path, struct statvfs *ret)
{
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	struct dal_operation o = { .code = DAL_OP_STATVFS };
	int r = dal_operator_key(op, call, path, &key);

	if (r < 0)
		return r;
	o.path = key;
	o.u.statvfs.ret = ret;
	return dal_operator_run(op, call, &o);
}

int dal_op_getxattrs(struct dal_operator *op, struct dal_call *call, const char *path, struct dal_pairs *ret)
{
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	struct dal_pairs pairs = { 0 };
	struct dal_operation o = { .code = DAL_OP_GETXATTRS };
	int r = dal_operator_key(op, call, path, &key);

	if (r < 0)
		return r;
	o.path = key;
	o.u.getxattrs.ret = &pairs;
	r = dal_operator_run(op, call, &o);
	if (r == 0)
		*ret = pairs;
	return r;
}

int dal_op_setxattr(struct dal_operator *op, struct dal_call *call, const char *path, const char *name,
	const void *value, size_t len, int flags)
{
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	struct dal_operation o = { .code = DAL_OP_SETXATTR };
	int r = dal_operator_key(op, call, path, &key);

	if (r < 0)
		return r;
	o.path = key;
	o.u.setxattr.name = name;
	o.u.setxattr.value = value;
	o.u.setxattr.len = len;
	o.u.setxattr.flags = flags;
	return dal_operator_run(op, call, &o);
}

int dal_op_removexattr(struct dal_operator *op, struct dal_call *call, const char *path, const char *name)
{
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	struct dal_operation o = { .code = DAL_OP_REMOVEXATTR };
	int r = dal_operator_key(op, call, path, &key);

	if (r < 0)
		return r;
	o.path = key;
	o.u.setxattr.name = name;
	return dal_operator_run(op, call, &o);
}
