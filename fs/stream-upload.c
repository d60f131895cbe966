/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Uploading while the program still writes. A file that has no bytes of a base and is written from the front
 * is cut into parts by the schedule of fs/commit-plan.h; a part goes as soon as it is complete, a few at a
 * time, each by a job of its own that ends with its part, so that files take turns. What is not written in
 * order waits for the commit, and so does a part that was written to after it went.
 *
 * Memory of parts that have arrived is kept while there is plenty, for reading back and for rewriting. Then
 * it is let go and the bytes are only in the upload ("gone"): whoever touches them makes the file complete
 * the upload first. An upload that may be refused in the end (it has a condition to meet) keeps its bytes in
 * the spool instead: they are what a conflict copy is made of.
 */

#include <assert.h>
#include <stdlib.h>

#include "core/log.h"
#include "fs/file-private.h"

/* After a failure the stream rests; data waits in memory and spool. */
#define PAUSE_NS (10 * DAL_NS_PER_S)
/* Memory of uploaded parts is kept as long as all dirty data is below this share of the budget. */
#define KEEP_SHARE 8

struct part_job {
	struct dal_file *f; /* borrowed: waits for its jobs before it goes */
	struct dal_up *up; /* a reference */
	size_t i; /* the part; none of it in a job that begins the upload */
	struct dal_snapshot s; /* owned; of the part */
};

static struct dal_call job_call(struct dal_file *f)
{
	struct dal_call call = dal_call_within(0);

	call.cancel = &f->closing;
	return call;
}

/* Takes the memory of part @i, which is in the upload, out of the file. */
static uint64_t drop_part_locked(struct dal_file *f, const struct dal_upart *p)
{
	uint64_t bs = f->blocks.block_size, end = p->part.off + p->part.len, freed = 0;
	size_t from = dal_dirty_index(&f->blocks, p->part.off / bs), i;

	if (p->part.off % bs || end % bs || !dal_extents_covers(&f->dirty, p->part.off, end) ||
		!dal_extents_reserve(&f->gone, 1))
		return 0;
	for (i = from; i < f->blocks.n && f->blocks.v[i]->n * bs < end; i++)
		if (f->blocks.v[i]->data && f->blocks.v[i]->refs == 1)
			freed += f->blocks.v[i]->hi - f->blocks.v[i]->lo;
	dal_dirty_drop(&f->blocks, p->part.off / bs, end / bs);
	dal_extents_add(&f->gone, p->part.off, end);
	return freed;
}

/* True when the file has an upload whose parts can go, and go away, one by one. */
static bool streaming_locked(struct dal_file *f)
{
	struct dal_up *up = f->up;

	if (!up || f->busy || up->lost || f->maybe.path || up->base || f->base_limit > 0)
		return false;
	if (up->planned)
		dal_up_trim_locked(up, &f->limits, f->size);
	return true;
}

uint64_t dal_stream_drop_locked(struct dal_file *f)
{
	struct dal_up *up = f->up;
	uint64_t freed = 0;
	size_t i;

	if (!streaming_locked(f) || up->conditional)
		return 0;
	for (i = up->dropped; i < up->n && freed < DAL_BLOCK_SIZE; i++) {
		const struct dal_upart *p = &up->v[i];

		if (p->state == DAL_PART_DONE && !p->stale)
			freed += drop_part_locked(f, p);
		if (i == up->dropped && dal_extents_covers(&f->gone, p->part.off, p->part.off + p->part.len))
			up->dropped++;
	}
	return freed;
}

/* A failure in the background is not the program's: it is tried again later, and the commit reports what
 * remains. */
static void rest_locked(struct dal_file *f, struct dal_up *up, const struct dal_call *call, int r)
{
	if (atomic_load(&f->closing))
		return;
	if (r == -DAL_NOT_FOUND)
		up->lost = true;
	up->pause_ns = dal_now_ns() + PAUSE_NS;
	dal_log(DAL_LOG_WARN, "%s: uploading while it is written: %s", up->path, call->err.msg);
}

/* The end of every job: the last thing it does with the file. */
static void job_done_locked(struct dal_file *f, struct part_job *job)
{
	dal_up_unref_locked(f, job->up);
	free(job);
	dal_stream_kick_locked(f);
	f->jobs--;
	pthread_cond_broadcast(&f->changed);
}

static void begin_job(void *arg)
{
	struct part_job *job = arg;
	struct dal_file *f = job->f;
	struct dal_up *up = job->up;
	struct dal_call call = job_call(f), step = dal_file_step(f, &call, 0);
	char *id = NULL;
	int r = dal_op_multipart_begin(f->env->op, &step, up->path, &up->args, &id);

	pthread_mutex_lock(&f->lock);
	up->beginning = false;
	if (r == 0)
		up->id = id;
	else
		rest_locked(f, up, &step, -DAL_UNEXPECTED);
	job_done_locked(f, job);
	pthread_mutex_unlock(&f->lock);
}

static void part_job(void *arg)
{
	struct part_job *job = arg;
	struct dal_file *f = job->f;
	struct dal_up *up = job->up;
	struct dal_call call = job_call(f);
	uint64_t limit = dal_budget_limit(f->env->budget);
	int r = dal_up_send(f, up, job->i, &job->s, &call);

	dal_snapshot_done(&job->s);
	pthread_mutex_lock(&f->lock);
	if (r < 0) {
		up->next = DAL_MIN(up->next, job->i);
		rest_locked(f, up, &call, r);
	} else if (up == f->up && dal_budget_used(f->env->budget, DAL_BUDGET_DIRTY) > limit / KEEP_SHARE) {
		dal_stream_drop_locked(f);
	}
	job_done_locked(f, job);
	pthread_mutex_unlock(&f->lock);
}

