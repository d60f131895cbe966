/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Telling streams from stray reads, and fetching ahead of the streams. A handle has four candidates. A read
 * that goes on where one ended, or a little further, belongs to it; a read that fits none takes the place of
 * the one longest unused, so a stray read costs a stream nothing. From its second read on a candidate is a
 * stream:
 *
 *            next                    ahead
 *   ---------->|-- asked for already ->|......... up to next + window, rounded up ->|
 *
 * The window grows with what has been read, by four at a time, up to the maximum, and the further it is the
 * coarser the requests: a file read from its start is asked for up to 2 MiB, up to 8 MiB, and from there in
 * aligned chunks, in parallel. Elsewhere in a file, where neighbouring reads may be mere chance, it is twice
 * what was read, so that being wrong is cheap. Memory that is not there halves the window.
 *
 * Any reader may have one fetch queued; more only while there are idle streams, so nobody starves.
 */

#include "cache/internal.h"

#define NEAR (16 * DAL_KIB)
/* Reads the kernel sends at the same time arrive in any order. */
#define BACK (1 * DAL_MIB)
/* A step forward this large is not taken for the stream's next one until the one after it has come, too. */
#define JUMP (1 * DAL_MIB)
#define WINDOW_FIRST (1 * DAL_MIB)
/* A run this long is no chance, wherever it is. */
#define RUN_SURE (128 * DAL_KIB)
/* An object of at most this size, read from its start, is asked for in one request, which can be verified. */
#define WHOLE_MAX (8 * DAL_MIB)
#define TAIL_MAX (512 * DAL_KIB)
#define STALE_PAUSE_NS (200 * DAL_NS_PER_MS)
#define SHORT_PAUSE_NS (5 * DAL_NS_PER_MS)

