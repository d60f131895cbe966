/* SPDX-License-Identifier: Apache-2.0 */

/* Multipart uploads: the arguments are checked against the store's limits before a part leaves. */

#include "core/operator-private.h"

#include <stdlib.h>
#include <string.h>

int dal_op_multipart_begin(struct dal_operator *op, struct dal_call *call, const char *path,
	const struct dal_write_args *args, char **ret_id)
{
	static const struct dal_write_args none;
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	DAL_CLEANUP(dal_mem_freep) char *id = NULL;
	struct dal_write_args plain;
	struct dal_operation o = { .code = DAL_OP_MULTIPART_BEGIN };
	int r = dal_operator_object_key(op, call, path, &key);

	if (r < 0)
		return r;
	/* Conditions belong to the end of an upload. */
	plain = args ? *args : none;
	plain.if_match = NULL;
	plain.if_not_exists = false;
	r = dal_operator_check_write(op, call, o.code, &plain);
	if (r < 0)
		return r;
	o.path = key;
	o.u.begin.args = &plain;
	o.u.begin.ret_id = &id;
	r = dal_operator_run(op, call, &o);
	if (r < 0)
		return r;
	if (!id || !*id)
		return dal_fail_temporary(call, DAL_UNEXPECTED, "%s: the store gave the upload no id", key);
	*ret_id = dal_take(&id);
	return 0;
}

/* Limits that hold for every part; only the last may be short, which one it is is not known here. */
static int check_part(
	const struct dal_operator *op, struct dal_call *call, const char *path, const struct dal_part *part)
{
	if (part->number == 0 || (op->cap.parts_max && part->number > op->cap.parts_max))
		return dal_fail(call, DAL_UNSUPPORTED, "%s: part %u; the store takes 1 to %llu", path,
			part->number, (unsigned long long)op->cap.parts_max);
	if (op->cap.part_max && part->len > op->cap.part_max)
		return dal_fail(call, DAL_UNSUPPORTED, "%s: a part of %llu bytes; the store takes %llu", path,
			(unsigned long long)part->len, (unsigned long long)op->cap.part_max);
	return 0;
}

int dal_op_multipart_part(struct dal_operator *op, struct dal_call *call, const char *path, const char *id,
	const struct dal_body *body, struct dal_part *part)
{
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	struct dal_part done;
	struct dal_operation o = { .code = DAL_OP_MULTIPART_PART };
	int r = dal_operator_object_key(op, call, path, &key);

	if (r == 0)
		r = check_part(op, call, key, part);
	if (r < 0)
		return r;
	done = *part;
	o.path = key;
	o.u.part.id = id;
	o.u.part.body = body;
	o.u.part.part = &done;
	r = dal_operator_run(op, call, &o);
	if (r == 0)
		*part = done;
	return r;
}

int dal_op_multipart_copy(struct dal_operator *op, struct dal_call *call, const char *path, const char *id,
	const char *src, uint64_t src_off, const char *src_etag, struct dal_part *part)
{
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	DAL_CLEANUP(dal_mem_freep) char *src_key = NULL;
	struct dal_part done;
	struct dal_operation o = { .code = DAL_OP_MULTIPART_COPY };
	int r = dal_operator_object_key(op, call, path, &key);

	if (r == 0)
		r = dal_operator_object_key(op, call, src, &src_key);
	if (r == 0)
		r = check_part(op, call, key, part);
	if (r < 0)
		return r;
	done = *part;
	o.path = key;
	o.u.part_copy.id = id;
	o.u.part_copy.src = src_key;
	o.u.part_copy.src_off = src_off;
	o.u.part_copy.src_etag = src_etag;
	o.u.part_copy.part = &done;
	r = dal_operator_run(op, call, &o);
	if (r == 0)
		*part = done;
	return r;
}

int dal_op_multipart_complete(struct dal_operator *op, struct dal_call *call, const char *path,
	const char *id, const struct dal_part *parts, size_t n, const struct dal_write_args *args,
	struct dal_meta *ret_meta)
{
	static const struct dal_write_args none;
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	struct dal_meta meta = { 0 };
	struct dal_write_args conditions = { 0 };
	struct dal_operation o = { .code = DAL_OP_MULTIPART_COMPLETE };
	int r = dal_operator_object_key(op, call, path, &key);

	if (r < 0)
		return r;
	args = args ? args : &none;
	conditions.if_match = args->if_match;
	conditions.if_not_exists = args->if_not_exists;
	r = dal_operator_check_write(op, call, o.code, &conditions);
	if (r < 0)
		return r;
	o.path = key;
	o.u.complete.id = id;
	o.u.complete.parts = parts;
	o.u.complete.n = n;
	o.u.complete.args = &conditions;
	o.u.complete.ret_meta = &meta;
	r = dal_operator_run(op, call, &o);
	if (r < 0)
		return r;
	if (ret_meta)
		*ret_meta = meta;
	else
		dal_meta_done(&meta);
	return 0;
}

int dal_op_multipart_abort(struct dal_operator *op, struct dal_call *call, const char *path, const char *id)
{
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	struct dal_operation o = { .code = DAL_OP_MULTIPART_ABORT };
	int r = dal_operator_object_key(op, call, path, &key);

	if (r < 0)
		return r;
	o.path = key;
	o.u.abort.id = id;
	return dal_operator_run(op, call, &o);
}

int dal_op_multipart_list(struct dal_operator *op, struct dal_call *call, const char *prefix,
	struct dal_upload **ret_v, size_t *ret_n)
{
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	struct dal_upload *v = NULL;
	size_t n = 0, i;
	struct dal_operation o = { .code = DAL_OP_MULTIPART_LIST };
	int r = dal_operator_key(op, call, prefix, &key);

	if (r < 0)
		return r;
	o.path = key;
	o.u.uploads.ret_v = &v;
	o.u.uploads.ret_n = &n;
	r = dal_operator_run(op, call, &o);
	if (r < 0)
		return r;
	for (i = 0; i < n; i++) {
		if (!dal_starts_with(v[i].path, key)) {
			r = dal_fail(call, DAL_UNEXPECTED,
				"%s: the store listed an upload to %s, which is not below it", key,
				v[i].path);
			dal_uploads_free(v, n);
			return r;
		}
		memmove(v[i].path, v[i].path + op->root_len, strlen(v[i].path + op->root_len) + 1);
	}
	*ret_v = v;
	*ret_n = n;
	return 0;
}
