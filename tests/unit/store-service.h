/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A store for tests of the cache: objects whose bytes follow from name, version and offset, so that any byte
 * can be checked and any mix of versions shows. It counts and logs what is asked, and can be slow and fail.
 * Defines the registry, with itself as the only row.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/operator.h"
#include "core/registry.h"

#define STORE_OBJECTS 16
#define STORE_LOG 8192

struct store_object {
	char name[64];
	uint64_t size;
	atomic_uint version; /* the etag is "v<version>" */
};

struct store {
	struct dal_backend b;
	struct store_object object[STORE_OBJECTS];
	unsigned objects;
	/* what goes wrong */
	atomic_uint latency_us; /* before each answer */
	atomic_uint piece_us; /* before each read of a stream */
	atomic_uint fail_opens; /* so many reads fail at once */
	atomic_uint fail_percent; /* of the reads, half of them in the middle of the body */
	atomic_uint corrupt_ends; /* so many streams that go to an object's end fail on their last byte */
	atomic_bool gate; /* reads of streams wait while it is set */
	bool no_etags; /* set before use */
	enum dal_kind kind; /* of failures; 0 for UNEXPECTED */
	/* what was seen */
	atomic_uint reads, stats, unchanged, running, peak, open_streams;
	atomic_uint_fast64_t bytes;
	atomic_uint seed;
	pthread_mutex_t lock;
	struct {
		uint64_t off, len;
	} log[STORE_LOG]; /* guarded by lock */
	unsigned logged;
};

static struct store *store_last;
/* Whether the next one honours conditions. */
static bool store_without_conditions;
static const struct dal_service store_service;

static inline uint64_t store_word(const char *name, unsigned version, uint64_t i)
{
	uint64_t h = (uint64_t)version * UINT64_C(0x9e3779b97f4a7c15) + i;

	for (; *name; name++)
		h = h * 131 + (unsigned char)*name;
	h ^= h >> 31;
	h *= UINT64_C(0xd6e8feb86659fd93);
	return h ^ (h >> 32);
}

/* Bytes [@off, @off + @len) of a version into @buf. */
static inline void store_bytes(const char *name, unsigned version, uint64_t off, void *buf, size_t len)
{
	unsigned char *to = buf;

	while (len > 0) {
		uint64_t w = store_word(name, version, off / 8);
		size_t n = DAL_MIN((size_t)(8 - off % 8), len);

		memcpy(to, (unsigned char *)&w + off % 8, n);
		to += n;
		off += n;
		len -= n;
	}
}

static inline bool store_check(const char *name, unsigned version, uint64_t off, const void *buf, size_t len)
{
	const unsigned char *from = buf;

	while (len > 0) {
		uint64_t w = store_word(name, version, off / 8);
		size_t n = DAL_MIN((size_t)(8 - off % 8), len);

		if (memcmp(from, (unsigned char *)&w + off % 8, n) != 0)
			return false;
		from += n;
		off += n;
		len -= n;
	}
	return true;
}

static inline struct store_object *store_find(struct store *s, const char *name)
{
	unsigned i;

	for (i = 0; i < s->objects; i++)
		if (strcmp(s->object[i].name, name) == 0)
			return &s->object[i];
	return NULL;
}

static inline void store_add(const char *name, uint64_t size)
{
	struct store_object *o = &store_last->object[store_last->objects++];

	snprintf(o->name, sizeof(o->name), "%s", name);
	o->size = size;
	atomic_store(&o->version, 1);
}

static inline void store_etag(char *etag, size_t size, unsigned version)
{
	snprintf(etag, size, "\"v%u\"", version);
}

static int store_open(struct dal_call *call, const struct dal_config *cfg, struct dal_backend **ret_b)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return dal_fail_nomem(call);
	pthread_mutex_init(&s->lock, NULL);
	s->b.svc = &store_service;
	s->b.cap.read_if_match = !store_without_conditions;
	s->b.cap.read_if_none_match = !store_without_conditions;
	atomic_store(&s->seed, 1);
	store_last = s;
	*ret_b = &s->b;
	return 0;
}

static void store_close(struct dal_backend *b)
{
	struct store *s = dal_container_of(b, struct store, b);

	pthread_mutex_destroy(&s->lock);
	free(s);
}

static bool store_chance(struct store *s, unsigned percent)
{
	unsigned n = atomic_fetch_add(&s->seed, 1) * 2654435761u;

	return percent > 0 && (n >> 8) % 100 < percent;
}

static int store_failure(struct store *s, struct dal_call *call)
{
	return dal_fail(call, s->kind ? s->kind : DAL_UNEXPECTED, "the test's fault");
}

static bool store_take(atomic_uint *n)
{
	unsigned v = atomic_load(n);

	while (v > 0)
		if (atomic_compare_exchange_weak(n, &v, v - 1))
			return true;
	return false;
}

static int store_stat(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_stat_args *args, struct dal_meta *ret_meta)
{
	struct store *s = dal_container_of(b, struct store, b);
	struct store_object *o = store_find(s, path);
	char etag[32];

	atomic_fetch_add(&s->stats, 1);
	if (!o)
		return dal_fail(call, DAL_NOT_FOUND, "%s: no such object", path);
	store_etag(etag, sizeof(etag), atomic_load(&o->version));
	ret_meta->type = DAL_TYPE_FILE;
	ret_meta->has_size = true;
	ret_meta->size = o->size;
	ret_meta->etag = s->no_etags ? NULL : strdup(etag);
	return 0;
}

