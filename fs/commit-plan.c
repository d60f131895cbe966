/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A changed file alternates between runs to copy and runs to send. Walking from the front:
 *
 *   an unchanged run at least as long as `least`        is copied
 *   anything else                                       is sent, together with shorter unchanged runs, up to
 * the next run to copy, but no less than part_min and no more than `most`
 *
 * `least` begins with part_min, which the store asks for. When that makes too many parts, both double and the
 * walk is done again: a file changed in ten thousand places is sent in fewer, larger parts.
 */

#include "fs/commit-plan.h"

#include <assert.h>
#include <stdlib.h>

/* S3's limits where a service names none: they hold for most that speak multipart at all. */
#define PARTS_MAX 10000
#define PART_MAX (5 * DAL_GIB)

static uint64_t round_down(uint64_t n, uint64_t unit)
{
	return n / unit * unit;
}

static uint64_t round_up(uint64_t n, uint64_t unit)
{
	return round_down(n + unit - 1, unit);
}

struct dal_plan_limits dal_plan_limits(
	const struct dal_capability *cap, uint64_t part_size, uint64_t block_size)
{
	struct dal_plan_limits l = { .unit = block_size };
	uint64_t most;

	l.part_min = DAL_MAX(cap->part_min, (uint64_t)1);
	l.part_max = cap->part_max ? cap->part_max : PART_MAX;
	l.parts_max = cap->parts_max ? cap->parts_max : PARTS_MAX;
	l.part_max = DAL_MAX(round_down(l.part_max, block_size), block_size);
	l.part_size = round_up(DAL_MAX(part_size, l.part_min), block_size);
	l.part_size = DAL_MIN(l.part_size, l.part_max);
	most = cap->multipart	? dal_plan_stream_off(&l, l.parts_max)
	       : cap->write_max ? cap->write_max
				: INT64_MAX;
	l.size_max = cap->object_max ? DAL_MIN(cap->object_max, most) : most;
	l.size_max = DAL_MIN(l.size_max, (uint64_t)INT64_MAX);
	return l;
}

/* Parts of each of the four sizes. */
static uint64_t tier_parts(const struct dal_plan_limits *l)
{
	return DAL_MAX(l->parts_max / 10, (uint64_t)1);
}

static uint64_t tier_len(const struct dal_plan_limits *l, uint64_t tier)
{
	static const uint64_t factor[] = { 1, 4, 16, 96 };
	uint64_t len;

	if (__builtin_mul_overflow(l->part_size, factor[tier], &len))
		return l->part_max;
	return DAL_MIN(len, l->part_max);
}

uint64_t dal_plan_stream_len(const struct dal_plan_limits *l, size_t i)
{
	return tier_len(l, DAL_MIN((uint64_t)i / tier_parts(l), (uint64_t)3));
}

uint64_t dal_plan_stream_off(const struct dal_plan_limits *l, size_t i)
{
	uint64_t left = i, off = 0, tier;

	for (tier = 0; left > 0; tier++) {
		uint64_t parts = tier < 3 ? DAL_MIN(left, tier_parts(l)) : left, bytes;

		if (__builtin_mul_overflow(parts, tier_len(l, DAL_MIN(tier, (uint64_t)3)), &bytes) ||
			__builtin_add_overflow(off, bytes, &off))
			return INT64_MAX;
		left -= parts;
	}
	return off;
}

/* A plan being made, and what it is made of. */
struct plan {
	const struct dal_plan_limits *l;
	const struct dal_extents *dirty;
	uint64_t size, base_limit;
	bool may_copy;
	uint64_t least, most, copy_len;
	struct dal_plan_part *v; /* owned */
	size_t n, cap;
};

static bool add(struct plan *p, uint64_t off, uint64_t len, bool copy)
{
	if (p->n == p->cap) {
		size_t cap = DAL_MAX(2 * p->cap, (size_t)16);
		struct dal_plan_part *v = reallocarray(p->v, cap, sizeof(*v));

		if (!v)
			return false;
		p->v = v;
		p->cap = cap;
	}
	p->v[p->n++] = (struct dal_plan_part){ off, len, copy };
	return true;
}

