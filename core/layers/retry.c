/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Retry: repeats an operation that failed for a passing reason.
 *
 *   wait     random between 0 and min_delay * 2^n, at most max_delay (full jitter: callers that failed
 * together do not come back together); what the server asked for with Retry-After, when that is longer bounds
 * tries, the caller's deadline, and a total of its own, so that a call without a deadline ends too. A wait
 *            that would pass the deadline is not begun: the failure is reported at once
 *   result   of spent tries is the last failure, now persistent, so that nobody above tries again
 *
 * It sits outside limit and timeout: a waiting call holds no slot, and each try gets its own time. Only what
 * can be done twice is: a failed append may have happened. Services see call->attempt and resolve what their
 * first try may have done. A batch of deletes repeats only the names that remain.
 */

#include "core/layers/layers.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/layers/retry-private.h"
#include "core/log.h"

/* A store that cannot be reached at all should say so soon. */
#define PROBE_TRIES 2

struct retry {
	struct dal_layer layer;
	struct dal_retry_policy policy; /* constant */
};

static uint64_t random_below(uint64_t n)
{
	uint64_t v;

	if (getrandom(&v, sizeof(v), GRND_NONBLOCK) != sizeof(v))
		v = dal_now_ns() * 0x9e3779b97f4a7c15u;
	return n ? v % n : 0;
}

static uint64_t backoff(const struct dal_retries *t, uint64_t asked_ns)
{
	uint64_t ceiling = t->policy->min_ns;
	unsigned i;

	for (i = 0; i < t->failed && ceiling < t->policy->max_ns; i++)
		ceiling *= 2;
	ceiling = DAL_MIN(ceiling, t->policy->max_ns);
	if (!asked_ns)
		return random_below(ceiling + 1);
	/* Not all of those who were told the same second should meet in it. */
	return asked_ns + random_below(t->policy->min_ns + 1);
}

void dal_retries_begin(struct dal_retries *t, const struct dal_retry_policy *policy, struct dal_call *call,
	uint64_t extra_ns)
{
	*t = (struct dal_retries){
		.policy = policy,
		.max = policy->max,
		.caller_deadline = call->deadline_ns,
		.caller_attempt = call->attempt,
		.until = UINT64_MAX,
	};
	if (!policy->total_ns)
		return;
	t->until = dal_now_ns() + policy->total_ns;
	if (!call->deadline_ns || t->until + extra_ns < call->deadline_ns)
		call->deadline_ns = t->until + extra_ns;
}

void dal_retries_progress(struct dal_retries *t)
{
	t->failed = 0;
	if (t->policy->total_ns)
		t->until = dal_now_ns() + t->policy->total_ns;
}

int dal_retries_end(struct dal_retries *t, struct dal_call *call, int r)
{
	call->deadline_ns = t->caller_deadline;
	call->attempt = t->caller_attempt;
	return r;
}

/* The failure when no more tries follow. */
static int give_up(struct dal_retries *t, struct dal_call *call, const char *why)
{
	call->err.retry = DAL_PERSISTENT;
	return dal_call_context(call, -(int)call->err.kind, "gave up after %u %s%s", t->failed + 1,
		t->failed ? "tries" : "try", why);
}

/* A try that failed for good: the cause of an earlier one says more than that time ran out in this one. */
static int fail_finally(struct dal_retries *t, struct dal_call *call, int r)
{
	if (r != -DAL_TIMED_OUT)
		return r;
	if (t->failed)
		call->err = t->last;
	return give_up(t, call, ", the time for it has run out");
}

int dal_retries_again(
	struct dal_retries *t, struct dal_call *call, int r, const char *operation, const char *path)
{
	uint64_t wait;

	if (call->err.retry != DAL_TEMPORARY)
		return fail_finally(t, call, r);
	if (t->failed >= t->max)
		return give_up(t, call, "");
	wait = backoff(t, call->err.retry_after_ns);
	if (dal_now_ns() + wait >= DAL_MIN(t->until, call->deadline_ns ? call->deadline_ns : UINT64_MAX))
		return give_up(t, call,
			call->err.retry_after_ns ? ", the store asks to wait longer than there is time" : "");
	t->last = call->err;
	t->failed++;
	dal_log(DAL_LOG_INFO, "%s \"%s\": %s; again in %.0f ms (try %u of %u)", operation, path, t->last.msg,
		(double)wait / (double)DAL_NS_PER_MS, t->failed + 1, t->max + 1);
	r = dal_call_sleep(call, wait);
	if (r < 0)
		return dal_call_context(call, r, "after \"%.200s\"", t->last.msg);
	call->attempt = t->caller_attempt + t->failed;
	return 0;
}

