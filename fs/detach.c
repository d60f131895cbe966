/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Detaching: what is only in the store is read and becomes dirty, a piece at a time, into memory or the spool
 * like any write. The program goes on meanwhile; what it writes is newer than what is read, and stays.
 */

#include <assert.h>
#include <stdlib.h>

#include "fs/file-private.h"

/* The first run at or behind @at that is only in the base, at most a block of it. */
static bool next_clean_locked(const struct dal_file *f, uint64_t at, struct dal_extent *ret_run)
{
	struct dal_extent dirty;

	while (at < f->base_limit) {
		uint64_t end = f->base_limit;

		if (dal_extents_next(&f->dirty, at, end, &dirty)) {
			if (dirty.off == at) {
				at = dirty.end;
				continue;
			}
			end = dirty.off;
		}
		ret_run->off = at;
		ret_run->end = DAL_MIN(end, at + DAL_BLOCK_SIZE);
		return true;
	}
	return false;
}

/* Stores @buf, the base's bytes of @run, wherever the program has not written in between. */
static int keep_locked(
	struct dal_file *f, struct dal_call *call, const struct dal_extent *run, const char *buf)
{
	struct dal_hold hold = { 0 };
	struct dal_extent piece;
	uint64_t at = run->off;
	int r = 0;

	while (r == 0 && next_clean_locked(f, at, &piece) && piece.off < run->end) {
		piece.end = DAL_MIN(piece.end, run->end);
		if (!dal_extents_reserve(&f->dirty, 1)) {
			r = dal_fail_nomem(call);
			break;
		}
		r = dal_file_ready_locked(f, call, piece.off, piece.end - piece.off, &hold);
		if (r > 0) {
			r = 0;
			continue;
		}
		if (r == 0)
			r = dal_dirty_put(&f->blocks, call, piece.off, buf + (piece.off - run->off),
				(size_t)(piece.end - piece.off));
		if (r == 0)
			dal_extents_add(&f->dirty, piece.off, piece.end);
		else
			dal_file_prune_locked(f, piece.off, piece.end);
		at = piece.end;
	}
	dal_file_unhold(f, &hold);
	return r;
}

/* Brings one run in. The base cannot change: the turn is ours. Lets go of the lock. */
static int fetch_locked(struct dal_file *f, struct dal_call *call, const struct dal_extent *run)
{
	struct dal_cobj *base = dal_cobj_ref(f->base);
	struct dal_call step = dal_file_step(f, call, 0);
	size_t len = (size_t)(run->end - run->off), n = 0;
	char *buf;
	int r;

	pthread_mutex_unlock(&f->lock);
	buf = malloc(len);
	r = buf ? dal_cobj_read_into(base, &step, run->off, buf, len, &n) : dal_fail_nomem(&step);
	if (r == 0 && n != len)
		r = dal_fail(&step, DAL_UNEXPECTED, "%s: shorter than it was", dal_cobj_path(base));
	pthread_mutex_lock(&f->lock);
	if (r == 0)
		r = keep_locked(f, &step, run, buf);
	if (r < 0)
		dal_call_fail_as(call, &step.err);
	free(buf);
	dal_cobj_unref(base);
	return r;
}

static int fetch_all_locked(struct dal_file *f, struct dal_call *call)
{
	struct dal_extent run;
	uint64_t at = 0;
	int r = 0;

	for (; r == 0 && next_clean_locked(f, at, &run); at = run.end)
		r = fetch_locked(f, call, &run);
	return r;
}

int dal_file_detach(struct dal_file *f, struct dal_call *call)
{
	int r;

	pthread_mutex_lock(&f->lock);
	do {
		r = dal_file_settle_locked(f, call, 0, UINT64_MAX);
		if (r == 0)
			r = dal_file_busy_locked(f, call);
		if (r < 0)
			break;
		r = dal_commit_resolve_locked(f, call);
		/* While the turn was waited for, more may have gone. */
		if (r == 0 && f->gone.bytes == 0) {
			r = fetch_all_locked(f, call);
			if (r == 0) {
				dal_cobj_unref(dal_take(&f->base));
				f->base_limit = 0;
				f->clean_gen = ++f->gen - 1;
				dal_file_drop_up_locked(f);
				dal_meta_done(&f->meta);
				f->meta = (struct dal_meta){ 0 };
			} else if (f->dirty.n) {
				/* What was brought in so far is written again: nothing else says that it is
				 * clean. */
				f->gen++;
			}
		}
		dal_file_idle_locked(f);
	} while (r == 0 && (f->base || f->gone.bytes));
	pthread_mutex_unlock(&f->lock);
	return r;
}
