/* SPDX-License-Identifier: Apache-2.0 */

/* Operations on one object, or on many by name. */

#include "core/operator-private.h"

#include <stdlib.h>
#include <string.h>

#include "core/path.h"

/* Objects' contents are not at names that end in '/', but for callers that use keys to the byte. */
static int file_key(const struct dal_operator *op, struct dal_call *call, const char *path, char **ret_key)
{
	int r = dal_operator_object_key(op, call, path, ret_key);

	if (r < 0 || (op->flags & DAL_OPERATOR_EXACT_KEYS) || !dal_path_is_dir(*ret_key))
		return r;
	free(dal_take(ret_key));
	return dal_fail(call, DAL_IS_A_DIRECTORY, "%s: is a directory", path);
}

/* Hands a result to a caller who may not care for it. */
static void give_meta(struct dal_meta *meta, struct dal_meta *ret_meta)
{
	if (ret_meta)
		*ret_meta = *meta;
	else
		dal_meta_done(meta);
}

int dal_op_stat(struct dal_operator *op, struct dal_call *call, const char *path,
	const struct dal_stat_args *args, struct dal_meta *ret_meta)
{
	static const struct dal_stat_args none;
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	struct dal_meta meta = { 0 };
	struct dal_operation o = { .code = DAL_OP_STAT };
	int r = dal_operator_key(op, call, path, &key);

	if (r < 0)
		return r;
	args = args ? args : &none;
	if (strlen(key) == op->root_len && !op->cap.posix) {
		meta.type = DAL_TYPE_DIR;
		give_meta(&meta, ret_meta);
		return 0;
	}
	if (args->if_match && !op->cap.stat_if_match)
		return dal_operator_unsupported(op, call, o.code, "if_match");
	if (args->if_none_match && !op->cap.stat_if_none_match)
		return dal_operator_unsupported(op, call, o.code, "if_none_match");
	o.path = key;
	o.u.stat.args = args;
	o.u.stat.ret_meta = &meta;
	r = dal_operator_run(op, call, &o);
	if (r < 0)
		return r;
	if (meta.type == DAL_TYPE_FILE && !meta.has_size) {
		dal_meta_done(&meta);
		return dal_fail_temporary(
			call, DAL_UNEXPECTED, "%s: the store did not say how large it is", key);
	}
	give_meta(&meta, ret_meta);
	return 0;
}

int dal_op_read(struct dal_operator *op, struct dal_call *call, const char *path,
	const struct dal_read_args *args, struct dal_stream **ret_stream)
{
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	struct dal_read_args whole = { 0 };
	struct dal_stream *stream = NULL;
	struct dal_operation o = { .code = DAL_OP_READ };
	int r = file_key(op, call, path, &key);

	if (r < 0)
		return r;
	if (args)
		whole = *args;
	if (whole.len == 0)
		whole.len = DAL_TO_END;
	if (whole.if_match && !op->cap.read_if_match)
		return dal_operator_unsupported(op, call, o.code, "if_match");
	if (whole.if_none_match && !op->cap.read_if_none_match)
		return dal_operator_unsupported(op, call, o.code, "if_none_match");
	o.path = key;
	o.u.read.args = &whole;
	o.u.read.ret_stream = &stream;
	r = dal_operator_run(op, call, &o);
	return r < 0 ? r : dal_operator_checked_stream(call, key, &whole, stream, ret_stream);
}

int dal_op_read_into(struct dal_operator *op, struct dal_call *call, const char *path,
	const struct dal_read_args *args, void *buf, size_t len, size_t *ret_n, struct dal_meta *ret_meta)
{
	DAL_CLEANUP(dal_stream_closep) struct dal_stream *stream = NULL;
	struct dal_read_args range = { 0 };
	size_t n;
	int r;

	if (args)
		range = *args;
	range.len = len ? len : 1; /* an empty read still tells whether the object is there */
	r = dal_op_read(op, call, path, &range, &stream);
	if (r < 0)
		return r;
	r = dal_stream_read(stream, call, buf, len, &n);
	if (r < 0)
		return r;
	if (ret_meta) {
		*ret_meta = stream->meta;
		stream->meta = (struct dal_meta){ 0 };
	}
	*ret_n = n;
	return 0;
}

int dal_op_write(struct dal_operator *op, struct dal_call *call, const char *path,
	const struct dal_write_args *args, const struct dal_body *body, struct dal_meta *ret_meta)
{
	static const struct dal_write_args none;
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	struct dal_meta meta = { 0 };
	struct dal_operation o = { .code = DAL_OP_WRITE };
	int r = file_key(op, call, path, &key);

	args = args ? args : &none;
	if (r == 0)
		r = dal_operator_check_write(op, call, o.code, args);
	if (r < 0)
		return r;
	if (op->cap.write_max && body->len > op->cap.write_max)
		return dal_fail(call, DAL_UNSUPPORTED, "%s: %llu bytes in one write; the store takes %llu",
			key, (unsigned long long)body->len, (unsigned long long)op->cap.write_max);
	o.path = key;
	o.u.write.args = args;
	o.u.write.body = body;
	o.u.write.ret_meta = &meta;
	r = dal_operator_run(op, call, &o);
	if (r < 0)
		return r;
	give_meta(&meta, ret_meta);
	return 0;
}

