/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a commit asks the store. A condition goes with the request that makes the new version where the store
 * knows it there, and is looked up right before it otherwise.
 *
 * An answer that is lost on the way makes a success look like a lost race: the request is repeated by the
 * layers below and meets its own first try. So before a race is given up as lost, it is looked whether the
 * winner is we.
 */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "fs/file-private.h"

/* Compared at once, and of a large object at its beginning and end. */
#define COMPARE ((size_t)1 << 20)

/* The condition, checked by looking: 0 or -DAL_CONDITION_NOT_MATCH, or why it cannot be told. */
static int look(
	struct dal_file *f, struct dal_call *call, const char *path, const struct dal_commit_cond *cond)
{
	struct dal_meta meta = { 0 };
	bool held;
	int r;

	if (!f->cap->stat || (!cond->if_match && !cond->if_not_exists))
		return 0;
	r = dal_op_stat(f->env->op, call, path, NULL, &meta);
	if (r == -DAL_NOT_FOUND)
		held = !cond->if_match;
	else if (r < 0)
		return r;
	else
		held = !cond->if_not_exists && (!meta.etag || strcmp(meta.etag, cond->if_match) == 0);
	dal_meta_done(&meta);
	return held ? 0 : dal_fail(call, DAL_CONDITION_NOT_MATCH, "%s: it was changed by someone else", path);
}

/* Splits @cond into what the store checks, in *args, and what is to be looked up. */
static struct dal_commit_cond split(const struct dal_commit_cond *cond, bool store_matches, bool store_absent,
	struct dal_write_args *args)
{
	struct dal_commit_cond rest = { 0 };

	args->if_match = store_matches ? cond->if_match : NULL;
	args->if_not_exists = store_absent && cond->if_not_exists;
	rest.if_match = args->if_match ? NULL : cond->if_match;
	rest.if_not_exists = cond->if_not_exists && !args->if_not_exists;
	return rest;
}

/* A version that was to be replaced and is not there: someone has deleted it. */
static int deleted_is_changed(
	struct dal_call *call, int r, const char *path, const struct dal_commit_cond *cond)
{
	if (r == -DAL_NOT_FOUND && cond->if_match)
		return dal_fail(call, DAL_CONDITION_NOT_MATCH, "%s: it was deleted by someone else", path);
	return r;
}

enum same {
	SAME,
	DIFFERENT,
	UNKNOWN, /* our bytes are not here any more, or theirs cannot be read */
};

/* Whether bytes [off, off + len) of @path in version @etag are those of the snapshot. */
static enum same same_bytes(struct dal_snapshot *s, struct dal_call *call, const char *path, const char *etag,
	uint64_t off, uint64_t len)
{
	struct dal_file *f = s->f;
	DAL_CLEANUP(dal_mem_freep) char *theirs = malloc(COMPARE);
	DAL_CLEANUP(dal_mem_freep) char *ours = malloc(COMPARE);
	struct dal_payload payload;
	enum same same = SAME;
	uint64_t at;

	if (!theirs || !ours || dal_payload_make(s, call, off, len, true, &payload) < 0)
		return UNKNOWN;
	for (at = 0; same == SAME && at < len; at += COMPARE) {
		struct dal_read_args args = { .off = off + at, .len = DAL_MIN((uint64_t)COMPARE, len - at) };
		size_t n = 0;

		args.if_match = f->cap->read_if_match ? etag : NULL;
		if (dal_op_read_into(f->env->op, call, path, &args, theirs, (size_t)args.len, &n, NULL) < 0 ||
			dal_body_read(&payload.body, call, ours, n, at) < 0)
			same = UNKNOWN;
		else if (n != args.len || memcmp(ours, theirs, n) != 0)
			same = DIFFERENT;
	}
	dal_payload_done(&payload);
	return same;
}

/* One PUT */

/* After a lost race over a version: true when the object there is, to the byte, what we sent. */
static bool put_is_ours(
	struct dal_snapshot *s, struct dal_call *call, const char *path, struct dal_meta *ret_meta)
{
	struct dal_call ask = dal_call_child(call);
	struct dal_meta meta = { 0 };

