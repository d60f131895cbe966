/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Local disk for dirty data that memory has no room for: one unlinked file, cut into slots of one block. A
 * slot is handed out whole, its bytes are allocated as they are needed, and go back to the disk when the slot
 * is freed.
 *
 * Threads: the owner's lock guards it, except that dal_spool_read() and dal_spool_write() of slots that
 * nobody else writes may run without.
 */

#include "core/call.h"

#define DAL_SPOOL_NONE (-1) /* no slot */

struct dal_spool {
	const char *dir; /* borrowed; constant */
	uint64_t slot_size; /* constant */
	int fd; /* owned; -1 until the first slot */
	int64_t next; /* slots from here on were never used */
	int64_t *free; /* owned; slots to use again */
	size_t n_free, cap_free;
	size_t used; /* slots handed out */
};

void dal_spool_init(struct dal_spool *s, const char *dir, uint64_t slot_size);
void dal_spool_done(struct dal_spool *s);

/* Hands out a slot. DAL_NO_SPACE when the disk is down to its floor. */
int dal_spool_take(struct dal_spool *s, struct dal_call *call, int64_t *ret_slot);
void dal_spool_give(struct dal_spool *s, int64_t slot);
/*
 * Allocates bytes [off, off + len) of @slot on the disk, so that writing them cannot fail for lack of space.
 * A floor of free space is left to others: DAL_NO_SPACE then.
 */
int dal_spool_reserve(struct dal_spool *s, struct dal_call *call, int64_t slot, uint64_t off, uint64_t len);

int dal_spool_write(const struct dal_spool *s, struct dal_call *call, int64_t slot, uint64_t off,
	const void *buf, size_t len);
int dal_spool_read(
	const struct dal_spool *s, struct dal_call *call, int64_t slot, uint64_t off, void *buf, size_t len);
