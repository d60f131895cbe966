/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A snapshot is made in memory only and costs a reference per block: nothing is copied until somebody writes
 * to a block that is in one. It stays what it was however the file goes on.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fs/file-private.h"

int dal_snapshot_take_locked(
	struct dal_file *f, struct dal_call *call, uint64_t off, uint64_t end, struct dal_snapshot *ret)
{
	struct dal_snapshot s = {
		.f = f, .off = off, .end = end, .gen = f->gen, .base_limit = f->base_limit
	};
	uint64_t bs = f->blocks.block_size;
	size_t first = dal_dirty_index(&f->blocks, off / bs), last, i;

	last = end ? dal_dirty_index(&f->blocks, (end - 1) / bs + 1) : first;
	s.n = last > first ? last - first : 0;
	if (!dal_extents_dup(&s.dirty, &f->dirty, off, end))
		return dal_fail_nomem(call);
	if (s.n) {
		s.v = calloc(s.n, sizeof(struct dal_dblock *));
		if (!s.v) {
			dal_extents_done(&s.dirty);
			return dal_fail_nomem(call);
		}
	}
	for (i = 0; i < s.n; i++) {
		s.v[i] = f->blocks.v[first + i];
		dal_dblock_ref(s.v[i]);
	}
	s.base = f->base ? dal_cobj_ref(f->base) : NULL;
	*ret = s;
	return 0;
}

void dal_snapshot_done(struct dal_snapshot *s)
{
	struct dal_file *f = s->f;

	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	dal_snapshot_done_locked(s);
	pthread_mutex_unlock(&f->lock);
}

void dal_snapshot_done_locked(struct dal_snapshot *s)
{
	size_t i;

	if (!s->f)
		return;
	for (i = 0; i < s->n; i++)
		dal_dblock_unref(&s->f->blocks, s->v[i]);
	dal_cobj_unref(s->base);
	dal_extents_done(&s->dirty);
	free(s->v);
	*s = (struct dal_snapshot){ 0 };
}

/* The pages of [off, end) that are whole; the last one of the file may be short. */
static bool whole_pages(const struct dal_snapshot *s, struct dal_extent *run)
{
	run->off = (run->off + DAL_PAGE_SIZE - 1) / DAL_PAGE_SIZE * DAL_PAGE_SIZE;
	if (run->end < s->end)
		run->end = run->end / DAL_PAGE_SIZE * DAL_PAGE_SIZE;
	return run->off < run->end;
}

static void put_block(struct dal_snapshot *s, struct dal_cobj *obj, const struct dal_dblock *b)
{
	uint64_t start = b->n * s->f->blocks.block_size, at = start, end = start + s->f->blocks.block_size;
	struct dal_extent run;

	while (dal_extents_next(&s->dirty, at, end, &run)) {
		at = run.end;
		if (whole_pages(s, &run)) {
			struct iovec iov = { b->data + (run.off - start - b->lo),
				(size_t)(run.end - run.off) };

			dal_cobj_put(obj, run.off, &iov, 1);
		}
	}
}

void dal_snapshot_put(struct dal_snapshot *s, struct dal_cobj *obj)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		struct dal_dblock *b = s->v[i];
		bool here;

		pthread_mutex_lock(&s->f->lock);
		here = b->data != NULL;
		if (here)
			b->pins++;
		pthread_mutex_unlock(&s->f->lock);
		if (!here)
			continue;
		put_block(s, obj, b);
		pthread_mutex_lock(&s->f->lock);
		b->pins--;
		pthread_mutex_unlock(&s->f->lock);
	}
}
