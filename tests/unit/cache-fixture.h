/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A cache over the test store, and checked reads through it. Include after cmocka.h. */

#include "cache/cache.h"
#include "tests/unit/store-service.h"

struct fixture {
	struct dal_operator *op;
	struct store *store; /* borrowed from op */
	struct dal_budget *budget;
	struct dal_cache *cache;
};

static inline void fixture_init(struct fixture *f, uint64_t limit, unsigned streams)
{
	struct dal_cache_config config = { .streams = streams };

	f->op = store_operator();
	assert_non_null(f->op);
	f->store = store_last;
	f->budget = dal_budget_new(limit);
	assert_non_null(f->budget);
	config.op = f->op;
	config.budget = f->budget;
	f->cache = dal_cache_new(&config);
	assert_non_null(f->cache);
}

static inline void fixture_done(struct fixture *f)
{
	dal_cache_free(f->cache);
	assert_int_equal(dal_budget_used(f->budget, DAL_BUDGET_CACHE), 0);
	assert_int_equal(atomic_load(&f->store->open_streams), 0);
	dal_budget_free(f->budget);
	dal_operator_free(f->op);
}

/* Version @version of @name, which is in the store. */
static inline struct dal_cobj *fixture_object(struct fixture *f, const char *name, unsigned version)
{
	char etag[32];
	struct dal_cobj *o;

	store_etag(etag, sizeof(etag), version);
	o = dal_cache_object(f->cache, name, etag, store_find(f->store, name)->size);
	assert_non_null(o);
	return o;
}

static inline bool view_checks(const struct dal_view *v, const char *name, unsigned version, uint64_t off)
{
	size_t len = 0;
	unsigned i;

	for (i = 0; i < v->n; i++) {
		if (!store_check(name, version, off + len, v->iov[i].iov_base, v->iov[i].iov_len))
			return false;
		len += v->iov[i].iov_len;
	}
	return len == v->len;
}

/* Reads and checks; what is read must be all that was asked for. */
static inline void read_ok(struct dal_cobj *o, struct dal_reader *reader, const char *name, unsigned version,
	uint64_t off, size_t len)
{
	struct dal_call call = dal_call_within(20 * DAL_NS_PER_S);
	struct dal_view v;

	if (dal_cobj_read(o, &call, reader, off, len, &v) < 0)
		fail_msg("read at %llu: %s", (unsigned long long)off, call.err.msg);
	assert_int_equal(v.len, len);
	assert_true(view_checks(&v, name, version, off));
	dal_view_done(&v);
}

/* Waits until no download is running. */
static inline void settle(struct fixture *f)
{
	unsigned quiet = 0;

	while (quiet < 3) {
		usleep(2000);
		quiet = atomic_load(&f->store->open_streams) || atomic_load(&f->store->running) ? 0
												: quiet + 1;
	}
}
