/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two tables with chains. The cache's finds an object version by path, so that all versions of a path lie in
 * one chain; the object's finds its blocks by number, and costs one pointer while there are one or two
 * blocks, which is what a small file has.
 *
 *   referenced --last unref--> unreferenced --last block goes--> freed
 *        '<------ found -----------'
 *
 * A version without an etag, or one that was forgotten, is not in the table and never found again.
 */

#include "cache/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUCKETS_FIRST 256

bool dal_objects_init(struct dal_cache *c)
{
	c->bucket = calloc(BUCKETS_FIRST, sizeof(struct dal_cobj *));
	c->mask = BUCKETS_FIRST - 1;
	c->seed = dal_now_ns() * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)(uintptr_t)c;
	return c->bucket != NULL;
}

void dal_objects_done(struct dal_cache *c)
{
	assert(c->objects == 0);
	free(dal_take(&c->bucket));
}

static uint64_t hash_path(const struct dal_cache *c, const char *path)
{
	uint64_t h = c->seed;

	for (; *path; path++) {
		h = (h ^ (unsigned char)*path) * UINT64_C(0xff51afd7ed558ccd);
		h ^= h >> 32;
	}
	return h;
}

static bool same_etag(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

static struct dal_cobj *find_version_locked(
	struct dal_cache *c, uint64_t hash, const char *path, const char *etag, uint64_t size)
{
	struct dal_cobj *o;

	for (o = c->bucket[hash & c->mask]; o; o = o->chain)
		if (o->hash == hash && o->size == size && same_etag(o->etag, etag) &&
			strcmp(o->path, path) == 0)
			return o;
	return NULL;
}

/* Doubles the table; without the memory for it the chains just get longer. */
static void grow_locked(struct dal_cache *c)
{
	size_t n = (c->mask + 1) * 2, i;
	struct dal_cobj **bucket = calloc(n, sizeof(*bucket));

	if (!bucket)
		return;
	for (i = 0; i <= c->mask; i++) {
		struct dal_cobj *o = c->bucket[i], *next;

		for (; o; o = next) {
			next = o->chain;
			o->chain = bucket[o->hash & (n - 1)];
			bucket[o->hash & (n - 1)] = o;
		}
	}
	free(c->bucket);
	c->bucket = bucket;
	c->mask = n - 1;
}

static void list_locked(struct dal_cobj *o)
{
	struct dal_cache *c = o->c;

	if (c->listed > c->mask)
		grow_locked(c);
	o->chain = c->bucket[o->hash & c->mask];
	c->bucket[o->hash & c->mask] = o;
	o->listed = true;
	c->listed++;
}

static void unlist_locked(struct dal_cobj *o)
{
	struct dal_cobj **at = &o->c->bucket[o->hash & o->c->mask];

	if (!o->listed)
		return;
	while (*at != o)
		at = &(*at)->chain;
	*at = o->chain;
	o->chain = NULL;
	o->listed = false;
	o->c->listed--;
}

struct dal_cobj *dal_cobj_free(struct dal_cobj *o)
{
	if (!o)
		return NULL;
	free(o->path);
	free(o->etag);
	if (o->bucket != &o->one)
		free(o->bucket);
	free(o->failed);
	pthread_cond_destroy(&o->changed);
	pthread_mutex_destroy(&o->lock);
	free(o);
	return NULL;
}

static struct dal_cobj *cobj_new(
	struct dal_cache *c, uint64_t hash, const char *path, const char *etag, uint64_t size)
{
	struct dal_cobj *o = calloc(1, sizeof(*o));
	pthread_condattr_t attr;

	if (!o)
		return NULL;
	pthread_mutex_init(&o->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&o->changed, &attr);
	pthread_condattr_destroy(&attr);
	o->c = c;
	o->hash = hash;
	o->size = size;
	o->refs = 1;
	o->bucket = &o->one;
	o->path = strdup(path);
	o->etag = dal_strdup(etag);
	if (!o->path || (etag && !o->etag))
		return dal_cobj_free(o);
	return o;
}

struct dal_cobj *dal_cache_object(struct dal_cache *c, const char *path, const char *etag, uint64_t size)
{
	uint64_t hash = hash_path(c, path);
	struct dal_cobj *made, *o;

	pthread_mutex_lock(&c->lock);
	o = find_version_locked(c, hash, path, etag, size);
	if (o)
		o->refs++;
	pthread_mutex_unlock(&c->lock);
	if (o)
		return o;
	made = cobj_new(c, hash, path, etag, size);
	if (!made)
		return NULL;
	pthread_mutex_lock(&c->lock);
	o = find_version_locked(c, hash, path, etag, size);
	if (o) {
		o->refs++;
	} else {
		o = dal_take(&made);
		c->objects++;
		if (etag)
			list_locked(o);
	}
	pthread_mutex_unlock(&c->lock);
	dal_cobj_free(made);
	return o;
}

struct dal_cobj *dal_cobj_ref(struct dal_cobj *o)
{
	pthread_mutex_lock(&o->c->lock);
	assert(o->refs > 0);
	o->refs++;
	pthread_mutex_unlock(&o->c->lock);
	return o;
}

bool dal_cobj_orphan_locked(struct dal_cobj *o)
{
	if (o->refs > 0 || o->blocks > 0)
		return false;
	unlist_locked(o);
	o->c->objects--;
	return true;
}

struct dal_cobj *dal_cobj_unref(struct dal_cobj *o)
{
	bool orphan, last_of_unlisted;
	struct dal_cache *c;

	if (!o)
		return NULL;
	c = o->c;
	pthread_mutex_lock(&c->lock);
	last_of_unlisted = o->refs == 1 && !o->listed && o->blocks > 0;
	pthread_mutex_unlock(&c->lock);
	/* Nobody can find it again, so its blocks are of no use. */
	if (last_of_unlisted)
		dal_evict_object(o);
	pthread_mutex_lock(&c->lock);
	assert(o->refs > 0);
	o->refs--;
	orphan = dal_cobj_orphan_locked(o);
	pthread_mutex_unlock(&c->lock);
	if (orphan)
		dal_cobj_free(o);
	return NULL;
}

const char *dal_cobj_path(const struct dal_cobj *o)
{
	return o->path;
}

const char *dal_cobj_etag(const struct dal_cobj *o)
{
	return o->etag;
}

uint64_t dal_cobj_size(const struct dal_cobj *o)
{
	return o->size;
}

/* An unreferenced version of @path, taken out of the table and referenced, or NULL. */
static struct dal_cobj *unlist_one(struct dal_cache *c, uint64_t hash, const char *path)
{
	struct dal_cobj *o;

	pthread_mutex_lock(&c->lock);
	for (o = c->bucket[hash & c->mask]; o; o = o->chain)
		if (o->hash == hash && o->refs == 0 && strcmp(o->path, path) == 0)
			break;
	if (o) {
		unlist_locked(o);
		o->refs++;
	}
	pthread_mutex_unlock(&c->lock);
	return o;
}

void dal_cache_forget(struct dal_cache *c, const char *path)
{
	uint64_t hash = hash_path(c, path);
	struct dal_cobj *o;

	while ((o = unlist_one(c, hash, path)))
		dal_cobj_unref(o);
}

struct dal_cblock *dal_cobj_find_locked(struct dal_cobj *o, uint64_t no)
{
	struct dal_cblock *b = o->bucket[no & o->mask];

	while (b && b->no != no)
		b = b->chain;
	return b;
}

static void grow_index_locked(struct dal_cobj *o)
{
	size_t n = (o->mask + 1) * 4, i;
	struct dal_cblock **bucket = calloc(n, sizeof(*bucket));

	if (!bucket)
		return;
	for (i = 0; i <= o->mask; i++) {
		struct dal_cblock *b = o->bucket[i], *next;

		for (; b; b = next) {
			next = b->chain;
			b->chain = bucket[b->no & (n - 1)];
			bucket[b->no & (n - 1)] = b;
		}
	}
	if (o->bucket != &o->one)
		free(o->bucket);
	o->bucket = bucket;
	o->mask = n - 1;
}

void dal_cobj_add_locked(struct dal_cobj *o, struct dal_cblock *b, uint64_t no)
{
	if (o->indexed > 2 * o->mask + 1)
		grow_index_locked(o);
	*b = (struct dal_cblock){ .obj = o, .no = no, .chain = o->bucket[no & o->mask] };
	o->bucket[no & o->mask] = b;
	o->indexed++;
	o->blocks++;
	o->c->blocks++;
}

void dal_cobj_unindex_locked(struct dal_cblock *b)
{
	struct dal_cobj *o = b->obj;
	struct dal_cblock **at = &o->bucket[b->no & o->mask];

	while (*at && *at != b)
		at = &(*at)->chain;
	if (!*at)
		return;
	*at = b->chain;
	b->chain = NULL;
	o->indexed--;
}

void dal_cobj_drop_locked(struct dal_cblock *b)
{
	struct dal_cobj *o = b->obj;

	assert(b->pins == 0);
	dal_cobj_unindex_locked(b);
	if (b->ahead)
		o->c->ahead_blocks--;
	b->ahead = false;
	o->blocks--;
	o->c->blocks--;
	b->obj = NULL;
}
