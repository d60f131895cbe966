/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A commit: with the turn taken, look at the file once (snapshot, plan, upload), send without the lock, and
 * set what the file is now. In between the program goes on reading and writing.
 *
 *   small                      one PUT
 *   large, an upload runs      what it lacks is sent, then it is completed
 *   large                      an upload by plan: what has not changed is copied by the server
 *   large, no multipart        one PUT that is read while it is sent
 *
 * What fails leaves everything as it was, and the parts that were sent: the next try sends what has changed
 * since.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "fs/file-private.h"

/* True when the file's base is a version at @path. */
static bool base_at(const struct dal_cobj *base, const char *path)
{
	return base && strcmp(dal_cobj_path(base), path) == 0;
}

static struct dal_commit_cond conditions(const struct dal_commit *how, const struct dal_cobj *base)
{
	struct dal_commit_cond cond = { 0 };

	if (base_at(base, how->path)) {
		cond.if_match = dal_cobj_etag(base);
		return cond;
	}
	cond.if_not_exists = how->exclusive || (how->args && how->args->if_not_exists);
	if (how->args && !cond.if_not_exists)
		cond.if_match = how->args->if_match;
	return cond;
}

/* Makes sure that an upload which is under way is one to @how->path. */
static int settle_path_locked(struct dal_file *f, struct dal_call *call, const struct dal_commit *how)
{
	if (!f->up || strcmp(f->up->path, how->path) == 0)
		return 0;
	if (f->gone.bytes) {
		/* The only copy of these bytes is under the other name: it becomes the base of this one. */
		struct dal_up *up = f->up;
		struct dal_commit other = dal_up_how(up);
		int r;

		dal_up_ref_locked(up);
		r = dal_commit_locked(f, call, &other, NULL);
		dal_up_unref_locked(f, up);
		return r;
	}
	dal_file_drop_up_locked(f);
	return 0;
}

/* The file's upload, with parts that make up the snapshot. */
static int plan_locked(struct dal_file *f, struct dal_call *call, const struct dal_commit *how,
	const struct dal_snapshot *s, struct dal_up **ret_up)
{
	struct dal_cobj *base = s->base_limit > 0 ? s->base : NULL;
	DAL_CLEANUP(dal_mem_freep) struct dal_plan_part *plan = NULL;
	size_t n;
	int r;

	if (!dal_plan_make(&f->limits, s->end, s->base_limit, &s->dirty, f->cap->multipart_copy,
		    DAL_COPY_BYTES, &plan, &n))
		return dal_fail_nomem(call);
	if (n > f->limits.parts_max)
		return dal_fail(call, DAL_NO_SPACE, "%s: %llu bytes do not fit into %llu parts", how->path,
			(unsigned long long)s->end, (unsigned long long)f->limits.parts_max);
	/* Parts with bytes of another version are of no use. */
	if (f->up && f->up->base != base)
		dal_file_drop_up_locked(f);
	if (!f->up) {
		assert(f->gone.bytes == 0);
		f->up = dal_up_new(how, true);
		if (!f->up)
			return dal_fail_nomem(call);
		f->up->base = base ? dal_cobj_ref(base) : NULL;
	}
	r = dal_up_plan_locked(f->up, call, plan, n, true);
	if (r == 0) {
		*ret_up = f->up;
		dal_up_ref_locked(f->up);
	}
	return r;
}

/* Completes what the store said by what is known anyway. */
static int complete_meta(struct dal_call *call, const struct dal_snapshot *s,
	const struct dal_write_args *args, struct dal_meta *meta)
{
	if (meta->type == DAL_TYPE_UNKNOWN)
		meta->type = DAL_TYPE_FILE;
	meta->has_size = true;
	meta->size = s->end;
	if (!meta->user_known && s->f->cap->write_user_metadata) {
		dal_pairs_done(&meta->user);
		if (args && args->user && !dal_pairs_dup(&meta->user, args->user))
			return dal_fail_nomem(call);
		meta->user_known = true;
	}
	if (!meta->posix.valid && args && args->posix)
		meta->posix = *args->posix;
	return 0;
}

/* What the file was at @gen, with @size bytes, is @obj in the store now. Takes @obj and *meta. */
static void finish_locked(
	struct dal_file *f, uint64_t size, uint64_t gen, struct dal_cobj *obj, struct dal_meta *meta)
{
	struct dal_extents dirty = f->dirty;
	struct dal_cobj *old = f->base;

	f->base = obj;
	f->base_limit = DAL_MIN(size, f->since_limit);
	f->dirty = f->since;
	f->since = dirty;
	f->clean_gen = gen;
	dal_extents_clear(&f->since);
	dal_extents_clear(&f->gone);
	dal_file_prune_locked(f, 0, UINT64_MAX);
	dal_meta_done(&f->meta);
	f->meta = *meta;
	*meta = (struct dal_meta){ 0 };
	dal_file_drop_up_locked(f);
	dal_cobj_unref(old);
}

/* Sends the snapshot, through @up or in one PUT. The new version in *ret_obj. */
static int send(struct dal_snapshot *s, struct dal_call *call, const struct dal_commit *how,
	struct dal_up *up, struct dal_meta *meta, struct dal_cobj **ret_obj, bool *ret_lost,
	struct dal_maybe *ret_maybe)
{
	struct dal_file *f = s->f;
	struct dal_commit_cond cond = conditions(how, s->base);
	struct dal_cobj *obj;
	int r;

