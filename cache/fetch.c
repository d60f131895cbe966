/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A fetch fills missing pages, and no page is filled by two. It is born under the object's lock, where it
 * makes its pages busy and pins their blocks, and paid for before that. Then it needs nothing any more but
 * the store:
 *
 *   missing --claim--> busy --bytes came--> valid
 *      ^                 '--failure--.
 *      '-----------------------------'
 *
 * One ranged request serves all runs of a fetch; what lies between them is there already and is read past.
 * Readers are told piece by piece. The last piece waits for the request to have ended well, since that is
 * when a service that can verify a whole object does; a small object waits altogether. If a larger one turns
 * out wrong at its end, its blocks leave the index: who reads them reads on, nobody finds them again.
 */

#include "cache/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* How long a download may take that no call waits for. */
#define WORKER_TIMEOUT_NS (60 * DAL_NS_PER_S)

/* The free block that @r has for a block that is claimed completely or not; NULL when it has none left. */
static struct dal_cblock *take_reserved(struct dal_reserve *r, bool completely)
{
	struct dal_cblock *b = completely ? r->whole.list : NULL;

	if (b) {
		r->whole.list = b->chain;
		r->whole.n--;
		r->pages += BLOCK_PAGES; /* they come with it and are about to be claimed */
		return b;
	}
	b = r->list;
	if (!b || r->pages == 0)
		return NULL;
	r->list = b->chain;
	r->blocks--;
	return b;
}

/* Block @no of @o, made from @r's when there is none; NULL when @r has none left. */
static struct dal_cblock *get_block_locked(
	struct dal_cobj *o, uint64_t no, struct dal_reserve *r, bool completely, bool ahead)
{
	struct dal_cblock *b = dal_cobj_find_locked(o, no);

	if (b)
		return b;
	b = take_reserved(r, completely);
	if (!b)
		return NULL;
	pthread_mutex_lock(&o->c->lock);
	dal_cobj_add_locked(o, b, no);
	b->ahead = ahead;
	o->c->ahead_blocks += ahead;
	pthread_mutex_unlock(&o->c->lock);
	return b;
}

static void pin_for_fetch_locked(struct dal_fetch *f, struct dal_cblock *b)
{
	struct dal_cblock **mine = &f->block[b->no - f->first_no];

	assert(b->no - f->first_no < CLAIM_BLOCKS);
	if (*mine)
		return;
	*mine = b;
	b->pins++;
}

/* Claims the missing pages [@pos, @end) as far as @r goes; returns where it stopped. */
static uint64_t claim_run_locked(
	struct dal_fetch *f, uint64_t pos, uint64_t end, struct dal_reserve *r, bool ahead)
{
	while (pos < end) {
		uint64_t next = DAL_MIN((pos / DAL_BLOCK_SIZE + 1) * DAL_BLOCK_SIZE, end), n;
		unsigned first = (unsigned)(pos % DAL_BLOCK_SIZE / DAL_PAGE_SIZE);
		struct dal_cblock *b = get_block_locked(
			f->obj, pos / DAL_BLOCK_SIZE, r, next - pos == DAL_BLOCK_SIZE, ahead);

		n = DAL_MIN((next - pos) / DAL_PAGE_SIZE, r->pages);
		if (!b || n == 0)
			break;
		pin_for_fetch_locked(f, b);
		dal_map_set(b->busy, first, first + (unsigned)n, true);
		r->pages -= n;
		pos += n * DAL_PAGE_SIZE;
	}
	return pos;
}

bool dal_fetch_claim_locked(struct dal_fetch *f, struct dal_cobj *o, uint64_t from, uint64_t end,
	uint64_t gap, struct dal_reserve *r, bool ahead)
{
	uint64_t pos = dal_pages_missing_locked(o, from, end);

	assert(from % DAL_PAGE_SIZE == 0 && end % DAL_PAGE_SIZE == 0);
	*f = (struct dal_fetch){ .obj = o, .first_no = pos / DAL_BLOCK_SIZE };
	end = DAL_MIN(end, (f->first_no + CLAIM_BLOCKS) * DAL_BLOCK_SIZE);
	while (pos < end && f->runs < CLAIM_RUNS) {
		uint64_t stop = dal_pages_present_locked(o, pos, end);
		uint64_t got = claim_run_locked(f, pos, stop, r, ahead);

		if (got > pos)
			f->run[f->runs++] = (struct dal_run){ pos, got };
		if (got < stop)
			break;
		pos = dal_pages_missing_locked(o, got, end);
		if (pos - got > gap)
			break;
	}
	if (f->runs == 0)
		return false;
	f->pos = f->settled = f->run[0].off;
	f->whole = f->runs == 1 && f->pos == 0 && f->run[0].end == dal_page_up(o->size);
	return true;
}