static bool fits(const struct dal_reader_stream *s, uint64_t off, uint64_t len)
{
	uint64_t forward = DAL_MAX(NEAR, len), back = 0;

	if (s->window > 0) {
		forward = DAL_MAX(s->window, s->ahead > s->next ? s->ahead - s->next : 0);
		back = BACK;
	}
	return s->used > 0 && off + back >= s->next && off <= s->next + forward;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static struct dal_reader_stream *find_stream(struct dal_reader *reader, uint64_t off, uint64_t len)
{
	struct dal_reader_stream *best = NULL;
	size_t i;

	for (i = 0; i < DAL_COUNT_OF(reader->stream); i++) {
		struct dal_reader_stream *s = &reader->stream[i];

		if (fits(s, off, len) && (!best || distance(s->next, off) < distance(best->next, off)))
			best = s;
	}
	return best;
}

static struct dal_reader_stream *oldest_stream(struct dal_reader *reader)
{
	struct dal_reader_stream *oldest = &reader->stream[0];
	size_t i;

	for (i = 1; i < DAL_COUNT_OF(reader->stream); i++)
		if (reader->stream[i].used < oldest->used)
			oldest = &reader->stream[i];
	return oldest;
}

static struct dal_reader_stream *new_stream(struct dal_reader *reader, uint64_t off, uint64_t len)
{
	struct dal_reader_stream *s = oldest_stream(reader);

	*s = (struct dal_reader_stream){
		.next = off + len, .run = len, .ahead = off + len, .used = reader->tick, .head = off == 0
	};
	return s;
}

/* A jump within the window of @from is a skip or a stray: an heir goes on there, @from stays where it is. */
static void fork_stream(
	struct dal_reader *reader, const struct dal_reader_stream *from, uint64_t off, uint64_t len)
{
	struct dal_reader_stream *heir = oldest_stream(reader);

	*heir = *from;
	heir->next = off + len;
	heir->run += len;
	heir->used = reader->tick;
}

static uint64_t round_up(uint64_t off, uint64_t unit)
{
	return (off + unit - 1) / unit * unit;
}

/* How much may be ahead of @s before more is asked for. */
static uint64_t low_water(const struct dal_cache *c, const struct dal_reader_stream *s)
{
	if (s->window >= c->chunk + WINDOW_FIRST)
		return s->window - c->chunk;
	return s->window >= WINDOW_FIRST ? s->window : s->window / 2;
}

static void grow_window(const struct dal_cache *c, struct dal_reader_stream *s)
{
	bool sure = s->head || s->run >= RUN_SURE;
	uint64_t most = DAL_MIN(sure ? 4 * s->run : 2 * s->run, c->ahead_max);
	uint64_t next = DAL_MIN(4 * s->window, dal_page_up(most)), first = DAL_MAX(WINDOW_FIRST, s->run);

	if (s->window == 0)
		s->window = sure ? DAL_MIN(first, c->ahead_max) : dal_page_up(most);
	else
		s->window = DAL_MAX(s->window, next);
}

static uint64_t unit_of(const struct dal_cache *c, uint64_t window)
{
	if (window < WINDOW_FIRST)
		return DAL_PAGE_SIZE;
	return window < 4 * WINDOW_FIRST ? DAL_MIN(2 * DAL_MIB, c->chunk) : c->chunk;
}

/* Nothing of it is there, and it is small: one request brings all of it. */
static bool take_whole_locked(const struct dal_cobj *o, uint64_t off, uint64_t len)
{
	return off == 0 && o->indexed == 0 && o->size <= WHOLE_MAX &&
	       (o->size <= HOLD_MAX || len >= DAL_MIN(GAP_MAX, o->size));
}

void dal_ahead_plan_locked(struct dal_cobj *o, struct dal_reader *reader, uint64_t off, uint64_t len,
	bool missing, struct dal_plan *ret_plan)
{
	uint64_t object_end = dal_page_up(o->size), next = off + len;
	struct dal_reader_stream *s = find_stream(reader, off, len);
	bool begins;

	*ret_plan = (struct dal_plan){ 0 };
	reader->tick++;
	if (!s) {
		s = new_stream(reader, off, len);
		ret_plan->stream = (unsigned)(s - reader->stream);
		if (missing && !o->ahead_paused && take_whole_locked(o, off, len)) {
			s->ahead = ret_plan->end = object_end;
			ret_plan->urgent = true;
			return;
		}
		/* More than the head of the file in its first read is a stream at once. */
		if (off > 0 || len <= DAL_CACHE_FIRST_READ)
			return;
	}
	if (s->window > 0 && off > s->next + JUMP) {
		fork_stream(reader, s, off, len);
		return;
	}
	s->used = reader->tick;
	if (next > s->next) {
		s->run += DAL_MIN(len, next - s->next);
		s->next = next;
	}
	ret_plan->sequential = true;
	ret_plan->stream = (unsigned)(s - reader->stream);
	begins = s->window == 0;
	if (begins)
		grow_window(o->c, s);
	/* What was asked for has failed or was dropped, or the reader has jumped past it. */
	if (missing || s->ahead < off)
		s->ahead = dal_page_down(off);
	ret_plan->urgent = s->ahead <= s->next;
	if (o->ahead_paused || s->ahead >= object_end ||
		(s->ahead > s->next && s->ahead - s->next > low_water(o->c, s)))
		return;
	if (!begins)
		grow_window(o->c, s);
	ret_plan->from = dal_page_down(DAL_MAX(s->ahead, off));
	ret_plan->end = DAL_MIN(round_up(s->next + s->window, unit_of(o->c, s->window)), object_end);
	if (ret_plan->end + TAIL_MAX >= object_end)
		ret_plan->end = object_end;
	s->ahead = DAL_MAX(s->ahead, ret_plan->end);
}

/* Is there room for @blocks more that nobody has read yet? At most half of the memory is for such. */
static bool has_room(struct dal_cache *c, size_t blocks)
{
	uint64_t most = dal_budget_limit(c->budget) / 2 / DAL_BLOCK_SIZE;
	bool room;

	pthread_mutex_lock(&c->lock);
	room = c->ahead_blocks + blocks <= most;
	pthread_mutex_unlock(&c->lock);
	return room;
}

static bool room_ahead(struct dal_cache *c, size_t blocks)
{
	uint64_t now = dal_now_ns();

	if (has_room(c, blocks))
		return true;
	if (now < atomic_load_explicit(&c->stale_until_ns, memory_order_relaxed))
		return false;
	atomic_store_explicit(&c->stale_until_ns, now + STALE_PAUSE_NS, memory_order_relaxed);
	dal_evict_stale_ahead(c);
	return has_room(c, blocks);
}

static bool reserve_ahead(
	struct dal_cache *c, struct dal_reserve *r, const struct dal_lack *lack, bool urgent)
{
	uint64_t now = dal_now_ns();

	if (!urgent && now < atomic_load_explicit(&c->short_until_ns, memory_order_relaxed))
		return false;
	if ((urgent || room_ahead(c, lack->blocks)) && dal_reserve_try(c, r, lack, DAL_NEED_AHEAD))
		return true;
	atomic_store_explicit(&c->short_until_ns, now + SHORT_PAUSE_NS, memory_order_relaxed);
	return false;
}

/* Starts one fetch in [@from, @end); returns how far that went, @from when there is no memory. */
static uint64_t start_one(struct dal_cobj *o, uint64_t from, uint64_t end, bool urgent)
{
	struct dal_lack lack = dal_pages_lack(o, from, end);
	struct dal_reserve r;
	struct dal_fetch f;
	bool claimed;

	if (lack.pages == 0)
		return end;
	if (!reserve_ahead(o->c, &r, &lack, urgent))
		return from;
	pthread_mutex_lock(&o->lock);
	claimed = dal_fetch_claim_locked(&f, o, from, end, GAP_MAX, &r, true);
	o->read_ns = dal_now_ns();
	pthread_mutex_unlock(&o->lock);
	dal_reserve_done(o->c, &r);
	if (!claimed)
		return end;
	end = f.run[f.runs - 1].end;
	if (!dal_fetch_submit(&f, o->c->ahead, true)) {
		struct dal_call call = dal_call_within(10 * DAL_NS_PER_S);

		(void)dal_fetch_run(&f, &call);
	}
	return end;
}

/* What could not be started will be asked for again, with a smaller window when memory was short. */
static void draw_back(struct dal_cobj *o, struct dal_reader *reader, const struct dal_plan *plan,
	uint64_t pos, bool short_of_memory)
{
	struct dal_reader_stream *s = &reader->stream[plan->stream];

	pthread_mutex_lock(&o->lock);
	if (s->ahead == plan->end) {
		s->ahead = pos;
		if (short_of_memory && s->window >= 2 * WINDOW_FIRST)
			s->window /= 2;
	}
	pthread_mutex_unlock(&o->lock);
}

void dal_ahead_start(struct dal_cobj *o, struct dal_reader *reader, const struct dal_plan *plan)
{
	struct dal_cache *c = o->c;
	uint64_t pos = plan->from, got;
	bool short_of_memory = false;

	while (pos < plan->end) {
		bool urgent = plan->urgent && pos == plan->from;
		uint64_t end = (pos / c->chunk + 1) * c->chunk;

		/* A little more at the end is not worth a request. */
		if (end + TAIL_MAX >= plan->end)
			end = plan->end;

		if (!urgent && atomic_load(&c->ahead_jobs) >= c->streams)
			break;
		got = start_one(o, pos, end, urgent);
		if (got == pos && urgent)
			got = start_one(
				o, pos, DAL_MIN((pos / DAL_BLOCK_SIZE + 1) * DAL_BLOCK_SIZE, end), urgent);
		short_of_memory = got == pos;
		if (short_of_memory)
			break;
		pos = got;
	}
	if (pos < plan->end && reader)
		draw_back(o, reader, plan, pos, short_of_memory);
}
