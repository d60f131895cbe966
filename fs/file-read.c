/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A read looks once at the file under its lock and makes a list of runs: dirty bytes in memory are copied
 * there and then, what is in the spool or in the base is only noted (with a reference), and read when the
 * lock is gone. Runs of the base are pinned where they are in the cache; everything else lies in one buffer,
 * at the place it has in the read.
 *
 * A clean range of the base, which is what most reads are, is one call of the cache and no copy.
 *
 * When another thread commits while this one reads, the base it noted may be replaced in the store under its
 * hands. The read then waits for that commit and starts again over the new one.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fs/file-private.h"

/* Shorter runs of the base are copied rather than pinned. */
#define PIN_MIN ((uint64_t)32 << 10)

enum kind {
	COPIED, /* in the buffer already: dirty bytes from memory, or zeros */
	SPOOLED,
	BASE,
};

struct run {
	uint64_t off, end;
	enum kind kind;
	struct dal_dblock *block; /* SPOOLED: a reference */
};

/* One read under way. */
struct reading {
	struct dal_file *f;
	uint64_t off, end;
	char *buf; /* owned; NULL when nothing but the base is read */
	struct dal_cobj *base; /* a reference */
	struct run *v; /* owned */
	size_t n, cap;
};

/* A run more, or the last one longer; false when memory has run out. */
static bool add_run(struct reading *rd, uint64_t off, uint64_t end, enum kind kind, struct dal_dblock *block)
{
	struct run *last = rd->n ? &rd->v[rd->n - 1] : NULL;

	if (last && last->kind == kind && kind != SPOOLED) {
		last->end = end;
		return true;
	}
	if (rd->n == rd->cap) {
		size_t cap = DAL_MAX(2 * rd->cap, (size_t)8);
		struct run *v = reallocarray(rd->v, cap, sizeof(*v));

		if (!v)
			return false;
		rd->v = v;
		rd->cap = cap;
	}
	rd->v[rd->n++] = (struct run){ off, end, kind, block };
	if (block)
		dal_dblock_ref(block);
	return true;
}

static bool add_clean_locked(struct reading *rd, uint64_t off, uint64_t end)
{
	uint64_t limit = DAL_MIN(end, rd->f->base_limit);

	if (off < limit && !add_run(rd, off, limit, BASE, NULL))
		return false;
	off = DAL_MAX(off, limit);
	if (off >= end)
		return true;
	memset(rd->buf + (off - rd->off), 0, (size_t)(end - off));
	return add_run(rd, off, end, COPIED, NULL);
}

static bool add_dirty_locked(struct reading *rd, uint64_t off, uint64_t end)
{
	uint64_t bs = rd->f->blocks.block_size;

	while (off < end) {
		uint64_t to = DAL_MIN(end, (off / bs + 1) * bs);
		struct dal_dblock *b = dal_dirty_find(&rd->f->blocks, off / bs);

		assert(b);
		if (b->data)
			memcpy(rd->buf + (off - rd->off), b->data + (off % bs - b->lo), (size_t)(to - off));
		if (!add_run(rd, off, to, b->data ? COPIED : SPOOLED, b->data ? NULL : b))
			return false;
		off = to;
	}
	return true;
}

/* Notes every run of the read, and copies what is in memory. */
static int look_locked(struct reading *rd, struct dal_call *call)
{
	struct dal_file *f = rd->f;
	uint64_t at = rd->off;
	struct dal_extent run;

	rd->base = f->base ? dal_cobj_ref(f->base) : NULL;
	if (rd->end <= f->base_limit && !dal_extents_overlaps(&f->dirty, rd->off, rd->end))
		return add_run(rd, rd->off, rd->end, BASE, NULL) ? 0 : dal_fail_nomem(call);
	rd->buf = malloc((size_t)(rd->end - rd->off));
	if (!rd->buf)
		return dal_fail_nomem(call);
	for (; dal_extents_next(&f->dirty, at, rd->end, &run); at = run.end)
		if (!add_clean_locked(rd, at, run.off) || !add_dirty_locked(rd, run.off, run.end))
			return dal_fail_nomem(call);
	return add_clean_locked(rd, at, rd->end) ? 0 : dal_fail_nomem(call);
}

static void reading_done(struct reading *rd)
{
	size_t i;

	for (i = 0; i < rd->n && !rd->v[i].block; i++)
		;
	if (i < rd->n) {
		pthread_mutex_lock(&rd->f->lock);
		for (; i < rd->n; i++)
			if (rd->v[i].block)
				dal_dblock_unref(&rd->f->blocks, rd->v[i].block);
		pthread_mutex_unlock(&rd->f->lock);
	}
	dal_cobj_unref(rd->base);
	free(rd->buf);
	free(rd->v);
}

