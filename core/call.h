/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One call object travels down the stack with every operation: until when, whether it was called off, and
 * what went wrong. It belongs to the caller; nobody below keeps it after returning.
 *
 * Threads: used by one thread at a time. Work that is split over threads gets a call of its own per thread
 * (dal_call_child()) and hands the error back (dal_call_fail_as()). Only *cancel may be set from elsewhere.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/util.h"

struct dal_call {
	uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0 means none */
	const atomic_bool *cancel; /* borrowed, polled by whoever waits; may be NULL */
	unsigned attempt; /* 0 on the first try; the retry layer counts it up */
	struct dal_error err; /* meaningful only after a negative return */
};

/* A call with a deadline @timeout_ns from now; 0 for none. */
struct dal_call dal_call_within(uint64_t timeout_ns);

/* A call with @parent's deadline and cancel flag and an error of its own. */
struct dal_call dal_call_child(const struct dal_call *parent);

/*
 * Records a permanent failure. Returns -kind, so that `return dal_fail(...)` is the whole error path.
 * The message is one line that says what was tried and on what; control characters in it are replaced.
 */
int dal_fail(struct dal_call *call, enum dal_kind kind, const char *fmt, ...) DAL_PRINTF(3, 4);

/* The same for a failure that may pass: the retry layer will try again. */
int dal_fail_temporary(struct dal_call *call, enum dal_kind kind, const char *fmt, ...) DAL_PRINTF(3, 4);

/* Records a failed system call: kind and text from @sys_errno, `what: strerror`. Returns -kind. */
int dal_fail_errno(struct dal_call *call, int sys_errno, const char *fmt, ...) DAL_PRINTF(3, 4);

/* Records "out of memory". Returns -DAL_NO_MEMORY. */
int dal_fail_nomem(struct dal_call *call);

/* Takes over an error recorded in another call. Returns -kind. */
int dal_call_fail_as(struct dal_call *call, const struct dal_error *err);

/* Puts "context: " before the message of the error just recorded; returns @r unchanged. */
int dal_call_context(struct dal_call *call, int r, const char *fmt, ...) DAL_PRINTF(3, 4);

/* 0, or the failure -DAL_TIMED_OUT / -DAL_CANCELLED when the call should not go on. */
int dal_call_check(struct dal_call *call);

/* Sleeps for @ns, but no longer than the deadline and not past a cancel (noticed within 50 ms). 0 or as
 * dal_call_check(). */
int dal_call_sleep(struct dal_call *call, uint64_t ns);

/* Nanoseconds left until the deadline, at most @max_ns. */
uint64_t dal_call_remaining(const struct dal_call *call, uint64_t max_ns);

/* CLOCK_MONOTONIC and CLOCK_REALTIME in nanoseconds. */
uint64_t dal_now_ns(void);
int64_t dal_wall_ns(void);
