/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A payload is a list of pieces in file order. All in memory (the common case), it is sent from where it is,
 * without a copy; otherwise it is read piece by piece.
 *
 *   MEMORY   a pinned block, or bytes of the base that were read for this
 *   SLOT     in the spool: a block's slot, or one with bytes of the base
 *   ZEROS    a hole
 *   BASE     still in the store: only lazily
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fs/file-private.h"

/* Bytes of the base read at once into memory, or copied at once into the spool. */
#define READ_MEM ((uint64_t)4 << 20)
#define READ_SPOOL ((size_t)256 << 10)
/* Zeros sent from memory at most; larger holes are made up while sending. */
#define ZERO_IOV_MAX ((uint64_t)1 << 20)

static const char zeros[64 << 10];

enum kind {
	MEMORY,
	SLOT,
	ZEROS,
	BASE,
};

struct dal_piece {
	uint64_t off, len; /* in the file */
	enum kind kind;
	const char *bytes; /* MEMORY */
	int64_t slot; /* SLOT */
	uint64_t slot_off;
	bool own; /* bytes are charged to the budget and freed here, or the slot is given back */
};

/* A piece more; NULL when memory has run out. */
static struct dal_piece *add_piece(struct dal_payload *src, uint64_t off, uint64_t len, enum kind kind)
{
	struct dal_piece *p;

	if (src->n == src->cap) {
		size_t cap = DAL_MAX(2 * src->cap, (size_t)16);

		p = reallocarray(src->v, cap, sizeof(*p));
		if (!p)
			return NULL;
		src->v = p;
		src->cap = cap;
	}
	p = &src->v[src->n++];
	*p = (struct dal_piece){ .off = off, .len = len, .kind = kind, .slot = DAL_SPOOL_NONE };
	return p;
}

static const struct dal_dblock *pin_block_locked(struct dal_payload *src, uint64_t n)
{
	struct dal_snapshot *s = src->s;
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->v[mid]->n < n)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == s->n || s->v[lo]->n != n)
		return NULL;
	if (s->v[lo]->data && (src->n_pinned == 0 || src->pinned[src->n_pinned - 1] != s->v[lo])) {
		s->v[lo]->pins++;
		src->pinned[src->n_pinned++] = s->v[lo];
	}
	return s->v[lo];
}

static int add_dirty_locked(struct dal_payload *src, struct dal_call *call, uint64_t off, uint64_t end)
{
	uint64_t bs = src->s->f->blocks.block_size;

	while (off < end) {
		uint64_t len = DAL_MIN(end, (off / bs + 1) * bs) - off;
		const struct dal_dblock *b = pin_block_locked(src, off / bs);
		struct dal_piece *p;

		if (!b)
			return dal_fail(call, DAL_UNEXPECTED,
				"bytes from %llu on are only in an unfinished upload",
				(unsigned long long)off);
		p = add_piece(src, off, len, b->data ? MEMORY : SLOT);
		if (!p)
			return dal_fail_nomem(call);
		if (b->data) {
			p->bytes = b->data + (off % bs - b->lo);
		} else {
			p->slot = b->slot;
			p->slot_off = off % bs;
		}
		off += len;
	}
	return 0;
}

/* Bytes without changes: the base's, then zeros. */
static bool add_clean(struct dal_payload *src, uint64_t off, uint64_t end)
{
	uint64_t limit = DAL_MIN(end, src->s->base_limit);

	if (off < limit && !add_piece(src, off, limit - off, BASE))
		return false;
	off = DAL_MAX(off, limit);
	return off >= end || add_piece(src, off, end - off, ZEROS);
}

static int add_all_locked(struct dal_payload *src, struct dal_call *call, uint64_t off, uint64_t end)
{
	struct dal_extent run;

	while (dal_extents_next(&src->s->dirty, off, end, &run)) {
		int r;

		if (off < run.off && !add_clean(src, off, run.off))
			return dal_fail_nomem(call);
		r = add_dirty_locked(src, call, run.off, run.end);
		if (r < 0)
			return r;
		off = run.end;
	}
	if (off < end && !add_clean(src, off, end))
		return dal_fail_nomem(call);
	return 0;
}

/* Reads exactly [off, off + len) of the base. */
static int read_base(struct dal_payload *src, struct dal_call *call, uint64_t off, void *buf, size_t len)
{
	size_t n = 0;
	int r = dal_cobj_read_into(src->s->base, call, off, buf, len, &n);

	/* "Not found" is what an upload that is gone says: not to be mixed up with. */
	if (r == -DAL_NOT_FOUND)
		return dal_fail(call, DAL_CONDITION_NOT_MATCH, "%s: it was deleted by someone else",
			dal_cobj_path(src->s->base));
	if (r == 0 && n != len)
		r = dal_fail(call, DAL_UNEXPECTED, "%s: shorter than it was", dal_cobj_path(src->s->base));
	return r;
}

