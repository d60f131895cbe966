/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Chaos, for tests: what the layers above must survive. A share of the operations fails before the store saw
 * it, or after the store did it (the answer was lost), or takes a little longer; a share of the downloads
 * breaks somewhere. All failures are temporary. The n-th operation of a seed has the same fate every time;
 * with one thread that is a whole run.
 *
 * An answer is never lost where a repeated try cannot know its own first success (appends, conditions) unless
 * the operation is named in chaos_ops: services resolve that, layers cannot.
 */

#include "core/layers/layers.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/operation.h"

#define PPM 1000000u
#define DELAY_MAX_NS (20 * DAL_NS_PER_MS)

struct chaos {
	struct dal_layer layer;
	uint64_t seed;
	uint32_t rate; /* of a million */
	bool all; /* chaos_ops was not given */
	bool chosen[DAL_OPCODES]; /* constant, like the three above */
	atomic_uint_fast64_t count; /* operations and streams so far */
};

struct breaking_stream {
	struct dal_stream s;
	struct dal_stream *inner; /* owned */
	uint64_t left; /* bytes until it breaks */
};

enum fate {
	FATE_NONE,
	FATE_BEFORE,
	FATE_AFTER,
	FATE_DELAY,
};

/* SplitMix64: a good number from each of consecutive ones. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static uint64_t draw(struct chaos *c)
{
	return mix(c->seed ^ mix(atomic_fetch_add(&c->count, 1)));
}

static enum fate fate_of(const struct chaos *c, uint64_t number, const struct dal_operation *o)
{
	static const enum fate fates[] = { FATE_BEFORE, FATE_AFTER, FATE_DELAY, FATE_BEFORE };
	enum fate fate;

	if (!c->all && !c->chosen[o->code])
		return FATE_NONE;
	if (number % PPM >= c->rate)
		return FATE_NONE;
	fate = fates[(number >> 32) % DAL_COUNT_OF(fates)];
	if (fate == FATE_AFTER && c->all && (!dal_operation_repeatable(o) || dal_operation_conditional(o)))
		return FATE_BEFORE;
	return fate;
}

static int breaking_read(struct dal_stream *s, struct dal_call *call, void *buf, size_t len, size_t *ret_n)
{
	struct breaking_stream *b = dal_container_of(s, struct breaking_stream, s);
	int r;

	if (len <= b->left) {
		r = dal_stream_read(b->inner, call, buf, len, ret_n);
		b->left -= *ret_n;
		return r;
	}
	r = dal_stream_read(b->inner, call, buf, (size_t)b->left, ret_n);
	b->left -= *ret_n;
	return r < 0 ? r : dal_fail_temporary(call, DAL_UNEXPECTED, "chaos: the download broke");
}

static void breaking_close(struct dal_stream *s)
{
	struct breaking_stream *b = dal_container_of(s, struct breaking_stream, s);

	dal_stream_close(b->inner);
	dal_meta_done(&s->meta);
	free(b);
}

static const struct dal_stream_ops breaking_ops = { .read = breaking_read, .close = breaking_close };

/* Lets some downloads break after a part of their bytes. */
static int disturb_stream(struct chaos *c, struct dal_call *call, struct dal_stream **stream)
{
	uint64_t number = draw(c);
	struct breaking_stream *b;

	if (number % PPM >= c->rate || (*stream)->len == 0)
		return 0;
	b = calloc(1, sizeof(*b));
	if (!b) {
		*stream = dal_stream_close(*stream);
		return dal_fail_nomem(call);
	}
	b->inner = *stream;
	b->left = (number >> 20) % b->inner->len;
	b->s = (struct dal_stream){ &breaking_ops, b->inner->meta, b->inner->off, b->inner->len };
	b->inner->meta = (struct dal_meta){ 0 };
	*stream = &b->s;
	return 0;
}

static int chaos_around(struct dal_layer *l, struct dal_call *call, const struct dal_operation *o)
{
	struct chaos *c = dal_container_of(l, struct chaos, layer);
	uint64_t number = draw(c);
	enum fate fate = fate_of(c, number, o);
	const char *name = dal_opcode_name(o->code);
	int r = 0;

	if (fate == FATE_BEFORE)
		return dal_fail_temporary(
			call, DAL_UNEXPECTED, "chaos: %s of %s did not reach the store", name, o->path);
	if (fate == FATE_DELAY)
		r = dal_call_sleep(call, mix(number) % DELAY_MAX_NS);
	if (r == 0)
		r = dal_operation_invoke(l->b.next, call, o);
	if (r < 0)
		return r;
	if (fate == FATE_AFTER) {
		dal_operation_drop_results(o);
		return dal_fail_temporary(
			call, DAL_UNEXPECTED, "chaos: the answer to %s of %s was lost", name, o->path);
	}
	if (o->code == DAL_OP_READ && (c->all || c->chosen[o->code]))
		return disturb_stream(c, call, o->u.read.ret_stream);
	return 0;
}

static void chaos_free(struct dal_layer *l)
{
	free(dal_container_of(l, struct chaos, layer));
}

static const struct dal_layer_ops chaos_ops = { "chaos", chaos_around, chaos_free };

/* "0.05" and "5%" are the same. */
static bool parse_rate(const char *text, uint32_t *ret_ppm)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text)
		return false;
	if (strcmp(end, "%") == 0)
		v /= 100;
	else if (*end)
		return false;
	if (!(v >= 0 && v <= 1))
		return false;
	*ret_ppm = (uint32_t)(v * PPM);
	return true;
}

/* Marks the operations that @list names, separated by ':'. */
static int parse_ops(struct chaos *c, struct dal_call *call, const char *list)
{
	while (*list) {
		size_t len = strcspn(list, ":");
		bool found = false;
		int i;

		for (i = 0; i < DAL_OPCODES; i++) {
			const char *name = dal_opcode_name((enum dal_opcode)i);

			if (strlen(name) == len && memcmp(name, list, len) == 0)
				found = c->chosen[i] = true;
		}
		if (!found)
			return dal_fail(call, DAL_CONFIG_INVALID, "option chaos_ops: no operation \"%.*s\"",
				(int)len, list);
		list += len + (list[len] == ':');
	}
	return 0;
}

int dal_layer_chaos(struct dal_call *call, const struct dal_config *cfg, struct dal_backend *next,
	struct dal_backend **ret_b)
{
	DAL_CLEANUP(dal_mem_freep) struct chaos *c = calloc(1, sizeof(*c));
	const char *ops = dal_config_str(cfg, "chaos_ops");
	int r;

	if (!c)
		return dal_fail_nomem(call);
	if (!parse_rate(dal_config_str(cfg, "chaos_rate"), &c->rate))
		return dal_fail(call, DAL_CONFIG_INVALID,
			"option chaos_rate: \"%.20s\" is no share such as 0.05 or 5%%",
			dal_config_str(cfg, "chaos_rate"));
	r = ops ? parse_ops(c, call, ops) : 0;
	if (r < 0)
		return r;
	c->all = !ops;
	c->seed = dal_config_u64(cfg, "chaos_seed");
	dal_layer_init(&c->layer, &chaos_ops, next);
	dal_log(DAL_LOG_WARN, "chaos: %.2f %% of the operations are disturbed, seed %llu",
		(double)c->rate / (PPM / 100), (unsigned long long)c->seed);
	*ret_b = &dal_take(&c)->layer.b;
	return 0;
}