/* Where the unchanged run at @off ends; @off itself when that byte has changed. */
static uint64_t clean_end(const struct plan *p, uint64_t off)
{
	struct dal_extent run;

	if (!p->may_copy || off >= p->base_limit)
		return off;
	return dal_extents_next(p->dirty, off, p->base_limit, &run) ? run.off : p->base_limit;
}

/* Where the run to send that begins at @off ends: before the next unchanged run that is worth a copy. */
static uint64_t send_end(const struct plan *p, uint64_t off)
{
	uint64_t at = off, end;

	for (;;) {
		struct dal_extent run;

		end = clean_end(p, at);
		if (end - at >= p->least && at - off >= p->l->part_min)
			return at;
		/* A long unchanged run behind a short changed one: as much of it as the store's least part
		 * needs. */
		if (end - at >= p->least && end - at >= p->l->part_min - (at - off) + p->least)
			return off + p->l->part_min;
		if (end - off >= p->most)
			return off + p->most;
		if (end >= p->base_limit || !dal_extents_next(p->dirty, end, p->base_limit, &run))
			return DAL_MIN(p->size, off + p->most);
		at = run.end;
		if (at - off >= p->most)
			return off + p->most;
	}
}

static bool add_copies(struct plan *p, uint64_t off, uint64_t end)
{
	uint64_t pieces = (end - off + p->copy_len - 1) / p->copy_len;
	uint64_t len = (end - off + pieces - 1) / pieces;

	for (; off < end; off += len)
		if (!add(p, off, DAL_MIN(len, end - off), true))
			return false;
	return true;
}

static bool walk(struct plan *p)
{
	uint64_t off = 0, end;

	p->n = 0;
	while (off < p->size && p->n <= p->l->parts_max) {
		end = clean_end(p, off);
		/* The last part may be as short as it is. */
		if (end > off && (end - off >= p->least || end == p->size)) {
			if (!add_copies(p, off, end))
				return false;
		} else {
			end = DAL_MIN(send_end(p, off), p->size);
			if (!add(p, off, end - off, false))
				return false;
		}
		off = end;
	}
	return true;
}

static bool make_stream(struct plan *p)
{
	uint64_t off = 0;
	size_t i;

	for (i = 0; off < p->size; i++) {
		uint64_t len = DAL_MIN(dal_plan_stream_len(p->l, i), p->size - off);

		if (!add(p, off, len, false))
			return false;
		off += len;
	}
	return true;
}

bool dal_plan_make(const struct dal_plan_limits *l, uint64_t size, uint64_t base_limit,
	const struct dal_extents *dirty, bool may_copy, uint64_t copy_len, struct dal_plan_part **ret_v,
	size_t *ret_n)
{
	struct plan p = {
		.l = l, .dirty = dirty, .size = size, .base_limit = base_limit, .may_copy = may_copy
	};
	bool ok;

	assert(size > 0 && base_limit <= size);
	if (base_limit == 0) {
		ok = make_stream(&p);
	} else {
		p.least = l->part_min;
		p.most = l->part_size;
		/* Two copies out of one run are at least half of copy_len each, so never below part_min. */
		p.copy_len = DAL_MAX(copy_len, 2 * l->part_min);
		p.copy_len = DAL_MIN(p.copy_len, l->part_max);
		for (;;) {
			ok = walk(&p);
			if (!ok || p.n <= l->parts_max || p.least > size)
				break;
			p.least *= 2;
			p.most = DAL_MIN(2 * p.most, l->part_max);
			p.copy_len = DAL_MIN(2 * p.copy_len, l->part_max);
		}
	}
	if (!ok) {
		free(p.v);
		return false;
	}
	*ret_v = p.v;
	*ret_n = p.n;
	return true;
}
