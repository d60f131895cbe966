/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A read pins what is there, waits for what is on its way, and fetches itself what nobody has asked for:
 *
 *   all valid ------------------------------> view
 *   some busy, none missing ---> wait ---> look again
 *   some missing ---> memory ---> claim, fetch here ---> look again
 *
 * Pins are taken in the same hold of the lock that sees the pages, and kept while waiting for a fetch: what
 * has come cannot go again before it is read. They are let go while waiting for memory, which others may need
 * them for.
 *
 * When somebody else's fetch fails, the reader fetches for itself: its deadline may be another one, and what
 * failed may have passed. Only when others have failed twice, or the object is known to have changed, it
 * takes their word for it: so a store that is down is not asked by every reader in turn.
 */

#include "cache/internal.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#define CANCEL_POLL_NS (50 * DAL_NS_PER_MS)
/* Fetches one look may start. */
#define FETCHES 4
/* After so many looks memory for the whole read is taken, so that the next one is the last. */
#define PARTIAL_LOOKS 2
#define OTHERS_MAX 2

struct want {
	struct dal_cobj *o;
	uint64_t off, len; /* bytes */
	uint64_t from, end; /* pages around them */
	struct dal_view v; /* block[i]: pinned, or NULL */
	unsigned blocks;
	unsigned looks; /* that found pages missing */
	unsigned others; /* fetches of others that failed */
};

void dal_block_unpin_locked(struct dal_cblock *b)
{
	assert(b->pins > 0);
	b->pins--;
}

/* Pins what is there now. A block that has left the index is let go. */
static void pin_locked(struct want *w)
{
	unsigned i;

	for (i = 0; i < w->blocks; i++) {
		struct dal_cblock *b = dal_cobj_find_locked(w->o, w->from / DAL_BLOCK_SIZE + i);

		if (b == w->v.block[i])
			continue;
		if (w->v.block[i])
			dal_block_unpin_locked(w->v.block[i]);
		if (b)
			b->pins++;
		w->v.block[i] = b;
	}
}

static void unpin_locked(struct want *w)
{
	unsigned i;

	for (i = 0; i < w->blocks; i++)
		if (w->v.block[i])
			dal_block_unpin_locked(w->v.block[i]);
	memset(w->v.block, 0, sizeof(w->v.block));
}

static void unpin(struct want *w)
{
	pthread_mutex_lock(&w->o->lock);
	unpin_locked(w);
	pthread_mutex_unlock(&w->o->lock);
	dal_budget_poke(w->o->c->budget);
}

/* The reader has come to a block that was fetched ahead of it. */
static void consume_ahead_locked(struct dal_cobj *o, struct dal_cblock *b)
{
	pthread_mutex_lock(&o->c->lock);
	b->ahead = false;
	o->c->ahead_blocks--;
	pthread_mutex_unlock(&o->c->lock);
	o->read_ns = dal_now_ns();
}

/* All is pinned and valid: says where. A stream does not come back to what it has passed. */
static void show_locked(struct want *w, bool sequential)
{
	uint64_t pos = w->off, end = w->off + w->len;
	unsigned i;

	for (i = 0; i < w->blocks; i++) {
		struct dal_cblock *b = w->v.block[i];
		uint64_t next = DAL_MIN((b->no + 1) * DAL_BLOCK_SIZE, w->o->size), stop = DAL_MIN(next, end);

		if (b->ahead)
			consume_ahead_locked(w->o, b);
		b->referenced = !sequential || end < next;
		w->v.iov[i].iov_base = dal_block_bytes(b) + pos % DAL_BLOCK_SIZE;
		w->v.iov[i].iov_len = (size_t)(stop - pos);
		pos = stop;
	}
	w->v.n = w->blocks;
	w->v.len = (size_t)w->len;
}

/* Waits until the object's pages change, or a while. */
static int wait_locked(struct dal_cobj *o, struct dal_call *call)
{
	uint64_t until =
		dal_now_ns() + dal_call_remaining(call, call->cancel ? CANCEL_POLL_NS : DAL_NS_PER_S);
	struct timespec ts = {
		.tv_sec = (time_t)(until / DAL_NS_PER_S),
		.tv_nsec = (long)(until % DAL_NS_PER_S),
	};

	o->waiting++;
	pthread_cond_timedwait(&o->changed, &o->lock, &ts);
	o->waiting--;
	return dal_call_check(call);
}