	r = up ? dal_commit_parts(s, call, up, &cond, meta, ret_lost, ret_maybe)
	       : dal_commit_put(s, call, how, &cond, meta, ret_maybe);
	if (r == 0)
		r = complete_meta(call, s, up ? &up->args : how->args, meta);
	if (r < 0)
		return r;
	obj = dal_cache_object(f->env->cache, how->path, meta->etag, s->end);
	if (!obj)
		return dal_fail_nomem(call);
	dal_snapshot_put(s, obj);
	*ret_obj = obj;
	return 0;
}

static int try_locked(struct dal_file *f, struct dal_call *call, const struct dal_commit *how, bool *ret_lost)
{
	struct dal_snapshot s = { 0 };
	struct dal_meta meta = { 0 };
	struct dal_cobj *obj = NULL;
	struct dal_up *up = NULL;
	int r = dal_snapshot_take_locked(f, call, 0, f->size, &s);

	if (r == 0 && (f->gone.bytes || (s.end > f->put_max && f->cap->multipart)))
		r = plan_locked(f, call, how, &s, &up);
	if (r < 0) {
		dal_snapshot_done_locked(&s);
		return r;
	}
	f->tracking = true;
	f->since_limit = s.end;
	dal_extents_clear(&f->since);
	pthread_mutex_unlock(&f->lock);
	r = send(&s, call, how, up, &meta, &obj, ret_lost, &f->maybe);
	pthread_mutex_lock(&f->lock);
	f->tracking = f->maybe.path != NULL;
	if (up && r == 0)
		up->finished = true;
	if (r == 0)
		finish_locked(f, s.end, s.gen, obj, &meta);
	if (up)
		dal_up_unref_locked(f, up);
	dal_snapshot_done_locked(&s);
	dal_meta_done(&meta);
	return r;
}

int dal_commit_resolve_locked(struct dal_file *f, struct dal_call *call)
{
	struct dal_snapshot whole = { .f = f, .end = f->maybe.size };
	const char *before = NULL;
	struct dal_call step = dal_file_step(f, call, 0);
	struct dal_cobj *obj = NULL;
	struct dal_meta meta = { 0 };
	int r;

	assert(f->busy);
	if (!f->maybe.path)
		return 0;
	if (base_at(f->base, f->maybe.path))
		before = dal_cobj_etag(f->base);
	/* The turn keeps both of them as they are: f->maybe and the base. */
	pthread_mutex_unlock(&f->lock);
	r = dal_maybe_look(f, &step, &f->maybe, before, &meta);
	if (r > 0) {
		r = complete_meta(&step, &whole, f->maybe.parts && f->up ? &f->up->args : NULL, &meta);
		obj = r == 0 ? dal_cache_object(f->env->cache, f->maybe.path, meta.etag, f->maybe.size)
			     : NULL;
		if (r == 0 && !obj)
			r = dal_fail_nomem(&step);
	}
	if (r < 0)
		dal_call_fail_as(call, &step.err);
	pthread_mutex_lock(&f->lock);
	if (obj) {
		if (f->maybe.parts && f->up)
			f->up->finished = true;
		finish_locked(f, f->maybe.size, f->maybe.gen, obj, &meta);
	}
	if (r == 0) {
		f->tracking = false;
		dal_maybe_done(&f->maybe);
	}
	dal_meta_done(&meta);
	return r;
}

/* The upload is gone from the store. With bytes that were only there, so is the file's content. */
static int forget_lost_locked(struct dal_file *f, struct dal_call *call)
{
	if (f->gone.bytes)
		return dal_fail(call, DAL_UNEXPECTED,
			"%s: the store has dropped the unfinished upload, %llu bytes written are lost",
			f->up->path, (unsigned long long)f->gone.bytes);
	dal_file_drop_up_locked(f);
	return 0;
}

int dal_commit_locked(
	struct dal_file *f, struct dal_call *call, const struct dal_commit *how, struct dal_meta *ret_meta)
{
	bool again = true, lost;
	int r;

	assert(f->busy);
	for (;;) {
		lost = false;
		r = dal_up_quiet_locked(f, call);
		if (r == 0)
			r = dal_commit_resolve_locked(f, call);
		if (r == 0 && f->up && f->up->lost)
			r = forget_lost_locked(f, call);
		if (r == 0)
			r = settle_path_locked(f, call, how);
		if (r == 0 && (f->gen != f->clean_gen || !base_at(f->base, how->path)))
			r = try_locked(f, call, how, &lost);
		if (!lost || !again)
			break;
		f->up->lost = true;
		again = false;
	}
	if (r == 0 && ret_meta && !dal_meta_dup(ret_meta, &f->meta))
		return dal_fail_nomem(call);
	return r;
}

/* What there is to say about a base that was not made by a commit of this file. */
static int base_meta_locked(struct dal_file *f, struct dal_call *call)
{
	if (!f->base || f->meta.type != DAL_TYPE_UNKNOWN)
		return 0;
	f->meta =
		(struct dal_meta){ .type = DAL_TYPE_FILE, .has_size = true, .size = dal_cobj_size(f->base) };
	f->meta.etag = dal_strdup(dal_cobj_etag(f->base));
	return f->meta.etag || !dal_cobj_etag(f->base) ? 0 : dal_fail_nomem(call);
}

int dal_file_commit(
	struct dal_file *f, struct dal_call *call, const struct dal_commit *how, struct dal_meta *ret_meta)
{
	int r;

	pthread_mutex_lock(&f->lock);
	r = dal_file_busy_locked(f, call);
	if (r == 0) {
		r = base_meta_locked(f, call);
		if (r == 0)
			r = dal_commit_locked(f, call, how, ret_meta);
		dal_file_idle_locked(f);
	}
	pthread_mutex_unlock(&f->lock);
	return r;
}
