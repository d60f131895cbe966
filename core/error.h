/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What can go wrong, as every module reports it: a kind a caller may branch on, whether trying again can
 * help, and one line for the user. The first twelve kinds are OpenDAL's and keep its meaning; the rest exist
 * because a filesystem has an errno for them.
 */

#include <stdint.h>

enum dal_kind {
	DAL_OK = 0,
	DAL_UNEXPECTED,
	DAL_UNSUPPORTED,
	DAL_CONFIG_INVALID,
	DAL_NOT_FOUND,
	DAL_PERMISSION_DENIED,
	DAL_IS_A_DIRECTORY,
	DAL_NOT_A_DIRECTORY,
	DAL_ALREADY_EXISTS,
	DAL_RATE_LIMITED,
	DAL_IS_SAME_FILE,
	DAL_CONDITION_NOT_MATCH, /* an If-Match or If-None-Match did not hold: a lost race */
	DAL_RANGE_NOT_SATISFIED,
	DAL_NOT_EMPTY, /* a directory that was to be removed has entries */
	DAL_NO_SPACE, /* the store, the spool or a quota is full */
	DAL_TOO_LONG, /* a name or key the store cannot hold */
	DAL_TIMED_OUT, /* the call's deadline passed */
	DAL_CANCELLED, /* the call's cancel flag was set */
	DAL_NO_MEMORY,
	DAL_READ_ONLY, /* the store or the mount takes no writes */
};

enum dal_retry {
	DAL_PERMANENT, /* the same call will fail again */
	DAL_TEMPORARY, /* the same call may succeed later */
	DAL_PERSISTENT, /* was temporary, the tries are spent: never retried again */
};

/* Holds no pointers: copied by assignment, nothing to free, usable when memory has run out. */
struct dal_error {
	enum dal_kind kind;
	enum dal_retry retry;
	int sys_errno; /* 0 when no system call was to blame */
	uint64_t retry_after_ns; /* what the server asked for, 0 when it did not */
	char msg[320]; /* one line, no secrets: what was tried, on what, what the server said */
};

/* The kind's stable name, as in "NotFound". Never NULL. */
const char *dal_kind_name(enum dal_kind kind);
