/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A set of bytes of a file, kept as sorted ranges that neither overlap nor touch.
 *
 * Threads: none of its own; the owner's lock guards it. Changing it never allocates: room is reserved before,
 * so that a caller can get everything that may fail behind it and then change all it has to at once.
 */

#include "core/util.h"

struct dal_extent {
	uint64_t off, end; /* [off, end), never empty */
};

/* Zeroed is empty. */
struct dal_extents {
	struct dal_extent *v; /* owned */
	size_t n, cap;
	uint64_t bytes; /* in all ranges */
};

/* Makes room for @changes calls of add or cut. False when memory has run out. */
DAL_MUST_CHECK bool dal_extents_reserve(struct dal_extents *e, size_t changes);
/* Adds [off, end); needs room for one change. */
void dal_extents_add(struct dal_extents *e, uint64_t off, uint64_t end);
/* Takes [off, end) out; needs room for one change, but none when nothing is left behind @end. */
void dal_extents_cut(struct dal_extents *e, uint64_t off, uint64_t end);

/* True when every byte, or any byte, of [off, end) is in the set. An empty range is covered and overlaps
 * nothing. */
bool dal_extents_covers(const struct dal_extents *e, uint64_t off, uint64_t end);
bool dal_extents_overlaps(const struct dal_extents *e, uint64_t off, uint64_t end);
/* The first run of the set within [off, end), clipped to it; false when there is none. */
bool dal_extents_next(const struct dal_extents *e, uint64_t off, uint64_t end, struct dal_extent *ret_run);
/* Where the run that holds byte 0 ends; 0 when byte 0 is not in the set. */
uint64_t dal_extents_prefix(const struct dal_extents *e);

/* What of @src lies within [off, end). *dst must be zeroed or done. False when memory has run out. */
DAL_MUST_CHECK bool dal_extents_dup(
	struct dal_extents *dst, const struct dal_extents *src, uint64_t off, uint64_t end);
/* Empties it and keeps the memory. */
void dal_extents_clear(struct dal_extents *e);
void dal_extents_done(struct dal_extents *e);
