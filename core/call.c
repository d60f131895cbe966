/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Recording failures, and waiting. Every message goes through one place here, which makes it a single line
 * without credentials: what a server or a file name contributed cannot break a log or a terminal.
 */

#include "core/call.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/log.h"

/* How often a sleeper looks at the cancel flag. */
#define CANCEL_POLL_NS (50 * DAL_NS_PER_MS)

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * DAL_NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t dal_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int64_t dal_wall_ns(void)
{
	return (int64_t)clock_ns(CLOCK_REALTIME);
}

struct dal_call dal_call_within(uint64_t timeout_ns)
{
	struct dal_call call = { 0 };

	if (timeout_ns && __builtin_add_overflow(dal_now_ns(), timeout_ns, &call.deadline_ns))
		call.deadline_ns = 0;
	return call;
}

struct dal_call dal_call_child(const struct dal_call *parent)
{
	struct dal_call call = {
		.deadline_ns = parent->deadline_ns, .cancel = parent->cancel, .attempt = parent->attempt
	};

	return call;
}

/* One line: control characters become '?', credentials "***", and a cut multi-byte character is dropped. */
static void tidy(char *msg)
{
	size_t n, back = 0;
	char *p;

	for (p = msg; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = *p == '\n' || *p == '\t' || *p == '\r' ? ' ' : '?';
	dal_redact(msg);
	n = strlen(msg);
	if (n + 1 < sizeof(((struct dal_error *)0)->msg))
		return;
	while (back < 3 && back < n && ((unsigned char)msg[n - 1 - back] & 0xc0) == 0x80)
		back++;
	if (back < n && (unsigned char)msg[n - 1 - back] >= 0xc0)
		msg[n - 1 - back] = '\0';
}

static int DAL_PRINTF(4, 0)
	fail(struct dal_call *call, enum dal_kind kind, enum dal_retry retry, const char *fmt, va_list ap)
{
	struct dal_error err = { .kind = kind, .retry = retry };

	assert(kind != DAL_OK);
	/* Aside first: the arguments may point into the error that is being replaced. */
	vsnprintf(err.msg, sizeof(err.msg), fmt, ap);
	tidy(err.msg);
	call->err = err;
	return -(int)kind;
}

int dal_fail(struct dal_call *call, enum dal_kind kind, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail(call, kind, DAL_PERMANENT, fmt, ap);
	va_end(ap);
	return r;
}

int dal_fail_temporary(struct dal_call *call, enum dal_kind kind, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail(call, kind, DAL_TEMPORARY, fmt, ap);
	va_end(ap);
	return r;
}

static enum dal_kind kind_of_errno(int e)
{
	switch (e) {
	case ENOENT:
		return DAL_NOT_FOUND;
	case EACCES:
	case EPERM:
		return DAL_PERMISSION_DENIED;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return DAL_NO_SPACE;
	case EEXIST:
		return DAL_ALREADY_EXISTS;
	case ENOTDIR:
		return DAL_NOT_A_DIRECTORY;
	case EISDIR:
		return DAL_IS_A_DIRECTORY;
	case ENOTEMPTY:
		return DAL_NOT_EMPTY;
	case ENAMETOOLONG:
		return DAL_TOO_LONG;
	case EROFS:
		return DAL_READ_ONLY;
	case ETIMEDOUT:
		return DAL_TIMED_OUT;
	case ENOMEM:
		return DAL_NO_MEMORY;
	case EOPNOTSUPP:
	case ENOSYS:
		return DAL_UNSUPPORTED;
	default:
		return DAL_UNEXPECTED;
	}
}

int dal_fail_errno(struct dal_call *call, int sys_errno, const char *fmt, ...)
{
	char what[sizeof(call->err.msg)], text[128];
	va_list ap;
	int r;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	r = dal_fail(
		call, kind_of_errno(sys_errno), "%s: %s", what, strerror_r(sys_errno, text, sizeof(text)));
	call->err.sys_errno = sys_errno;
	return r;
}

int dal_fail_nomem(struct dal_call *call)
{
	return dal_fail(call, DAL_NO_MEMORY, "out of memory");
}

int dal_call_fail_as(struct dal_call *call, const struct dal_error *err)
{
	assert(err->kind != DAL_OK);
	if (err != &call->err)
		call->err = *err;
	return -(int)call->err.kind;
}

int dal_call_context(struct dal_call *call, int r, const char *fmt, ...)
{
	char context[sizeof(call->err.msg)], msg[2 * sizeof(call->err.msg) + 2];
	va_list ap;

	if (r >= 0)
		return r;
	va_start(ap, fmt);
	vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
	snprintf(msg, sizeof(msg), "%s: %s", context, call->err.msg);
	snprintf(call->err.msg, sizeof(call->err.msg), "%.*s", (int)sizeof(call->err.msg) - 1, msg);
	tidy(call->err.msg);
	return r;
}

int dal_call_check(struct dal_call *call)
{
	if (call->cancel && atomic_load_explicit(call->cancel, memory_order_relaxed))
		return dal_fail(call, DAL_CANCELLED, "called off");
	if (call->deadline_ns && dal_now_ns() >= call->deadline_ns)
		return dal_fail(call, DAL_TIMED_OUT, "the time for it has run out");
	return 0;
}

uint64_t dal_call_remaining(const struct dal_call *call, uint64_t max_ns)
{
	uint64_t now;

	if (!call->deadline_ns)
		return max_ns;
	now = dal_now_ns();
	return now >= call->deadline_ns ? 0 : DAL_MIN(call->deadline_ns - now, max_ns);
}

int dal_call_sleep(struct dal_call *call, uint64_t ns)
{
	uint64_t end = dal_now_ns();

	if (__builtin_add_overflow(end, ns, &end))
		end = UINT64_MAX;
	for (;;) {
		uint64_t now, nap;
		struct timespec ts;
		int r = dal_call_check(call);

		if (r < 0)
			return r;
		now = dal_now_ns();
		if (now >= end)
			return 0;
		nap = dal_call_remaining(call, end - now);
		if (call->cancel)
			nap = DAL_MIN(nap, CANCEL_POLL_NS);
		ts.tv_sec = (time_t)(nap / DAL_NS_PER_S);
		ts.tv_nsec = (long)(nap % DAL_NS_PER_S);
		clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
	}
}
