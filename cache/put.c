/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What was just written need not be downloaded to be read. Only memory that is to be had at once is used, and
 * what was fetched ahead of readers is left to them.
 */

#include "cache/internal.h"

#define STEP (8 * DAL_MIB)

/* Fills missing pages of [@from, @end), at most STEP. False when there is no memory. */
static bool put_some(
	struct dal_cobj *o, uint64_t from, uint64_t end, uint64_t off, const struct iovec *iov, size_t n)
{
	struct dal_lack lack = dal_pages_lack(o, from, end);
	struct dal_reserve r;
	struct dal_fetch f;
	bool claimed;

	if (lack.pages == 0)
		return true;
	if (!dal_reserve_try(o->c, &r, &lack, DAL_NEED_AHEAD))
		return false;
	do {
		pthread_mutex_lock(&o->lock);
		claimed = dal_fetch_claim_locked(&f, o, from, end, 0, &r, false);
		pthread_mutex_unlock(&o->lock);
		if (claimed) {
			dal_fetch_copy(&f, off, iov, n);
			from = f.run[f.runs - 1].end;
		}
	} while (claimed);
	dal_reserve_done(o->c, &r);
	return true;
}

void dal_cobj_put(struct dal_cobj *o, uint64_t off, const struct iovec *iov, size_t n)
{
	uint64_t end = off, from = dal_page_up(off);
	size_t i;

	for (i = 0; i < n; i++)
		end += iov[i].iov_len;
	end = end >= o->size ? dal_page_up(o->size) : dal_page_down(end);
	while (from < end) {
		uint64_t stop = DAL_MIN((from / STEP + 1) * STEP, end);

		if (!put_some(o, from, stop, off, iov, n))
			return;
		from = stop;
	}
}
