/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where messages go. The library itself is silent until a program sets a sink; it never prints. Lines are
 * redacted here, once: whatever looks like a credential is replaced before any sink sees it.
 *
 * Threads: any. Setting the sink is for start-up and for SIGHUP, both safe against lines being written.
 */

#include <stdbool.h>

#include "core/call.h"
#include "core/util.h"

enum dal_log_level {
	DAL_LOG_ERROR,
	DAL_LOG_WARN,
	DAL_LOG_INFO,
	DAL_LOG_DEBUG,
	DAL_LOG_TRACE, /* one line per operation and request */
};

enum dal_log_to {
	DAL_LOG_TO_NONE,
	DAL_LOG_TO_STDERR,
	DAL_LOG_TO_SYSLOG,
	DAL_LOG_TO_FILE, /* opened O_NOFOLLOW, appended to */
};

/* @file for DAL_LOG_TO_FILE. On failure the old sink stays. */
int dal_log_open(struct dal_call *call, enum dal_log_to to, const char *file, enum dal_log_level level);
/* Opens the same file again: after log rotation. */
void dal_log_reopen(void);
bool dal_log_level_parse(const char *name, enum dal_log_level *ret_level);
bool dal_log_on(enum dal_log_level level);
void dal_log(enum dal_log_level level, const char *fmt, ...) DAL_PRINTF(2, 3);

/*
 * Replaces credentials in @line in place by "***": values of Authorization, Cookie, X-Amz-Security-Token,
 * customer-key headers; X-Amz-Signature=, X-Amz-Credential=, sig=, token= in queries; user info in URLs.
 */
void dal_redact(char *line);