int dal_op_append(struct dal_operator *op, struct dal_call *call, const char *path,
	const struct dal_write_args *args, uint64_t at, const struct dal_body *body,
	struct dal_meta *ret_meta)
{
	static const struct dal_write_args none;
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	struct dal_meta meta = { 0 };
	struct dal_operation o = { .code = DAL_OP_APPEND };
	int r = file_key(op, call, path, &key);

	args = args ? args : &none;
	if (r == 0)
		r = dal_operator_check_write(op, call, o.code, args);
	if (r < 0)
		return r;
	o.path = key;
	o.u.write.args = args;
	o.u.write.at = at;
	o.u.write.body = body;
	o.u.write.ret_meta = &meta;
	r = dal_operator_run(op, call, &o);
	if (r < 0)
		return r;
	give_meta(&meta, ret_meta);
	return 0;
}

int dal_op_delete(
	struct dal_operator *op, struct dal_call *call, const char *path, const struct dal_delete_args *args)
{
	static const struct dal_delete_args none;
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	struct dal_operation o = { .code = DAL_OP_DELETE };
	int r = dal_operator_object_key(op, call, path, &key);

	if (r < 0)
		return r;
	args = args ? args : &none;
	if (args->if_match && !op->cap.delete_if_match)
		return dal_operator_unsupported(op, call, o.code, "if_match");
	if (args->recursive && !op->cap.delete_recursive)
		return dal_operator_unsupported(op, call, o.code, "recursive");
	o.path = key;
	o.u.delete.args = args;
	return dal_operator_run(op, call, &o);
}

/* One by one, for stores without batches. Goes on after a failure: what can go goes. */
static int delete_each(
	struct dal_operator *op, struct dal_call *call, char *const *keys, size_t n, bool *failed)
{
	static const struct dal_delete_args none;
	struct dal_error first = { 0 };
	size_t i;

	for (i = 0; i < n; i++) {
		struct dal_operation o = { .code = DAL_OP_DELETE, .path = keys[i], .u.delete = { &none } };

		if (dal_operator_run(op, call, &o) == 0)
			continue;
		failed[i] = true;
		if (first.kind == DAL_OK)
			first = call->err;
	}
	return first.kind == DAL_OK ? 0 : dal_call_fail_as(call, &first);
}

static int delete_batches(
	struct dal_operator *op, struct dal_call *call, char *const *keys, size_t n, bool *failed)
{
	size_t batch = op->cap.delete_many_max ? (size_t)DAL_MIN(op->cap.delete_many_max, (uint64_t)n) : n;
	struct dal_error first = { 0 };
	size_t i;

	for (i = 0; i < n; i += batch) {
		size_t count = DAL_MIN(batch, n - i), k;
		struct dal_operation o = { .code = DAL_OP_DELETE_MANY, .path = keys[i] };
		bool told = false;

		o.u.delete_many.paths = (const char *const *)keys + i;
		o.u.delete_many.n = count;
		o.u.delete_many.failed = failed + i;
		if (dal_operator_run(op, call, &o) == 0) {
			memset(failed + i, 0, count);
			continue;
		}
		/* A failure that names no path means that any of them may remain. */
		for (k = 0; k < count; k++)
			told = told || failed[i + k];
		if (!told)
			memset(failed + i, 1, count);
		if (first.kind == DAL_OK)
			first = call->err;
	}
	return first.kind == DAL_OK ? 0 : dal_call_fail_as(call, &first);
}

int dal_op_delete_many(
	struct dal_operator *op, struct dal_call *call, const char *const *paths, size_t n, bool *failed)
{
	DAL_CLEANUP(dal_mem_freep) char **keys = NULL;
	DAL_CLEANUP(dal_mem_freep) bool *own = NULL;
	size_t i;
	int r = 0;

	if (n == 0)
		return 0;
	keys = calloc(n, sizeof(*keys));
	if (!failed)
		failed = own = calloc(n, sizeof(*own));
	if (!keys || !failed)
		return dal_fail_nomem(call);
	memset(failed, 1, n);
	for (i = 0; i < n && r == 0; i++)
		r = dal_operator_object_key(op, call, paths[i], &keys[i]);
	if (r == 0) {
		memset(failed, 0, n);
		r = op->cap.delete_many ? delete_batches(op, call, keys, n, failed)
					: delete_each(op, call, keys, n, failed);
	}
	for (i = 0; i < n; i++)
		free(keys[i]);
	return r;
}

