/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The contents of a file are, from the top:
 *
 *   dirty bytes   in blocks, or (gone) only in an unfinished upload
 *   base          below base_limit
 *   zeros
 *
 * `dirty` says to the byte which are which. Truncation only moves numbers: base_limit never grows but by a
 * commit, so bytes that were cut off do not come back.
 *
 * A commit works on a snapshot. What is written meanwhile is in `dirty` like everything else, and in `since`
 * too: when the commit succeeds `since` becomes `dirty`; when it fails it is forgotten, and nothing has to be
 * put back.
 *
 * `busy` is the turn to commit or to detach: both change what the base is.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/file-private.h"

#define PART_SIZE (8 * DAL_MIB)
#define PUT_MAX (16 * DAL_MIB)
#define STEP_NS (60 * DAL_NS_PER_S)
/* How often a waiter looks at its cancel flag. */
#define POLL_NS (50 * DAL_NS_PER_MS)
/* A step gets its time once more for each of these many bytes it moves. */
#define STEP_BYTES (32 * DAL_MIB)

/* The largest power of two that divides the part size, at most a cache block: parts begin where blocks do. */
static uint64_t block_size_for(uint64_t part_size)
{
	uint64_t bs = DAL_PAGE_SIZE;

	while (bs < DAL_BLOCK_SIZE && part_size % (2 * bs) == 0)
		bs *= 2;
	return bs;
}

struct dal_file *dal_file_new(struct dal_file_env *env)
{
	struct dal_file *f = calloc(1, sizeof(*f));
	uint64_t part_size = env->part_size ? env->part_size : PART_SIZE;
	pthread_condattr_t attr;

	if (!f)
		return NULL;
	f->env = env;
	f->cap = dal_operator_cap(env->op);
	f->put_max = env->put_max ? env->put_max : PUT_MAX;
	if (f->cap->write_max)
		f->put_max = DAL_MIN(f->put_max, f->cap->write_max);
	dal_dirty_init(&f->blocks, env->budget, env->spool_dir, block_size_for(part_size));
	f->limits = dal_plan_limits(f->cap, part_size, f->blocks.block_size);
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->changed, &attr);
	pthread_condattr_destroy(&attr);
	return f;
}

struct dal_file *dal_file_free(struct dal_file *f)
{
	if (!f)
		return NULL;
	atomic_store(&f->closing, true);
	pthread_mutex_lock(&f->lock);
	assert(!f->busy);
	dal_file_drop_up_locked(f);
	while (f->jobs > 0)
		pthread_cond_wait(&f->changed, &f->lock);
	dal_dirty_done(&f->blocks);
	pthread_mutex_unlock(&f->lock);
	dal_cobj_unref(f->base);
	dal_meta_done(&f->meta);
	dal_maybe_done(&f->maybe);
	dal_extents_done(&f->dirty);
	dal_extents_done(&f->gone);
	dal_extents_done(&f->since);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return NULL;
}

/* Waiting and taking turns */

int dal_file_wait_locked(struct dal_file *f, struct dal_call *call, uint64_t max_ns)
{
	uint64_t ns = dal_call_remaining(call, max_ns), until;
	struct timespec ts;
	int r = dal_call_check(call);

	if (r < 0)
		return r;
	if (call->cancel)
		ns = DAL_MIN(ns, POLL_NS);
	until = dal_now_ns() + ns;
	ts.tv_sec = (time_t)(until / DAL_NS_PER_S);
	ts.tv_nsec = (long)(until % DAL_NS_PER_S);
	pthread_cond_timedwait(&f->changed, &f->lock, &ts);
	return 0;
}

int dal_file_busy_locked(struct dal_file *f, struct dal_call *call)
{
	struct dal_call wait = { .cancel = call->cancel };

	while (f->busy)
		if (dal_file_wait_locked(f, &wait, DAL_NS_PER_S) < 0)
			return dal_call_fail_as(call, &wait.err);
	f->busy = true;
	return 0;
}

void dal_file_idle_locked(struct dal_file *f)
{
	f->busy = false;
	pthread_cond_broadcast(&f->changed);
}

struct dal_call dal_file_step(struct dal_file *f, const struct dal_call *call, uint64_t bytes)
{
	uint64_t ns = f->env->op_timeout_ns ? f->env->op_timeout_ns : STEP_NS;
	struct dal_call step;

	step = dal_call_within(ns + bytes / STEP_BYTES * ns);
	step.cancel = call->cancel;
	return step;
}

void dal_file_prune_locked(struct dal_file *f, uint64_t off, uint64_t end)
{
	uint64_t bs = f->blocks.block_size;
	size_t i = dal_dirty_index(&f->blocks, off / bs);

	while (i < f->blocks.n && f->blocks.v[i]->n * bs < end) {
		uint64_t n = f->blocks.v[i]->n;

		if (dal_extents_overlaps(&f->dirty, n * bs, (n + 1) * bs))
			i++;
		else
			dal_dirty_drop(&f->blocks, n, n + 1);
	}
}

