/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Limit: a counting semaphore over operations. It sits inside retry, so that a call that waits to try again
 * holds no slot. A download holds its slot until it is closed: it is a connection in use. Who waits for a
 * slot does so until the deadline or a cancel.
 */

#include "core/layers/layers.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "core/operation.h"

/* How often one who waits looks at the cancel flag. */
#define CANCEL_POLL_NS (50 * DAL_NS_PER_MS)

struct limit {
	struct dal_layer layer;
	pthread_mutex_t lock;
	pthread_cond_t freed; /* on CLOCK_MONOTONIC */
	uint64_t free; /* guarded by lock */
};

struct limited_stream {
	struct dal_stream s;
	struct dal_stream *inner; /* owned */
	struct limit *limit; /* borrowed from the layer, which outlives all streams */
};

static int wait_locked(struct limit *l, struct dal_call *call)
{
	while (l->free == 0) {
		uint64_t until;
		struct timespec ts;
		int r = dal_call_check(call);

		if (r < 0)
			return dal_call_context(
				call, r, "waiting for other operations (option max_concurrency)");
		until = dal_now_ns() + dal_call_remaining(call, call->cancel ? CANCEL_POLL_NS : DAL_NS_PER_S);
		ts.tv_sec = (time_t)(until / DAL_NS_PER_S);
		ts.tv_nsec = (long)(until % DAL_NS_PER_S);
		pthread_cond_timedwait(&l->freed, &l->lock, &ts);
	}
	l->free--;
	return 0;
}

static int take_slot(struct limit *l, struct dal_call *call)
{
	int r;

	pthread_mutex_lock(&l->lock);
	r = wait_locked(l, call);
	pthread_mutex_unlock(&l->lock);
	return r;
}

static void give_slot(struct limit *l)
{
	pthread_mutex_lock(&l->lock);
	l->free++;
	pthread_cond_signal(&l->freed);
	pthread_mutex_unlock(&l->lock);
}

static int limited_read(struct dal_stream *s, struct dal_call *call, void *buf, size_t len, size_t *ret_n)
{
	return dal_stream_read(dal_container_of(s, struct limited_stream, s)->inner, call, buf, len, ret_n);
}

static void limited_close(struct dal_stream *s)
{
	struct limited_stream *t = dal_container_of(s, struct limited_stream, s);

	dal_stream_close(t->inner);
	give_slot(t->limit);
	dal_meta_done(&s->meta);
	free(t);
}

static const struct dal_stream_ops limited_ops = { .read = limited_read, .close = limited_close };

/* Gives the slot to the stream, which gives it back when it is closed. */
static int limit_stream(struct limit *l, struct dal_call *call, struct dal_stream **stream)
{
	struct limited_stream *t = calloc(1, sizeof(*t));

	if (!t) {
		*stream = dal_stream_close(*stream);
		give_slot(l);
		return dal_fail_nomem(call);
	}
	t->inner = *stream;
	t->limit = l;
	t->s = (struct dal_stream){ &limited_ops, t->inner->meta, t->inner->off, t->inner->len };
	t->inner->meta = (struct dal_meta){ 0 };
	*stream = &t->s;
	return 0;
}

static int limit_around(struct dal_layer *layer, struct dal_call *call, const struct dal_operation *o)
{
	struct limit *l = dal_container_of(layer, struct limit, layer);
	int r = take_slot(l, call);

	if (r < 0)
		return r;
	r = dal_operation_invoke(layer->b.next, call, o);
	if (r == 0 && o->code == DAL_OP_READ)
		return limit_stream(l, call, o->u.read.ret_stream);
	give_slot(l);
	return r;
}

static void limit_free(struct dal_layer *layer)
{
	struct limit *l = dal_container_of(layer, struct limit, layer);

	pthread_cond_destroy(&l->freed);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static const struct dal_layer_ops limit_ops = { "limit", limit_around, limit_free };

int dal_layer_limit(struct dal_call *call, const struct dal_config *cfg, struct dal_backend *next,
	struct dal_backend **ret_b)
{
	struct limit *l = calloc(1, sizeof(*l));
	pthread_condattr_t attr;

	if (!l)
		return dal_fail_nomem(call);
	l->free = dal_config_u64(cfg, "max_concurrency");
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->freed, &attr);
	pthread_condattr_destroy(&attr);
	dal_layer_init(&l->layer, &limit_ops, next);
	*ret_b = &l->layer.b;
	return 0;
}
