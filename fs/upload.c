/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An upload's parts are sent by jobs while the program writes, and by a commit. A part is WANTED, SENDING or
 * DONE. Each sender sends what the file was when it took the part up; `stale` says that the file has changed
 * there since, so the part counts for a commit that began before the change and for no later one.
 *
 * The file and every job hold a reference. Whoever lets the last one go aborts what was not finished.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "fs/file-private.h"

#define ABORT_NS (5 * DAL_NS_PER_S)

static bool dup_text(const char **to, const char *from)
{
	*to = dal_strdup(from);
	return *to || !from;
}

static bool dup_args(struct dal_up *up, const struct dal_write_args *args)
{
	up->args.if_not_exists = args->if_not_exists;
	if (args->posix) {
		up->posix = *args->posix;
		up->args.posix = &up->posix;
	}
	if (args->user) {
		if (!dal_pairs_dup(&up->user, args->user))
			return false;
		up->args.user = &up->user;
	}
	return dup_text(&up->args.content_type, args->content_type) &&
	       dup_text(&up->args.cache_control, args->cache_control) &&
	       dup_text(&up->args.content_disposition, args->content_disposition) &&
	       dup_text(&up->args.content_encoding, args->content_encoding) &&
	       dup_text(&up->args.if_match, args->if_match);
}

static void up_free(struct dal_up *up)
{
	free(up->path);
	free(up->id);
	free((char *)up->args.content_type);
	free((char *)up->args.cache_control);
	free((char *)up->args.content_disposition);
	free((char *)up->args.content_encoding);
	free((char *)up->args.if_match);
	dal_pairs_done(&up->user);
	dal_cobj_unref(up->base);
	free(up->v);
	free(up);
}

struct dal_up *dal_up_new(const struct dal_commit *how, bool conditional)
{
	struct dal_up *up = calloc(1, sizeof(*up));

	if (!up)
		return NULL;
	up->refs = 1;
	up->exclusive = how->exclusive;
	up->conditional = conditional;
	up->path = dal_strdup(how->path);
	if (!up->path || (how->args && !dup_args(up, how->args))) {
		up_free(up);
		return NULL;
	}
	return up;
}

struct dal_commit dal_up_how(const struct dal_up *up)
{
	return (struct dal_commit){ .path = up->path, .args = &up->args, .exclusive = up->exclusive };
}

void dal_up_ref_locked(struct dal_up *up)
{
	up->refs++;
}

/* Aborting */

struct abort_job {
	struct dal_file *f; /* borrowed: waits for its jobs before it goes */
	struct dal_up *up; /* owned */
};

static void abort_now(struct dal_file *f, struct dal_up *up)
{
	struct dal_call call = dal_call_within(ABORT_NS);
	int r = dal_op_multipart_abort(f->env->op, &call, up->path, up->id);

	if (r < 0 && r != -DAL_NOT_FOUND)
		dal_log(DAL_LOG_WARN, "%s: an unfinished upload is left in the store: %s", up->path,
			call.err.msg);
	up_free(up);
}

