/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What retry.c (operations) and retry-stream.c (downloads) share: when to try again. */

#include "core/operation.h"

struct dal_retry_policy {
	unsigned max; /* tries after the first */
	uint64_t min_ns, max_ns; /* the longest first wait, the longest of all */
	uint64_t total_ns; /* for all tries together */
};

/* The tries of one operation so far. */
struct dal_retries {
	const struct dal_retry_policy *policy; /* borrowed from the layer */
	unsigned max;
	unsigned failed; /* tries that failed in a row */
	uint64_t caller_deadline; /* the call's own, put back at the end */
	unsigned caller_attempt;
	uint64_t until; /* no try begins later: what has stalled so long will go on to */
	struct dal_error last; /* of the try before, once `failed` is not 0 */
};

/*
 * Starts: brings the call's deadline to the policy's total and @extra_ns, if that is sooner. The extra time,
 * for moving many bytes, is for a try that makes progress: none begins in it.
 */
void dal_retries_begin(struct dal_retries *t, const struct dal_retry_policy *policy, struct dal_call *call,
	uint64_t extra_ns);

/*
 * After a try that failed with @r: waits and returns 0 when there is to be another one, else returns the
 * failure to report. @operation and @path are for the log.
 */
int dal_retries_again(
	struct dal_retries *t, struct dal_call *call, int r, const char *operation, const char *path);

/* Bytes have come: tries and time without progress count from now. */
void dal_retries_progress(struct dal_retries *t);

/* Ends, whatever came of it: the call has its own deadline again. Returns @r. */
int dal_retries_end(struct dal_retries *t, struct dal_call *call, int r);

/* Makes *@stream one that survives breaks: it goes on where it broke, in the same version. Takes it in any
 * case. */
int dal_retry_stream(struct dal_call *call, const struct dal_retry_policy *policy, struct dal_backend *next,
	const struct dal_operation *read, struct dal_stream **stream);
