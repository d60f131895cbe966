/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The stream callers get: it counts. A store that sends less than it promised, or more, or another range than
 * asked for, fails here, whatever the service did or did not notice.
 */

#include "core/operator-private.h"

#include <assert.h>
#include <stdlib.h>

struct checked_stream {
	struct dal_stream s;
	struct dal_stream *inner; /* owned */
	uint64_t given; /* bytes delivered */
};

/* The stream has given all it promised. That there is nothing behind it costs no network where the length was
 * told. */
static int check_end(struct checked_stream *c, struct dal_call *call)
{
	struct dal_call own = dal_call_child(call);
	size_t n;
	char byte;

	/* A failure here is none: every byte that was promised has come. */
	if (dal_stream_read(c->inner, &own, &byte, 1, &n) < 0 || n == 0)
		return 0;
	return dal_fail(call, DAL_UNEXPECTED, "the store sent more than the %llu bytes it promised",
		(unsigned long long)c->s.len);
}

static int checked_read(struct dal_stream *s, struct dal_call *call, void *buf, size_t len, size_t *ret_n)
{
	struct checked_stream *c = dal_container_of(s, struct checked_stream, s);
	uint64_t left = s->len - c->given;
	size_t n;
	int r;

	if (left == 0)
		return 0;
	len = (size_t)DAL_MIN((uint64_t)len, left);
	r = dal_stream_read(c->inner, call, buf, len, &n);
	assert(r <= 0);
	assert(r == 0 || (int)call->err.kind == -r);
	*ret_n = n;
	c->given += n;
	if (r < 0)
		return r;
	if (n < len)
		return dal_fail_temporary(call, DAL_UNEXPECTED, "the body ended %llu bytes early",
			(unsigned long long)(s->len - c->given));
	return c->given == s->len ? check_end(c, call) : 0;
}

static void checked_close(struct dal_stream *s)
{
	struct checked_stream *c = dal_container_of(s, struct checked_stream, s);

	dal_stream_close(c->inner);
	dal_meta_done(&s->meta);
	free(c);
}

static const struct dal_stream_ops checked_ops = { .read = checked_read, .close = checked_close };

/* What @inner says about itself must fit what was asked for. */
static int check_range(struct dal_call *call, const char *path, const struct dal_read_args *args,
	const struct dal_stream *inner)
{
	uint64_t size = inner->meta.size, want;

	if (inner->off != args->off && inner->len > 0)
		return dal_fail(call, DAL_UNEXPECTED,
			"%s: asked for bytes from %llu, the store sends them from %llu", path,
			(unsigned long long)args->off, (unsigned long long)inner->off);
	if (inner->len > args->len)
		return dal_fail(call, DAL_UNEXPECTED, "%s: asked for %llu bytes, the store sends %llu", path,
			(unsigned long long)args->len, (unsigned long long)inner->len);
	if (!inner->meta.has_size)
		return 0;
	want = args->off >= size ? 0 : DAL_MIN(args->len, size - args->off);
	if (inner->len != want)
		return dal_fail(call, DAL_UNEXPECTED,
			"%s: asked for %llu bytes from %llu of %llu, the store sends %llu", path,
			(unsigned long long)want, (unsigned long long)args->off, (unsigned long long)size,
			(unsigned long long)inner->len);
	return 0;
}

int dal_operator_checked_stream(struct dal_call *call, const char *path, const struct dal_read_args *args,
	struct dal_stream *inner, struct dal_stream **ret_stream)
{
	struct checked_stream *c;
	int r = check_range(call, path, args, inner);

	c = r == 0 ? calloc(1, sizeof(*c)) : NULL;
	if (r == 0 && !c)
		r = dal_fail_nomem(call);
	if (r < 0) {
		dal_stream_close(inner);
		return r;
	}
	c->inner = inner;
	c->s.ops = &checked_ops;
	c->s.meta = inner->meta;
	inner->meta = (struct dal_meta){ 0 };
	c->s.off = inner->off;
	c->s.len = inner->len;
	*ret_stream = &c->s;
	return 0;
}
