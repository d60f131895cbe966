/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What all operations share: from the caller's path to the store's key, the refusal of what the store cannot
 * do, and the check of what the service promised. A broken promise of a service is a bug of this program and
 * stops it; what a server sent never reaches an assert.
 */

#include "core/operator-private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/path.h"

void dal_uploads_free(struct dal_upload *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		free(v[i].id);
		free(v[i].path);
	}
	free(v);
}

void dal_presigned_done(struct dal_presigned *p)
{
	free(p->method);
	free(p->uri);
	dal_pairs_done(&p->headers);
	*p = (struct dal_presigned){ 0 };
}

static int fail_key_length(const struct dal_operator *op, struct dal_call *call, const char *path, size_t len)
{
	return dal_fail(call, DAL_TOO_LONG, "%.120s…: a key of %zu bytes; %s takes %llu", path, len,
		op->svc->scheme, (unsigned long long)op->cap.key_max);
}

int dal_operator_key(const struct dal_operator *op, struct dal_call *call, const char *path, char **ret_key)
{
	DAL_CLEANUP(dal_mem_freep) char *clean = NULL;
	size_t len;
	char *key;
	int r;

	if (op->flags & DAL_OPERATOR_EXACT_KEYS) {
		r = dal_path_check(call, path);
	} else {
		r = dal_path_normalize(call, path, &clean);
		path = clean;
	}
	if (r < 0)
		return r;
	len = strlen(path);
	if (op->cap.key_max && op->root_len + len > op->cap.key_max)
		return fail_key_length(op, call, path, op->root_len + len);
	if (clean && op->root_len == 0) {
		*ret_key = dal_take(&clean);
		return 0;
	}
	key = malloc(op->root_len + len + 1);
	if (!key)
		return dal_fail_nomem(call);
	memcpy(key, op->root, op->root_len);
	memcpy(key + op->root_len, path, len + 1);
	*ret_key = key;
	return 0;
}

int dal_operator_object_key(
	const struct dal_operator *op, struct dal_call *call, const char *path, char **ret_key)
{
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	int r = dal_operator_key(op, call, path, &key);

	if (r < 0)
		return r;
	/* An empty key would name the bucket itself: PUT or DELETE there makes or removes the bucket. */
	if (!*key && !op->cap.posix)
		return dal_fail(call, DAL_IS_A_DIRECTORY, "%s: the root is not an object", op->id);
	*ret_key = dal_take(&key);
	return 0;
}

int dal_operator_run(struct dal_operator *op, struct dal_call *call, const struct dal_operation *o)
{
	int r = dal_call_check(call);

	if (r < 0)
		return dal_call_context(call, r, "%s %s", dal_opcode_name(o->code), o->path);
	if (!dal_operation_supported(op->top, o->code))
		return dal_operator_unsupported(op, call, o->code, NULL);
	r = dal_operation_invoke(op->top, call, o);
	assert(r <= 0);
	assert(r == 0 || (int)call->err.kind == -r);
	return r;
}

int dal_operator_unsupported(
	const struct dal_operator *op, struct dal_call *call, enum dal_opcode code, const char *argument)
{
	if (argument)
		return dal_fail(call, DAL_UNSUPPORTED, "%s: %s with %s is not something this store can do",
			op->id, dal_opcode_name(code), argument);
	return dal_fail(call, DAL_UNSUPPORTED, "%s: %s is not something this store can do", op->id,
		dal_opcode_name(code));
}

int dal_operator_check_write(const struct dal_operator *op, struct dal_call *call, enum dal_opcode code,
	const struct dal_write_args *args)
{
	bool complete = code == DAL_OP_MULTIPART_COMPLETE;

	if (args->if_match && !(complete ? op->cap.complete_if_match : op->cap.write_if_match))
		return dal_operator_unsupported(op, call, code, "if_match");
	if (args->if_not_exists && !(complete ? op->cap.complete_if_not_exists : op->cap.write_if_not_exists))
		return dal_operator_unsupported(op, call, code, "if_not_exists");
	if (args->user && args->user->n && !op->cap.write_user_metadata)
		return dal_operator_unsupported(op, call, code, "user metadata");
	if (args->posix && args->posix->valid && !op->cap.posix)
		return dal_operator_unsupported(op, call, code, "posix attributes");
	return 0;
}

int dal_op_probe(struct dal_operator *op, struct dal_call *call, bool may_write)
{
	struct dal_operation o = { .code = DAL_OP_PROBE, .path = op->root, .u.probe = { may_write } };
	int r;

	if (!op->svc->probe)
		return 0;
	r = dal_operator_run(op, call, &o);
	if (r < 0)
		return r;
	op->cap = dal_layer_bottom(op->top)->cap;
	dal_operator_fill_cap(&op->cap, op->svc);
	return 0;
}