/* Waits for pages that others fetch. Their failure is this read's when it has happened too often. */
static int wait_for_others_locked(struct want *w, struct dal_call *call)
{
	struct dal_cobj *o = w->o;
	uint64_t failures = o->failures;
	int r = wait_locked(o, call);

	if (r < 0 || o->failures == failures || !o->failed || o->failed_from >= w->end ||
		o->failed_end <= w->from || dal_pages_valid_locked(o, w->from, w->end))
		return r;
	if (o->failed->kind == DAL_CONDITION_NOT_MATCH)
		return dal_call_fail_as(call, o->failed);
	if (o->failed->kind == DAL_CANCELLED || ++w->others < OTHERS_MAX)
		return 0;
	return dal_call_fail_as(call, o->failed);
}

/* Memory for what is missing: at once with pins kept, or waited for without any. No lock held. */
static int reserve(struct want *w, struct dal_call *call, const struct dal_lack *lack, struct dal_reserve *r)
{
	struct dal_lack all = { .pages = (w->end - w->from) / DAL_PAGE_SIZE, .blocks = w->blocks };
	struct dal_cache *c = w->o->c;

	if (w->looks++ >= PARTIAL_LOOKS)
		lack = &all;
	if (dal_reserve_try(c, r, lack, DAL_NEED_NOW))
		return 0;
	unpin(w);
	return dal_reserve_wait(c, call, r, lack);
}

struct piece {
	struct dal_fetch fetch;
	struct dal_call call;
	int r;
};

static void run_piece(void *arg, size_t i)
{
	struct piece *p = &((struct piece *)arg)[i];

	p->r = dal_fetch_run(&p->fetch, &p->call);
}

/* Claims what is missing, in at most FETCHES pieces, and pins it. Returns how many. */
static size_t claim(struct want *w, struct dal_reserve *r, struct piece *p)
{
	uint64_t pos = w->from;
	size_t n = 0;

	pthread_mutex_lock(&w->o->lock);
	while (n < FETCHES && dal_fetch_claim_locked(&p[n].fetch, w->o, pos, w->end, GAP_MAX, r, false)) {
		pos = p[n].fetch.run[p[n].fetch.runs - 1].end;
		n++;
	}
	pin_locked(w);
	pthread_mutex_unlock(&w->o->lock);
	return n;
}

/* Fetches missing pages in this thread; pieces far apart in parallel. No lock held, pins kept. */
static int fetch(struct want *w, struct dal_call *call, const struct dal_lack *lack)
{
	struct piece p[FETCHES];
	struct dal_reserve r;
	size_t n, i;
	int ret = reserve(w, call, lack, &r);

	if (ret < 0)
		return ret;
	n = claim(w, &r, p);
	dal_reserve_done(w->o->c, &r);
	if (n == 1)
		return dal_fetch_run(&p[0].fetch, call);
	for (i = 0; i < n; i++)
		p[i].call = dal_call_child(call);
	dal_workers_each(w->o->c->quick, (unsigned)n, n, run_piece, p);
	for (i = 0; i < n && ret == 0; i++)
		if (p[i].r < 0)
			ret = dal_call_fail_as(call, &p[i].call.err);
	return ret;
}

/* Until all pages are valid and pinned. The lock is held before and after; on failure nothing is pinned. */
static int acquire_locked(struct want *w, struct dal_call *call)
{
	struct dal_cobj *o = w->o;
	int r = 0;

	for (;;) {
		struct dal_lack lack;

		pin_locked(w);
		if (dal_pages_valid_locked(o, w->from, w->end))
			return 0;
		lack = dal_pages_lack_locked(o, w->from, w->end);
		if (lack.pages > 0) {
			pthread_mutex_unlock(&o->lock);
			r = fetch(w, call, &lack);
			pthread_mutex_lock(&o->lock);
		} else {
			r = wait_for_others_locked(w, call);
		}
		if (r < 0) {
			unpin_locked(w);
			return r;
		}
	}
}