struct store_stream {
	struct dal_stream s;
	struct store *store;
	struct store_object *o;
	unsigned version;
	uint64_t pos;
	uint64_t fail_at; /* byte of the stream, UINT64_MAX for none */
};

static int store_stream_read(
	struct dal_stream *stream, struct dal_call *call, void *buf, size_t len, size_t *ret_n)
{
	struct store_stream *t = dal_container_of(stream, struct store_stream, s);
	size_t n = (size_t)DAL_MIN((uint64_t)len, stream->len - t->pos);
	unsigned nap = atomic_load(&t->store->piece_us);
	int r = dal_call_check(call);

	while (r == 0 && atomic_load(&t->store->gate))
		r = dal_call_sleep(call, DAL_NS_PER_MS);
	if (r == 0 && nap)
		r = dal_call_sleep(call, nap * (uint64_t)1000);
	if (r < 0)
		return r;
	if (t->fail_at < t->pos + n) {
		n = (size_t)(t->fail_at - t->pos);
		store_bytes(t->o->name, t->version, stream->off + t->pos, buf, n);
		*ret_n = n;
		t->pos += n;
		return store_failure(t->store, call);
	}
	store_bytes(t->o->name, t->version, stream->off + t->pos, buf, n);
	t->pos += n;
	*ret_n = n;
	atomic_fetch_add(&t->store->bytes, n);
	return 0;
}

static void store_stream_close(struct dal_stream *stream)
{
	struct store_stream *t = dal_container_of(stream, struct store_stream, s);

	atomic_fetch_sub(&t->store->open_streams, 1);
	dal_meta_done(&stream->meta);
	free(t);
}

static const struct dal_stream_ops store_stream_ops = { store_stream_read, store_stream_close };

static void store_log(struct store *s, const struct dal_read_args *args)
{
	pthread_mutex_lock(&s->lock);
	if (s->logged < STORE_LOG) {
		s->log[s->logged].off = args->off;
		s->log[s->logged].len = args->len;
		s->logged++;
	}
	pthread_mutex_unlock(&s->lock);
}

static int store_read_begin(struct store *s, struct dal_call *call, struct store_object *o,
	const struct dal_read_args *args, unsigned *ret_version)
{
	unsigned version = atomic_load(&o->version), latency = atomic_load(&s->latency_us);
	char etag[32];

	if (latency) {
		int r = dal_call_sleep(call, latency * (uint64_t)1000);

		if (r < 0)
			return r;
	}
	store_etag(etag, sizeof(etag), version);
	if (store_take(&s->fail_opens))
		return store_failure(s, call);
	if (args->if_match && strcmp(args->if_match, etag) != 0)
		return dal_fail(call, DAL_CONDITION_NOT_MATCH, "%s: 412", o->name);
	if (args->if_none_match && strcmp(args->if_none_match, etag) == 0) {
		atomic_fetch_add(&s->unchanged, 1);
		return dal_fail(call, DAL_CONDITION_NOT_MATCH, "%s: 304", o->name);
	}
	*ret_version = version;
	return 0;
}

static void store_plan_fault(struct store *s, struct store_stream *t)
{
	bool to_end = t->s.off + t->s.len == t->o->size && t->s.len > 0;

	t->fail_at = UINT64_MAX;
	if (store_chance(s, atomic_load(&s->fail_percent)))
		t->fail_at = store_chance(s, 50) ? 0 : t->s.len / 2;
	if (to_end && store_take(&s->corrupt_ends))
		t->fail_at = t->s.len - 1;
}

static int store_read(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_read_args *args, struct dal_stream **ret_stream)
{
	struct store *s = dal_container_of(b, struct store, b);
	struct store_object *o = store_find(s, path);
	unsigned running = atomic_fetch_add(&s->running, 1) + 1, version = 0;
	struct store_stream *t;
	char etag[32];
	int r;

	atomic_fetch_add(&s->reads, 1);
	if (running > atomic_load(&s->peak))
		atomic_store(&s->peak, running);
	store_log(s, args);
	r = o ? store_read_begin(s, call, o, args, &version)
	      : dal_fail(call, DAL_NOT_FOUND, "%s: not there", path);
	atomic_fetch_sub(&s->running, 1);
	if (r < 0)
		return r;
	t = calloc(1, sizeof(*t));
	t->s.ops = &store_stream_ops;
	t->s.off = DAL_MIN(args->off, o->size);
	t->s.len = DAL_MIN(args->len, o->size - t->s.off);
	t->s.meta.type = DAL_TYPE_FILE;
	t->s.meta.has_size = true;
	t->s.meta.size = o->size;
	store_etag(etag, sizeof(etag), version);
	t->s.meta.etag = s->no_etags ? NULL : strdup(etag);
	t->store = s;
	t->o = o;
	t->version = version;
	store_plan_fault(s, t);
	atomic_fetch_add(&s->open_streams, 1);
	*ret_stream = &t->s;
	return 0;
}

static const struct dal_service store_service = {
	.scheme = "store",
	.summary = "for tests",
	.open = store_open,
	.close = store_close,
	.stat = store_stat,
	.read = store_read,
};

const struct dal_registry_row dal_registry[] = {
	{ "store", &store_service, NULL, NULL },
	{ NULL, NULL, NULL, NULL },
};

/* An operator on a new, empty store, which is store_last. NULL on failure. */
static inline struct dal_operator *store_operator(void)
{
	struct dal_operator *op = NULL;
	struct dal_call call = { 0 };

	return dal_operator_open_uri(&call, "store:///", "retry_max=0", 0, &op) < 0 ? NULL : op;
}
