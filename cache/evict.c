/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A clock: the hand goes round the blocks, and one that was read since it last passed gets a second chance.
 * Pinned blocks are passed by. So are, at first, those fetched ahead of a reader who has not come to them
 * yet: dropping them would mean fetching them twice. They count as such only while somebody reads the object,
 * or a reader who went away would keep memory for ever. A reader's own read-ahead never takes them: it
 * shrinks instead.
 *
 * The hand is moved under the cache's lock, which comes after the objects'; so an object is only tried, and
 * one that is in use this very moment is passed by. Pages are released without any lock, and only then are
 * their bytes given back: the budget never says less than what is there.
 */

#include "cache/internal.h"

#include <assert.h>

/* Blocks dropped between two releases of the lock. */
#define BATCH 32
#define PROTECTED_NS (10 * DAL_NS_PER_S)

/* What one hold of the lock has collected. */
struct victims {
	struct dal_cblock *block[BATCH];
	unsigned first[BATCH], end[BATCH], pages[BATCH]; /* where those lie that hold memory, and how many */
	unsigned n;
	uint64_t bytes; /* charged for them */
	struct dal_cobj *orphans; /* chained */
};

static uint64_t block_cost(unsigned pages)
{
	return pages * DAL_PAGE_SIZE + BLOCK_OVERHEAD;
}

static bool protected_locked(const struct dal_cblock *b, uint64_t now)
{
	return b->ahead && b->obj->refs > 0 && now < b->obj->read_ns + PROTECTED_NS;
}

/* Both locks held. */
static void collect_locked(struct victims *v, struct dal_cblock *b)
{
	unsigned first = dal_map_find(b->valid, 0, BLOCK_PAGES, true), end = BLOCK_PAGES;

	while (end > first && dal_map_find(b->valid, end - 1, end, true) == end)
		end--;
	v->block[v->n] = b;
	v->first[v->n] = first;
	v->end[v->n] = end;
	v->pages[v->n] = dal_map_count(b->valid);
	v->bytes += block_cost(v->pages[v->n]);
	v->n++;
	dal_cobj_drop_locked(b);
}

/* After the locks: what is not kept goes back to the kernel, the arena and the budget, in this order. */
static void release(struct dal_cache *c, struct victims *v, struct dal_whole *whole, size_t keep)
{
	struct dal_cblock *list = NULL;
	uint64_t bytes = v->bytes;
	unsigned i;

	for (i = 0; i < v->n; i++) {
		struct dal_cblock *b = v->block[i];

		if (keep > 0 && v->pages[i] == BLOCK_PAGES) {
			b->chain = whole->list;
			whole->list = b;
			whole->n++;
			keep--;
			bytes -= block_cost(BLOCK_PAGES);
			continue;
		}
		dal_block_release_pages(c, b, v->first[i], v->end[i]);
		b->chain = list;
		list = b;
	}
	while (v->orphans) {
		struct dal_cobj *o = v->orphans;

		v->orphans = o->chain;
		dal_cobj_free(o);
	}
	dal_arena_put(c, list);
	dal_budget_give(c->budget, DAL_BUDGET_CACHE, bytes);
	atomic_fetch_add_explicit(&c->evicted_bytes, v->bytes, memory_order_relaxed);
}

/* The hand passes @b. True when it was dropped. */
static bool pass_locked(struct victims *v, struct dal_cblock *b, bool protect, uint64_t now)
{
	struct dal_cobj *o = b->obj;
	bool drop = false, orphan = false;

	if (!o || pthread_mutex_trylock(&o->lock) != 0)
		return false;
	if (b->pins > 0 || (protect && protected_locked(b, now)))
		drop = false;
	else if (b->referenced)
		b->referenced = false;
	else
		drop = true;
	if (drop) {
		collect_locked(v, b);
		orphan = dal_cobj_orphan_locked(o);
	}
	pthread_mutex_unlock(&o->lock);
	if (orphan) {
		o->chain = v->orphans;
		v->orphans = o;
	}
	return drop;
}

/* One search for memory. */
struct hunt {
	uint64_t bytes, freed;
	size_t slots, slots_freed;
	struct dal_whole *whole; /* borrowed */
	size_t keep;
};

static bool enough(const struct hunt *h, const struct victims *v)
{
	return h->freed + v->bytes >= h->bytes && h->slots_freed + v->n >= h->slots;
}

/* Moves the hand at most @steps, until enough is collected or the batch is full. Returns the steps made. */
static size_t turn_locked(
	struct dal_cache *c, const struct hunt *h, struct victims *v, size_t steps, bool protect)
{
	uint64_t now = dal_now_ns();
	size_t i;

	for (i = 0; i < steps && v->n < BATCH && !enough(h, v); i++) {
		if (c->hand >= c->slots_used)
			c->hand = 0;
		pass_locked(v, &c->block[c->hand++], protect, now);
	}
	return i;
}

/* Two rounds of the clock, since the first may find every block read. True when there was enough. */
static bool go_round(struct dal_cache *c, struct hunt *h, bool protect)
{
	size_t done = 0, most;

	do {
		struct victims v = { .n = 0 };
		size_t kept = h->whole ? h->whole->n : 0;

		pthread_mutex_lock(&c->lock);
		most = 2 * c->slots_used;
		if (done < most)
			done += turn_locked(c, h, &v, most - done, protect);
		pthread_mutex_unlock(&c->lock);
		release(c, &v, h->whole, h->keep);
		h->keep -= h->whole ? h->whole->n - kept : 0;
		h->slots_freed += v.n;
		h->freed += v.bytes;
	} while (done < most && (h->freed < h->bytes || h->slots_freed < h->slots));
	return h->freed >= h->bytes && h->slots_freed >= h->slots;
}

uint64_t dal_evict(struct dal_cache *c, uint64_t bytes, size_t slots, enum dal_need need,
	struct dal_whole *whole, size_t keep)
{
	struct hunt h = { .bytes = bytes, .slots = slots, .whole = whole, .keep = keep };

	if (!go_round(c, &h, true) && need == DAL_NEED_NOW)
		go_round(c, &h, false);
	return h.freed;
}

void dal_evict_stale_ahead(struct dal_cache *c)
{
	uint64_t now = dal_now_ns();
	size_t i;

	pthread_mutex_lock(&c->lock);
	for (i = 0; i < c->slots_used && c->ahead_blocks > 0; i++) {
		struct dal_cblock *b = &c->block[i];
		struct dal_cobj *o = b->obj;

		if (!o || pthread_mutex_trylock(&o->lock) != 0)
			continue;
		if (b->ahead && !protected_locked(b, now)) {
			b->ahead = false;
			c->ahead_blocks--;
		}
		pthread_mutex_unlock(&o->lock);
	}
	pthread_mutex_unlock(&c->lock);
}

/* Collects a batch of @o's unpinned blocks. */
static void collect_object(struct dal_cobj *o, struct victims *v)
{
	struct dal_cache *c = o->c;
	size_t i;

	pthread_mutex_lock(&o->lock);
	pthread_mutex_lock(&c->lock);
	for (i = 0; i <= o->mask; i++) {
		struct dal_cblock *b = o->bucket[i], *next;

		for (; b && v->n < BATCH; b = next) {
			next = b->chain;
			if (b->pins == 0)
				collect_locked(v, b);
		}
	}
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&o->lock);
}

void dal_evict_object(struct dal_cobj *o)
{
	unsigned n;

	do {
		struct victims v = { .n = 0 };

		collect_object(o, &v);
		n = v.n;
		release(o->c, &v, NULL, 0);
	} while (n == BATCH);
}
