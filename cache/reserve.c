/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Memory is charged, and slots are at hand, before an object is locked: nothing has to be waited for, and
 * nobody has to be evicted, while pages are being claimed. Whoever waits for memory holds none and pins
 * nothing; whoever holds some goes on without more. So everybody gets on.
 *
 * A stream through a full cache evicts full blocks for full blocks. Those change hands with their pages:
 * giving them to the kernel and faulting them in again costs more than the copy of the data itself.
 */

#include "cache/internal.h"

#include <assert.h>

#define TRIES 4
#define SLOT_POLL_NS (5 * DAL_NS_PER_MS)

static uint64_t cost(uint64_t pages, size_t blocks)
{
	return pages * DAL_PAGE_SIZE + blocks * BLOCK_OVERHEAD;
}

/* Slots, evicting for them if need be. False when there are none to be had. */
static bool take_slots(struct dal_cache *c, struct dal_reserve *r, size_t blocks, enum dal_need need)
{
	unsigned i;

	for (i = 0; i < TRIES; i++) {
		r->blocks += dal_arena_take(c, &r->list, blocks - r->blocks);
		if (r->blocks == blocks)
			return true;
		dal_evict(c, 0, blocks - r->blocks, need, NULL, 0);
	}
	return false;
}

static void drop_slots(struct dal_cache *c, struct dal_reserve *r)
{
	dal_arena_put(c, r->list);
	r->list = NULL;
	r->blocks = 0;
}

/* Whole blocks of others, and bytes for the rest. False when they are not to be had; the blocks are then
 * kept. */
static bool take_bytes(
	struct dal_cache *c, struct dal_reserve *r, const struct dal_lack *lack, enum dal_need need)
{
	unsigned i;

	for (i = 0; i < TRIES; i++) {
		uint64_t pages = lack->pages - r->whole.n * BLOCK_PAGES;
		uint64_t bytes = cost(pages, lack->blocks - r->whole.n), lacking;

		lacking = dal_budget_take_free(c->budget, DAL_BUDGET_CACHE, bytes);
		if (lacking == 0) {
			r->pages = pages;
			return true;
		}
		if (lacking == UINT64_MAX ||
			dal_evict(c, lacking, 0, need, &r->whole, lack->full - r->whole.n) == 0)
			return false;
	}
	return false;
}

static void drop_whole(struct dal_cache *c, struct dal_reserve *r)
{
	size_t n = r->whole.n;
	struct dal_cblock *b;

	for (b = r->whole.list; b; b = b->chain)
		dal_block_release_pages(c, b, 0, BLOCK_PAGES);
	dal_arena_put(c, r->whole.list);
	r->whole = (struct dal_whole){ 0 };
	dal_budget_give(c->budget, DAL_BUDGET_CACHE, cost(n * BLOCK_PAGES, n));
}

bool dal_reserve_try(
	struct dal_cache *c, struct dal_reserve *r, const struct dal_lack *lack, enum dal_need need)
{
	bool got;

	*r = (struct dal_reserve){ 0 };
	got = take_bytes(c, r, lack, need);
	if (got && take_slots(c, r, lack->blocks - r->whole.n, need))
		return true;
	if (got)
		dal_budget_give(c->budget, DAL_BUDGET_CACHE, cost(r->pages, lack->blocks - r->whole.n));
	drop_slots(c, r);
	drop_whole(c, r);
	return false;
}

int dal_reserve_wait(
	struct dal_cache *c, struct dal_call *call, struct dal_reserve *r, const struct dal_lack *lack)
{
	int ret;

	*r = (struct dal_reserve){ .pages = lack->pages };
	ret = dal_budget_take(c->budget, call, DAL_BUDGET_CACHE, cost(lack->pages, lack->blocks));
	if (ret < 0)
		return ret;
	while (!take_slots(c, r, lack->blocks, DAL_NEED_NOW)) {
		drop_slots(c, r);
		ret = dal_call_sleep(call, SLOT_POLL_NS);
		if (ret < 0) {
			dal_budget_give(c->budget, DAL_BUDGET_CACHE, cost(lack->pages, lack->blocks));
			return ret;
		}
	}
	return 0;
}

void dal_reserve_done(struct dal_cache *c, struct dal_reserve *r)
{
	uint64_t left = cost(r->pages, r->blocks);

	drop_slots(c, r);
	drop_whole(c, r);
	r->pages = 0;
	dal_budget_give(c->budget, DAL_BUDGET_CACHE, left);
}
