/* SPDX-License-Identifier: Apache-2.0 */

/* The cache as a whole: made, emptied, counted. README.md says how its parts work together. */

#include "cache/internal.h"

#include <assert.h>
#include <stdlib.h>

#define STREAMS_DEFAULT 8
#define AHEAD_DEFAULT (64 * DAL_MIB)
#define CHUNK (8 * DAL_MIB)
#define QUICK_THREADS 16

static uint64_t reclaim(void *arg, uint64_t bytes)
{
	return dal_evict(arg, bytes, 0, DAL_NEED_NOW, NULL, 0);
}

static void set_limits(struct dal_cache *c, const struct dal_cache_config *config)
{
	uint64_t quarter = dal_budget_limit(config->budget) / 4;
	uint64_t most = DAL_MIN(config->readahead_max ? config->readahead_max : AHEAD_DEFAULT, quarter);

	c->streams = config->streams ? config->streams : STREAMS_DEFAULT;
	c->ahead_max = DAL_MAX(most, DAL_BLOCK_SIZE);
	/* At least two requests fit into the window, or they could not overlap. */
	for (c->chunk = CHUNK; c->chunk > DAL_BLOCK_SIZE && c->chunk > c->ahead_max / 2;)
		c->chunk /= 2;
}

struct dal_cache *dal_cache_new(const struct dal_cache_config *config)
{
	struct dal_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->op = config->op;
	c->budget = config->budget;
	pthread_mutex_init(&c->lock, NULL);
	set_limits(c, config);
	c->ahead = dal_workers_new("dal-ahead", c->streams);
	c->quick = dal_workers_new("dal-quick", QUICK_THREADS);
	if (!c->ahead || !c->quick || !dal_objects_init(c) || !dal_arena_init(c))
		return dal_cache_free(c);
	dal_budget_set_reclaim(c->budget, reclaim, c);
	return c;
}

struct dal_cache *dal_cache_free(struct dal_cache *c)
{
	if (!c)
		return NULL;
	atomic_store(&c->stopping, true);
	c->ahead = dal_workers_free(c->ahead);
	c->quick = dal_workers_free(c->quick);
	if (c->blocks > 0)
		dal_evict(c, UINT64_MAX, SIZE_MAX, DAL_NEED_NOW, NULL, 0);
	dal_budget_set_reclaim(c->budget, NULL, NULL);
	dal_objects_done(c);
	dal_arena_done(c);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return NULL;
}

void dal_cache_stats(struct dal_cache *c, struct dal_cache_stats *ret)
{
	*ret = (struct dal_cache_stats){
		.hit_bytes = atomic_load_explicit(&c->hit_bytes, memory_order_relaxed),
		.miss_bytes = atomic_load_explicit(&c->miss_bytes, memory_order_relaxed),
		.fetched_bytes = atomic_load_explicit(&c->fetched_bytes, memory_order_relaxed),
		.fetches = atomic_load_explicit(&c->fetches, memory_order_relaxed),
		.evicted_bytes = atomic_load_explicit(&c->evicted_bytes, memory_order_relaxed),
	};
	pthread_mutex_lock(&c->lock);
	ret->blocks = c->blocks;
	ret->objects = c->objects;
	pthread_mutex_unlock(&c->lock);
}
