/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A store for tests of writing: objects in memory, multipart uploads, conditions. It counts what is asked,
 * checks what a strict server checks (part sizes, versions), and can be slow, refuse, or do what it is asked
 * and then lose the answer. Defines the registry, with itself as the only row.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/operator.h"
#include "core/registry.h"

struct bucket_object {
	struct bucket_object *next;
	char path[128];
	char etag[64];
	char *bytes;
	uint64_t size;
	char mode[32]; /* user metadata "mode" */
};

struct bucket_upload {
	struct bucket_upload *next;
	char path[128], id[32], mode[32];
	struct bucket_part {
		char *bytes;
		uint64_t len;
		char etag[136];
	} * part;
	size_t cap;
};

enum bucket_op {
	BUCKET_STAT,
	BUCKET_READ,
	BUCKET_WRITE,
	BUCKET_BEGIN,
	BUCKET_PART,
	BUCKET_COPY,
	BUCKET_COMPLETE,
	BUCKET_ABORT,
	BUCKET_OPS,
};

struct bucket {
	struct dal_backend b;
	pthread_mutex_t lock;
	struct bucket_object *objects; /* guarded by lock */
	struct bucket_upload *uploads; /* guarded by lock */
	unsigned serial; /* guarded by lock */
	/* what goes wrong */
	atomic_uint fail_percent, lose_percent; /* before, after it is done */
	atomic_uint fail[BUCKET_OPS]; /* so many of each fail */
	atomic_uint lose[BUCKET_OPS]; /* so many of each are done, and the answer is lost */
	atomic_uint latency_us;
	atomic_uint gate; /* bit n set: operation n waits until it is cleared */
	atomic_uint seed;
	/* what was seen */
	atomic_uint count[BUCKET_OPS], waiting[BUCKET_OPS];
	atomic_uint_fast64_t bytes_in, bytes_out;
};

static struct bucket *bucket_last;
/* What the next one can do: tests fill it before they open. */
static struct dal_capability bucket_cap;
static bool bucket_plain; /* without multipart */

static inline bool bucket_take(atomic_uint *n)
{
	unsigned v = atomic_load(n);

	while (v > 0 && !atomic_compare_exchange_weak(n, &v, v - 1))
		;
	return v > 0;
}

static inline unsigned bucket_random(struct bucket *k)
{
	unsigned s = atomic_fetch_add(&k->seed, 0x9e3779b9u);

	s ^= s >> 16;
	s *= 0x85ebca6bu;
	s ^= s >> 13;
	s *= 0xc2b2ae35u;
	return s ^ (s >> 16);
}

static inline int bucket_enter(struct bucket *k, struct dal_call *call, enum bucket_op op)
{
	unsigned us = atomic_load(&k->latency_us);

	atomic_fetch_add(&k->count[op], 1);
	if (us)
		usleep(us);
	if (atomic_load(&k->gate) & (1u << op)) {
		atomic_fetch_add(&k->waiting[op], 1);
		while (atomic_load(&k->gate) & (1u << op)) {
			int r = dal_call_check(call);

			if (r < 0)
				return r;
			usleep(500);
		}
		atomic_fetch_sub(&k->waiting[op], 1);
	}
	if (bucket_take(&k->fail[op]) || bucket_random(k) % 100 < atomic_load(&k->fail_percent))
		return dal_fail(call, DAL_UNEXPECTED, "503 injected");
	return 0;
}

static inline int bucket_leave(struct bucket *k, struct dal_call *call, enum bucket_op op)
{
	if (bucket_take(&k->lose[op]) || bucket_random(k) % 100 < atomic_load(&k->lose_percent))
		return dal_fail(call, DAL_TIMED_OUT, "the answer was lost");
	return 0;
}