/* Bytes [off, off + len) of the buffer come next in @v. */
static void view_buf(struct dal_file_view *v, const struct reading *rd, uint64_t off, uint64_t len)
{
	char *at = rd->buf + (off - rd->off);
	struct iovec *last = v->n ? &v->iov[v->n - 1] : NULL;

	if (last && (char *)last->iov_base + last->iov_len == at)
		last->iov_len += (size_t)len;
	else
		v->iov[v->n++] = (struct iovec){ at, (size_t)len };
	v->len += (size_t)len;
}

static int short_base(const struct reading *rd, struct dal_call *call)
{
	return dal_fail(call, DAL_UNEXPECTED, "%s: shorter than it was", dal_cobj_path(rd->base));
}

static int read_base(struct reading *rd, struct dal_call *call, struct dal_reader *reader,
	const struct run *run, struct dal_file_view *v)
{
	size_t len = (size_t)(run->end - run->off), n = 0;
	unsigned i;
	int r;

	if (!rd->buf || (len >= PIN_MIN && v->n_pins < DAL_COUNT_OF(v->pins))) {
		struct dal_view *pin = &v->pins[v->n_pins];

		r = dal_cobj_read(rd->base, call, reader, run->off, len, pin);
		if (r < 0)
			return r;
		v->n_pins++;
		if (pin->len != len)
			return short_base(rd, call);
		for (i = 0; i < pin->n; i++)
			v->iov[v->n++] = pin->iov[i];
		v->len += len;
		return 0;
	}
	r = dal_cobj_read_into(rd->base, call, run->off, rd->buf + (run->off - rd->off), len, &n);
	if (r < 0)
		return r;
	if (n != len)
		return short_base(rd, call);
	view_buf(v, rd, run->off, len);
	return 0;
}

static int read_runs(
	struct reading *rd, struct dal_call *call, struct dal_reader *reader, struct dal_file_view *v)
{
	uint64_t bs = rd->f->blocks.block_size;
	size_t i;
	int r = 0;

	/* Pins take at most 5 pieces each, and the buffer at most one more than there are pins. */
	_Static_assert(DAL_COUNT_OF(((struct dal_file_view *)0)->pins) * 6 + 1 <=
			       DAL_COUNT_OF(((struct dal_file_view *)0)->iov),
		"a view holds any read");
	for (i = 0; i < rd->n && r == 0; i++) {
		const struct run *run = &rd->v[i];
		size_t len = (size_t)(run->end - run->off);

		if (run->kind == BASE) {
			r = read_base(rd, call, reader, run, v);
			continue;
		}
		if (run->kind == SPOOLED)
			r = dal_dblock_read(&rd->f->blocks, call, run->block, run->off % bs,
				rd->buf + (run->off - rd->off), len);
		view_buf(v, rd, run->off, len);
	}
	return r;
}

/*
 * After @base was found to be replaced in the store: true when we did it ourselves, so that reading again
 * makes sense. A commit under way is waited for, one that ended in doubt is looked into.
 */
static bool replaced_by_us(struct dal_file *f, struct dal_call *call, const struct dal_cobj *base)
{
	struct dal_call ask = dal_call_child(call);
	bool ours;

	pthread_mutex_lock(&f->lock);
	ours = f->base != base;
	if (!ours && dal_file_busy_locked(f, &ask) == 0) {
		if (f->base == base)
			(void)dal_commit_resolve_locked(f, &ask);
		ours = f->base != base;
		dal_file_idle_locked(f);
	}
	pthread_mutex_unlock(&f->lock);
	return ours;
}

int dal_file_read(struct dal_file *f, struct dal_call *call, struct dal_reader *reader, uint64_t off,
	size_t len, struct dal_file_view *ret_view)
{
	struct dal_file_view *v = ret_view;
	bool again;
	int r;

	assert(len <= DAL_MIB);
	do {
		struct reading rd = { .f = f, .off = off, .end = off };

		/* Only the counts: the arrays are what they say. */
		v->n = v->n_pins = 0;
		v->len = 0;
		v->owned = NULL;
		pthread_mutex_lock(&f->lock);
		r = dal_file_settle_locked(f, call, off, off + len);
		if (r == 0 && off < f->size) {
			rd.end = off + DAL_MIN((uint64_t)len, f->size - off);
			if (rd.end > off)
				r = look_locked(&rd, call);
		}
		pthread_mutex_unlock(&f->lock);
		if (r == 0)
			r = read_runs(&rd, call, reader, v);
		if (r == 0) {
			v->owned = dal_take(&rd.buf);
			again = false;
		} else {
			dal_file_view_done(v);
			/* Not only a failed condition: what was replaced may be gone altogether. */
			again = (r == -DAL_CONDITION_NOT_MATCH || r == -DAL_NOT_FOUND) && rd.base &&
				replaced_by_us(f, call, rd.base);
		}
		reading_done(&rd);
	} while (again);
	return r;
}

void dal_file_view_done(struct dal_file_view *v)
{
	unsigned i;

	for (i = 0; i < v->n_pins; i++)
		dal_view_done(&v->pins[i]);
	free(v->owned);
	v->owned = NULL;
	v->n = v->n_pins = 0;
	v->len = 0;
}
