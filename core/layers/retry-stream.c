/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A download that survives breaks. It knows how many bytes it has delivered and which version they were of;
 * after a break it asks for the rest of that version, and compares what answers with what it began with,
 * since a server may ignore a condition. A store that tells neither etag nor time cannot be gone on with: a
 * mix of two versions would not show.
 *
 *   reading --break--> broken --wait, ask for the rest--> reading
 *                        '--tries or time spent, or the object changed--> failure
 *
 * Bytes that arrive start the tries anew: what is bounded is time and tries without progress.
 */

#include "core/layers/retry-private.h"

#include <stdlib.h>
#include <string.h>

/* Read from below at a time, so that a break inside costs at most so much when the service cannot tell how
 * far it came. */
#define CHUNK (256 * DAL_KIB)
#define SLOW_READ (256 * DAL_KIB)

struct retry_stream {
	struct dal_stream s;
	struct dal_stream *inner; /* owned; NULL when broken */
	struct dal_backend *next; /* borrowed from the layer, which outlives all streams */
	const struct dal_retry_policy *policy; /* the same */
	char *path; /* owned */
	char *asked_version; /* owned; what the caller asked for, or NULL */
	char *etag; /* owned; of the version that was begun, or NULL */
	int64_t mtime_ns;
	uint64_t pos; /* bytes delivered */
};

static bool same_version(const struct retry_stream *t, const struct dal_meta *meta)
{
	if (t->etag && meta->etag)
		return strcmp(t->etag, meta->etag) == 0;
	return t->mtime_ns && t->mtime_ns == meta->mtime_ns;
}

/* Checks that @again is the rest of what was begun. */
static int check_rest(const struct retry_stream *t, struct dal_call *call, const struct dal_stream *again)
{
	if (!same_version(t, &again->meta) ||
		(t->s.meta.has_size && again->meta.has_size && t->s.meta.size != again->meta.size))
		return dal_fail(call, DAL_CONDITION_NOT_MATCH, "%s: changed while it was read", t->path);
	if (again->off != t->s.off + t->pos || again->len != t->s.len - t->pos)
		return dal_fail(call, DAL_UNEXPECTED,
			"%s: the store sent another range than the rest that was asked for", t->path);
	return 0;
}

static int reopen(struct retry_stream *t, struct dal_call *call)
{
	struct dal_read_args args = {
		.off = t->s.off + t->pos, .len = t->s.len - t->pos, .version = t->asked_version
	};
	DAL_CLEANUP(dal_stream_closep) struct dal_stream *again = NULL;
	struct dal_operation o = { .code = DAL_OP_READ, .path = t->path };
	int r;

	if (t->etag && dal_layer_bottom(t->next)->cap.read_if_match)
		args.if_match = t->etag;
	o.u.read.args = &args;
	o.u.read.ret_stream = &again;
	r = dal_operation_invoke(t->next, call, &o);
	if (r == 0)
		r = check_rest(t, call, again);
	if (r < 0)
		return r;
	t->inner = dal_take(&again);
	return 0;
}

/* One piece: from the stream at hand, or from a new one. */
static int read_piece(struct retry_stream *t, struct dal_call *call, char *buf, size_t len, size_t *ret_n)
{
	int r = t->inner ? 0 : reopen(t, call);

	*ret_n = 0;
	if (r < 0)
		return r;
	r = dal_stream_read(t->inner, call, buf, len, ret_n);
	t->pos += *ret_n;
	if (r == 0 && *ret_n < len)
		r = dal_fail_temporary(call, DAL_UNEXPECTED, "%s: the body ended %llu bytes early", t->path,
			(unsigned long long)(t->s.len - t->pos));
	if (r < 0)
		t->inner = dal_stream_close(t->inner);
	return r;
}

static int read_all(struct retry_stream *t, struct dal_retries *tries, struct dal_call *call, char *buf,
	size_t len, size_t *ret_n)
{
	while (*ret_n < len) {
		size_t n;
		int r = read_piece(t, call, buf + *ret_n, DAL_MIN(len - *ret_n, (size_t)CHUNK), &n);

		*ret_n += n;
		if (n > 0)
			dal_retries_progress(tries);
		if (r == 0)
			continue;
		if (call->err.retry == DAL_TEMPORARY && !t->etag && !t->mtime_ns) {
			call->err.retry = DAL_PERSISTENT;
			return r;
		}
		r = dal_retries_again(tries, call, r, "read", t->path);
		if (r < 0)
			return r;
	}
	return 0;
}

static int retry_read(struct dal_stream *s, struct dal_call *call, void *buf, size_t len, size_t *ret_n)
{
	struct retry_stream *t = dal_container_of(s, struct retry_stream, s);
	struct dal_retries tries;
	int r;

	/* Behind the end: only what is there already counts, to show a store that sends too much. */
	if (t->pos == s->len)
		return t->inner ? dal_stream_read(t->inner, call, buf, len, ret_n) : 0;
	len = (size_t)DAL_MIN((uint64_t)len, s->len - t->pos);
	dal_retries_begin(&tries, t->policy, call, (uint64_t)len / SLOW_READ * DAL_NS_PER_S);
	r = read_all(t, &tries, call, buf, len, ret_n);
	return dal_retries_end(&tries, call, r);
}

static void retry_close(struct dal_stream *s)
{
	struct retry_stream *t = dal_container_of(s, struct retry_stream, s);

	dal_stream_close(t->inner);
	free(t->path);
	free(t->asked_version);
	free(t->etag);
	dal_meta_done(&s->meta);
	free(t);
}

static const struct dal_stream_ops retry_stream_ops = { .read = retry_read, .close = retry_close };

int dal_retry_stream(struct dal_call *call, const struct dal_retry_policy *policy, struct dal_backend *next,
	const struct dal_operation *read, struct dal_stream **stream)
{
	struct retry_stream *t = calloc(1, sizeof(*t));
	struct dal_stream *inner = dal_take(stream);

	if (!t) {
		dal_stream_close(inner);
		return dal_fail_nomem(call);
	}
	t->s = (struct dal_stream){ &retry_stream_ops, inner->meta, inner->off, inner->len };
	inner->meta = (struct dal_meta){ 0 };
	t->inner = inner;
	t->next = next;
	t->policy = policy;
	t->path = strdup(read->path);
	t->asked_version = dal_strdup(read->u.read.args->version);
	t->etag = dal_strdup(t->s.meta.etag);
	t->mtime_ns = t->s.meta.mtime_ns;
	if (!t->path || (read->u.read.args->version && !t->asked_version) || (t->s.meta.etag && !t->etag)) {
		retry_close(&t->s);
		return dal_fail_nomem(call);
	}
	*stream = &t->s;
	return 0;
}