/* Calls @fn for each part of the claim in [@from, @end) that lies in one block. */
static void each_part(struct dal_fetch *f, uint64_t from, uint64_t end,
	void (*fn)(struct dal_cblock *b, unsigned first, unsigned stop, void *arg), void *arg)
{
	unsigned i;

	for (i = 0; i < f->runs; i++) {
		uint64_t pos = DAL_MAX(f->run[i].off, from), stop = DAL_MIN(f->run[i].end, end);

		while (pos < stop) {
			uint64_t no = pos / DAL_BLOCK_SIZE, base = no * DAL_BLOCK_SIZE;
			uint64_t next = DAL_MIN(base + DAL_BLOCK_SIZE, stop);

			fn(f->block[no - f->first_no], (unsigned)((pos - base) / DAL_PAGE_SIZE),
				(unsigned)((next - base) / DAL_PAGE_SIZE), arg);
			pos = next;
		}
	}
}

static void make_valid(struct dal_cblock *b, unsigned first, unsigned stop, void *arg)
{
	(void)arg;
	dal_map_set(b->busy, first, stop, false);
	dal_map_set(b->valid, first, stop, true);
}

static void make_missing(struct dal_cblock *b, unsigned first, unsigned stop, void *arg)
{
	(void)arg;
	dal_map_set(b->busy, first, stop, false);
}

static void release_part(struct dal_cblock *b, unsigned first, unsigned stop, void *arg)
{
	uint64_t *pages = arg;

	*pages += stop - first;
	dal_block_release_pages(b->obj->c, b, first, stop);
}

static void tell_locked(struct dal_cobj *o)
{
	if (o->waiting > 0)
		pthread_cond_broadcast(&o->changed);
}

/* The runs' bytes before @end are there. */
static void publish(struct dal_fetch *f, uint64_t end)
{
	pthread_mutex_lock(&f->obj->lock);
	each_part(f, f->settled, end, make_valid, NULL);
	tell_locked(f->obj);
	pthread_mutex_unlock(&f->obj->lock);
	f->settled = end;
}

static void unpin_all_locked(struct dal_fetch *f)
{
	size_t i;

	for (i = 0; i < CLAIM_BLOCKS; i++)
		if (f->block[i])
			dal_block_unpin_locked(f->block[i]);
}

static void finish(struct dal_fetch *f)
{
	struct dal_cobj *o = f->obj;

	pthread_mutex_lock(&o->lock);
	each_part(f, f->settled, UINT64_MAX, make_valid, NULL);
	unpin_all_locked(f);
	o->ahead_paused = false;
	tell_locked(o);
	pthread_mutex_unlock(&o->lock);
	dal_budget_poke(o->c->budget);
}

/* What it claimed and has not filled is missing again, its memory released before it is given back. */
static void abandon(struct dal_fetch *f, const struct dal_error *err, bool distrust)
{
	struct dal_cobj *o = f->obj;
	uint64_t pages = 0;
	size_t i;

	each_part(f, f->settled, UINT64_MAX, release_part, &pages);
	pthread_mutex_lock(&o->lock);
	each_part(f, f->settled, UINT64_MAX, make_missing, NULL);
	for (i = 0; distrust && i < CLAIM_BLOCKS; i++)
		if (f->block[i])
			dal_cobj_unindex_locked(f->block[i]);
	unpin_all_locked(f);
	o->failures++;
	o->failed_from = f->settled;
	o->failed_end = f->run[f->runs - 1].end;
	o->ahead_paused = true;
	if (!o->failed)
		o->failed = malloc(sizeof(*o->failed));
	if (o->failed)
		*o->failed = *err;
	tell_locked(o);
	pthread_mutex_unlock(&o->lock);
	dal_budget_give(o->c->budget, DAL_BUDGET_CACHE, pages * DAL_PAGE_SIZE);
	dal_budget_poke(o->c->budget);
}

/* Is what the store sends the version that was asked for? A server may ignore conditions. */
static int check_version(const struct dal_cobj *o, struct dal_call *call, const struct dal_meta *meta)
{
	if ((o->etag && meta->etag && strcmp(o->etag, meta->etag) != 0) ||
		(meta->has_size && meta->size != o->size))
		return dal_fail(
			call, DAL_CONDITION_NOT_MATCH, "%s: changed in the store while it was read", o->path);
	return 0;
}

static int open_stream(struct dal_fetch *f, struct dal_call *call)
{
	struct dal_cobj *o = f->obj;
	uint64_t end = DAL_MIN(f->run[f->runs - 1].end, o->size);
	struct dal_read_args args = { .off = f->pos, .len = end - f->pos };
	int r;

	if (dal_operator_cap(o->c->op)->read_if_match)
		args.if_match = o->etag;
	atomic_fetch_add_explicit(&o->c->fetches, 1, memory_order_relaxed);
	r = dal_op_read(o->c->op, call, o->path, &args, &f->stream);
	if (r < 0)
		return r;
	r = check_version(o, call, &f->stream->meta);
	if (r < 0)
		return r;
	if (f->stream->len < args.len)
		return dal_fail(
			call, DAL_CONDITION_NOT_MATCH, "%s: has become shorter while it was read", o->path);
	return 0;
}

