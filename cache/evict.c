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
	unsigned first[BATCH], end[BATCH]; /* the pages that hold memory */
	unsigned n;
	uint64_t bytes, pages;
	struct dal_cobj *orphans; /* chained */
};

static bool protected_locked(const struct dal_cblock *b, uint64_t now)
{
	return b->ahead && b->obj->refs > 0 && now - b->obj->read_ns < PROTECTED_NS;
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
	v->n++;
	v->pages += dal_map_count(b->valid);
	dal_cobj_drop_locked(b);
}

/* After the locks. Returns the bytes given back. */
static uint64_t release(struct dal_cache *c, struct victims *v)
{
	struct dal_cblock *list = NULL;
	uint64_t bytes = v->pages * DAL_PAGE_SIZE + v->n * BLOCK_OVERHEAD;
	unsigned i;

	for (i = 0; i < v->n; i++) {
		dal_block_release_pages(c, v->block[i], v->first[i], v->end[i]);
		v->block[i]->chain = list;
		list = v->block[i];
	}
	while (v->orphans) {
		struct dal_cobj *o = v->orphans;

		v->orphans = o->chain;
		dal_cobj_free(o);
	}
	dal_arena_put(c, list);
	atomic_fetch_add_explicit(&c->evicted_bytes, v->pages * DAL_PAGE_SIZE, memory_order_relaxed);
	dal_budget_give(c->budget, DAL_BUDGET_CACHE, bytes);
	return bytes;
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

/* Moves the hand at most @steps, until enough is collected or the batch is full. Returns the steps made. */
static size_t turn_locked(
	struct dal_cache *c, struct victims *v, size_t steps, uint64_t bytes, size_t slots, bool protect)
{
	uint64_t now = dal_now_ns();
	size_t i;

	for (i = 0; i < steps && v->n < BATCH; i++) {
		if (v->pages * DAL_PAGE_SIZE + v->n * BLOCK_OVERHEAD >= bytes && v->n >= slots)
			break;
		if (c->hand >= c->slots_used)
			c->hand = 0;
		pass_locked(v, &c->block[c->hand++], protect, now);
	}
	return i;
}

/* Two rounds: the first may find every block read since. */
static uint64_t rounds(struct dal_cache *c, uint64_t bytes, size_t slots, bool protect, size_t *slots_freed)
{
	uint64_t freed = 0;
	size_t done = 0, most;

	do {
		struct victims v = { .n = 0 };

		pthread_mutex_lock(&c->lock);
		most = 2 * c->slots_used;
		if (done < most)
			done += turn_locked(c, &v, most - done, bytes > freed ? bytes - freed : 0,
				slots > *slots_freed ? slots - *slots_freed : 0, protect);
		pthread_mutex_unlock(&c->lock);
		*slots_freed += v.n;
		freed += release(c, &v);
	} while (done < most && (freed < bytes || *slots_freed < slots));
	return freed;
}

uint64_t dal_evict(struct dal_cache *c, uint64_t bytes, size_t slots, enum dal_need need)
{
	size_t slots_freed = 0;
	uint64_t freed = rounds(c, bytes, slots, true, &slots_freed);

	if (need == DAL_NEED_NOW && (freed < bytes || slots_freed < slots))
		freed += rounds(c, bytes > freed ? bytes - freed : 0, slots, false, &slots_freed);
	return freed;
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
		release(o->c, &v);
	} while (n == BATCH);
}
