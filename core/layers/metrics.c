/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Metrics: what the caller sees, in numbers. One row of relaxed atomics per operation; a reader of the totals
 * gets each number right and the set of them nearly so. Time spent in a stream's reads belongs to "read".
 */

#include "core/layers/layers.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/operation.h"
#include "core/operator.h"

#define JSON_MAX_LEN (16 * DAL_KIB)

struct row {
	atomic_uint_fast64_t calls, errors, bytes_in, bytes_out, ns;
};

struct metrics {
	struct dal_layer layer;
	struct row rows[DAL_OPCODES];
};

struct metered_stream {
	struct dal_stream s;
	struct dal_stream *inner; /* owned */
	struct row *row; /* borrowed from the layer, which outlives all streams */
};

static void add(atomic_uint_fast64_t *counter, uint64_t v)
{
	atomic_fetch_add_explicit(counter, v, memory_order_relaxed);
}

static int metered_read(struct dal_stream *s, struct dal_call *call, void *buf, size_t len, size_t *ret_n)
{
	struct metered_stream *m = dal_container_of(s, struct metered_stream, s);
	uint64_t start = dal_now_ns();
	int r = dal_stream_read(m->inner, call, buf, len, ret_n);

	add(&m->row->ns, dal_now_ns() - start);
	add(&m->row->bytes_in, *ret_n);
	if (r < 0)
		add(&m->row->errors, 1);
	return r;
}

static void metered_close(struct dal_stream *s)
{
	struct metered_stream *m = dal_container_of(s, struct metered_stream, s);

	dal_stream_close(m->inner);
	dal_meta_done(&s->meta);
	free(m);
}

static const struct dal_stream_ops metered_ops = { .read = metered_read, .close = metered_close };

static int meter_stream(struct dal_call *call, struct row *row, struct dal_stream **stream)
{
	struct metered_stream *m = calloc(1, sizeof(*m));

	if (!m) {
		*stream = dal_stream_close(*stream);
		return dal_fail_nomem(call);
	}
	m->inner = *stream;
	m->row = row;
	m->s = (struct dal_stream){ &metered_ops, m->inner->meta, m->inner->off, m->inner->len };
	m->inner->meta = (struct dal_meta){ 0 };
	*stream = &m->s;
	return 0;
}

static int metrics_around(struct dal_layer *l, struct dal_call *call, const struct dal_operation *o)
{
	struct metrics *m = dal_container_of(l, struct metrics, layer);
	struct row *row = &m->rows[o->code];
	uint64_t start = dal_now_ns();
	int r = dal_operation_invoke(l->b.next, call, o);

	add(&row->calls, 1);
	add(&row->ns, dal_now_ns() - start);
	if (r == 0)
		add(&row->bytes_out, dal_operation_bytes_out(o));
	if (r == 0 && o->code == DAL_OP_READ)
		r = meter_stream(call, row, o->u.read.ret_stream);
	if (r < 0)
		add(&row->errors, 1);
	return r;
}

static void metrics_free(struct dal_layer *l)
{
	free(dal_container_of(l, struct metrics, layer));
}

static const struct dal_layer_ops metrics_ops = { "metrics", metrics_around, metrics_free };

int dal_layer_metrics(struct dal_call *call, struct dal_backend *next, struct dal_backend **ret_b)
{
	struct metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return dal_fail_nomem(call);
	dal_layer_init(&m->layer, &metrics_ops, next);
	*ret_b = &m->layer.b;
	return 0;
}

static struct metrics *find(const struct dal_backend *top)
{
	for (; top; top = top->next) {
		struct dal_layer *l = dal_layer_of(top, &metrics_ops);

		if (l)
			return dal_container_of(l, struct metrics, layer);
	}
	return NULL;
}

static void get_row(struct row *row, struct dal_op_counts *ret)
{
	ret->calls = atomic_load_explicit(&row->calls, memory_order_relaxed);
	ret->errors = atomic_load_explicit(&row->errors, memory_order_relaxed);
	ret->bytes_in = atomic_load_explicit(&row->bytes_in, memory_order_relaxed);
	ret->bytes_out = atomic_load_explicit(&row->bytes_out, memory_order_relaxed);
	ret->ns = atomic_load_explicit(&row->ns, memory_order_relaxed);
}

bool dal_layer_metrics_get(const struct dal_backend *top, const char *operation, struct dal_op_counts *ret)
{
	struct metrics *m = find(top);
	int i;

	for (i = 0; m && i < DAL_OPCODES; i++)
		if (strcmp(dal_opcode_name((enum dal_opcode)i), operation) == 0) {
			get_row(&m->rows[i], ret);
			return true;
		}
	return false;
}

char *dal_layer_metrics_json(const struct dal_backend *top)
{
	struct dal_buf json = DAL_BUF_INIT(JSON_MAX_LEN);
	struct metrics *m = find(top);
	bool ok = dal_buf_puts(&json, "{");
	char *text;
	int i;

	for (i = 0; m && i < DAL_OPCODES && ok; i++) {
		struct dal_op_counts c;

		get_row(&m->rows[i], &c);
		ok = dal_buf_printf(&json,
			"%s\"%s\":{\"calls\":%llu,\"errors\":%llu,\"bytes_in\":%llu,\"bytes_out\":%llu,"
			"\"ns\":%llu}",
			i ? "," : "", dal_opcode_name((enum dal_opcode)i), (unsigned long long)c.calls,
			(unsigned long long)c.errors, (unsigned long long)c.bytes_in,
			(unsigned long long)c.bytes_out, (unsigned long long)c.ns);
	}
	ok = ok && dal_buf_puts(&json, "}");
	text = ok ? dal_buf_steal(&json) : NULL;
	dal_buf_done(&json);
	return text;
}
