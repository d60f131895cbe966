/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where the dirty bytes of one file are: blocks of the file, each with its bytes in memory (charged to the
 * budget's class DIRTY) or in a slot of the spool. Which bytes of a block mean anything is not known here:
 * the file's extents say.
 *
 * A block that anybody but the table holds (a commit, a part on its way, a reader) never changes: who writes
 * to it gets a copy in its place. So what is being sent stays what it was, and nobody waits for the network
 * to write.
 *
 * Threads: the file's lock is held around every function, except where noted. Local disk may be touched under
 * it.
 */

#include "cache/budget.h"
#include "fs/spool.h"

struct dal_dblock {
	uint64_t n; /* number in the file; constant */
	unsigned refs; /* the table's and those of snapshots and readers */
	unsigned pins; /* who reads `data` without the lock: it must not move */
	uint32_t lo, hi; /* the part of the block that is stored, whole pages */
	char *data; /* owned; bytes [lo, hi); NULL when they are in the spool */
	int64_t slot; /* of the spool, byte 0 is the block's byte 0; DAL_SPOOL_NONE when in memory */
};

struct dal_dirty {
	struct dal_budget *budget; /* borrowed; constant */
	uint64_t block_size; /* power of two, at least a page; constant */
	struct dal_spool spool;
	struct dal_dblock **v; /* owned; sorted by n, each holds a reference */
	size_t n, cap;
	uint64_t hand; /* the block number where the search for one to spill goes on */
};

void dal_dirty_init(
	struct dal_dirty *d, struct dal_budget *budget, const char *spool_dir, uint64_t block_size);
/* All references but the table's must be gone. */
void dal_dirty_done(struct dal_dirty *d);

struct dal_dblock *dal_dirty_find(const struct dal_dirty *d, uint64_t n);
/* Index in the table of the first block with a number of at least @n. */
size_t dal_dirty_index(const struct dal_dirty *d, uint64_t n);

/* How many bytes of the budget dal_dirty_prepare() of this range would use. */
uint64_t dal_dirty_need(const struct dal_dirty *d, uint64_t off, uint64_t len);
/*
 * Makes [off, off + len) writable: every block there is nobody else's and stores these bytes. Takes what it
 * needs from *held, bytes of the budget the caller has; with @to_spool it needs none and goes to the disk. A
 * failure leaves the contents as they were.
 */
int dal_dirty_prepare(struct dal_dirty *d, struct dal_call *call, uint64_t off, uint64_t len, uint64_t *held,
	bool to_spool);
/* Copies @len bytes to @off, which was prepared. Fails only when the disk does. */
int dal_dirty_put(struct dal_dirty *d, struct dal_call *call, uint64_t off, const void *buf, size_t len);

/* Moves unpinned blocks to the spool until @want bytes of memory are free; *ret_freed says how many there
 * are. */
int dal_dirty_spill(struct dal_dirty *d, struct dal_call *call, uint64_t want, uint64_t *ret_freed);
/* Takes the blocks [first, end) out of the table. */
void dal_dirty_drop(struct dal_dirty *d, uint64_t first, uint64_t end);

void dal_dblock_ref(struct dal_dblock *b);
void dal_dblock_unref(struct dal_dirty *d, struct dal_dblock *b);
/*
 * Copies bytes [off, off + len) of the block out. May run without the lock when the caller has a reference
 * and the block is in the spool, or pinned.
 */
int dal_dblock_read(const struct dal_dirty *d, struct dal_call *call, const struct dal_dblock *b,
	uint64_t off, void *buf, size_t len);

/* Memory of one piece, zeroed: large ones are given back to the system at once when freed. NULL: no memory.
 */
void *dal_dirty_alloc(size_t len);
void dal_dirty_release(void *p, size_t len);
