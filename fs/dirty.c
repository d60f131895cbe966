/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A block stores a window of whole pages, not all of its megabyte: a small file takes a page, a random write
 * takes a page, and a file that is written in order takes whole blocks from the second one on. The window
 * doubles as it grows.
 *
 *   in memory   data set, slot none                       charged to the budget
 *   in spool    data NULL, slot set                       the same window, allocated on disk
 *
 * A block goes from memory to the spool, never back: it is read from there until it has been committed. Space
 * for what is written into a slot is allocated before, so a write that was taken is not lost to a full disk.
 */

#include "fs/dirty.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE ((uint64_t)4096)
/* From here on memory is mapped: freeing it gives it back, whatever the heap looks like. */
#define MAP_FROM ((size_t)128 << 10)
/* Bytes moved at once from slot to slot. */
#define BOUNCE ((size_t)64 << 10)

void *dal_dirty_alloc(size_t len)
{
	void *p;

	if (len < MAP_FROM)
		return calloc(1, len);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

void dal_dirty_release(void *p, size_t len)
{
	if (!p)
		return;
	if (len < MAP_FROM)
		free(p);
	else
		munmap(p, len);
}

void dal_dirty_init(
	struct dal_dirty *d, struct dal_budget *budget, const char *spool_dir, uint64_t block_size)
{
	assert(block_size >= PAGE && (block_size & (block_size - 1)) == 0 && block_size <= UINT32_MAX);
	*d = (struct dal_dirty){ .budget = budget, .block_size = block_size };
	dal_spool_init(&d->spool, spool_dir, block_size);
}

void dal_dirty_done(struct dal_dirty *d)
{
	dal_dirty_drop(d, 0, UINT64_MAX);
	assert(d->spool.used == 0);
	dal_spool_done(&d->spool);
	free(d->v);
	d->v = NULL;
	d->n = d->cap = 0;
}

size_t dal_dirty_index(const struct dal_dirty *d, uint64_t n)
{
	size_t lo = 0, hi = d->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (d->v[mid]->n < n)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct dal_dblock *dal_dirty_find(const struct dal_dirty *d, uint64_t n)
{
	size_t i = dal_dirty_index(d, n);

	return i < d->n && d->v[i]->n == n ? d->v[i] : NULL;
}

void dal_dblock_ref(struct dal_dblock *b)
{
	b->refs++;
}

/* Frees the block's memory, if it has any, and gives it back to the budget. */
static void release_memory(struct dal_dirty *d, struct dal_dblock *b)
{
	if (!b->data)
		return;
	dal_dirty_release(b->data, b->hi - b->lo);
	b->data = NULL;
	dal_budget_give(d->budget, DAL_BUDGET_DIRTY, b->hi - b->lo);
}

void dal_dblock_unref(struct dal_dirty *d, struct dal_dblock *b)
{
	assert(b->refs > 0);
	if (--b->refs > 0)
		return;
	assert(b->pins == 0);
	release_memory(d, b);
	dal_spool_give(&d->spool, b->slot);
	free(b);
}

int dal_dblock_read(const struct dal_dirty *d, struct dal_call *call, const struct dal_dblock *b,
	uint64_t off, void *buf, size_t len)
{
	assert(off >= b->lo && off + len <= b->hi);
	if (!b->data)
		return dal_spool_read(&d->spool, call, b->slot, off, buf, len);
	memcpy(buf, b->data + (off - b->lo), len);
	return 0;
}

void dal_dirty_drop(struct dal_dirty *d, uint64_t first, uint64_t end)
{
	size_t from = dal_dirty_index(d, first), to = from;

	while (to < d->n && d->v[to]->n < end)
		dal_dblock_unref(d, d->v[to++]);
	if (to == from)
		return;
	memmove(&d->v[from], &d->v[to], (d->n - to) * sizeof(*d->v));
	d->n -= to - from;
}

/* Preparing */

struct window {
	uint32_t lo, hi;
};

static bool shared(const struct dal_dblock *b)
{
	return b->refs > 1 || b->pins > 0;
}

static bool covers(const struct dal_dblock *b, uint32_t from, uint32_t to)
{
	return b->lo <= from && to <= b->hi;
}

/* The whole pages around [from, to) and what @b stores already. */
static struct window least_window(const struct dal_dblock *b, uint32_t from, uint32_t to)
{
	struct window w = { .lo = (uint32_t)(from & ~(PAGE - 1)),
		.hi = (uint32_t)((to + PAGE - 1) & ~(PAGE - 1)) };

	if (b) {
		w.lo = DAL_MIN(w.lo, b->lo);
		w.hi = DAL_MAX(w.hi, b->hi);
	}
	return w;
}

/* The window for block @n in memory: rounded up, so that a block which is written bit by bit is not moved
 * each time. */
static struct window memory_window(
	const struct dal_dirty *d, const struct dal_dblock *b, uint64_t n, uint32_t from, uint32_t to)
{
	struct window w = least_window(b, from, to);
	const struct dal_dblock *before = from == 0 && n > 0 ? dal_dirty_find(d, n - 1) : NULL;
	uint32_t size = (uint32_t)PAGE;

	if (before && before->hi == d->block_size)
		return (struct window){ 0, (uint32_t)d->block_size };
	while (size < w.hi - w.lo)
		size *= 2;
	if (w.lo > d->block_size - size)
		w.lo = (uint32_t)d->block_size - size;
	w.hi = w.lo + size;
	return w;
}

/* Calls for each block of a range: its number and the bytes of it that are meant. */
#define FOR_BLOCKS(d, off, len, n, from, to)                                                                 \
	for (uint64_t n = (off) / (d)->block_size, from = (off) % (d)->block_size,                           \
		      to = DAL_MIN((d)->block_size, from + (len));                                           \
		n * (d)->block_size < (off) + (len);                                                         \
		n++, from = 0, to = DAL_MIN((d)->block_size, (off) + (len)-n * (d)->block_size))

uint64_t dal_dirty_need(const struct dal_dirty *d, uint64_t off, uint64_t len)
{
	uint64_t need = 0;

	FOR_BLOCKS(d, off, len, n, from, to)
	{
		const struct dal_dblock *b = dal_dirty_find(d, n);
		struct window w;

		/* What is in the spool and nobody else's is written there. */
		if (b && !shared(b) && (!b->data || covers(b, (uint32_t)from, (uint32_t)to)))
			continue;
		w = memory_window(d, b, n, (uint32_t)from, (uint32_t)to);
		/* A full block before makes this one full: it may be made so by this very call. */
		need += n * d->block_size > off ? d->block_size : w.hi - w.lo;
	}
	return need;
}

/* Puts @b where block b->n is or belongs. The table has room. */
static void replace(struct dal_dirty *d, struct dal_dblock *b)
{
	size_t i = dal_dirty_index(d, b->n);

	if (i < d->n && d->v[i]->n == b->n) {
		dal_dblock_unref(d, d->v[i]);
		d->v[i] = b;
		return;
	}
	memmove(&d->v[i + 1], &d->v[i], (d->n - i) * sizeof(*d->v));
	d->v[i] = b;
	d->n++;
}

static bool reserve_table(struct dal_dirty *d)
{
	struct dal_dblock **v;
	size_t cap;

	if (d->n < d->cap)
		return true;
	cap = DAL_MAX(d->cap + d->cap / 2, (size_t)4);
	v = reallocarray(d->v, cap, sizeof(struct dal_dblock *));
	if (!v)
		return false;
	d->v = v;
	d->cap = cap;
	return true;
}

static struct dal_dblock *block_new(uint64_t n, struct window w)
{
	struct dal_dblock *b = calloc(1, sizeof(*b));

	if (b)
		*b = (struct dal_dblock){ .n = n, .refs = 1, .lo = w.lo, .hi = w.hi, .slot = DAL_SPOOL_NONE };
	return b;
}

/* A block in memory with @old's bytes; its memory has been taken from the budget. */
static int make_in_memory(
	struct dal_dirty *d, struct dal_call *call, uint64_t n, const struct dal_dblock *old, struct window w)
{
	struct dal_dblock *b = block_new(n, w);
	int r = 0;

	if (b)
		b->data = dal_dirty_alloc(w.hi - w.lo);
	if (!b || !b->data)
		r = dal_fail_nomem(call);
	else if (old)
		r = dal_dblock_read(d, call, old, old->lo, b->data + (old->lo - w.lo), old->hi - old->lo);
	if (r < 0) {
		if (b)
			dal_dirty_release(b->data, w.hi - w.lo);
		free(b);
		return r;
	}
	replace(d, b);
	return 0;
}

/* Writes @b's bytes into @slot, where they have been reserved. */
static int copy_to_slot(struct dal_dirty *d, struct dal_call *call, const struct dal_dblock *b, int64_t slot)
{
	DAL_CLEANUP(dal_mem_freep) char *bounce = NULL;
	uint32_t at;

	if (b->data)
		return dal_spool_write(&d->spool, call, slot, b->lo, b->data, b->hi - b->lo);
	bounce = malloc(BOUNCE);
	if (!bounce)
		return dal_fail_nomem(call);
	for (at = b->lo; at < b->hi;) {
		size_t len = DAL_MIN(BOUNCE, (size_t)(b->hi - at));
		int r = dal_spool_read(&d->spool, call, b->slot, at, bounce, len);

		if (r == 0)
			r = dal_spool_write(&d->spool, call, slot, at, bounce, len);
		if (r < 0)
			return r;
		at += (uint32_t)len;
	}
	return 0;
}

/* A block in the spool with @old's bytes. */
static int make_in_spool(
	struct dal_dirty *d, struct dal_call *call, uint64_t n, const struct dal_dblock *old, struct window w)
{
	struct dal_dblock *b = block_new(n, w);
	int64_t slot;
	int r;

	if (!b)
		return dal_fail_nomem(call);
	r = dal_spool_take(&d->spool, call, &slot);
	if (r < 0) {
		free(b);
		return r;
	}
	r = dal_spool_reserve(&d->spool, call, slot, w.lo, w.hi - w.lo);
	if (r == 0 && old)
		r = copy_to_slot(d, call, old, slot);
	if (r < 0) {
		dal_spool_give(&d->spool, slot);
		free(b);
		return r;
	}
	b->slot = slot;
	replace(d, b);
	return 0;
}

/* Moves @b to the spool where it stands: for everybody who holds it. */
static int spill(struct dal_dirty *d, struct dal_call *call, struct dal_dblock *b)
{
	int64_t slot;
	int r = dal_spool_take(&d->spool, call, &slot);

	if (r < 0)
		return r;
	r = dal_spool_reserve(&d->spool, call, slot, b->lo, b->hi - b->lo);
	if (r == 0)
		r = copy_to_slot(d, call, b, slot);
	if (r < 0) {
		dal_spool_give(&d->spool, slot);
		return r;
	}
	release_memory(d, b);
	b->slot = slot;
	return 0;
}

/* Makes a block of the spool that is the table's alone store [from, to) as well. */
static int widen_in_spool(
	struct dal_dirty *d, struct dal_call *call, struct dal_dblock *b, uint32_t from, uint32_t to)
{
	struct window w = least_window(b, from, to);
	int r = 0;

	if (w.lo < b->lo)
		r = dal_spool_reserve(&d->spool, call, b->slot, w.lo, b->lo - w.lo);
	if (r == 0 && w.hi > b->hi)
		r = dal_spool_reserve(&d->spool, call, b->slot, b->hi, w.hi - b->hi);
	if (r < 0)
		return r;
	b->lo = w.lo;
	b->hi = w.hi;
	return 0;
}

static int prepare_block(struct dal_dirty *d, struct dal_call *call, uint64_t n, uint32_t from, uint32_t to,
	uint64_t *held, bool to_spool)
{
	struct dal_dblock *b = dal_dirty_find(d, n);
	bool own = b && !shared(b);
	int r;

	if (own && covers(b, from, to))
		return 0;
	if (own && to_spool && b->data) {
		r = spill(d, call, b);
		if (r < 0)
			return r;
	}
	if (own && !b->data)
		return widen_in_spool(d, call, b, from, to);
	if (!reserve_table(d))
		return dal_fail_nomem(call);
	if (!to_spool) {
		struct window w = memory_window(d, b, n, from, to);

		assert(*held >= w.hi - w.lo);
		r = make_in_memory(d, call, n, b, w);
		if (r == 0)
			*held -= w.hi - w.lo;
		return r;
	}
	return make_in_spool(d, call, n, b, least_window(b, from, to));
}

int dal_dirty_prepare(
	struct dal_dirty *d, struct dal_call *call, uint64_t off, uint64_t len, uint64_t *held, bool to_spool)
{
	FOR_BLOCKS(d, off, len, n, from, to)
	{
		int r = prepare_block(d, call, n, (uint32_t)from, (uint32_t)to, held, to_spool);

		if (r < 0)
			return r;
	}
	return 0;
}

int dal_dirty_put(struct dal_dirty *d, struct dal_call *call, uint64_t off, const void *buf, size_t len)
{
	const char *p = buf;

	FOR_BLOCKS(d, off, len, n, from, to)
	{
		struct dal_dblock *b = dal_dirty_find(d, n);
		size_t part = (size_t)(to - from);

		assert(b && !shared(b) && covers(b, (uint32_t)from, (uint32_t)to));
		if (b->data) {
			memcpy(b->data + (from - b->lo), p, part);
		} else {
			int r = dal_spool_write(&d->spool, call, b->slot, from, p, part);

			if (r < 0)
				return r;
		}
		p += part;
	}
	return 0;
}

int dal_dirty_spill(struct dal_dirty *d, struct dal_call *call, uint64_t want, uint64_t *ret_freed)
{
	uint64_t freed = 0;
	size_t left, i;

	i = dal_dirty_index(d, d->hand);
	for (left = d->n; left > 0 && freed < want; left--, i++) {
		struct dal_dblock *b = d->v[i < d->n ? i : (i = 0)];
		uint64_t size = b->hi - b->lo;
		int r;

		d->hand = b->n + 1;
		if (!b->data || b->pins > 0)
			continue;
		r = spill(d, call, b);
		if (r < 0 && freed == 0)
			return r;
		if (r < 0)
			break;
		freed += size;
	}
	*ret_freed = freed;
	return 0;
}
