/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a commit asks the store. A condition goes with the request that makes the new version where the store
 * knows it there, and is looked up right before it otherwise.
 */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "fs/file-private.h"

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

/* True for a failure that does not say whether the store did what it was asked. */
static bool unclear(int r)
{
	return r == -DAL_UNEXPECTED || r == -DAL_TIMED_OUT || r == -DAL_CANCELLED;
}

/* One PUT */

/* After a lost race over a version: true when the winner is an earlier try of the same PUT. */
static bool put_was_ours(struct dal_snapshot *s, struct dal_call *call, const char *path,
	const struct dal_body *body, const char *before, struct dal_meta *ret_meta)
{
	struct dal_call ask = dal_call_child(call);
	struct dal_maybe m = { 0 };
	bool ours;

	ours = dal_maybe_put(s, path, body, &m) && dal_maybe_look(s->f, &ask, &m, before, ret_meta) > 0;
	dal_maybe_done(&m);
	return ours;
}

int dal_commit_put(struct dal_snapshot *s, struct dal_call *call, const struct dal_commit *how,
	const struct dal_commit_cond *cond, struct dal_meta *ret_meta, struct dal_maybe *ret_maybe)
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
		if (r == -DAL_CONDITION_NOT_MATCH && args.if_match &&
			put_was_ours(s, &step, how->path, &payload.body, args.if_match, ret_meta))
			r = 0;
		if (unclear(r) && !cond->if_not_exists)
			(void)!dal_maybe_put(s, how->path, &payload.body, ret_maybe);
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
	const struct dal_commit_cond *cond, struct dal_meta *ret_meta, bool *ret_lost,
	struct dal_maybe *ret_maybe)
{
	struct dal_file *f = s->f;
	struct dal_write_args args = { 0 };
	struct dal_commit_cond rest =
		split(cond, f->cap->complete_if_match, f->cap->complete_if_not_exists, &args);
	DAL_CLEANUP(dal_mem_freep) struct dal_part *parts = calloc(up->n, sizeof(*parts));
	struct dal_maybe m = { 0 };
	int r, ours = 0;
	size_t i;

	if (!parts)
		return dal_fail_nomem(call);
	for (i = 0; i < up->n; i++)
		parts[i] = up->v[i].part;
	r = look_at_source(s, call, up);
	if (r == 0)
		r = look(f, call, up->path, &rest);
	if (r < 0)
		return r;
	r = dal_op_multipart_complete(f->env->op, call, up->path, up->id, parts, up->n, &args, ret_meta);
	if (r == 0 || !dal_maybe_parts(s, up, &m))
		return r;
	/* An earlier try may have completed it, which makes this one fail. */
	if (r == -DAL_NOT_FOUND || r == -DAL_CONDITION_NOT_MATCH) {
		struct dal_call ask = dal_call_child(call);

		ours = dal_maybe_look(f, &ask, &m, cond->if_match, ret_meta);
		*ret_lost = r == -DAL_NOT_FOUND && ours == 0;
	}
	if (ours <= 0 && (unclear(r) || (r == -DAL_NOT_FOUND && ours < 0)))
		*ret_maybe = m;
	else
		dal_maybe_done(&m);
	return ours > 0 ? 0 : r;
}

int dal_commit_parts(struct dal_snapshot *s, struct dal_call *call, struct dal_up *up,
	const struct dal_commit_cond *cond, struct dal_meta *ret_meta, bool *ret_lost,
	struct dal_maybe *ret_maybe)
{
	struct dal_file *f = s->f;
	struct dal_call step = dal_file_step(f, call, 0);
	int r;

	/* The turn to commit is ours: nobody else begins, plans or shortens this upload. */
	if (!up->id) {
		char *id = NULL;

		r = dal_op_multipart_begin(f->env->op, &step, up->path, &up->args, &id);
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
	r = complete(s, &step, up, cond, ret_meta, ret_lost, ret_maybe);
	return r < 0 ? dal_call_fail_as(call, &step.err) : 0;
}
