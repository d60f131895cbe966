/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Writing is a copy into blocks that were made ready before: everything that can fail or wait comes first, so
 * a write is taken as a whole or not at all.
 *
 * Memory comes, in this order, from: the budget; parts of this file that are in the upload already; parts
 * that are on their way there (which is what makes a program write as fast as the network takes it, and not
 * fill the disk); the file's own blocks, which go to the spool; and none, then the bytes go to the spool
 * themselves. So a writer needs nobody else to go on, unless the disk is full as well: only then it waits for
 * memory others give back.
 */

#include <assert.h>
#include <errno.h>

#include "fs/file-private.h"

/* How long a writer waits for its file's uploads before it turns to the disk. */
#define WAIT_UPLOAD_NS (5 * DAL_NS_PER_S)
/* How long it waits for other files' memory when the disk is full, if its call has no deadline. */
#define WAIT_OTHERS_NS (30 * DAL_NS_PER_S)
/* Spilled at once at least, so that it is not done for every page. */
#define SPILL_MIN (4 * DAL_MIB)

void dal_file_unhold(struct dal_file *f, struct dal_hold *hold)
{
	if (hold->bytes)
		dal_budget_give(f->env->budget, DAL_BUDGET_DIRTY, hold->bytes);
	hold->bytes = 0;
}

/* True when parts of this file are on their way whose memory can be let go when they have arrived. */
static bool upload_frees_memory(const struct dal_file *f)
{
	return f->up && !f->up->conditional && f->up->sending > 0 && !f->busy;
}

/* Tries one more way to get @want bytes. 0: try again; 1: the same, and the lock was let go. */
static int find_memory_locked(struct dal_file *f, struct dal_call *call, uint64_t want, struct dal_hold *hold)
{
	uint64_t freed = 0;
	int r;

	if (dal_budget_try(f->env->budget, DAL_BUDGET_DIRTY, want)) {
		hold->bytes += want;
		return 0;
	}
	if (dal_stream_drop_locked(f) > 0)
		return 0;
	dal_stream_kick_locked(f);
	if (upload_frees_memory(f)) {
		uint64_t now = dal_now_ns();

		if (!hold->until_ns)
			hold->until_ns = now + WAIT_UPLOAD_NS;
		if (now < hold->until_ns) {
			r = dal_file_wait_locked(f, call, hold->until_ns - now);
			return r < 0 ? r : 1;
		}
	}
	r = dal_dirty_spill(&f->blocks, call, DAL_MAX(want, SPILL_MIN), &freed);
	if (r < 0 && r != -DAL_NO_SPACE)
		return r;
	if (freed == 0)
		hold->to_spool = true;
	return 0;
}

/* The disk is full: memory it must be, when somebody gives some back. */
static int wait_memory_locked(struct dal_file *f, struct dal_call *call, uint64_t want, struct dal_hold *hold)
{
	struct dal_call wait = dal_call_child(call);
	struct dal_error full = call->err;
	int r;

	if (!wait.deadline_ns)
		wait.deadline_ns = dal_now_ns() + WAIT_OTHERS_NS;
	pthread_mutex_unlock(&f->lock);
	r = dal_budget_take(f->env->budget, &wait, DAL_BUDGET_DIRTY, want);
	pthread_mutex_lock(&f->lock);
	if (r == -DAL_TIMED_OUT)
		return dal_call_fail_as(call, &full);
	if (r < 0)
		return dal_call_fail_as(call, &wait.err);
	hold->bytes += want;
	hold->to_spool = false;
	return 1;
}

int dal_file_ready_locked(
	struct dal_file *f, struct dal_call *call, uint64_t off, uint64_t len, struct dal_hold *hold)
{
	for (;;) {
		uint64_t need = dal_dirty_need(&f->blocks, off, len);
		int r;

		if (need > hold->bytes && !hold->to_spool) {
			r = find_memory_locked(f, call, need - hold->bytes, hold);
			if (r != 0)
				return r;
			continue;
		}
		r = dal_dirty_prepare(&f->blocks, call, off, len, &hold->bytes, hold->to_spool);
		if (r < 0)
			dal_file_prune_locked(f, off, off + len);
		if (r != -DAL_NO_SPACE || need <= hold->bytes)
			return r;
		return wait_memory_locked(f, call, need - hold->bytes, hold);
	}
}

/* Everything after which a write of [at, at + len) is only a copy. 1: the lock was let go, look again. */
static int prepare_locked(
	struct dal_file *f, struct dal_call *call, uint64_t at, uint64_t len, struct dal_hold *hold)
{
	if (at > f->limits.size_max || len > f->limits.size_max - at)
		return dal_fail_errno(call, EFBIG, "%llu bytes", (unsigned long long)(at + len));
	if (dal_extents_overlaps(&f->gone, at, at + len)) {
		int r = dal_file_settle_locked(f, call, at, at + len);

		return r < 0 ? r : 1;
	}
	if (!dal_extents_reserve(&f->dirty, 1) || !dal_extents_reserve(&f->since, 1))
		return dal_fail_nomem(call);
	return dal_file_ready_locked(f, call, at, len, hold);
}

static int store_locked(struct dal_file *f, struct dal_call *call, const void *buf, size_t len, uint64_t at)
{
	int r;

	f->gen++;
	if (f->up)
		dal_up_touch_locked(f->up, at, at + len);
	r = dal_dirty_put(&f->blocks, call, at, buf, len);
	if (r < 0) {
		dal_file_prune_locked(f, at, at + len);
		return r;
	}
	dal_extents_add(&f->dirty, at, at + len);
	if (f->tracking)
		dal_extents_add(&f->since, at, at + len);
	f->size = DAL_MAX(f->size, at + len);
	return 0;
}

int dal_file_write(struct dal_file *f, struct dal_call *call, const void *buf, size_t len, uint64_t off,
	bool append, uint64_t *ret_off)
{
	struct dal_hold hold = { 0 };
	uint64_t at = off;
	int r;

	pthread_mutex_lock(&f->lock);
	do {
		if (append)
			at = f->size;
		r = len ? prepare_locked(f, call, at, len, &hold) : 0;
	} while (r > 0);
	if (r == 0 && len)
		r = store_locked(f, call, buf, len, at);
	pthread_mutex_unlock(&f->lock);
	dal_file_unhold(f, &hold);
	if (r == 0 && ret_off)
		*ret_off = at;
	return r;
}