static int pull(struct dal_fetch *f, struct dal_call *call, void *buf, size_t len)
{
	size_t n = 0;
	int r = dal_stream_read(f->stream, call, buf, len, &n);

	atomic_fetch_add_explicit(&f->obj->c->fetched_bytes, n, memory_order_relaxed);
	if (r == 0 && n < len)
		r = dal_fail_temporary(call, DAL_UNEXPECTED, "%s: the download ended %zu bytes early",
			f->obj->path, len - n);
	return r;
}

/* Reads past bytes that are there already. */
static int skip_to(struct dal_fetch *f, struct dal_call *call, uint64_t off)
{
	char dropped[16 * DAL_KIB];

	while (f->pos < off) {
		size_t n = (size_t)DAL_MIN(off - f->pos, (uint64_t)sizeof(dropped));
		int r = pull(f, call, dropped, n);

		if (r < 0)
			return r;
		f->pos += n;
	}
	return 0;
}

static int fill_run(struct dal_fetch *f, struct dal_call *call, const struct dal_run *run, bool hold)
{
	uint64_t size = f->obj->size, last = DAL_MIN(f->run[f->runs - 1].end, size);
	uint64_t end = DAL_MIN(run->end, size);
	int r = skip_to(f, call, run->off);

	while (r == 0 && f->pos < end) {
		uint64_t no = f->pos / DAL_BLOCK_SIZE;
		uint64_t stop = DAL_MIN((f->pos / PIECE + 1) * PIECE, end);
		char *to = dal_block_bytes(f->block[no - f->first_no]) + f->pos % DAL_BLOCK_SIZE;

		r = pull(f, call, to, (size_t)(stop - f->pos));
		if (r < 0)
			return r;
		f->pos = stop;
		if (!hold && stop < last)
			publish(f, stop);
	}
	return r;
}

int dal_fetch_run(struct dal_fetch *f, struct dal_call *call)
{
	bool hold = f->whole && f->obj->size <= HOLD_MAX;
	unsigned i;
	int r = dal_call_check(call);

	if (r == 0 && !f->stream)
		r = open_stream(f, call);
	for (i = 0; i < f->runs && r == 0; i++)
		r = fill_run(f, call, &f->run[i], hold);
	if (r == 0)
		finish(f);
	else
		abandon(f, &call->err, f->whole && f->settled > 0 && f->pos + PIECE >= f->obj->size);
	f->stream = dal_stream_close(f->stream);
	return r;
}

/* What dal_fetch_copy() copies from. */
struct source {
	const struct iovec *iov;
	size_t n;
	size_t piece; /* the one that comes next */
	uint64_t off; /* where in the object it begins */
};

static void copy_part(struct dal_cblock *b, unsigned first, unsigned stop, void *arg)
{
	struct source *s = arg;
	uint64_t base = b->no * DAL_BLOCK_SIZE, pos = base + first * DAL_PAGE_SIZE;
	uint64_t end = DAL_MIN(base + stop * DAL_PAGE_SIZE, b->obj->size);

	while (pos < end) {
		const struct iovec *v = &s->iov[s->piece];
		uint64_t n;

		assert(s->piece < s->n && s->off <= pos);
		if (pos - s->off >= v->iov_len) {
			s->off += v->iov_len;
			s->piece++;
			continue;
		}
		n = DAL_MIN(v->iov_len - (pos - s->off), end - pos);
		memcpy(dal_block_bytes(b) + (pos - base), (const char *)v->iov_base + (pos - s->off),
			(size_t)n);
		pos += n;
	}
}

void dal_fetch_copy(struct dal_fetch *f, uint64_t off, const struct iovec *iov, size_t n)
{
	struct source s = { .iov = iov, .n = n, .off = off };

	each_part(f, 0, UINT64_MAX, copy_part, &s);
	finish(f);
}

struct job {
	struct dal_fetch fetch; /* references its object */
	bool ahead;
};

static void run_job(void *arg)
{
	struct job *job = arg;
	struct dal_cobj *o = job->fetch.obj;
	struct dal_call call = dal_call_within(WORKER_TIMEOUT_NS);

	call.cancel = &o->c->stopping;
	/* A failure is kept with the object; who needs the bytes asks again and hears about it. */
	(void)dal_fetch_run(&job->fetch, &call);
	if (job->ahead)
		atomic_fetch_sub(&o->c->ahead_jobs, 1);
	dal_cobj_unref(o);
	free(job);
}

bool dal_fetch_submit(struct dal_fetch *f, struct dal_workers *pool, bool ahead)
{
	struct job *job = malloc(sizeof(*job));
	struct dal_cache *c = f->obj->c;

	if (!job)
		return false;
	job->fetch = *f;
	job->ahead = ahead;
	dal_cobj_ref(f->obj);
	if (ahead)
		atomic_fetch_add(&c->ahead_jobs, 1);
	if (dal_workers_submit(pool, run_job, job))
		return true;
	if (ahead)
		atomic_fetch_sub(&c->ahead_jobs, 1);
	dal_cobj_unref(f->obj);
	free(job);
	return false;
}
