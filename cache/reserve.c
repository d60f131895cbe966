/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Memory is charged, and slots are at hand, before an object is locked: nothing has to be waited for, and
 * nobody has to be evicted, while pages are being claimed. Whoever waits for memory holds none and pins
 * nothing; whoever holds some goes on without more. So everybody gets on.
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
		dal_evict(c, 0, blocks - r->blocks, need);
	}
	return false;
}

static bool take_bytes(struct dal_cache *c, uint64_t bytes, enum dal_need need)
{
	unsigned i;

	for (i = 0; i < TRIES; i++) {
		uint64_t lacking = dal_budget_take_free(c->budget, DAL_BUDGET_CACHE, bytes);

		if (lacking == 0)
			return true;
		if (lacking == UINT64_MAX || dal_evict(c, lacking, 0, need) == 0)
			return false;
	}
	return false;
}

/* Puts the slots back when not all were to be had. */
static void drop_slots(struct dal_cache *c, struct dal_reserve *r)
{
	dal_arena_put(c, r->list);
	*r = (struct dal_reserve){ 0 };
}

bool dal_reserve_try(
	struct dal_cache *c, struct dal_reserve *r, uint64_t pages, size_t blocks, enum dal_need need)
{
	*r = (struct dal_reserve){ 0 };
	if (!take_bytes(c, cost(pages, blocks), need))
		return false;
	if (!take_slots(c, r, blocks, need)) {
		drop_slots(c, r);
		dal_budget_give(c->budget, DAL_BUDGET_CACHE, cost(pages, blocks));
		return false;
	}
	r->pages = pages;
	return true;
}

int dal_reserve_wait(
	struct dal_cache *c, struct dal_call *call, struct dal_reserve *r, uint64_t pages, size_t blocks)
{
	int ret;

	*r = (struct dal_reserve){ 0 };
	ret = dal_budget_take(c->budget, call, DAL_BUDGET_CACHE, cost(pages, blocks));
	if (ret < 0)
		return ret;
	while (!take_slots(c, r, blocks, DAL_NEED_NOW)) {
		drop_slots(c, r);
		ret = dal_call_sleep(call, SLOT_POLL_NS);
		if (ret < 0) {
			dal_budget_give(c->budget, DAL_BUDGET_CACHE, cost(pages, blocks));
			return ret;
		}
	}
	r->pages = pages;
	return 0;
}

void dal_reserve_done(struct dal_cache *c, struct dal_reserve *r)
{
	uint64_t left = cost(r->pages, r->blocks);

	drop_slots(c, r);
	dal_budget_give(c->budget, DAL_BUDGET_CACHE, left);
}
