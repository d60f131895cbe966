/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A page is missing, busy or valid: two bits in two maps of its block, 256 pages each. A block that is not in
 * the object's index has every page missing. Questions about a range of bytes go from block to block, and
 * within one by whole words.
 */

#include "cache/internal.h"

unsigned dal_map_find(const uint64_t *map, unsigned from, unsigned end, bool set)
{
	while (from < end) {
		uint64_t word = (set ? map[from / 64] : ~map[from / 64]) >> (from % 64);

		if (word)
			return DAL_MIN(from + (unsigned)__builtin_ctzll(word), end);
		from = (from / 64 + 1) * 64;
	}
	return end;
}

void dal_map_set(uint64_t *map, unsigned from, unsigned end, bool set)
{
	while (from < end) {
		unsigned next = DAL_MIN((from / 64 + 1) * 64, end), n = next - from;
		uint64_t bits = (n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1) << (from % 64);

		if (set)
			map[from / 64] |= bits;
		else
			map[from / 64] &= ~bits;
		from = next;
	}
}

unsigned dal_map_count(const uint64_t *map)
{
	unsigned i, n = 0;

	for (i = 0; i < MAP_WORDS; i++)
		n += (unsigned)__builtin_popcountll(map[i]);
	return n;
}

/* Where the pages of block @no that lie in [@from, @end) begin and end. */
struct span {
	unsigned first, end;
	uint64_t next; /* the byte after it */
};

static struct span span_of(uint64_t from, uint64_t end)
{
	uint64_t base = from & ~(DAL_BLOCK_SIZE - 1), next = DAL_MIN(base + DAL_BLOCK_SIZE, end);

	return (struct span){
		.first = (unsigned)((from - base) / DAL_PAGE_SIZE),
		.end = (unsigned)((next - base) / DAL_PAGE_SIZE),
		.next = next,
	};
}

static void map_claimed(const struct dal_cblock *b, uint64_t *map)
{
	unsigned i;

	for (i = 0; i < MAP_WORDS; i++)
		map[i] = b->valid[i] | b->busy[i];
}

/* The first page of [@from, @end) that is claimed (valid or busy), or the first that is not. */
static uint64_t find_locked(struct dal_cobj *o, uint64_t from, uint64_t end, bool claimed)
{
	while (from < end) {
		struct dal_cblock *b = dal_cobj_find_locked(o, from / DAL_BLOCK_SIZE);
		struct span s = span_of(from, end);
		uint64_t map[MAP_WORDS];
		unsigned at;

		if (!b && !claimed)
			return from;
		if (b) {
			map_claimed(b, map);
			at = dal_map_find(map, s.first, s.end, claimed);
			if (at < s.end)
				return from + (at - s.first) * DAL_PAGE_SIZE;
		}
		from = s.next;
	}
	return end;
}

uint64_t dal_pages_missing_locked(struct dal_cobj *o, uint64_t from, uint64_t end)
{
	return find_locked(o, from, end, false);
}

uint64_t dal_pages_present_locked(struct dal_cobj *o, uint64_t from, uint64_t end)
{
	return find_locked(o, from, end, true);
}

bool dal_pages_valid_locked(struct dal_cobj *o, uint64_t from, uint64_t end)
{
	while (from < end) {
		struct dal_cblock *b = dal_cobj_find_locked(o, from / DAL_BLOCK_SIZE);
		struct span s = span_of(from, end);

		if (!b || dal_map_find(b->valid, s.first, s.end, false) < s.end)
			return false;
		from = s.next;
	}
	return true;
}

struct dal_lack dal_pages_lack_locked(struct dal_cobj *o, uint64_t from, uint64_t end)
{
	struct dal_lack lack = { 0 };

	while (from < end) {
		struct dal_cblock *b = dal_cobj_find_locked(o, from / DAL_BLOCK_SIZE);
		struct span s = span_of(from, end);
		uint64_t map[MAP_WORDS];

		if (!b) {
			lack.blocks++;
			lack.full += s.end - s.first == BLOCK_PAGES;
			lack.pages += s.end - s.first;
		} else {
			uint64_t before = dal_map_count(b->valid) + dal_map_count(b->busy);

			map_claimed(b, map);
			dal_map_set(map, s.first, s.end, true);
			lack.pages += dal_map_count(map) - before;
		}
		from = s.next;
	}
	return lack;
}

struct dal_lack dal_pages_lack(struct dal_cobj *o, uint64_t from, uint64_t end)
{
	struct dal_lack lack;

	pthread_mutex_lock(&o->lock);
	lack = dal_pages_lack_locked(o, from, end);
	pthread_mutex_unlock(&o->lock);
	return lack;
}
