/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One reservation of address space, cut into slots of 1 MiB. The kernel backs a page when it is first
 * written, so a block with three valid pages costs 12 KiB, and a sparse cache needs no allocator. Slots
 * outnumber the budget by far for that: there are 64 for each MiB of it. Descriptors lie in a second mapping,
 * one per slot, touched as slots are. Freed slots are handed out again first, which keeps page tables few and
 * the clock's round short.
 *
 * Huge pages are off: with them one valid byte would cost 2 MiB and the budget would mean nothing. The arena
 * is neither inherited by children, which would double its pages at the next write, nor part of a core dump.
 */

#include "cache/internal.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#define SLOT_BUDGET (16 * DAL_KIB)
#define SLOTS_MAX ((size_t)1 << 20)

static void *reserve_space(size_t bytes)
{
	void *p =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

bool dal_arena_init(struct dal_cache *c)
{
	uint64_t limit = dal_budget_limit(c->budget);
	size_t least = DAL_MIN((size_t)(2 * limit / DAL_BLOCK_SIZE) + 64, SLOTS_MAX);
	size_t most = DAL_MIN((size_t)(limit / SLOT_BUDGET), SLOTS_MAX), slots = DAL_MAX(most, least);

	/* A limit on address space (ulimit -v, overcommit) may want fewer. */
	while (!(c->arena = reserve_space(slots * DAL_BLOCK_SIZE)) && slots > least)
		slots = DAL_MAX(slots / 2, least);
	c->slots = slots;
	c->block = c->arena ? reserve_space(slots * sizeof(*c->block)) : NULL;
	if (!c->block)
		return false;
	madvise(c->arena, slots * DAL_BLOCK_SIZE, MADV_NOHUGEPAGE);
	madvise(c->arena, slots * DAL_BLOCK_SIZE, MADV_DONTFORK);
	madvise(c->arena, slots * DAL_BLOCK_SIZE, MADV_DONTDUMP);
	madvise(c->block, slots * sizeof(*c->block), MADV_NOHUGEPAGE);
	return true;
}

void dal_arena_done(struct dal_cache *c)
{
	if (c->arena)
		munmap(c->arena, c->slots * DAL_BLOCK_SIZE);
	if (c->block)
		munmap(c->block, c->slots * sizeof(*c->block));
	c->arena = NULL;
	c->block = NULL;
}

static char *slot_bytes(const struct dal_cache *c, const struct dal_cblock *b)
{
	return c->arena + (size_t)(b - c->block) * DAL_BLOCK_SIZE;
}

char *dal_block_bytes(const struct dal_cblock *b)
{
	return slot_bytes(b->obj->c, b);
}

size_t dal_arena_take(struct dal_cache *c, struct dal_cblock **list, size_t n)
{
	size_t got = 0;

	pthread_mutex_lock(&c->lock);
	while (got < n) {
		struct dal_cblock *b = c->free_blocks;

		if (b)
			c->free_blocks = b->chain;
		else if (c->slots_used < c->slots)
			b = &c->block[c->slots_used++];
		else
			break;
		b->chain = *list;
		*list = b;
		got++;
	}
	pthread_mutex_unlock(&c->lock);
	return got;
}

void dal_arena_put(struct dal_cache *c, struct dal_cblock *list)
{
	pthread_mutex_lock(&c->lock);
	while (list) {
		struct dal_cblock *next = list->chain;

		assert(!list->obj && list->pins == 0);
		list->chain = c->free_blocks;
		c->free_blocks = list;
		list = next;
	}
	pthread_mutex_unlock(&c->lock);
}

void dal_block_release_pages(struct dal_cache *c, const struct dal_cblock *b, unsigned first, unsigned end)
{
	int r;

	if (first >= end)
		return;
	r = madvise(slot_bytes(c, b) + first * DAL_PAGE_SIZE, (end - first) * DAL_PAGE_SIZE, MADV_DONTNEED);
	assert(r == 0);
	(void)r;
}
