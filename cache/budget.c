/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two counters under one limit. Dirty data may have half of it; the cache may have what is left, but for what
 * writers are waiting for: so a writer is served before anybody's read-ahead, and readers, who always have
 * half, never starve. Those who wait look again when bytes come back, when a block is unpinned, and now and
 * then.
 */

#include "cache/budget.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "cache/memory-limit.h"

/* How long a waiter sleeps at most before it reclaims again: a lock that was busy then may be free now. */
#define LOOK_AGAIN_NS (20 * DAL_NS_PER_MS)
#define TRIES 4

struct dal_budget {
	uint64_t limit; /* constant */
	uint64_t (*reclaim)(void *arg, uint64_t bytes); /* constant after set-up */
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t given;
	uint64_t used[DAL_BUDGET_CLASSES]; /* guarded by lock, as all below */
	uint64_t dirty_wanted; /* by writers who wait for memory */
	atomic_uint waiting; /* read without the lock by dal_budget_poke() */
};

uint64_t dal_budget_default(void)
{
	uint64_t most = DAL_MIN(dal_memory_limit("") / 4, 1 * DAL_GIB);

	return DAL_MAX(most, 64 * DAL_MIB);
}

struct dal_budget *dal_budget_new(uint64_t limit_bytes)
{
	struct dal_budget *b = calloc(1, sizeof(*b));
	pthread_condattr_t attr;

	if (!b)
		return NULL;
	b->limit = limit_bytes;
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&b->given, &attr);
	pthread_condattr_destroy(&attr);
	return b;
}

struct dal_budget *dal_budget_free(struct dal_budget *b)
{
	if (!b)
		return NULL;
	pthread_cond_destroy(&b->given);
	pthread_mutex_destroy(&b->lock);
	free(b);
	return NULL;
}

void dal_budget_set_reclaim(struct dal_budget *b, uint64_t (*fn)(void *arg, uint64_t bytes), void *arg)
{
	b->reclaim = fn;
	b->arg = arg;
}

static uint64_t class_limit(const struct dal_budget *b, enum dal_budget_class class)
{
	return class == DAL_BUDGET_DIRTY ? b->limit / 2 : b->limit;
}

/* How many bytes are lacking for @bytes more, UINT64_MAX when dropping blocks would not help. */
static uint64_t lacking_locked(const struct dal_budget *b, enum dal_budget_class class, uint64_t bytes)
{
	uint64_t need = b->used[DAL_BUDGET_CACHE] + b->used[DAL_BUDGET_DIRTY], most = class_limit(b, class);

	if (bytes > most || (class == DAL_BUDGET_DIRTY && b->used[class] > most - bytes))
		return UINT64_MAX;
	need += bytes;
	if (class == DAL_BUDGET_CACHE)
		need += DAL_MIN(
			b->dirty_wanted, class_limit(b, DAL_BUDGET_DIRTY) - b->used[DAL_BUDGET_DIRTY]);
	return need <= b->limit ? 0 : need - b->limit;
}

uint64_t dal_budget_take_free(struct dal_budget *b, enum dal_budget_class class, uint64_t bytes)
{
	uint64_t lacking;

	pthread_mutex_lock(&b->lock);
	lacking = lacking_locked(b, class, bytes);
	if (lacking == 0)
		b->used[class] += bytes;
	pthread_mutex_unlock(&b->lock);
	return lacking;
}

bool dal_budget_try(struct dal_budget *b, enum dal_budget_class class, uint64_t bytes)
{
	unsigned i;

	for (i = 0; i < TRIES; i++) {
		uint64_t lacking = dal_budget_take_free(b, class, bytes);

		if (lacking == 0)
			return true;
		if (lacking == UINT64_MAX || !b->reclaim || b->reclaim(b->arg, lacking) == 0)
			return false;
	}
	return false;
}

/* Sleeps until bytes come back, at most LOOK_AGAIN_NS. */
static void wait_given_locked(struct dal_budget *b, const struct dal_call *call)
{
	uint64_t until = dal_now_ns() + dal_call_remaining(call, LOOK_AGAIN_NS);
	struct timespec ts = {
		.tv_sec = (time_t)(until / DAL_NS_PER_S),
		.tv_nsec = (long)(until % DAL_NS_PER_S),
	};

	pthread_cond_timedwait(&b->given, &b->lock, &ts);
}

/* Reclaims what is lacking. The bytes wanted are out of the cache's reach meanwhile. Returns what was freed.
 */
static uint64_t reclaim_locked(
	struct dal_budget *b, enum dal_budget_class class, uint64_t bytes, uint64_t lacking)
{
	uint64_t freed;

	if (lacking == UINT64_MAX || !b->reclaim)
		return 0;
	if (class == DAL_BUDGET_DIRTY)
		b->dirty_wanted += bytes;
	pthread_mutex_unlock(&b->lock);
	freed = b->reclaim(b->arg, lacking);
	pthread_mutex_lock(&b->lock);
	if (class == DAL_BUDGET_DIRTY)
		b->dirty_wanted -= bytes;
	return freed;
}

/* One look: takes, or reclaims, or waits a while. True when the bytes are the caller's. */
static bool take_once(
	struct dal_budget *b, const struct dal_call *call, enum dal_budget_class class, uint64_t bytes)
{
	uint64_t lacking;

	pthread_mutex_lock(&b->lock);
	lacking = lacking_locked(b, class, bytes);
	if (lacking > 0 && reclaim_locked(b, class, bytes, lacking) == 0)
		wait_given_locked(b, call);
	lacking = lacking_locked(b, class, bytes);
	if (lacking == 0)
		b->used[class] += bytes;
	pthread_mutex_unlock(&b->lock);
	return lacking == 0;
}

int dal_budget_take(struct dal_budget *b, struct dal_call *call, enum dal_budget_class class, uint64_t bytes)
{
	int r = 0;

	if (dal_budget_take_free(b, class, bytes) == 0)
		return 0;
	if (bytes > class_limit(b, class))
		return dal_fail(call, DAL_NO_MEMORY,
			"%llu bytes are more than the memory budget allows (memory=)",
			(unsigned long long)bytes);
	atomic_fetch_add(&b->waiting, 1);
	while (!take_once(b, call, class, bytes)) {
		r = dal_call_check(call);
		if (r < 0)
			break;
	}
	atomic_fetch_sub(&b->waiting, 1);
	return r;
}

void dal_budget_give(struct dal_budget *b, enum dal_budget_class class, uint64_t bytes)
{
	if (bytes == 0)
		return;
	pthread_mutex_lock(&b->lock);
	assert(b->used[class] >= bytes);
	b->used[class] -= bytes;
	pthread_mutex_unlock(&b->lock);
	dal_budget_poke(b);
}

void dal_budget_poke(struct dal_budget *b)
{
	if (atomic_load(&b->waiting) == 0)
		return;
	pthread_mutex_lock(&b->lock);
	pthread_cond_broadcast(&b->given);
	pthread_mutex_unlock(&b->lock);
}

uint64_t dal_budget_used(struct dal_budget *b, enum dal_budget_class class)
{
	uint64_t used;

	pthread_mutex_lock(&b->lock);
	if (class == DAL_BUDGET_CLASSES)
		used = b->used[DAL_BUDGET_CACHE] + b->used[DAL_BUDGET_DIRTY];
	else
		used = b->used[class];
	pthread_mutex_unlock(&b->lock);
	return used;
}

uint64_t dal_budget_limit(const struct dal_budget *b)
{
	return b->limit;
}