	if (!s->f->cap->stat || dal_op_stat(s->f->env->op, &ask, path, NULL, &meta) < 0)
		return false;
	if (meta.has_size && meta.size == s->end && same_bytes(s, &ask, path, meta.etag, 0, s->end) == SAME) {
		*ret_meta = meta;
		return true;
	}
	dal_meta_done(&meta);
	return false;
}

int dal_commit_put(struct dal_snapshot *s, struct dal_call *call, const struct dal_commit *how,
	const struct dal_commit_cond *cond, struct dal_meta *ret_meta)
{
	struct dal_file *f = s->f;
	struct dal_write_args args = how->args ? *how->args : (struct dal_write_args){ 0 };
	struct dal_commit_cond rest = split(cond, f->cap->write_if_match, f->cap->write_if_not_exists, &args);
	struct dal_call step = call->deadline_ns ? dal_call_child(call) : dal_file_step(f, call, s->end);
	struct dal_payload payload;
	int r = dal_payload_make(s, &step, 0, s->end, s->end > f->put_max, &payload);

	if (r < 0)
		return dal_call_fail_as(call, &step.err);
	if (f->cap->shared || rest.if_not_exists)
		r = look(f, &step, how->path, &rest);
	if (r == 0) {
		r = dal_op_write(f->env->op, &step, how->path, &args, &payload.body, ret_meta);
		r = deleted_is_changed(&step, r, how->path, cond);
		/* Never for an exclusive one: two empty lock files are the same to the byte. */
		if (r == -DAL_CONDITION_NOT_MATCH && args.if_match &&
			put_is_ours(s, &step, how->path, ret_meta))
			r = 0;
	}
	dal_payload_done(&payload);
	return r < 0 ? dal_call_fail_as(call, &step.err) : 0;
}

/* Parts */

struct sending {
	struct dal_snapshot *s;
	struct dal_up *up;
	const struct dal_call *call;
	/* guarded by the file's lock */
	struct dal_error err; /* the first failure */
	bool lost; /* it was that the upload is not known */
};

static void send_part(void *arg, size_t i)
{
	struct sending *all = arg;
	struct dal_file *f = all->s->f;
	struct dal_call call = dal_call_child(all->call);
	bool copy;
	int r;

	pthread_mutex_lock(&f->lock);
	if (all->err.kind != DAL_OK || all->up->v[i].state == DAL_PART_DONE) {
		pthread_mutex_unlock(&f->lock);
		return;
	}
	all->up->v[i].state = DAL_PART_SENDING;
	all->up->sending++;
	copy = all->up->v[i].copy;
	pthread_mutex_unlock(&f->lock);
	r = dal_up_send(f, all->up, i, all->s, &call);
	if (r == 0)
		return;
	pthread_mutex_lock(&f->lock);
	if (all->err.kind == DAL_OK) {
		all->err = call.err;
		all->lost = r == -DAL_NOT_FOUND && !copy;
	}
	pthread_mutex_unlock(&f->lock);
}

static int send_parts(struct dal_snapshot *s, struct dal_call *call, struct dal_up *up, bool *ret_lost)
{
	struct sending all = { .s = s, .up = up, .call = call };

	dal_workers_each(s->f->env->uploads, DAL_PARTS_IN_FLIGHT - 1, up->n, send_part, &all);
	*ret_lost = all.lost;
	return all.err.kind == DAL_OK ? 0 : dal_call_fail_as(call, &all.err);
}

/* True when a multipart ETag, hash-n in the dialect of S3, says that the object came from another number of
 * parts. */
static bool other_parts(const char *etag, size_t n)
{
	const char *dash = strrchr(etag, '-');
	char tail[32];

	snprintf(tail, sizeof(tail), "-%zu", n);
	return dash && strncmp(dash, tail, strlen(tail)) != 0;
}

/* After the upload could not be completed: true when the object there is what we sent, completed by an
 * earlier try. */