/* Fetches one piece of the base into memory that has been taken from the budget. */
static int fetch_to_memory(struct dal_payload *src, struct dal_call *call, struct dal_piece *p)
{
	char *mem = dal_dirty_alloc((size_t)p->len);
	int r;

	r = mem ? read_base(src, call, p->off, mem, (size_t)p->len) : dal_fail_nomem(call);
	if (r < 0) {
		dal_dirty_release(mem, (size_t)p->len);
		dal_budget_give(src->s->f->env->budget, DAL_BUDGET_DIRTY, p->len);
		return r;
	}
	p->kind = MEMORY;
	p->bytes = mem;
	p->own = true;
	return 0;
}

/* Fetches one piece of the base, of at most a block, into a slot of its own. */
static int fetch_to_spool(struct dal_payload *src, struct dal_call *call, struct dal_piece *p)
{
	struct dal_file *f = src->s->f;
	DAL_CLEANUP(dal_mem_freep) char *bounce = malloc(READ_SPOOL);
	int64_t slot = DAL_SPOOL_NONE;
	uint64_t at;
	int r;

	if (!bounce)
		return dal_fail_nomem(call);
	pthread_mutex_lock(&f->lock);
	r = dal_spool_take(&f->blocks.spool, call, &slot);
	if (r == 0) {
		r = dal_spool_reserve(&f->blocks.spool, call, slot, 0, p->len);
		if (r < 0)
			dal_spool_give(&f->blocks.spool, slot);
	}
	pthread_mutex_unlock(&f->lock);
	if (r < 0)
		return r;
	p->kind = SLOT;
	p->slot = slot;
	p->slot_off = 0;
	p->own = true;
	for (at = 0; at < p->len && r == 0; at += READ_SPOOL) {
		size_t len = DAL_MIN(READ_SPOOL, (size_t)(p->len - at));

		r = read_base(src, call, p->off + at, bounce, len);
		if (r == 0)
			r = dal_spool_write(&f->blocks.spool, call, slot, at, bounce, len);
	}
	return r;
}

/*
 * Fetches the front of the base's bytes at *p, as much as goes at once, and cuts *p to that. Memory when
 * there is some, else the disk, else memory when somebody gives it back.
 */
static int fetch_piece(struct dal_payload *src, struct dal_call *call, struct dal_piece *p)
{
	struct dal_budget *budget = src->s->f->env->budget;
	int r;

	p->len = DAL_MIN(p->len, READ_MEM);
	if (dal_budget_try(budget, DAL_BUDGET_DIRTY, p->len))
		return fetch_to_memory(src, call, p);
	p->len = DAL_MIN(p->len, src->s->f->blocks.block_size);
	if (dal_budget_try(budget, DAL_BUDGET_DIRTY, p->len))
		return fetch_to_memory(src, call, p);
	r = fetch_to_spool(src, call, p);
	if (r != -DAL_NO_SPACE || p->own)
		return r;
	r = dal_budget_take(budget, call, DAL_BUDGET_DIRTY, p->len);
	return r < 0 ? r : fetch_to_memory(src, call, p);
}

/* Replaces BASE pieces by fetched ones. */
static int fetch_base(struct dal_payload *src, struct dal_call *call)
{
	struct dal_payload whole = *src;
	size_t i;
	int r = 0;

	for (i = 0; i < whole.n && whole.v[i].kind != BASE; i++)
		;
	if (i == whole.n)
		return 0;
	src->v = NULL;
	src->n = src->cap = 0;
	for (i = 0; i < whole.n && r == 0; i++) {
		const struct dal_piece *from = &whole.v[i];
		uint64_t at = from->off, end = from->off + from->len;

		while (at < end && r == 0) {
			struct dal_piece *p = add_piece(src, at, end - at, from->kind);

			if (!p)
				r = dal_fail_nomem(call);
			else if (from->kind == BASE)
				r = fetch_piece(src, call, p);
			else
				*p = *from;
			at += p ? p->len : 0;
		}
	}
	free(whole.v);
	return r;
}

/* The body */

