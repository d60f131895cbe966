/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How an object is cut into the parts of a multipart upload: pure arithmetic, no state.
 *
 * Parts of a stream grow, as nobody knows how long it will be. Of every ten parts an upload may have, the
 * first has the first size, the next 4 times that, the third 16 times, the others 96 times: with 8 MiB and
 * 10,000 parts 7.8 GiB in parts of 8 MiB, up to 39 GiB in parts of 32 MiB, up to 164 GiB in parts of 128 MiB,
 * and 5.2 TiB in parts of 768 MiB.
 */

#include "core/capability.h"
#include "fs/extents.h"

struct dal_plan_limits {
	uint64_t part_size; /* of the first parts, a multiple of unit */
	uint64_t unit; /* all sizes of parts of a stream are multiples of it: the block size */
	uint64_t part_min, part_max; /* part_min at least 1 */
	uint64_t parts_max;
	uint64_t size_max; /* the largest object that can be sent at all */
};

struct dal_plan_part {
	uint64_t off, len;
	bool copy; /* bytes of the base that have not changed: the server copies them */
};

/* @part_size as configured; multipart or not as @cap says. */
struct dal_plan_limits dal_plan_limits(
	const struct dal_capability *cap, uint64_t part_size, uint64_t block_size);

/* Length of part @i (from 0) of a stream, and where it begins. */
uint64_t dal_plan_stream_len(const struct dal_plan_limits *l, size_t i);
uint64_t dal_plan_stream_off(const struct dal_plan_limits *l, size_t i);

/*
 * The parts of a file of @size > 0 bytes. With @base_limit 0 they are those of a stream. Otherwise unchanged
 * ranges (outside @dirty, below @base_limit) that are long enough are copied, in pieces of @copy_len, if
 * @may_copy; what is between them is sent. The caller frees *ret_v. False when memory has run out.
 */
DAL_MUST_CHECK bool dal_plan_make(const struct dal_plan_limits *l, uint64_t size, uint64_t base_limit,
	const struct dal_extents *dirty, bool may_copy, uint64_t copy_len, struct dal_plan_part **ret_v,
	size_t *ret_n);
