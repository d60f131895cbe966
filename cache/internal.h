/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files of the cache share: blocks, objects, reservations, fetches. README.md says how they work
 * together.
 *
 * Lock order: object -> cache -> budget. Nobody holds two objects' locks, but for the evictor, which holds
 * the cache's and only tries the object's. None is held across the network, across madvise(), or where memory
 * is waited for.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "cache/cache.h"
#include "core/workers.h"

#define BLOCK_PAGES 256
#define MAP_WORDS (BLOCK_PAGES / 64)
/* What a block costs besides its pages: the page table entries of its slot, and its bookkeeping. */
#define BLOCK_OVERHEAD ((uint64_t)2048)
/* Blocks a claim may touch: 8 MiB that begin anywhere. */
#define CLAIM_BLOCKS 9
/* Pieces a claim may have; more are left to the next one. */
#define CLAIM_RUNS 16
/* A hole of cached bytes this large is worth a request of its own; a smaller one is downloaded again and
 * dropped. */
#define GAP_MAX (64 * DAL_KIB)
/* The largest read: the iovs of a view. */
#define READ_MAX (4 * DAL_MIB)
/* Bytes pulled from a stream before those who wait are told. */
#define PIECE (128 * DAL_KIB)
/* An object no larger is handed out only when all of it has come, and so has been verified where it can be.
 */
#define HOLD_MAX (1 * DAL_MIB)

/*
 * One slot of the arena, and what it holds: block @no of an object version.
 *
 * A page is missing, busy (one fetch is filling it) or valid. Pages that are busy or valid are charged to the
 * budget. A pinned block keeps its slot, its object and its valid pages.
 */
struct dal_cblock {
	struct dal_cobj
		*obj; /* NULL when free; written with both locks held, so either is enough to read it */
	struct dal_cblock *chain; /* guarded by obj->lock: next in the object's bucket. When free: by c->lock,
				     next free */
	uint64_t no; /* constant while in use */
	uint64_t valid[MAP_WORDS]; /* guarded by obj->lock, as all below */
	uint64_t busy[MAP_WORDS];
	unsigned pins;
	bool referenced; /* read since the clock's hand passed */
	bool ahead; /* fetched ahead of a reader and not yet read; both locks to write */
};

struct dal_cobj {
	struct dal_cache *c; /* borrowed */
	char *path; /* owned, constant */
	char *etag; /* owned, constant; NULL: private to its references */
	uint64_t size; /* constant */
	uint64_t hash; /* constant: of the path */

	struct dal_cobj *chain; /* guarded by c->lock: next in the cache's bucket */
	unsigned refs; /* guarded by c->lock */
	bool listed; /* guarded by c->lock: in the cache's table */
	size_t blocks; /* written with both locks held, so either is enough to read it */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* pages became valid, or are no longer busy */
	unsigned waiting; /* guarded by lock, as all below: threads in changed */
	struct dal_cblock **bucket; /* owned, or &one */
	struct dal_cblock *one;
	size_t mask; /* buckets - 1 */
	size_t indexed;
	uint64_t read_ns; /* when somebody last read it: what is fetched ahead of nobody loses its protection
			   */
	uint64_t failures; /* fetches that failed */
	bool ahead_paused; /* the last fetch failed: nothing is fetched ahead until one succeeds */
	uint64_t failed_from, failed_end; /* what the last one was to fill */
	struct dal_error *failed; /* owned; how it failed, NULL when none has */
};

struct dal_cache {
	struct dal_operator *op; /* borrowed */
	struct dal_budget *budget; /* borrowed */
	struct dal_workers *ahead; /* owned: downloads ahead of readers */
	struct dal_workers *quick; /* owned: the rest of an open, pieces of one read */
	unsigned streams; /* constant */
	uint64_t ahead_max; /* constant: bytes ahead of one reader */
	uint64_t chunk; /* constant: the ranged requests of a sequential read are aligned to it */
	atomic_bool stopping; /* cancels what the workers do */
	atomic_uint ahead_jobs; /* fetches ahead, queued or running */
	atomic_uint_fast64_t stale_until_ns; /* what was fetched ahead of nobody is not looked for */
	atomic_uint_fast64_t short_until_ns; /* nor is memory for read-ahead, of which there was none */