static bool upload_is_ours(struct dal_snapshot *s, struct dal_call *call, const struct dal_up *up,
	const struct dal_commit_cond *cond, struct dal_meta *ret_meta)
{
	struct dal_call ask = dal_call_child(call);
	struct dal_meta meta = { 0 };
	uint64_t end = s->end > COMPARE ? s->end - COMPARE : 0;
	bool ours;

	if (!s->f->cap->stat || dal_op_stat(s->f->env->op, &ask, up->path, NULL, &meta) < 0)
		return false;
	ours = meta.has_size && meta.size == s->end && meta.etag && !other_parts(meta.etag, up->n) &&
	       !(cond->if_match && strcmp(meta.etag, cond->if_match) == 0);
	/* What is not here any more cannot be compared. */
	if (ours)
		ours = same_bytes(s, &ask, up->path, meta.etag, end, s->end - end) != DIFFERENT;
	if (ours)
		*ret_meta = meta;
	else
		dal_meta_done(&meta);
	return ours;
}

/* Copies name the source's version where the store checks it; here, where nobody has, by looking. */
static int look_at_source(struct dal_snapshot *s, struct dal_call *call, const struct dal_up *up)
{
	struct dal_commit_cond same = { .if_match = s->base ? dal_cobj_etag(s->base) : NULL };
	size_t i;

	if (s->f->cap->copy_if_match || !same.if_match || strcmp(dal_cobj_path(s->base), up->path) == 0)
		return 0;
	for (i = 0; i < up->n && !up->v[i].copy; i++)
		;
	return i == up->n ? 0 : look(s->f, call, dal_cobj_path(s->base), &same);
}

static int complete(struct dal_snapshot *s, struct dal_call *call, struct dal_up *up,
	const struct dal_commit_cond *cond, struct dal_meta *ret_meta, bool *ret_lost)
{
	struct dal_file *f = s->f;
	struct dal_write_args args = { 0 };
	struct dal_commit_cond rest =
		split(cond, f->cap->complete_if_match, f->cap->complete_if_not_exists, &args);
	DAL_CLEANUP(dal_mem_freep) struct dal_part *parts = calloc(up->n, sizeof(*parts));
	size_t i;
	int r;

	if (!parts)
		return dal_fail_nomem(call);
	for (i = 0; i < up->n; i++)
		parts[i] = up->v[i].part;
	r = look_at_source(s, call, up);
	if (r == 0)
		r = look(f, call, up->path, &rest);
	if (r < 0 && r != -DAL_CONDITION_NOT_MATCH)
		return r;
	if (r == 0)
		r = dal_op_multipart_complete(
			f->env->op, call, up->path, up->id, parts, up->n, &args, ret_meta);
	if (r != -DAL_NOT_FOUND && r != -DAL_CONDITION_NOT_MATCH)
		return r;
	if (upload_is_ours(s, call, up, cond, ret_meta))
		return 0;
	*ret_lost = r == -DAL_NOT_FOUND;
	return r;
}

int dal_commit_parts(struct dal_snapshot *s, struct dal_call *call, struct dal_up *up,
	const struct dal_commit_cond *cond, struct dal_meta *ret_meta, bool *ret_lost)
{
	struct dal_file *f = s->f;
	struct dal_call step = dal_file_step(f, call, 0);
	int r;

	/* The turn to commit is ours: nobody else begins, plans or shortens this upload. */
	if (!up->id) {
		char *id = NULL;

		r = dal_up_begin(f, up, &step, &id);
		if (r < 0)
			return dal_call_fail_as(call, &step.err);
		pthread_mutex_lock(&f->lock);
		up->id = id;
		pthread_mutex_unlock(&f->lock);
	}
	r = send_parts(s, call, up, ret_lost);
	if (r < 0)
		return r;
	step = dal_file_step(f, call, 0);
	r = complete(s, &step, up, cond, ret_meta, ret_lost);
	return r < 0 ? dal_call_fail_as(call, &step.err) : 0;
}