static int read_piece(struct dal_payload *src, struct dal_call *call, const struct dal_piece *p, uint64_t off,
	void *buf, size_t len)
{
	switch (p->kind) {
	case MEMORY:
		memcpy(buf, p->bytes + (off - p->off), len);
		return 0;
	case SLOT:
		return dal_spool_read(
			&src->s->f->blocks.spool, call, p->slot, p->slot_off + (off - p->off), buf, len);
	case ZEROS:
		memset(buf, 0, len);
		return 0;
	case BASE:
		return read_base(src, call, off, buf, len);
	}
	return 0;
}

static int payload_read(
	const struct dal_body *body, struct dal_call *call, void *buf, size_t len, uint64_t off)
{
	struct dal_payload *src = body->ctx;
	size_t lo = 0, hi = src->n;
	char *to = buf;

	off += src->off;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (src->v[mid].off + src->v[mid].len <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; len > 0; lo++) {
		const struct dal_piece *p = &src->v[lo];
		size_t part = (size_t)DAL_MIN((uint64_t)len, p->off + p->len - off);
		int r = read_piece(src, call, p, off, to, part);

		if (r < 0)
			return r;
		to += part;
		off += part;
		len -= part;
	}
	return 0;
}

/* How many iovecs the pieces take; 0 when they cannot be sent from memory. */
static size_t count_iov(const struct dal_payload *src)
{
	uint64_t zero = 0;
	size_t n = 0, i;

	for (i = 0; i < src->n; i++) {
		const struct dal_piece *p = &src->v[i];

		if (p->kind == SLOT || p->kind == BASE)
			return 0;
		if (p->kind == ZEROS)
			zero += p->len;
		n += p->kind == ZEROS ? (size_t)((p->len + sizeof(zeros) - 1) / sizeof(zeros)) : 1;
	}
	return zero <= ZERO_IOV_MAX ? n : 0;
}

static void fill_iov(struct dal_payload *src)
{
	size_t k = 0, i;

	for (i = 0; i < src->n; i++) {
		const struct dal_piece *p = &src->v[i];
		uint64_t left = p->len;

		if (p->kind == MEMORY) {
			src->iov[k++] = (struct iovec){ (void *)(uintptr_t)p->bytes, (size_t)p->len };
			continue;
		}
		for (; left > 0; left -= src->iov[k++].iov_len)
			src->iov[k] = (struct iovec){ (void *)(uintptr_t)zeros,
				(size_t)DAL_MIN(left, (uint64_t)sizeof(zeros)) };
	}
}

static int make_body(struct dal_payload *src, struct dal_call *call, uint64_t len)
{
	size_t n = count_iov(src);

	src->body = (struct dal_body){ .len = len, .read = payload_read, .ctx = src };
	if (n == 0)
		return 0;
	src->iov = calloc(n, sizeof(*src->iov));
	if (!src->iov)
		return dal_fail_nomem(call);
	fill_iov(src);
	src->body.iov = src->iov;
	src->body.iov_n = n;
	return 0;
}

int dal_payload_make(struct dal_snapshot *s, struct dal_call *call, uint64_t off, uint64_t len, bool lazy,
	struct dal_payload *ret)
{
	int r = 0;

	assert(off >= s->off && off + len <= s->end);
	*ret = (struct dal_payload){ .s = s, .off = off };
	if (s->n) {
		ret->pinned = calloc(s->n, sizeof(struct dal_dblock *));
		if (!ret->pinned)
			return dal_fail_nomem(call);
	}
	pthread_mutex_lock(&s->f->lock);
	r = add_all_locked(ret, call, off, off + len);
	pthread_mutex_unlock(&s->f->lock);
	if (r == 0 && !lazy)
		r = fetch_base(ret, call);
	if (r == 0)
		r = make_body(ret, call, len);
	if (r < 0)
		dal_payload_done(ret);
	return r;
}

void dal_payload_done(struct dal_payload *src)
{
	struct dal_file *f = src->s->f;
	size_t i;

	pthread_mutex_lock(&f->lock);
	for (i = 0; i < src->n_pinned; i++)
		src->pinned[i]->pins--;
	for (i = 0; i < src->n; i++)
		if (src->v[i].own && src->v[i].kind == SLOT)
			dal_spool_give(&f->blocks.spool, src->v[i].slot);
	pthread_mutex_unlock(&f->lock);
	for (i = 0; i < src->n; i++) {
		struct dal_piece *p = &src->v[i];

		if (!p->own || p->kind != MEMORY)
			continue;
		dal_dirty_release((void *)(uintptr_t)p->bytes, (size_t)p->len);
		dal_budget_give(f->env->budget, DAL_BUDGET_DIRTY, p->len);
	}
	free(src->v);
	free(src->pinned);
	free(src->iov);
	*src = (struct dal_payload){ .s = src->s };
}
