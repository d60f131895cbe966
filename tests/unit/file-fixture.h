/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What tests of a file's contents share: a store, a cache and a budget; patterns to write and to find again.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fs/file-data.h"
#include "tests/unit/bucket-service.h"

/* assert_*() works in the test's own thread only. */
#define must(holds)                                                                                          \
	do {                                                                                                 \
		if (!(holds)) {                                                                              \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #holds);            \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

static struct dal_operator *op;
static struct dal_budget *budget;
static struct dal_cache *cache;
static struct dal_workers *uploads;
static struct dal_file_env env;
static struct bucket *k;

static inline void open_store(
	const struct dal_capability *cap, uint64_t memory, uint64_t part_size, uint64_t put_max)
{
	struct dal_cache_config config = { 0 };

	op = bucket_operator(cap);
	k = bucket_last;
	budget = dal_budget_new(memory);
	config.op = op;
	config.budget = budget;
	cache = dal_cache_new(&config);
	uploads = dal_workers_new("up", 8);
	env = (struct dal_file_env){ .op = op,
		.cache = cache,
		.budget = budget,
		.uploads = uploads,
		.spool_dir = "/tmp",
		.part_size = part_size,
		.put_max = put_max,
		.op_timeout_ns = 20 * DAL_NS_PER_S };
}

static inline void close_store(void)
{
	uploads = dal_workers_free(uploads);
	/* Nothing that was taken for dirty data may be left. */
	assert_int_equal(dal_budget_used(budget, DAL_BUDGET_DIRTY), 0);
	/* Nor an upload in the store. */
	assert_null(k->uploads);
	cache = dal_cache_free(cache);
	budget = dal_budget_free(budget);
	op = dal_operator_free(op);
}

static inline struct dal_call within(void)
{
	return dal_call_within(20 * DAL_NS_PER_S);
}

static inline unsigned char byte_at(uint64_t seed, uint64_t off)
{
	uint64_t h = (off / 8 + seed * 1000003) * UINT64_C(0x9e3779b97f4a7c15);

	h ^= h >> 29;
	return (unsigned char)(h >> (8 * (off % 8)));
}

static inline char *pattern(uint64_t seed, uint64_t off, size_t len)
{
	char *p = malloc(len + 1);
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (char)byte_at(seed, off + i);
	return p;
}

static inline int try_put(struct dal_file *f, uint64_t seed, uint64_t off, size_t len)
{
	struct dal_call call = within();
	char *p = pattern(seed, off, len);
	int r = dal_file_write(f, &call, p, len, off, false, NULL);

	free(p);
	return r;
}

static inline void put(struct dal_file *f, uint64_t seed, uint64_t off, size_t len)
{
	must(try_put(f, seed, off, len) == 0);
}

static inline int read_to(struct dal_file *f, uint64_t off, size_t len, char *buf, size_t *ret_n)
{
	struct dal_call call = within();
	struct dal_file_view v;
	size_t at = 0;
	unsigned i;
	int r = dal_file_read(f, &call, NULL, off, len, &v);

	if (r < 0)
		return r;
	for (i = 0; i < v.n; i++) {
		memcpy(buf + at, v.iov[i].iov_base, v.iov[i].iov_len);
		at += v.iov[i].iov_len;
	}
	must(at == v.len);
	dal_file_view_done(&v);
	*ret_n = at;
	return 0;
}

/* [off, off + len) reads as the pattern of @seed; as zeros for 0. */
static inline void check(struct dal_file *f, uint64_t seed, uint64_t off, uint64_t len)
{
	char *buf = malloc(DAL_MIB);
	uint64_t end = off + len;

	while (off < end) {
		size_t want = (size_t)DAL_MIN(end - off, DAL_MIB), n = 0, i;

		must(read_to(f, off, want, buf, &n) == 0);
		must(n == want);
		for (i = 0; i < n; i++)
			if ((unsigned char)buf[i] != (seed ? byte_at(seed, off + i) : 0))
				must(!"a byte is not the pattern's");
		off += n;
	}
	free(buf);
}

static inline int commit_as(
	struct dal_file *f, const char *path, bool exclusive, const struct dal_write_args *args)
{
	struct dal_commit how = { .path = path, .args = args, .exclusive = exclusive };
	struct dal_call call = within();
	struct dal_meta meta = { 0 };
	int r = dal_file_commit(f, &call, &how, &meta);

	if (r == 0) {
		must(meta.has_size && meta.etag);
		dal_meta_done(&meta);
	}
	return r;
}

static inline int commit(struct dal_file *f)
{
	return commit_as(f, "f", false, NULL);
}

static inline void stream(struct dal_file *f)
{
	struct dal_commit how = { .path = "f" };

	dal_file_stream(f, &how);
}

/* The object @path is @size bytes of the pattern. */
static inline void check_object(const char *path, uint64_t seed, uint64_t size)
{
	uint64_t n = 0, i;
	char *bytes = bucket_bytes(k, path, &n);

	must(bytes);
	must(n == size);
	for (i = 0; i < n; i++)
		if ((unsigned char)bytes[i] != byte_at(seed, i))
			must(!"a byte of the object is not the pattern's");
	free(bytes);
}

static inline void make_object(const char *path, uint64_t seed, uint64_t size)
{
	pthread_mutex_lock(&k->lock);
	bucket_put(k, path, pattern(seed, 0, (size_t)size), size, 0);
	pthread_mutex_unlock(&k->lock);
}

/* A file over object @path as it is now. */
static inline struct dal_file *open_file(const char *path)
{
	struct dal_file *f = dal_file_new(&env);
	struct dal_cobj *obj;
	char etag[64];
	uint64_t size;

	pthread_mutex_lock(&k->lock);
	snprintf(etag, sizeof(etag), "%s", bucket_find(k, path)->etag);
	size = bucket_find(k, path)->size;
	pthread_mutex_unlock(&k->lock);
	obj = dal_cache_object(cache, path, etag, size);
	dal_file_set_base(f, obj);
	dal_cobj_unref(obj);
	return f;
}

static inline unsigned count(enum bucket_op what)
{
	return atomic_load(&k->count[what]);
}

static inline void wait_for(bool (*holds)(struct dal_file *f), struct dal_file *f)
{
	uint64_t end = dal_now_ns() + 10 * DAL_NS_PER_S;

	while (!holds(f)) {
		must(dal_now_ns() < end);
		usleep(1000);
	}
}

#define S3 bucket_s3(64 << 10)
#define SMALL 256 * DAL_MIB, 128 << 10, 256 << 10 /* memory, parts, put_max */

static inline bool parts_sent(struct dal_file *f)
{
	return count(BUCKET_PART) >= 7;
}

static inline void write_stream(struct dal_file *f, uint64_t seed, uint64_t size)
{
	uint64_t off;

	for (off = 0; off < size; off += 40000) {
		put(f, seed, off, (size_t)DAL_MIN((uint64_t)40000, size - off));
		stream(f);
	}
}