static int try_all(
	struct dal_retries *t, struct dal_backend *next, struct dal_call *call, const struct dal_operation *o)
{
	for (;;) {
		int r = dal_operation_invoke(next, call, o);

		if (r == 0)
			return 0;
		r = dal_retries_again(t, call, r, dal_opcode_name(o->code), o->path);
		if (r < 0)
			return r;
	}
}

/* The names of a batch that are not gone yet. */
struct remaining {
	const char **paths; /* owned list of borrowed names */
	size_t *index; /* owned; where each is in the caller's list */
	bool *failed; /* owned */
	size_t n;
};

/* Keeps the names whose deletion failed; all of them when none is named. */
static void keep_failed(struct remaining *left)
{
	bool told = memchr(left->failed, true, left->n) != NULL;
	size_t i, n = 0;

	for (i = 0; i < left->n; i++) {
		if (told && !left->failed[i])
			continue;
		left->paths[n] = left->paths[i];
		left->index[n++] = left->index[i];
	}
	left->n = n;
}

static int try_batch(
	struct dal_retries *t, struct dal_backend *next, struct dal_call *call, struct remaining *left)
{
	for (;;) {
		struct dal_operation o = { .code = DAL_OP_DELETE_MANY, .path = left->paths[0] };
		int r;

		o.u.delete_many.paths = left->paths;
		o.u.delete_many.n = left->n;
		o.u.delete_many.failed = left->failed;
		memset(left->failed, 0, left->n);
		r = dal_operation_invoke(next, call, &o);
		if (r == 0) {
			left->n = 0;
			return 0;
		}
		keep_failed(left);
		r = dal_retries_again(t, call, r, "delete_many", left->paths[0]);
		if (r < 0)
			return r;
	}
}

static int delete_many(
	struct dal_retries *t, struct dal_backend *next, struct dal_call *call, const struct dal_operation *o)
{
	DAL_CLEANUP(dal_mem_freep) const char **paths = calloc(o->u.delete_many.n, sizeof(*paths));
	DAL_CLEANUP(dal_mem_freep) size_t *index = calloc(o->u.delete_many.n, sizeof(*index));
	DAL_CLEANUP(dal_mem_freep) bool *failed = calloc(o->u.delete_many.n, sizeof(*failed));
	struct remaining left = { paths, index, failed, o->u.delete_many.n };
	size_t i;
	int r;

	if (!paths || !index || !failed)
		return dal_fail_nomem(call);
	for (i = 0; i < left.n; i++) {
		paths[i] = o->u.delete_many.paths[i];
		index[i] = i;
	}
	r = try_batch(t, next, call, &left);
	memset(o->u.delete_many.failed, 0, o->u.delete_many.n);
	for (i = 0; i < left.n; i++)
		o->u.delete_many.failed[index[i]] = true;
	return r;
}

static int retry_around(struct dal_layer *l, struct dal_call *call, const struct dal_operation *o)
{
	const struct retry *retry = dal_container_of(l, struct retry, layer);
	struct dal_retries t;
	int r;

	dal_retries_begin(&t, &retry->policy, call, dal_operation_slow_ns(o));
	if (o->code == DAL_OP_PROBE)
		t.max = DAL_MIN(t.max, PROBE_TRIES - 1u);
	if (!dal_operation_repeatable(o))
		t.max = 0;
	r = o->code == DAL_OP_DELETE_MANY ? delete_many(&t, l->b.next, call, o)
					  : try_all(&t, l->b.next, call, o);
	dal_retries_end(&t, call, r);
	if (r == 0 && o->code == DAL_OP_READ)
		r = dal_retry_stream(call, &retry->policy, l->b.next, o, o->u.read.ret_stream);
	return r;
}

static void retry_free(struct dal_layer *l)
{
	free(dal_container_of(l, struct retry, layer));
}

static const struct dal_layer_ops retry_ops = { "retry", retry_around, retry_free };

int dal_layer_retry(struct dal_call *call, const struct dal_config *cfg, struct dal_backend *next,
	struct dal_backend **ret_b)
{
	struct retry *retry = calloc(1, sizeof(*retry));

	if (!retry)
		return dal_fail_nomem(call);
	retry->policy.max = (unsigned)DAL_MIN(dal_config_u64(cfg, "retry_max"), (uint64_t)1000);
	retry->policy.min_ns = DAL_MIN(dal_config_u64(cfg, "retry_min_delay"), 3600 * DAL_NS_PER_S);
	retry->policy.max_ns = DAL_MIN(dal_config_u64(cfg, "retry_max_delay"), 3600 * DAL_NS_PER_S);
	retry->policy.total_ns = DAL_MIN(dal_config_u64(cfg, "retry_total"), 86400 * DAL_NS_PER_S);
	dal_layer_init(&retry->layer, &retry_ops, next);
	*ret_b = &retry->layer.b;
	return 0;
}
