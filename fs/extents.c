/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One sorted vector. A lookup is a binary search, a change moves the tail. A file that is written in order
 * has one range; one that is written at random has as many as it has places, 16 bytes each.
 */

#include "fs/extents.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Index of the first range that ends after @off. */
static size_t first_after(const struct dal_extents *e, uint64_t off)
{
	size_t lo = 0, hi = e->n;

	/* Most questions are about the end of a file that grows. */
	if (e->n && e->v[e->n - 1].end <= off)
		return e->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (e->v[mid].end <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool dal_extents_reserve(struct dal_extents *e, size_t changes)
{
	struct dal_extent *v;
	size_t want, cap;

	if (__builtin_add_overflow(e->n, changes, &want))
		return false;
	if (want <= e->cap)
		return true;
	cap = DAL_MAX(want, e->cap + e->cap / 2);
	cap = DAL_MAX(cap, (size_t)4);
	v = reallocarray(e->v, cap, sizeof(*v));
	if (!v)
		return false;
	e->v = v;
	e->cap = cap;
	return true;
}

void dal_extents_add(struct dal_extents *e, uint64_t off, uint64_t end)
{
	size_t first, last, i;

	if (off >= end)
		return;
	/* [first, last) are the ranges that overlap or touch the new one and become part of it. */
	first = off ? first_after(e, off - 1) : 0;
	for (last = first; last < e->n && e->v[last].off <= end; last++)
		;
	if (first == last) {
		assert(e->n < e->cap);
		memmove(&e->v[first + 1], &e->v[first], (e->n - first) * sizeof(*e->v));
		e->v[first] = (struct dal_extent){ off, end };
		e->n++;
		e->bytes += end - off;
		return;
	}
	for (i = first; i < last; i++)
		e->bytes -= e->v[i].end - e->v[i].off;
	e->v[first].off = DAL_MIN(e->v[first].off, off);
	e->v[first].end = DAL_MAX(e->v[last - 1].end, end);
	e->bytes += e->v[first].end - e->v[first].off;
	memmove(&e->v[first + 1], &e->v[last], (e->n - last) * sizeof(*e->v));
	e->n -= last - first - 1;
}

void dal_extents_cut(struct dal_extents *e, uint64_t off, uint64_t end)
{
	size_t first, last;

	if (off >= end)
		return;
	first = first_after(e, off);
	if (first == e->n || e->v[first].off >= end)
		return;
	if (e->v[first].off < off && e->v[first].end > end) {
		assert(e->n < e->cap);
		memmove(&e->v[first + 1], &e->v[first], (e->n - first) * sizeof(*e->v));
		e->v[first].end = off;
		e->v[first + 1].off = end;
		e->n++;
		e->bytes -= end - off;
		return;
	}
	if (e->v[first].off < off) {
		e->bytes -= e->v[first].end - off;
		e->v[first].end = off;
		first++;
	}
	for (last = first; last < e->n && e->v[last].end <= end; last++)
		e->bytes -= e->v[last].end - e->v[last].off;
	if (last < e->n && e->v[last].off < end) {
		e->bytes -= end - e->v[last].off;
		e->v[last].off = end;
	}
	memmove(&e->v[first], &e->v[last], (e->n - last) * sizeof(*e->v));
	e->n -= last - first;
}

bool dal_extents_covers(const struct dal_extents *e, uint64_t off, uint64_t end)
{
	size_t i = first_after(e, off);

	return off >= end || (i < e->n && e->v[i].off <= off && e->v[i].end >= end);
}

bool dal_extents_overlaps(const struct dal_extents *e, uint64_t off, uint64_t end)
{
	size_t i = first_after(e, off);

	return off < end && i < e->n && e->v[i].off < end;
}

bool dal_extents_next(const struct dal_extents *e, uint64_t off, uint64_t end, struct dal_extent *ret_run)
{
	size_t i = first_after(e, off);

	if (off >= end || i == e->n || e->v[i].off >= end)
		return false;
	ret_run->off = DAL_MAX(e->v[i].off, off);
	ret_run->end = DAL_MIN(e->v[i].end, end);
	return true;
}

uint64_t dal_extents_prefix(const struct dal_extents *e)
{
	return e->n && e->v[0].off == 0 ? e->v[0].end : 0;
}

bool dal_extents_dup(struct dal_extents *dst, const struct dal_extents *src, uint64_t off, uint64_t end)
{
	size_t first = first_after(src, off), last = first, i;

	*dst = (struct dal_extents){ 0 };
	while (last < src->n && src->v[last].off < end)
		last++;
	if (first == last || off >= end)
		return true;
	if (!dal_extents_reserve(dst, last - first))
		return false;
	for (i = first; i < last; i++) {
		struct dal_extent *to = &dst->v[dst->n++];

		to->off = DAL_MAX(src->v[i].off, off);
		to->end = DAL_MIN(src->v[i].end, end);
		dst->bytes += to->end - to->off;
	}
	return true;
}

void dal_extents_clear(struct dal_extents *e)
{
	e->n = 0;
	e->bytes = 0;
}

void dal_extents_done(struct dal_extents *e)
{
	free(e->v);
	*e = (struct dal_extents){ 0 };
}