static int check_copy(struct dal_operator *op, struct dal_call *call, const char *from, const char *to,
	const struct dal_copy_args *args)
{
	if (args->if_match && !op->cap.copy_if_match)
		return dal_operator_unsupported(op, call, DAL_OP_COPY, "if_match");
	if (args->if_not_exists && !op->cap.copy_if_not_exists)
		return dal_operator_unsupported(op, call, DAL_OP_COPY, "if_not_exists");
	if (args->replace && !op->cap.copy_replaces_meta)
		return dal_operator_unsupported(op, call, DAL_OP_COPY, "new metadata");
	if (op->cap.copy_max && args->size > op->cap.copy_max)
		return dal_fail(call, DAL_UNSUPPORTED,
			"%s: a copy of %llu bytes; the store takes %llu at once", from,
			(unsigned long long)args->size, (unsigned long long)op->cap.copy_max);
	if (strcmp(from, to) == 0 && !args->replace)
		return dal_fail(call, DAL_IS_SAME_FILE, "%s: a copy onto itself", from);
	return 0;
}

int dal_op_copy(struct dal_operator *op, struct dal_call *call, const char *from, const char *to,
	const struct dal_copy_args *args, struct dal_meta *ret_meta)
{
	static const struct dal_copy_args none;
	DAL_CLEANUP(dal_mem_freep) char *from_key = NULL;
	DAL_CLEANUP(dal_mem_freep) char *to_key = NULL;
	struct dal_meta meta = { 0 };
	struct dal_operation o = { .code = DAL_OP_COPY };
	int r = file_key(op, call, from, &from_key);

	args = args ? args : &none;
	if (r == 0)
		r = file_key(op, call, to, &to_key);
	if (r == 0)
		r = check_copy(op, call, from_key, to_key, args);
	if (r < 0)
		return r;
	o.path = from_key;
	o.u.copy.to = to_key;
	o.u.copy.args = args;
	o.u.copy.ret_meta = &meta;
	r = dal_operator_run(op, call, &o);
	if (r < 0)
		return r;
	give_meta(&meta, ret_meta);
	return 0;
}

int dal_op_rename(struct dal_operator *op, struct dal_call *call, const char *from, const char *to,
	bool no_replace, bool exchange)
{
	DAL_CLEANUP(dal_mem_freep) char *from_key = NULL;
	DAL_CLEANUP(dal_mem_freep) char *to_key = NULL;
	struct dal_operation o = { .code = DAL_OP_RENAME };
	int r = dal_operator_object_key(op, call, from, &from_key);

	if (r == 0)
		r = dal_operator_object_key(op, call, to, &to_key);
	if (r < 0)
		return r;
	if (no_replace && !op->cap.rename_no_replace)
		return dal_operator_unsupported(op, call, o.code, "no_replace");
	if (exchange && !op->cap.rename_exchange)
		return dal_operator_unsupported(op, call, o.code, "exchange");
	if (strcmp(from_key, to_key) == 0)
		return dal_fail(call, DAL_IS_SAME_FILE, "%s: a rename onto itself", from_key);
	o.path = from_key;
	o.u.rename.to = to_key;
	o.u.rename.no_replace = no_replace;
	o.u.rename.exchange = exchange;
	return dal_operator_run(op, call, &o);
}

int dal_op_create_dir(
	struct dal_operator *op, struct dal_call *call, const char *path, const struct dal_write_args *args)
{
	static const struct dal_write_args none;
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	DAL_CLEANUP(dal_mem_freep) char *dir = NULL;
	struct dal_operation o = { .code = DAL_OP_CREATE_DIR };
	int r = dal_operator_key(op, call, path, &key);

	args = args ? args : &none;
	if (r == 0)
		r = dal_operator_check_write(op, call, o.code, args);
	if (r < 0)
		return r;
	if (!*key && !op->cap.posix)
		return 0; /* the top of the store is there by itself */
	dir = dal_path_is_dir(key) ? dal_take(&key) : dal_path_join(key, "/");
	if (!dir)
		return dal_fail_nomem(call);
	o.path = dir;
	o.u.create_dir.args = args;
	return dal_operator_run(op, call, &o);
}

int dal_op_presign(struct dal_operator *op, struct dal_call *call, enum dal_presign_op what, const char *path,
	uint64_t expire_s, struct dal_presigned *ret)
{
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	struct dal_presigned presigned = { 0 };
	struct dal_operation o = { .code = DAL_OP_PRESIGN };
	int r = file_key(op, call, path, &key);

	if (r < 0)
		return r;
	o.path = key;
	o.u.presign.what = what;
	o.u.presign.expire_s = expire_s;
	o.u.presign.ret = &presigned;
	r = dal_operator_run(op, call, &o);
	if (r == 0)
		*ret = presigned;
	return r;
}