static void count(struct dal_cache *c, uint64_t len, uint64_t missed)
{
	missed = DAL_MIN(missed, len);
	if (len > missed)
		atomic_fetch_add_explicit(&c->hit_bytes, len - missed, memory_order_relaxed);
	if (missed > 0)
		atomic_fetch_add_explicit(&c->miss_bytes, missed, memory_order_relaxed);
}

static int read_some(struct want *w, struct dal_call *call, struct dal_reader *reader)
{
	struct dal_cobj *o = w->o;
	struct dal_plan plan = { 0 };
	uint64_t pages = 0;
	bool there;
	int r = 0;

	pthread_mutex_lock(&o->lock);
	there = dal_pages_valid_locked(o, w->from, w->end);
	if (!there)
		pages = dal_pages_lack_locked(o, w->from, w->end).pages;
	if (reader)
		dal_ahead_plan_locked(o, reader, w->off, w->len, pages > 0, &plan);
	if (!there && plan.from < plan.end) {
		/* The plan begins with what this read needs. */
		pthread_mutex_unlock(&o->lock);
		dal_ahead_start(o, reader, &plan);
		plan.end = plan.from;
		pthread_mutex_lock(&o->lock);
	}
	r = acquire_locked(w, call);
	if (r == 0)
		show_locked(w, plan.sequential);
	pthread_mutex_unlock(&o->lock);
	if (r < 0)
		return r;
	if (plan.from < plan.end)
		dal_ahead_start(o, reader, &plan);
	count(o->c, w->len, pages * DAL_PAGE_SIZE);
	return 0;
}

int dal_cobj_read(struct dal_cobj *o, struct dal_call *call, struct dal_reader *reader, uint64_t off,
	size_t len, struct dal_view *ret_view)
{
	struct want w = { .o = o, .off = off };
	int r;

	assert(len <= READ_MAX);
	if (off >= o->size || len == 0) {
		*ret_view = (struct dal_view){ 0 };
		return 0;
	}
	w.len = DAL_MIN((uint64_t)len, o->size - off);
	w.from = dal_page_down(off);
	w.end = dal_page_up(off + w.len);
	w.blocks = (unsigned)((w.end - 1) / DAL_BLOCK_SIZE - w.from / DAL_BLOCK_SIZE + 1);
	r = read_some(&w, call, reader);
	if (r == 0)
		*ret_view = w.v;
	return r;
}

void dal_view_done(struct dal_view *v)
{
	struct dal_cobj *o;
	struct dal_cache *c;
	unsigned i;

	if (v->n == 0)
		return;
	/* A pinned block keeps its object; with the last pin gone it may go any time. */
	o = v->block[0]->obj;
	c = o->c;
	pthread_mutex_lock(&o->lock);
	for (i = 0; i < v->n; i++)
		dal_block_unpin_locked(v->block[i]);
	pthread_mutex_unlock(&o->lock);
	dal_budget_poke(c->budget);
	v->n = 0;
	v->len = 0;
}

int dal_cobj_read_into(
	struct dal_cobj *o, struct dal_call *call, uint64_t off, void *buf, size_t len, size_t *ret_n)
{
	struct dal_plan plan = { .from = dal_page_down(off), .urgent = true };
	size_t n = 0;

	len = off >= o->size ? 0 : (size_t)DAL_MIN((uint64_t)len, o->size - off);
	plan.end = dal_page_up(off + len);
	if (len > READ_MAX)
		dal_ahead_start(o, NULL, &plan);
	while (n < len) {
		struct dal_view v;
		unsigned i;
		int r = dal_cobj_read(o, call, NULL, off + n, DAL_MIN(len - n, (size_t)READ_MAX), &v);

		if (r < 0)
			return r;
		for (i = 0; i < v.n; i++) {
			memcpy((char *)buf + n, v.iov[i].iov_base, v.iov[i].iov_len);
			n += v.iov[i].iov_len;
		}
		dal_view_done(&v);
	}
	*ret_n = n;
	return 0;
}
