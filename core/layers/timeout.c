/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Timeout: one try of an operation gets so much time, more when it moves many bytes. It sits inside retry, so
 * that each try gets its own, and only brings the call's deadline closer while the service runs: who waits
 * there looks at the deadline, nobody is interrupted. A try that ran out of its own time, while the caller's
 * has not, may be repeated: a stalled server often answers the next time.
 */

#include "core/layers/layers.h"

#include <stdlib.h>

#include "core/operation.h"

/* Slowest sound download: a read of many bytes gets time in proportion. */
#define SLOW_READ (256 * DAL_KIB)

struct timeout {
	struct dal_layer layer;
	uint64_t ns; /* constant */
};

struct timed_stream {
	struct dal_stream s;
	struct dal_stream *inner; /* owned */
	uint64_t ns; /* for one read, bytes aside */
};

/* Brings the deadline closer; returns the old one. */
static uint64_t narrow(struct dal_call *call, uint64_t ns)
{
	uint64_t before = call->deadline_ns, mine = dal_now_ns() + ns;

	if (!before || mine < before)
		call->deadline_ns = mine;
	return before;
}

/* Restores the deadline, and says of a try that ran out of time whether it can be repeated. */
static int widen(struct dal_call *call, uint64_t before, uint64_t ns, const char *what, int r)
{
	bool mine = call->deadline_ns != before;

	call->deadline_ns = before;
	if (r != -DAL_TIMED_OUT || !mine || call->err.retry != DAL_PERMANENT)
		return r;
	return dal_fail_temporary(call, DAL_TIMED_OUT, "%s: no answer within %.3g s (option timeout)", what,
		(double)ns / (double)DAL_NS_PER_S);
}

static int timed_read(struct dal_stream *s, struct dal_call *call, void *buf, size_t len, size_t *ret_n)
{
	struct timed_stream *t = dal_container_of(s, struct timed_stream, s);
	uint64_t ns = t->ns + (uint64_t)len / SLOW_READ * DAL_NS_PER_S;
	uint64_t before = narrow(call, ns);
	int r = dal_stream_read(t->inner, call, buf, len, ret_n);

	return widen(call, before, ns, "download", r);
}

static void timed_close(struct dal_stream *s)
{
	struct timed_stream *t = dal_container_of(s, struct timed_stream, s);

	dal_stream_close(t->inner);
	dal_meta_done(&s->meta);
	free(t);
}

static const struct dal_stream_ops timed_ops = { .read = timed_read, .close = timed_close };

static int time_stream(struct dal_call *call, uint64_t ns, struct dal_stream **stream)
{
	struct timed_stream *t = calloc(1, sizeof(*t));

	if (!t) {
		*stream = dal_stream_close(*stream);
		return dal_fail_nomem(call);
	}
	t->inner = *stream;
	t->ns = ns;
	t->s = (struct dal_stream){ &timed_ops, t->inner->meta, t->inner->off, t->inner->len };
	t->inner->meta = (struct dal_meta){ 0 };
	*stream = &t->s;
	return 0;
}

static int timeout_around(struct dal_layer *l, struct dal_call *call, const struct dal_operation *o)
{
	const struct timeout *t = dal_container_of(l, struct timeout, layer);
	uint64_t ns = t->ns + dal_operation_slow_ns(o);
	uint64_t before = narrow(call, ns);
	int r = dal_operation_invoke(l->b.next, call, o);

	r = widen(call, before, ns, o->path, r);
	if (r == 0 && o->code == DAL_OP_READ)
		r = time_stream(call, t->ns, o->u.read.ret_stream);
	return r;
}

static void timeout_free(struct dal_layer *l)
{
	free(dal_container_of(l, struct timeout, layer));
}

static const struct dal_layer_ops timeout_ops = { "timeout", timeout_around, timeout_free };

int dal_layer_timeout(struct dal_call *call, const struct dal_config *cfg, struct dal_backend *next,
	struct dal_backend **ret_b)
{
	struct timeout *t = calloc(1, sizeof(*t));

	if (!t)
		return dal_fail_nomem(call);
	t->ns = dal_config_u64(cfg, "timeout");
	dal_layer_init(&t->layer, &timeout_ops, next);
	*ret_b = &t->layer.b;
	return 0;
}