static void abort_job(void *arg)
{
	struct abort_job *job = arg;
	struct dal_file *f = job->f;

	abort_now(f, job->up);
	free(job);
	pthread_mutex_lock(&f->lock);
	f->jobs--;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

void dal_up_unref_locked(struct dal_file *f, struct dal_up *up)
{
	struct abort_job *job;

	assert(up->refs > 0);
	if (--up->refs > 0)
		return;
	if (!up->id || up->finished || up->lost) {
		up_free(up);
		return;
	}
	job = malloc(sizeof(*job));
	if (job) {
		*job = (struct abort_job){ f, up };
		f->jobs++;
		if (dal_workers_submit(f->env->uploads, abort_job, job))
			return;
		f->jobs--;
		free(job);
	}
	/* No memory for a job: rather an upload left behind, which is swept one day, than a wait under the
	 * lock. */
	dal_log(DAL_LOG_WARN, "%s: an unfinished upload is left in the store: out of memory", up->path);
	up_free(up);
}

void dal_file_drop_up_locked(struct dal_file *f)
{
	if (!f->up)
		return;
	dal_up_unref_locked(f, dal_take(&f->up));
}

int dal_up_quiet_locked(struct dal_file *f, struct dal_call *call)
{
	struct dal_call wait = { .cancel = call->cancel };

	while (f->up && (f->up->sending > 0 || f->up->beginning))
		if (dal_file_wait_locked(f, &wait, DAL_NS_PER_S) < 0)
			return dal_call_fail_as(call, &wait.err);
	return 0;
}

/* Parts */

static bool reserve_parts(struct dal_up *up, size_t n)
{
	struct dal_upart *v;
	size_t cap;

	if (n <= up->cap)
		return true;
	cap = DAL_MAX(n, up->cap + up->cap / 2);
	v = reallocarray(up->v, cap, sizeof(*v));
	if (!v)
		return false;
	up->v = v;
	up->cap = cap;
	return true;
}

int dal_up_plan_locked(
	struct dal_up *up, struct dal_call *call, const struct dal_plan_part *plan, size_t n, bool keep_sent)
{
	size_t i;

	assert(up->sending == 0);
	if (!reserve_parts(up, n))
		return dal_fail_nomem(call);
	for (i = 0; i < n; i++) {
		struct dal_upart *p = &up->v[i];

		if (keep_sent && i < up->n && p->state == DAL_PART_DONE && !p->stale &&
			p->part.off == plan[i].off && p->part.len == plan[i].len && p->copy == plan[i].copy)
			continue;
		*p = (struct dal_upart){ .copy = plan[i].copy, .state = DAL_PART_WANTED };
		p->part.number = (unsigned)i + 1;
		p->part.off = plan[i].off;
		p->part.len = plan[i].len;
	}
	up->n = n;
	up->planned = true;
	return 0;
}

void dal_up_touch_locked(struct dal_up *up, uint64_t off, uint64_t end)
{
	size_t lo = 0, hi = up->n;

	/* Streams grow at the end, behind all parts there are. */
	if (up->n == 0 || up->v[up->n - 1].part.off + up->v[up->n - 1].part.len <= off)
		return;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (up->v[mid].part.off + up->v[mid].part.len <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < up->n && up->v[lo].part.off < end; lo++)
		up->v[lo].stale = true;
}

void dal_up_trim_locked(struct dal_up *up, const struct dal_plan_limits *l, uint64_t size)
{
	while (up->n > 0) {
		const struct dal_upart *last = &up->v[up->n - 1];

		if (last->state == DAL_PART_SENDING)
			break;
		if (last->part.off < size && last->part.len == dal_plan_stream_len(l, up->n - 1))
			break;
		up->n--;
	}
	up->next = 0;
	up->dropped = DAL_MIN(up->dropped, up->n);
	up->planned = false;
}

static int send_copy(struct dal_file *f, struct dal_up *up, struct dal_snapshot *s, struct dal_call *call,
	struct dal_part *part)
{
	/* Where the store does not check the source's version, completing does, or a look at it before. */
	const char *etag = f->cap->copy_if_match ? dal_cobj_etag(s->base) : NULL;

	return dal_op_multipart_copy(
		f->env->op, call, up->path, up->id, dal_cobj_path(s->base), part->off, etag, part);
}

static int send_bytes(struct dal_file *f, struct dal_up *up, struct dal_snapshot *s, struct dal_call *call,
	struct dal_part *part)
{
	struct dal_payload payload;
	int r = dal_payload_make(s, call, part->off, part->len, false, &payload);

	if (r < 0)
		return r;
	r = dal_op_multipart_part(f->env->op, call, up->path, up->id, &payload.body, part);
	dal_payload_done(&payload);
	return r;
}

int dal_up_send(
	struct dal_file *f, struct dal_up *up, size_t i, struct dal_snapshot *s, struct dal_call *call)
{
	struct dal_call step;
	struct dal_part part;
	bool copy;
	int r;

	pthread_mutex_lock(&f->lock);
	assert(i < up->n && up->v[i].state == DAL_PART_SENDING);
	part = up->v[i].part;
	copy = up->v[i].copy;
	pthread_mutex_unlock(&f->lock);
	step = dal_file_step(f, call, part.len);
	r = copy ? send_copy(f, up, s, &step, &part) : send_bytes(f, up, s, &step, &part);
	if (r < 0)
		dal_call_fail_as(call, &step.err);
	pthread_mutex_lock(&f->lock);
	up->v[i].state = r < 0 ? DAL_PART_WANTED : DAL_PART_DONE;
	if (r == 0)
		up->v[i].part = part;
	up->sending--;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
	return r;
}
