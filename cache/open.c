/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Opening is one round trip. It asks for the head of the object, unless the newest version known has that
 * cached already; then it asks only whether that version is still the newest. An answer with a body is the
 * first fetch of the version it tells about:
 *
 *   nothing known, or its head not cached   GET bytes 0-256K               body: into the cache
 *   head cached                             GET … If-None-Match            304: unchanged; else as above
 *   head cached, no such condition          stat, and the first line if it has changed
 *   known and empty                         the same
 *
 * The body of a small object is waited for, all of it: then it is verified, and the next read costs nothing.
 * That of a larger one is pulled by a worker while open returns.
 */

#include "cache/internal.h"

#include <string.h>

static bool is_version(const struct dal_cobj *o, const struct dal_meta *meta)
{
	return o->etag && meta->etag && strcmp(o->etag, meta->etag) == 0 &&
	       (!meta->has_size || meta->size == o->size);
}

/* A small object is there when all of it is, a large one when it can be begun to be read. */
static bool head_cached(struct dal_cobj *o)
{
	uint64_t end = o->size <= DAL_CACHE_FIRST_READ ? dal_page_up(o->size) : DAL_PAGE_SIZE;
	bool cached;

	pthread_mutex_lock(&o->lock);
	cached = dal_pages_valid_locked(o, 0, end);
	pthread_mutex_unlock(&o->lock);
	return cached;
}

/* Describes @known as far as it is known: what there is to say when the store has only said "unchanged". */
static int describe(struct dal_call *call, const struct dal_cobj *known, struct dal_meta *ret_meta)
{
	struct dal_meta meta = { .type = DAL_TYPE_FILE, .has_size = true, .size = known->size };

	meta.etag = strdup(known->etag);
	if (!meta.etag)
		return dal_fail_nomem(call);
	*ret_meta = meta;
	return 0;
}

/* Room in the cache for the first @len bytes, claimed for the open's own stream. False when nothing is to be
 * filled. */
static bool claim_head(struct dal_cobj *o, uint64_t len, struct dal_fetch *f)
{
	uint64_t end = dal_page_up(len);
	struct dal_lack lack = dal_pages_lack(o, 0, end);
	struct dal_reserve r;
	bool claimed;

	/* Without memory to spare the bytes are fetched when they are read. */
	if (lack.pages == 0 || !dal_reserve_try(o->c, &r, &lack, DAL_NEED_NOW))
		return false;
	pthread_mutex_lock(&o->lock);
	claimed = dal_fetch_claim_locked(f, o, 0, end, end, &r, false);
	pthread_mutex_unlock(&o->lock);
	dal_reserve_done(o->c, &r);
	return claimed;
}

/* The body that came with the open goes into the cache. Takes *@stream. */
static int take_body(struct dal_cobj *o, struct dal_call *call, struct dal_stream **stream)
{
	uint64_t len = (*stream)->len;
	struct dal_fetch f;

	if (len == 0 || !claim_head(o, len, &f)) {
		*stream = dal_stream_close(*stream);
		return 0;
	}
	f.stream = dal_take(stream);
	f.pos = 0;
	if (o->size > DAL_CACHE_FIRST_READ && dal_workers_queued(o->c->quick) == 0 &&
		dal_fetch_submit(&f, o->c->quick, false))
		return 0;
	return dal_fetch_run(&f, call);
}

/* A store may not tell the size with the body. */
static int need_size(struct dal_cache *c, struct dal_call *call, const char *path, struct dal_meta *meta)
{
	struct dal_meta again = { 0 };
	int r;

	if (meta->has_size)
		return 0;
	r = dal_op_stat(c->op, call, path, NULL, &again);
	if (r < 0)
		return r;
	if (again.has_size && (!meta->etag || (again.etag && strcmp(again.etag, meta->etag) == 0))) {
		meta->size = again.size;
		meta->has_size = true;
	}
	dal_meta_done(&again);
	return meta->has_size ? 0
			      : dal_fail(call, DAL_UNSUPPORTED, "%s: the store does not tell its size", path);
}

/* The store has answered with a body: its version is the newest. Takes *@stream. */
static int open_newest(struct dal_cache *c, struct dal_call *call, const char *path, struct dal_cobj *known,
	struct dal_stream **stream, struct dal_meta *ret_meta, struct dal_cobj **ret_obj, bool *ret_changed)
{
	bool changed = !known || !is_version(known, &(*stream)->meta);
	struct dal_meta meta;
	struct dal_cobj *o;
	int r = need_size(c, call, path, &(*stream)->meta);

	if (r < 0)
		return r;
	if (!dal_meta_dup(&meta, &(*stream)->meta))
		return dal_fail_nomem(call);
	o = changed ? dal_cache_object(c, path, meta.etag, meta.size) : dal_cobj_ref(known);
	r = o ? take_body(o, call, stream) : dal_fail_nomem(call);
	if (r < 0) {
		dal_cobj_unref(o);
		dal_meta_done(&meta);
		return r;
	}
	*ret_meta = meta;
	*ret_obj = o;
	*ret_changed = changed;
	return 0;
}

static int get_head(struct dal_cache *c, struct dal_call *call, const char *path, struct dal_cobj *known,
	const char *if_none_match, struct dal_meta *ret_meta, struct dal_cobj **ret_obj, bool *ret_changed)
{
	struct dal_read_args args = { .len = DAL_CACHE_FIRST_READ, .if_none_match = if_none_match };
	DAL_CLEANUP(dal_stream_closep) struct dal_stream *stream = NULL;
	int r;

	atomic_fetch_add_explicit(&c->fetches, 1, memory_order_relaxed);
	r = dal_op_read(c->op, call, path, &args, &stream);
	if (r == -DAL_CONDITION_NOT_MATCH && if_none_match) {
		r = describe(call, known, ret_meta);
		if (r < 0)
			return r;
		*ret_obj = dal_cobj_ref(known);
		*ret_changed = false;
		return 0;
	}
	if (r < 0)
		return r;
	return open_newest(c, call, path, known, &stream, ret_meta, ret_obj, ret_changed);
}

/* Asks without a body. *ret_same false: nothing else has been returned. */
static int ask_stat(struct dal_cache *c, struct dal_call *call, const char *path, struct dal_cobj *known,
	struct dal_meta *ret_meta, bool *ret_same)
{
	struct dal_meta meta = { 0 };
	int r = dal_op_stat(c->op, call, path, NULL, &meta);

	if (r < 0)
		return r;
	*ret_same = is_version(known, &meta);
	if (*ret_same)
		*ret_meta = meta;
	else
		dal_meta_done(&meta);
	return 0;
}

int dal_cache_open(struct dal_cache *c, struct dal_call *call, const char *path, struct dal_cobj *known,
	struct dal_meta *ret_meta, struct dal_cobj **ret_obj, bool *ret_changed)
{
	bool same = false;
	int r;

	if (known && !known->etag)
		known = NULL;
	if (!known || !head_cached(known))
		return get_head(c, call, path, known, NULL, ret_meta, ret_obj, ret_changed);
	if (known->size > 0 && dal_operator_cap(c->op)->read_if_none_match)
		return get_head(c, call, path, known, known->etag, ret_meta, ret_obj, ret_changed);
	r = ask_stat(c, call, path, known, ret_meta, &same);
	if (r < 0)
		return r;
	if (!same)
		return get_head(c, call, path, known, NULL, ret_meta, ret_obj, ret_changed);
	*ret_obj = dal_cobj_ref(known);
	*ret_changed = false;
	return 0;
}
