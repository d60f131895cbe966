/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The contents of one file: a version in the store (base), and what was written over it and is not there yet.
 *
 *   size      the file's size now
 *   base      a cached object version; bytes of it are part of the file below base_limit (truncation lowers
 * it) dirty     byte ranges written since, in memory by blocks of 1 MiB, in the spool when memory is short
 *   hole      what neither covers reads as zeros
 *
 * Commit makes all of it one new object version: one PUT, or a multipart upload whose parts leave while the
 * program still writes, with unchanged ranges copied by the server.
 *
 * Threads: every function may be called from any thread. `lock` in the struct is taken here, never held
 * across the network; writers of a range that is being uploaded wait for that upload. Lock order: inode ->
 * file data -> cache -> budget.
 */

#include "cache/cache.h"
#include "core/workers.h"

struct dal_file;

/* What all files of a mount share. Borrowed by every file; must outlive them. */
struct dal_file_env {
	struct dal_operator *op;
	struct dal_cache *cache;
	struct dal_budget *budget;
	struct dal_workers *uploads; /* runs part uploads */
	const char *spool_dir; /* where spool files are made (unlinked at once, O_TMPFILE) */
	uint64_t part_size; /* of the first parts; 0 for the default 8 MiB */
	uint64_t put_max; /* larger files go up in parts; 0 for the default 16 MiB */
	uint64_t op_timeout_ns; /* budget for one commit step; no call is held longer */
};

/* An empty new file (nothing in the store). NULL when memory has run out. */
struct dal_file *dal_file_new(struct dal_file_env *env);
/* Releases everything, dirty data included; aborts an unfinished upload. Takes NULL; returns NULL. */
struct dal_file *dal_file_free(struct dal_file *f);

/* Makes @obj the base of a clean file; takes a reference. The size becomes the object's. @f must be clean. */
void dal_file_set_base(struct dal_file *f, struct dal_cobj *obj);
/*
 * The base's object has another key or version now with the same bytes: it was renamed, or got new metadata.
 * Takes a reference. What was written over it stays. Nothing happens when @f has no base. Not while a commit
 * runs.
 */
void dal_file_moved(struct dal_file *f, struct dal_cobj *obj);
/* The base version, referenced for the caller, or NULL. */
struct dal_cobj *dal_file_base(struct dal_file *f);

uint64_t dal_file_size(struct dal_file *f);
/*
 * True from the first write or truncation until commit succeeds. A new file that nobody wrote to is not
 * dirty, although it is not in the store: that it was created is for the caller to remember.
 */
bool dal_file_dirty(struct dal_file *f);
/* Counts bytes not yet in the store as part of a version. */
uint64_t dal_file_dirty_bytes(struct dal_file *f);

/*
 * What a read returns: pieces in file order, each pinned cache memory, dirty memory or zeros. @view is
 * NULL-safe to finish once. Pieces of dirty data are copies made under the lock (dirty memory can change
 * under a reader).
 */
struct dal_file_view {
	struct iovec iov[64];
	unsigned n;
	size_t len;
	struct dal_view pins[8]; /* private */
	unsigned n_pins;
	void *owned; /* private: copied bytes */
};

/* Reads [off, off+len), len <= 1 MiB; short only at the end of the file. @reader: the handle's, may be NULL.
 */
int dal_file_read(struct dal_file *f, struct dal_call *call, struct dal_reader *reader, uint64_t off,
	size_t len, struct dal_file_view *ret_view);
void dal_file_view_done(struct dal_file_view *v);

/*
 * Copies @len bytes in at @off (@append: at the end, *ret_off tells where). Waits for memory or the spool
 * when the budget is spent. DAL_NO_SPACE when the spool is full: nothing was taken then.
 */
int dal_file_write(struct dal_file *f, struct dal_call *call, const void *buf, size_t len, uint64_t off,
	bool append, uint64_t *ret_off);
/*
 * Grows with zeros or cuts. A cut keeps the base and remembers how much of it counts. No network, but for a
 * cut in the middle of bytes that are only in an unfinished upload: that is completed first.
 */
int dal_file_truncate(struct dal_file *f, struct dal_call *call, uint64_t size);

/* How a commit is to be made. */
struct dal_commit {
	const char *path; /* the object's key */
	/* Metadata and conditions; if_match is added when the base is a version at `path`. */
	const struct dal_write_args *args;
	/*
	 * The object must not exist: asked for with if_not_exists where the store can, looked for just before
	 * otherwise. Means nothing any more once the file's base is a version at `path`.
	 */
	bool exclusive;
};

/*
 * Makes the contents, as they are when it starts, durable as @how->path. On success the file is clean, its
 * base the new version (or still dirty if it was written meanwhile: writers do not wait for a commit). On
 * failure nothing is lost: all data is kept and the commit can be tried again. CONDITION_NOT_MATCH: someone
 * else changed the object. Only one commit of a file runs at a time; others wait for it. A clean file commits
 * only when its base is not a version at @how->path: because it has never been in the store, or not under
 * that name.
 *
 * *ret_meta (may be NULL; the caller's to release) is what the store said; its `user`, where the service did
 * not fill it, is the metadata this version was really written with. That of an upload which was under way is
 * what @how said when it began, and a clean file's is the last commit's: when it is not what the caller wants
 * now, it is to be changed by a request of its own.
 *
 * @call's deadline bounds a single PUT. An upload in parts goes on past it as long as each step ends within
 * op_timeout_ns; @call's cancel flag ends it at any time.
 *
 * Conditions where the store has none for the request in question: the object is looked at right before, and
 * a change in the instant between is not seen.
 */
int dal_file_commit(
	struct dal_file *f, struct dal_call *call, const struct dal_commit *how, struct dal_meta *ret_meta);

/*
 * Called after writes: starts uploading parts that are complete, if the file looks like a stream (new,
 * written in order) and is past put_max. Never waits for the network. @how as for commit; kept by value,
 * strings copied. The upload goes on at the next call or commit.
 */
void dal_file_stream(struct dal_file *f, const struct dal_commit *how);
/*
 * Gives up a started multipart upload, before the name changes or goes; data stays. May wait for the network:
 * bytes whose memory was let go after they were uploaded are only in the upload, so it is then completed
 * under the name it was started for. dal_file_base() tells whether that happened, that is, whether there is
 * an object now to rename or to delete. 0, or why it could not be completed; the upload is then kept.
 */
int dal_file_stream_abort(struct dal_file *f);

/*
 * Before the object behind @f is deleted or replaced while handles are open: brings every byte that is only
 * in the store into memory or spool, so that the handles keep their contents. The file then has no base.
 * Bytes that are only in an unfinished upload can be had no other way than by completing it first, under its
 * name.
 */
int dal_file_detach(struct dal_file *f, struct dal_call *call);