static inline uint64_t bucket_hash(const char *bytes, uint64_t len)
{
	uint64_t h = UINT64_C(1469598103934665603), i;

	for (i = 0; i + 8 <= len; i += 8) {
		uint64_t w;

		memcpy(&w, bytes + i, 8);
		h = (h ^ w) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	for (; i < len; i++)
		h = (h ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
	return h;
}

static inline struct bucket_object *bucket_find(struct bucket *k, const char *path)
{
	struct bucket_object *o = k->objects;

	while (o && strcmp(o->path, path) != 0)
		o = o->next;
	return o;
}

static inline struct bucket_upload *bucket_upload(struct bucket *k, const char *path, const char *id)
{
	struct bucket_upload *u = k->uploads;

	while (u && (strcmp(u->path, path) != 0 || strcmp(u->id, id) != 0))
		u = u->next;
	return u;
}

static inline int bucket_check(
	struct bucket *k, struct dal_call *call, const char *path, const struct dal_write_args *args)
{
	const struct bucket_object *o = bucket_find(k, path);

	if (args->if_not_exists && o)
		return dal_fail(call, DAL_CONDITION_NOT_MATCH, "%s: 412 it exists", path);
	if (args->if_match && !o)
		return dal_fail(call, DAL_NOT_FOUND, "%s: 404", path);
	if (args->if_match && strcmp(o->etag, args->if_match) != 0)
		return dal_fail(call, DAL_CONDITION_NOT_MATCH, "%s: 412 another version", path);
	return 0;
}

/* Takes @bytes. */
static inline struct bucket_object *bucket_put(
	struct bucket *k, const char *path, char *bytes, uint64_t size, size_t parts)
{
	struct bucket_object *o = bucket_find(k, path);

	if (!o) {
		o = calloc(1, sizeof(*o));
		snprintf(o->path, sizeof(o->path), "%s", path);
		o->next = k->objects;
		k->objects = o;
	}
	free(o->bytes);
	o->bytes = bytes;
	o->size = size;
	if (parts)
		snprintf(o->etag, sizeof(o->etag), "\"%016llx-%zu\"",
			(unsigned long long)bucket_hash(bytes, size), parts);
	else
		snprintf(o->etag, sizeof(o->etag), "\"%016llx\"",
			(unsigned long long)bucket_hash(bytes, size));
	return o;
}

static inline void bucket_meta(const struct bucket_object *o, struct dal_meta *meta)
{
	meta->type = DAL_TYPE_FILE;
	meta->has_size = true;
	meta->size = o->size;
	meta->etag = strdup(o->etag);
}

static const struct dal_service bucket_service, bucket_plain_service;

static int bucket_open(struct dal_call *call, const struct dal_config *cfg, struct dal_backend **ret_b)
{
	struct bucket *k = calloc(1, sizeof(*k));

	(void)call;
	(void)cfg;
	pthread_mutex_init(&k->lock, NULL);
	k->b.svc = bucket_plain ? &bucket_plain_service : &bucket_service;
	k->b.cap = bucket_cap;
	bucket_last = k;
	*ret_b = &k->b;
	return 0;
}

static inline void bucket_drop_upload(struct bucket *k, struct bucket_upload *u)
{
	struct bucket_upload **at = &k->uploads;
	size_t i;

	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	for (i = 0; i < u->cap; i++)
		free(u->part[i].bytes);
	free(u->part);
	free(u);
}

static inline void bucket_remove(struct bucket *k, const char *path)
{
	struct bucket_object **at = &k->objects, *o;

	pthread_mutex_lock(&k->lock);
	while (*at && strcmp((*at)->path, path) != 0)
		at = &(*at)->next;
	o = *at;
	if (o) {
		*at = o->next;
		free(o->bytes);
		free(o);
	}
	pthread_mutex_unlock(&k->lock);
}

static void bucket_close(struct dal_backend *b)
{
	struct bucket *k = dal_container_of(b, struct bucket, b);

	while (k->uploads)
		bucket_drop_upload(k, k->uploads);
	while (k->objects)
		bucket_remove(k, k->objects->path);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

static int bucket_stat(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_stat_args *args, struct dal_meta *ret_meta)
{
	struct bucket *k = dal_container_of(b, struct bucket, b);
	const struct bucket_object *o;
	int r = bucket_enter(k, call, BUCKET_STAT);

	(void)args;
	if (r < 0)
		return r;
	pthread_mutex_lock(&k->lock);
	o = bucket_find(k, path);
	if (o)
		bucket_meta(o, ret_meta);
	else
		r = dal_fail(call, DAL_NOT_FOUND, "%s: 404", path);
	pthread_mutex_unlock(&k->lock);
	return r;
}

struct bucket_stream {
	struct dal_stream s;
	struct bucket *k;
	char *bytes;
	uint64_t pos;
};

static int bucket_stream_read(
	struct dal_stream *s, struct dal_call *call, void *buf, size_t len, size_t *ret_n)
{
	struct bucket_stream *t = dal_container_of(s, struct bucket_stream, s);
	size_t n = (size_t)DAL_MIN((uint64_t)len, s->len - t->pos);

	(void)call;
	if (n)
		memcpy(buf, t->bytes + t->pos, n);
	t->pos += n;
	atomic_fetch_add(&t->k->bytes_in, n);
	*ret_n = n;
	return 0;
}

static void bucket_stream_close(struct dal_stream *s)
{
	struct bucket_stream *t = dal_container_of(s, struct bucket_stream, s);

	dal_meta_done(&s->meta);
	free(t->bytes);
	free(t);
}

static const struct dal_stream_ops bucket_stream_ops = { bucket_stream_read, bucket_stream_close };

static int bucket_read(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_read_args *args, struct dal_stream **ret_stream)
{
	struct bucket *k = dal_container_of(b, struct bucket, b);
	const struct bucket_object *o;
	struct bucket_stream *t;
	int r = bucket_enter(k, call, BUCKET_READ);

	if (r < 0)
		return r;
	pthread_mutex_lock(&k->lock);
	o = bucket_find(k, path);
	if (!o)
		r = dal_fail(call, DAL_NOT_FOUND, "%s: 404", path);
	else if (args->if_match && strcmp(args->if_match, o->etag) != 0)
		r = dal_fail(call, DAL_CONDITION_NOT_MATCH, "%s: 412", path);
	else if (args->if_none_match && strcmp(args->if_none_match, o->etag) == 0)
		r = dal_fail(call, DAL_CONDITION_NOT_MATCH, "%s: 304", path);
	if (r == 0) {
		t = calloc(1, sizeof(*t));
		t->k = k;
		t->s.ops = &bucket_stream_ops;
		t->s.off = DAL_MIN(args->off, o->size);
		t->s.len = DAL_MIN(args->len, o->size - t->s.off);
		bucket_meta(o, &t->s.meta);
		t->bytes = malloc(t->s.len + 1);
		memcpy(t->bytes, o->bytes + t->s.off, t->s.len);
		*ret_stream = &t->s;
	}
	pthread_mutex_unlock(&k->lock);
	return r;
}

/* The body, read in odd pieces when it is not in memory. */
static inline int bucket_body(
	struct bucket *k, struct dal_call *call, const struct dal_body *body, char **ret_bytes)
{
	char *bytes = malloc(body->len + 1);
	uint64_t at = 0;
	size_t i;
	int r = 0;

	for (i = 0; i < body->iov_n; i++) {
		memcpy(bytes + at, body->iov[i].iov_base, body->iov[i].iov_len);
		at += body->iov[i].iov_len;
	}
	while (at < body->len && r == 0) {
		size_t n = (size_t)DAL_MIN(body->len - at, (uint64_t)100003);

		r = dal_body_read(body, call, bytes + at, n, at);
		at += n;
	}
	if (r < 0) {
		free(bytes);
		return r;
	}
	if (at != body->len)
		abort();
	atomic_fetch_add(&k->bytes_out, body->len);
	*ret_bytes = bytes;
	return 0;
}

static int bucket_write(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_write_args *args, const struct dal_body *body, struct dal_meta *ret_meta)
{
	struct bucket *k = dal_container_of(b, struct bucket, b);
	struct bucket_object *o;
	char *bytes = NULL;
	int r = bucket_enter(k, call, BUCKET_WRITE);

	if (r == 0)
		r = bucket_body(k, call, body, &bytes);
	if (r < 0)
		return r;
	pthread_mutex_lock(&k->lock);
	r = bucket_check(k, call, path, args);
	if (r == 0) {
		const char *mode = args->user ? dal_pairs_get(args->user, "mode") : NULL;

		o = bucket_put(k, path, bytes, body->len, 0);
		snprintf(o->mode, sizeof(o->mode), "%s", mode ? mode : "");
		r = bucket_leave(k, call, BUCKET_WRITE);
		if (r == 0)
			bucket_meta(o, ret_meta);
	} else {
		free(bytes);
	}
	pthread_mutex_unlock(&k->lock);
	return r;
}

static int bucket_begin(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_write_args *args, char **ret_id)
{
	struct bucket *k = dal_container_of(b, struct bucket, b);
	const char *mode = args->user ? dal_pairs_get(args->user, "mode") : NULL;
	struct bucket_upload *u;
	int r = bucket_enter(k, call, BUCKET_BEGIN);

	if (r < 0)
		return r;
	u = calloc(1, sizeof(*u));
	pthread_mutex_lock(&k->lock);
	snprintf(u->path, sizeof(u->path), "%s", path);
	snprintf(u->id, sizeof(u->id), "u%u", ++k->serial);
	snprintf(u->mode, sizeof(u->mode), "%s", mode ? mode : "");
	u->next = k->uploads;
	k->uploads = u;
	*ret_id = strdup(u->id);
	pthread_mutex_unlock(&k->lock);
	return 0;
}

/* Takes @bytes. */
static inline int bucket_store_part(struct bucket *k, struct dal_call *call, const char *path, const char *id,
	char *bytes, struct dal_part *part)
{
	struct bucket_upload *u;
	int r = 0;

	pthread_mutex_lock(&k->lock);
	u = bucket_upload(k, path, id);
	if (!u) {
		free(bytes);
		r = dal_fail(call, DAL_NOT_FOUND, "%s: NoSuchUpload", path);
	} else {
		if (part->number > u->cap) {
			size_t cap = DAL_MAX((size_t)part->number, 2 * u->cap);

			u->part = realloc(u->part, cap * sizeof(*u->part));
			memset(u->part + u->cap, 0, (cap - u->cap) * sizeof(*u->part));
			u->cap = cap;
		}
		free(u->part[part->number - 1].bytes);
		u->part[part->number - 1].bytes = bytes;
		u->part[part->number - 1].len = part->len;
		snprintf(part->etag, sizeof(part->etag), "p%016llx",
			(unsigned long long)bucket_hash(bytes, part->len));
		snprintf(u->part[part->number - 1].etag, sizeof(u->part[0].etag), "%s", part->etag);
	}
	pthread_mutex_unlock(&k->lock);
	return r;
}

static int bucket_part(struct dal_backend *b, struct dal_call *call, const char *path, const char *id,
	const struct dal_body *body, struct dal_part *part)
{
	struct bucket *k = dal_container_of(b, struct bucket, b);
	char *bytes = NULL;
	int r = bucket_enter(k, call, BUCKET_PART);

	if (body->len != part->len)
		abort();
	if (r == 0)
		r = bucket_body(k, call, body, &bytes);
	if (r == 0)
		r = bucket_store_part(k, call, path, id, bytes, part);
	return r < 0 ? r : bucket_leave(k, call, BUCKET_PART);
}

static int bucket_copy(struct dal_backend *b, struct dal_call *call, const char *path, const char *id,
	const char *src, uint64_t src_off, const char *src_etag, struct dal_part *part)
{
	struct bucket *k = dal_container_of(b, struct bucket, b);
	const struct bucket_object *o;
	char *bytes = NULL;
	int r = bucket_enter(k, call, BUCKET_COPY);

	if (r < 0)
		return r;
	pthread_mutex_lock(&k->lock);
	o = bucket_find(k, src);
	if (!o)
		r = dal_fail(call, DAL_NOT_FOUND, "%s: NoSuchKey", src);
	else if (src_etag && strcmp(src_etag, o->etag) != 0)
		r = dal_fail(call, DAL_CONDITION_NOT_MATCH, "%s: 412 of the source", src);
	else if (src_off + part->len > o->size)
		r = dal_fail(call, DAL_RANGE_NOT_SATISFIED, "%s: 416", src);
	if (r == 0) {
		bytes = malloc(part->len + 1);
		memcpy(bytes, o->bytes + src_off, part->len);
	}
	pthread_mutex_unlock(&k->lock);
	if (r == 0)
		r = bucket_store_part(k, call, path, id, bytes, part);
	return r;
}

/* Puts the parts together as @parts says. */
static inline int bucket_assemble(struct bucket *k, struct dal_call *call, const struct bucket_upload *u,
	const struct dal_part *parts, size_t n, char **ret_bytes, uint64_t *ret_size)
{
	uint64_t size = 0, at = 0;
	size_t i;
	char *bytes;

	for (i = 0; i < n; i++) {
		const struct bucket_part *p =
			parts[i].number <= u->cap ? &u->part[parts[i].number - 1] : NULL;

		if (!p || !p->bytes || strcmp(p->etag, parts[i].etag) != 0 || p->len != parts[i].len)
			return dal_fail(call, DAL_UNEXPECTED, "%s: InvalidPart %u", u->path, parts[i].number);
		if (i && parts[i].number <= parts[i - 1].number)
			return dal_fail(call, DAL_UNEXPECTED, "%s: InvalidPartOrder", u->path);
		if (i + 1 < n && p->len < k->b.cap.part_min)
			return dal_fail(call, DAL_UNEXPECTED, "%s: EntityTooSmall", u->path);
		if (parts[i].off != size)
			return dal_fail(call, DAL_UNEXPECTED, "%s: offsets do not add up", u->path);
		size += p->len;
	}
	bytes = malloc(size + 1);
	for (i = 0; i < n; i++) {
		memcpy(bytes + at, u->part[parts[i].number - 1].bytes, u->part[parts[i].number - 1].len);
		at += parts[i].len;
	}
	*ret_bytes = bytes;
	*ret_size = size;
	return 0;
}

static int bucket_complete(struct dal_backend *b, struct dal_call *call, const char *path, const char *id,
	const struct dal_part *parts, size_t n, const struct dal_write_args *args, struct dal_meta *ret_meta)
{
	struct bucket *k = dal_container_of(b, struct bucket, b);
	struct bucket_upload *u;
	struct bucket_object *o;
	char *bytes = NULL;
	uint64_t size = 0;
	int r = bucket_enter(k, call, BUCKET_COMPLETE);

	if (r < 0)
		return r;
	pthread_mutex_lock(&k->lock);
	u = bucket_upload(k, path, id);
	r = u ? bucket_check(k, call, path, args) : dal_fail(call, DAL_NOT_FOUND, "%s: NoSuchUpload", path);
	if (r == 0)
		r = bucket_assemble(k, call, u, parts, n, &bytes, &size);
	if (r == 0) {
		o = bucket_put(k, path, bytes, size, n);
		snprintf(o->mode, sizeof(o->mode), "%s", u->mode);
		bucket_drop_upload(k, u);
		r = bucket_leave(k, call, BUCKET_COMPLETE);
		if (r == 0)
			bucket_meta(o, ret_meta);
	}
	pthread_mutex_unlock(&k->lock);
	return r;
}

static int bucket_abort(struct dal_backend *b, struct dal_call *call, const char *path, const char *id)
{
	struct bucket *k = dal_container_of(b, struct bucket, b);
	struct bucket_upload *u;

	(void)call;
	atomic_fetch_add(&k->count[BUCKET_ABORT], 1);
	pthread_mutex_lock(&k->lock);
	u = bucket_upload(k, path, id);
	if (u)
		bucket_drop_upload(k, u);
	pthread_mutex_unlock(&k->lock);
	return 0;
}

static int bucket_delete(
	struct dal_backend *b, struct dal_call *call, const char *path, const struct dal_delete_args *args)
{
	(void)call;
	(void)args;
	bucket_remove(dal_container_of(b, struct bucket, b), path);
	return 0;
}

static int bucket_from_uri(struct dal_call *call, const struct dal_uri *uri, struct dal_config *cfg)
{
	(void)call;
	(void)uri;
	(void)cfg;
	return 0;
}

static const struct dal_option bucket_options[] = { { 0 } };

static const struct dal_service bucket_service = {
	.scheme = "bucket",
	.summary = "for tests",
	.options = bucket_options,
	.from_uri = bucket_from_uri,
	.open = bucket_open,
	.close = bucket_close,
	.stat = bucket_stat,
	.read = bucket_read,
	.write = bucket_write,
	.multipart_begin = bucket_begin,
	.multipart_part = bucket_part,
	.multipart_copy = bucket_copy,
	.multipart_complete = bucket_complete,
	.multipart_abort = bucket_abort,
	.delete = bucket_delete,
};

static const struct dal_service bucket_plain_service = {
	.scheme = "plain",
	.summary = "for tests, without multipart",
	.options = bucket_options,
	.from_uri = bucket_from_uri,
	.open = bucket_open,
	.close = bucket_close,
	.stat = bucket_stat,
	.read = bucket_read,
	.write = bucket_write,
	.delete = bucket_delete,
};

const struct dal_registry_row dal_registry[] = {
	{ "bucket", &bucket_service, NULL, NULL },
	{ "plain", &bucket_plain_service, NULL, NULL },
	{ NULL, NULL, NULL, NULL },
};

/* What S3 can do, with parts of at least @part_min. */
static inline struct dal_capability bucket_s3(uint64_t part_min)
{
	return (struct dal_capability){ .read_if_match = true,
		.read_if_none_match = true,
		.write_if_match = true,
		.write_if_not_exists = true,
		.complete_if_match = true,
		.complete_if_not_exists = true,
		.copy_if_match = true,
		.write_user_metadata = true,
		.shared = true,
		.part_min = part_min,
		.part_max = 5 * DAL_GIB,
		.parts_max = 10000 };
}

static inline struct dal_operator *bucket_operator(const struct dal_capability *cap)
{
	struct dal_call call = { 0 };
	struct dal_operator *op = NULL;

	bucket_cap = *cap;
	if (dal_operator_open_uri(&call, bucket_plain ? "plain://b" : "bucket://b", "retry_max=0",
		    DAL_OPERATOR_EXACT_KEYS, &op) < 0) {
		fprintf(stderr, "%s\n", call.err.msg);
		abort();
	}
	return op;
}

/* A copy of an object's bytes; NULL when there is none. */
static inline char *bucket_bytes(struct bucket *k, const char *path, uint64_t *ret_size)
{
	const struct bucket_object *o;
	char *bytes = NULL;

	pthread_mutex_lock(&k->lock);
	o = bucket_find(k, path);
	if (o) {
		bytes = malloc(o->size + 1);
		memcpy(bytes, o->bytes, o->size);
		*ret_size = o->size;
	}
	pthread_mutex_unlock(&k->lock);
	return bytes;
}

static inline unsigned bucket_requests(struct bucket *k)
{
	unsigned n = 0, i;

	for (i = 0; i < BUCKET_OPS; i++)
		n += atomic_load(&k->count[i]);
	return n;
}

static inline void bucket_reset_counts(struct bucket *k)
{
	unsigned i;

	for (i = 0; i < BUCKET_OPS; i++)
		atomic_store(&k->count[i], 0);
	atomic_store(&k->bytes_in, 0);
	atomic_store(&k->bytes_out, 0);
}