int dal_file_settle_locked(struct dal_file *f, struct dal_call *call, uint64_t off, uint64_t end)
{
	while (dal_extents_overlaps(&f->gone, off, end)) {
		struct dal_commit how;
		struct dal_up *up;
		int r = dal_file_busy_locked(f, call);

		if (r < 0)
			return r;
		/* Who had the turn may have done it. */
		if (!dal_extents_overlaps(&f->gone, off, end)) {
			dal_file_idle_locked(f);
			return 0;
		}
		up = f->up;
		dal_up_ref_locked(up);
		how = dal_up_how(up);
		r = dal_commit_locked(f, call, &how, NULL);
		dal_up_unref_locked(f, up);
		dal_file_idle_locked(f);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What it is */

void dal_file_set_base(struct dal_file *f, struct dal_cobj *obj)
{
	struct dal_cobj *old;

	pthread_mutex_lock(&f->lock);
	assert(f->gen == f->clean_gen && f->dirty.n == 0 && !f->busy);
	old = f->base;
	f->base = dal_cobj_ref(obj);
	f->size = f->base_limit = dal_cobj_size(obj);
	dal_meta_done(&f->meta);
	f->meta = (struct dal_meta){ 0 };
	pthread_mutex_unlock(&f->lock);
	dal_cobj_unref(old);
}

void dal_file_moved(struct dal_file *f, struct dal_cobj *obj)
{
	struct dal_cobj *old;

	pthread_mutex_lock(&f->lock);
	assert(!f->busy && (!f->base || dal_cobj_size(f->base) == dal_cobj_size(obj)));
	old = f->base;
	if (old)
		f->base = dal_cobj_ref(obj);
	pthread_mutex_unlock(&f->lock);
	dal_cobj_unref(old);
}

struct dal_cobj *dal_file_base(struct dal_file *f)
{
	struct dal_cobj *base;

	pthread_mutex_lock(&f->lock);
	base = f->base ? dal_cobj_ref(f->base) : NULL;
	pthread_mutex_unlock(&f->lock);
	return base;
}

uint64_t dal_file_size(struct dal_file *f)
{
	uint64_t size;

	pthread_mutex_lock(&f->lock);
	size = f->size;
	pthread_mutex_unlock(&f->lock);
	return size;
}

bool dal_file_dirty(struct dal_file *f)
{
	bool dirty;

	pthread_mutex_lock(&f->lock);
	dirty = f->gen != f->clean_gen;
	pthread_mutex_unlock(&f->lock);
	return dirty;
}

uint64_t dal_file_dirty_bytes(struct dal_file *f)
{
	uint64_t bytes;

	pthread_mutex_lock(&f->lock);
	bytes = f->dirty.bytes;
	pthread_mutex_unlock(&f->lock);
	return bytes;
}

/* Truncation */

static void cut_locked(struct dal_file *f, uint64_t size)
{
	uint64_t bs = f->blocks.block_size;

	dal_extents_cut(&f->dirty, size, UINT64_MAX);
	dal_extents_cut(&f->gone, size, UINT64_MAX);
	f->base_limit = DAL_MIN(f->base_limit, size);
	if (f->tracking) {
		dal_extents_cut(&f->since, size, UINT64_MAX);
		f->since_limit = DAL_MIN(f->since_limit, size);
	}
	dal_file_prune_locked(f, size / bs * bs, UINT64_MAX);
	if (!f->up)
		return;
	dal_up_touch_locked(f->up, size, UINT64_MAX);
	if (!f->busy && !f->up->base && !f->maybe.path)
		dal_up_trim_locked(f->up, &f->limits, size);
}

/* True when a cut at @size leaves a part of an upload whose other bytes are nowhere else. */
static bool cuts_gone_locked(const struct dal_file *f, uint64_t size)
{
	return size > 0 && dal_extents_overlaps(&f->gone, size - 1, size) &&
	       dal_extents_overlaps(&f->gone, size, UINT64_MAX);
}

int dal_file_truncate(struct dal_file *f, struct dal_call *call, uint64_t size)
{
	int r = 0;

	if (size > f->limits.size_max)
		return dal_fail_errno(call, EFBIG, "%llu bytes", (unsigned long long)size);
	pthread_mutex_lock(&f->lock);
	/* A cut between two parts would do without, but not where their bounds are is known here. */
	while (size < f->size && cuts_gone_locked(f, size) && r == 0)
		r = dal_file_settle_locked(f, call, size - 1, size);
	if (r == 0 && size != f->size) {
		if (size < f->size)
			cut_locked(f, size);
		f->size = size;
		f->gen++;
	}
	pthread_mutex_unlock(&f->lock);
	return r;
}
