/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The block cache: bytes of object versions, in blocks of 1 MiB whose validity is known by pages of 4 KiB, filled
 * progressively while a download runs. It knows operators, not FUSE. Blocks are keyed by path and version (etag), so
 * nothing stale can be served; a request for a missing range carries If-Match with the version, and a changed object
 * is the failure DAL_CONDITION_NOT_MATCH, never a mix.
 *
 *   random reads       exactly the missing pages
 *   sequential reads   a window that doubles, fetched ahead by parallel ranged requests aligned to 8 MiB
 *   any missing range  one fetch, however many readers wait for it; each waits for its own bytes only
 *
 * Threads: every function may be called from any thread. No lock is held across the network. Views pin memory, and a
 * read that finds none free waits for others to be done with theirs: threads that hold views while they read on or
 * wait for the budget must not hold more than a fraction of the limit between them.
 */

#include <sys/uio.h>

#include "cache/budget.h"
#include "core/operator.h"

#define DAL_BLOCK_SIZE ((uint64_t)1 << 20)
#define DAL_PAGE_SIZE ((uint64_t)4096)
/* What open asks for at once: one round trip brings the head of a small file or all of it. */
#define DAL_CACHE_FIRST_READ ((uint64_t)256 << 10)

struct dal_cache;

struct dal_cache_config {
	struct dal_operator *op;   /* borrowed for the cache's life */
	struct dal_budget *budget; /* borrowed for the cache's life */
	unsigned streams;	   /* parallel downloads at most, 0 for the default */
	uint64_t readahead_max;	   /* bytes ahead of one reader at most, 0 for the default */
};

/* Sets itself as the budget's reclaim hook. The limit is at least 16 MiB. NULL when memory has run out. */
struct dal_cache *dal_cache_new(const struct dal_cache_config *config);
/* All objects must be unreferenced and all views done. Takes NULL; returns NULL. */
struct dal_cache *dal_cache_free(struct dal_cache *c);

/* One version of one object. Reference-counted; blocks stay cached after the last reference goes. */
struct dal_cobj;

/*
 * The object @path at version @etag of @size bytes. No network. @etag NULL: the store has no versions; the
 * object is then private to its references and never found again. NULL when memory has run out.
 */
struct dal_cobj *dal_cache_object(struct dal_cache *c, const char *path, const char *etag, uint64_t size);
struct dal_cobj *dal_cobj_ref(struct dal_cobj *o);
/* Takes NULL; returns NULL. */
struct dal_cobj *dal_cobj_unref(struct dal_cobj *o);
const char *dal_cobj_etag(const struct dal_cobj *o);
const char *dal_cobj_path(const struct dal_cobj *o); /* borrowed until the last reference goes */
uint64_t dal_cobj_size(const struct dal_cobj *o);

/*
 * Opens the newest version of @path: the first ranged read is the open. When @known (may be NULL) is still the
 * newest, costs one conditional request without a body, and *ret_changed is false; the answer's metadata may then
 * be only what was known: ret_meta->etag is @known's, user_known tells whether user metadata came.
 * Else the first DAL_CACHE_FIRST_READ bytes are on their way into the cache when this returns (all of them, verified
 * against the etag where that is an MD5, for a smaller file), and *ret_meta describes the object.
 * NOT_FOUND when it is gone.
 */
int dal_cache_open(struct dal_cache *c, struct dal_call *call, const char *path, struct dal_cobj *known,
	struct dal_meta *ret_meta, struct dal_cobj **ret_obj, bool *ret_changed);

/*
 * What one handle reads: the streams seen on it. Zeroed is ready, and for one object; zero it again for another.
 * Guarded by the object's lock: reads of one handle may run at the same time.
 */
struct dal_reader {
	struct dal_reader_stream {
		uint64_t next;	 /* where the stream goes on */
		uint64_t run;	 /* bytes read of it so far */
		uint64_t window; /* how far ahead is asked for; 0: not yet known to be a stream */
		uint64_t ahead;	 /* asked for up to here */
		uint64_t used;	 /* tick of the last hit, for replacement */
		bool head;	 /* it began at the beginning */
	} stream[4];
	uint64_t tick;
};

/* Bytes pinned in the cache: memory stays valid and unchanged until dal_view_done(). */
struct dal_view {
	struct iovec iov[5]; /* a read of up to 4 MiB */
	unsigned n;
	size_t len;
	struct dal_cblock *block[5]; /* private: what is pinned */
};

/*
 * Makes [off, off + len) readable and pins it; ret_view->len is short only at the end of the object. @len is at most
 * 4 MiB. @reader may be NULL for a read that is not part of any stream: exactly the missing pages are fetched.
 */
int dal_cobj_read(struct dal_cobj *o, struct dal_call *call, struct dal_reader *reader, uint64_t off, size_t len,
	struct dal_view *ret_view);
void dal_view_done(struct dal_view *v);

/* The same, copied into @buf: for callers that assemble bytes. *ret_n short only at the end. */
int dal_cobj_read_into(struct dal_cobj *o, struct dal_call *call, uint64_t off, void *buf, size_t len, size_t *ret_n);

/*
 * Puts bytes this process has just written to the store into the cache (whole pages, or up to the end of the object),
 * as far as memory allows without waiting. Never fails: what does not fit is not cached.
 */
void dal_cobj_put(struct dal_cobj *o, uint64_t off, const struct iovec *iov, size_t n);

/* Forgets every block of every unreferenced version of @path. */
void dal_cache_forget(struct dal_cache *c, const char *path);

struct dal_cache_stats {
	uint64_t hit_bytes, miss_bytes, fetched_bytes, fetches, evicted_bytes, blocks, objects;
};
void dal_cache_stats(struct dal_cache *c, struct dal_cache_stats *ret);