	char *arena; /* owned mapping of `slots` blocks */
	struct dal_cblock *block; /* owned mapping: block[i] describes slot i */
	size_t slots; /* constant */
	pthread_mutex_t lock;
	struct dal_cblock *free_blocks; /* guarded by lock, as all below */
	size_t slots_used; /* slots ever handed out: the clock goes round these */
	size_t hand;
	struct dal_cobj **bucket; /* owned */
	size_t mask; /* buckets - 1 */
	size_t listed;
	size_t objects, blocks;
	size_t ahead_blocks;
	uint64_t seed; /* constant: of the hash */

	atomic_uint_fast64_t hit_bytes, miss_bytes, fetched_bytes, fetches, evicted_bytes;
};

/* arena.c: the memory of the blocks */

/* False when address space has run out. */
bool dal_arena_init(struct dal_cache *c);
void dal_arena_done(struct dal_cache *c);
char *dal_block_bytes(const struct dal_cblock *b);
/* Up to @n free blocks onto list *@list; returns how many. */
size_t dal_arena_take(struct dal_cache *c, struct dal_cblock **list, size_t n);
/* Blocks whose pages have been released come back. */
void dal_arena_put(struct dal_cache *c, struct dal_cblock *list);
/* Gives pages [@first, @end) back to the kernel. */
void dal_block_release_pages(struct dal_cache *c, const struct dal_cblock *b, unsigned first, unsigned end);

/* evict.c: who has to go */

enum dal_need {
	DAL_NEED_AHEAD, /* leaves alone what was fetched ahead of others */
	DAL_NEED_NOW, /* takes that too, when nothing else is left */
};

/* Blocks whose pages are all there and charged: what comes next into them needs no page fault. */
struct dal_whole {
	struct dal_cblock *list; /* owned */
	size_t n;
};

/*
 * Frees unpinned blocks until @bytes are free and @slots of them; returns the bytes freed. Up to @keep full
 * ones are not released but put into *@whole; they count as freed.
 */
uint64_t dal_evict(struct dal_cache *c, uint64_t bytes, size_t slots, enum dal_need need,
	struct dal_whole *whole, size_t keep);
/* What was fetched ahead of readers who went away no longer counts as such. Goes through all blocks. */
void dal_evict_stale_ahead(struct dal_cache *c);
/* Drops the unpinned blocks of @o. */
void dal_evict_object(struct dal_cobj *o);

/* reserve.c: memory before it is touched */

/* What a range lacks. */
struct dal_lack {
	uint64_t pages;
	size_t blocks; /* that there are not */
	size_t full; /* of these, those it covers completely: their pages are among `pages` */
};

/* Memory that is charged and not yet part of a block. */
struct dal_reserve {
	uint64_t pages; /* charged */
	struct dal_cblock *list; /* owned free blocks, their overhead charged */
	size_t blocks;
	struct dal_whole whole; /* owned blocks, charged with all their pages */
};

/* All of it or nothing, at once. */
bool dal_reserve_try(
	struct dal_cache *c, struct dal_reserve *r, const struct dal_lack *lack, enum dal_need need);
/* Waits for it; the caller must hold no pins. Fails with deadline, cancel, or when it is more than the limit.
 */
int dal_reserve_wait(
	struct dal_cache *c, struct dal_call *call, struct dal_reserve *r, const struct dal_lack *lack);
/* Gives back what is left. */
void dal_reserve_done(struct dal_cache *c, struct dal_reserve *r);

/* object.c: versions by name, blocks by number */

bool dal_objects_init(struct dal_cache *c);
void dal_objects_done(struct dal_cache *c);
struct dal_cblock *dal_cobj_find_locked(struct dal_cobj *o, uint64_t no);
/* Makes the free block @b block @no of @o: obj->lock held, and c->lock. */
void dal_cobj_add_locked(struct dal_cobj *o, struct dal_cblock *b, uint64_t no);
/* Takes @b out of its object's index, if it is there: obj->lock held. It still belongs to the object. */
void dal_cobj_unindex_locked(struct dal_cblock *b);
/* @b, unpinned, leaves its object: both locks held. */
void dal_cobj_drop_locked(struct dal_cblock *b);
/* True when nothing refers to @o any more; it is then out of the table and the caller frees it, without any
 * lock. */
