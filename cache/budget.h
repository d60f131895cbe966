/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The memory budget of a mount: one hard limit for cached blocks, read-ahead and dirty data. Bytes are taken before
 * memory is touched and given back after it is released. Cached blocks yield to everyone else.
 *
 * Threads: any. The budget's lock is a leaf: no other lock is taken while it is held, and the reclaim hook is called
 * without it. Who waits for bytes must hold nothing that keeps cached blocks from being dropped: no view, no lock.
 */

#include <stdbool.h>
#include <stdint.h>

#include "core/call.h"

enum dal_budget_class {
	DAL_BUDGET_CACHE, /* blocks that can be dropped at any time, pinned ones included */
	DAL_BUDGET_DIRTY, /* written, not yet in the store or spool; at most half of the limit */
	DAL_BUDGET_CLASSES,
};

struct dal_budget;

/* The default limit: a quarter of the memory the cgroup (v2 or v1) or the machine allows, at most 1 GiB, at least 64 MiB. */
uint64_t dal_budget_default(void);

/* NULL when memory has run out. */
struct dal_budget *dal_budget_new(uint64_t limit_bytes);
/* Takes NULL; returns NULL. */
struct dal_budget *dal_budget_free(struct dal_budget *b);

/* @fn frees at least @bytes of droppable memory if it can, and returns what it freed. Set once, before use. */
void dal_budget_set_reclaim(struct dal_budget *b, uint64_t (*fn)(void *arg, uint64_t bytes), void *arg);

/* Takes at once, reclaiming if needed, or returns false. */
bool dal_budget_try(struct dal_budget *b, enum dal_budget_class class, uint64_t bytes);
/*
 * Takes at once without reclaiming and returns 0, or returns how many bytes would have to be freed first; UINT64_MAX
 * when the class has reached its own limit.
 */
uint64_t dal_budget_take_free(struct dal_budget *b, enum dal_budget_class class, uint64_t bytes);
/* Waits until the bytes are there. Fails with deadline or cancel, and with NO_MEMORY when they are more than the limit. */
int dal_budget_take(struct dal_budget *b, struct dal_call *call, enum dal_budget_class class, uint64_t bytes);
void dal_budget_give(struct dal_budget *b, enum dal_budget_class class, uint64_t bytes);
/* Something that could not be dropped now can: those who wait reclaim again. */
void dal_budget_poke(struct dal_budget *b);
/* DAL_BUDGET_CLASSES for all classes together. */
uint64_t dal_budget_used(struct dal_budget *b, enum dal_budget_class class);
uint64_t dal_budget_limit(const struct dal_budget *b);