static bool submit_locked(struct dal_file *f, struct part_job *job, void (*fn)(void *))
{
	dal_up_ref_locked(job->up);
	f->jobs++;
	if (dal_workers_submit(f->env->uploads, fn, job))
		return true;
	f->jobs--;
	dal_up_unref_locked(f, job->up);
	return false;
}

/* The next part that can go: its index; adds it to the list. False when there is none. */
static bool next_part_locked(struct dal_file *f, struct dal_up *up, size_t *ret_i)
{
	uint64_t ready = dal_extents_prefix(&f->dirty);

	for (; up->next < f->limits.parts_max; up->next++) {
		uint64_t off, len = dal_plan_stream_len(&f->limits, up->next);
		struct dal_upart *p;

		if (up->next < up->n) {
			p = &up->v[up->next];
			if (p->state != DAL_PART_WANTED || p->stale)
				continue;
			off = p->part.off;
			len = p->part.len;
		} else {
			off = up->n ? up->v[up->n - 1].part.off + up->v[up->n - 1].part.len : 0;
		}
		if (off + len > ready)
			return false;
		if (up->next == up->n) {
			if (up->n == up->cap) {
				size_t cap = DAL_MAX(2 * up->cap, (size_t)16);

				p = reallocarray(up->v, cap, sizeof(*p));
				if (!p)
					return false;
				up->v = p;
				up->cap = cap;
			}
			up->v[up->n++] = (struct dal_upart){
				.part = { .number = (unsigned)up->next + 1, .off = off, .len = len }
			};
		}
		*ret_i = up->next;
		return true;
	}
	return false;
}

/* Takes part @i up and hands it to a job. */
static bool start_part_locked(struct dal_file *f, struct dal_up *up, size_t i)
{
	struct part_job *job = calloc(1, sizeof(*job));
	struct dal_call call = job_call(f);
	struct dal_part *part = &up->v[i].part;
	bool ok;

	if (!job)
		return false;
	job->f = f;
	job->up = up;
	job->i = i;
	if (dal_snapshot_take_locked(f, &call, part->off, part->off + part->len, &job->s) < 0) {
		free(job);
		return false;
	}
	up->v[i].state = DAL_PART_SENDING;
	up->sending++;
	ok = submit_locked(f, job, part_job);
	if (!ok) {
		up->v[i].state = DAL_PART_WANTED;
		up->sending--;
		dal_snapshot_done_locked(&job->s);
		free(job);
	}
	return ok;
}

static void start_begin_locked(struct dal_file *f, struct dal_up *up)
{
	struct part_job *job = calloc(1, sizeof(*job));

	if (!job)
		return;
	job->f = f;
	job->up = up;
	up->beginning = true;
	if (!submit_locked(f, job, begin_job)) {
		up->beginning = false;
		free(job);
	}
}

void dal_stream_kick_locked(struct dal_file *f)
{
	struct dal_up *up = f->up;
	size_t i;

	if (!streaming_locked(f) || atomic_load(&f->closing))
		return;
	if (up->pause_ns && dal_now_ns() < up->pause_ns)
		return;
	up->pause_ns = 0;
	if (!up->id) {
		if (!up->beginning)
			start_begin_locked(f, up);
		return;
	}
	while (up->sending < DAL_PARTS_IN_FLIGHT && next_part_locked(f, up, &i))
		if (!start_part_locked(f, up, i))
			return;
}

/* True when completing the upload will ask for a version, or for none. */
static bool is_conditional_locked(const struct dal_file *f, const struct dal_commit *how)
{
	return how->exclusive || (how->args && (how->args->if_match || how->args->if_not_exists)) ||
	       (f->base && dal_cobj_etag(f->base));
}

void dal_file_stream(struct dal_file *f, const struct dal_commit *how)
{
	pthread_mutex_lock(&f->lock);
	if (!f->up && !f->busy && f->cap->multipart && f->base_limit == 0 &&
		dal_extents_prefix(&f->dirty) > f->put_max)
		f->up = dal_up_new(how, is_conditional_locked(f, how));
	dal_stream_kick_locked(f);
	pthread_mutex_unlock(&f->lock);
}

int dal_file_stream_abort(struct dal_file *f)
{
	struct dal_call call = dal_file_step(f, &(struct dal_call){ 0 }, 0);
	int r;

	pthread_mutex_lock(&f->lock);
	do {
		r = dal_file_settle_locked(f, &call, 0, UINT64_MAX);
		if (r == 0)
			r = dal_file_busy_locked(f, &call);
		if (r < 0)
			break;
		r = dal_commit_resolve_locked(f, &call);
		/* While the turn was waited for, more may have gone. */
		if (r == 0 && f->gone.bytes == 0)
			dal_file_drop_up_locked(f);
		dal_file_idle_locked(f);
	} while (r == 0 && f->up);
	pthread_mutex_unlock(&f->lock);
	if (r < 0)
		dal_log(DAL_LOG_WARN, "an upload cannot be given up, it has the only copy of data: %s",
			call.err.msg);
	return r;
}