bool dal_cobj_orphan_locked(struct dal_cobj *o);
struct dal_cobj *dal_cobj_free(struct dal_cobj *o);

/* pages.c: which bytes are there. Offsets in bytes, multiples of the page; obj->lock held. */

/* The first page in [@map's @from, @end) that is set (or, with @set false, clear), or @end. */
unsigned dal_map_find(const uint64_t *map, unsigned from, unsigned end, bool set);
void dal_map_set(uint64_t *map, unsigned from, unsigned end, bool set);
unsigned dal_map_count(const uint64_t *map);
/* The first missing byte in [@from, @end), or @end. */
uint64_t dal_pages_missing_locked(struct dal_cobj *o, uint64_t from, uint64_t end);
/* Where the run of missing pages that begins at @from ends, at most @end. */
uint64_t dal_pages_present_locked(struct dal_cobj *o, uint64_t from, uint64_t end);
/* True when all of [@from, @end) is valid. */
bool dal_pages_valid_locked(struct dal_cobj *o, uint64_t from, uint64_t end);
/* What would have to be claimed to have all of [@from, @end). */
struct dal_lack dal_pages_lack_locked(struct dal_cobj *o, uint64_t from, uint64_t end);
struct dal_lack dal_pages_lack(struct dal_cobj *o, uint64_t from, uint64_t end);

/* fetch.c: filling missing pages, each by one fetch only */

struct dal_run {
	uint64_t off, end; /* multiples of the page */
};

struct dal_fetch {
	struct dal_cobj *obj; /* borrowed; referenced by whoever hands the fetch to a worker */
	struct dal_stream *stream; /* owned; NULL until opened, unless open's own stream goes on here */
	struct dal_run run[CLAIM_RUNS]; /* what it fills, in order */
	unsigned runs;
	uint64_t first_no; /* number of block[0] */
	struct dal_cblock *block[CLAIM_BLOCKS]; /* pinned where a run touches it */
	uint64_t pos; /* where the stream is */
	uint64_t settled; /* runs are valid up to here */
	bool whole; /* one run that is all of the object */
};

/*
 * Claims missing pages of [@from, @end) for @f, as far as @r pays for them: they are busy and their blocks
 * pinned when this returns true. Runs that are no more than @gap apart are one fetch. obj->lock held.
 */
bool dal_fetch_claim_locked(struct dal_fetch *f, struct dal_cobj *o, uint64_t from, uint64_t end,
	uint64_t gap, struct dal_reserve *r, bool ahead);
/* Fills what was claimed from the store and ends the fetch, whatever happens. */
int dal_fetch_run(struct dal_fetch *f, struct dal_call *call);
/* Fills what was claimed from memory: @iov holds the object's bytes from @off. Ends the fetch. */
void dal_fetch_copy(struct dal_fetch *f, uint64_t off, const struct iovec *iov, size_t n);
/* A copy of @f on the heap that references its object, run by @pool with a deadline of its own. False: it is
 * still @f. */
bool dal_fetch_submit(struct dal_fetch *f, struct dal_workers *pool, bool ahead);

/* ahead.c: who reads in order, and what to fetch before they ask */

struct dal_plan {
	uint64_t from, end; /* empty when there is nothing to fetch ahead */
	unsigned stream;
	bool urgent; /* the reader has nothing ahead of it: its next bytes come before fairness */
	bool sequential; /* the read is part of a stream, which will not come back */
};

/* Takes notice of a read; @missing: some of its pages are neither there nor on their way. obj->lock held. */
void dal_ahead_plan_locked(struct dal_cobj *o, struct dal_reader *reader, uint64_t off, uint64_t len,
	bool missing, struct dal_plan *ret_plan);
/* Starts the downloads, as many as memory and the number of streams allow. No lock held. @reader may be NULL.
 */
void dal_ahead_start(struct dal_cobj *o, struct dal_reader *reader, const struct dal_plan *plan);

/* read.c */

/* Drops one pin of @b: obj->lock held. */
void dal_block_unpin_locked(struct dal_cblock *b);

static inline uint64_t dal_page_up(uint64_t off)
{
	return (off + DAL_PAGE_SIZE - 1) & ~(DAL_PAGE_SIZE - 1);
}

static inline uint64_t dal_page_down(uint64_t off)
{
	return off & ~(DAL_PAGE_SIZE - 1);
}
