/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The inside of fs/file-data.h, shared by its sources only: file-data.c (the struct, size, truncate),
 * file-read.c, file-write.c, snapshot.c and payload.c (what is sent), commit.c, upload.c, stream-upload.c,
 * detach.c.
 *
 * Threads: `_locked` functions want f->lock held and may let go of it on the way where they say so. What a
 * member is guarded by is said at the member.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "fs/commit-plan.h"
#include "fs/dirty.h"
#include "fs/extents.h"
#include "fs/file-data.h"

#define DAL_PARTS_IN_FLIGHT 4u /* of one file, at most */
#define DAL_COPY_BYTES                                                                                       \
	((uint64_t)512 << 20) /* a part copied by the server, unless there would be too many                 \
			       */

struct dal_up;

/* A version that may be in the store: what it is known by. */
struct dal_maybe {
	char *path; /* owned */
	uint64_t size, gen; /* of the file when it was sent */
	size_t parts; /* 0 for a PUT */
	uint64_t sum_off; /* where the checked bytes begin; they go to the end */
	uint32_t sum; /* their CRC32C */
};

struct dal_file {
	struct dal_file_env *env; /* borrowed; constant */
	const struct dal_capability *cap; /* borrowed from the operator */
	struct dal_plan_limits limits; /* constant */
	uint64_t put_max; /* constant */
	atomic_bool closing; /* calls background work off */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* busy, an upload's state or jobs have changed */

	/* all guarded by lock */
	uint64_t size;
	uint64_t gen, clean_gen; /* gen counts changes; equal when there is nothing to commit */
	struct dal_cobj *base; /* a reference */
	uint64_t base_limit; /* bytes of base that count: <= its size, <= size */
	struct dal_meta meta; /* owned; of the last commit, for commits that have nothing to do */

	struct dal_extents dirty; /* bytes that base does not have */
	struct dal_extents gone; /* the part of dirty that is only in the upload */
	struct dal_dirty blocks; /* dirty without gone */

	bool busy; /* a commit or a detach runs */
	bool tracking; /* a snapshot is being committed, or `maybe` has been: */
	struct dal_extents since; /* what was written after it */
	uint64_t since_limit; /* bytes of it that count still: truncation lowers it */

	struct dal_maybe maybe; /* the commit of which nobody knows whether it was one; without path, none */

	struct dal_up *up; /* a reference; the unfinished upload */
	unsigned jobs; /* in env->uploads, for this file */
};

/* Waiting and taking turns (file-data.c) */

/* Waits for f->changed, at most @max_ns, and within @call. Lets go of the lock. 0 also when nothing happened.
 */
int dal_file_wait_locked(struct dal_file *f, struct dal_call *call, uint64_t max_ns);
/*
 * Takes the turn to commit or detach. Waits for whoever has it past the call's deadline: each of its steps is
 * bounded. Lets go of the lock.
 */
int dal_file_busy_locked(struct dal_file *f, struct dal_call *call);
void dal_file_idle_locked(struct dal_file *f);
/* Takes blocks out of [off, end) that hold no dirty bytes. */
void dal_file_prune_locked(struct dal_file *f, uint64_t off, uint64_t end);
/* A call for one step of a commit: bounded by itself, not by what the steps before it took. */
struct dal_call dal_file_step(struct dal_file *f, const struct dal_call *call, uint64_t bytes);
/* Makes bytes of [off, end) that are only in the upload part of the base, by completing it. May let go of the
 * lock. */
int dal_file_settle_locked(struct dal_file *f, struct dal_call *call, uint64_t off, uint64_t end);

/* Memory for dirty data (file-write.c) */

/* What one writer has got hold of so far. Zeroed to begin with. */
struct dal_hold {
	uint64_t bytes; /* of the budget's class DIRTY */
	bool to_spool; /* there is no memory to be had: write to the disk */
	uint64_t until_ns; /* waits for uploads to free memory until then */
};

/*
 * Makes [off, off + len) writable, from memory or the spool. 0: the range is ready, as long as the lock is
 * kept. 1: the lock was let go of to wait for memory, so look at the file again and call again. The caller
 * gives the hold back in the end, whatever the result.
 */
int dal_file_ready_locked(
	struct dal_file *f, struct dal_call *call, uint64_t off, uint64_t len, struct dal_hold *hold);
void dal_file_unhold(struct dal_file *f, struct dal_hold *hold);

/* Snapshots (snapshot.c): a range of the file as it is now, for sending. Holds block references. */

struct dal_snapshot {
	struct dal_file *f; /* borrowed */
	uint64_t off, end; /* the range */
	uint64_t base_limit, gen;
	struct dal_cobj *base; /* a reference or NULL */
	struct dal_extents dirty;
	struct dal_dblock **v; /* owned; references, sorted */
	size_t n;
};

int dal_snapshot_take_locked(
	struct dal_file *f, struct dal_call *call, uint64_t off, uint64_t end, struct dal_snapshot *ret);
/* Without the lock, or with it. Takes a zeroed one. */
void dal_snapshot_done(struct dal_snapshot *s);
void dal_snapshot_done_locked(struct dal_snapshot *s);
/* Gives the cache what of the snapshot is in memory, as bytes of @obj. Without the lock. */
void dal_snapshot_put(struct dal_snapshot *s, struct dal_cobj *obj);

/* Payloads (payload.c): a range of a snapshot as a body to send. */

struct dal_piece;

struct dal_payload {
	struct dal_snapshot *s; /* borrowed, outlives the payload */
	uint64_t off;
	struct dal_piece *v; /* owned; sorted, without gaps */
	size_t n, cap;
	struct dal_dblock **pinned; /* owned list, pins of the snapshot's blocks */
	size_t n_pinned;
	struct iovec *iov; /* owned */
	struct dal_body body;
};

/*
 * The bytes [off, off + len). What only the base has is read first, into memory or the spool: a sender that
 * waits for a download while it holds one of the store's few connections may wait for itself. With @lazy it
 * is read while sending all the same: for stores that take large objects in one piece only. Without the lock.
 */
int dal_payload_make(struct dal_snapshot *s, struct dal_call *call, uint64_t off, uint64_t len, bool lazy,
	struct dal_payload *ret);
void dal_payload_done(struct dal_payload *p);

/* Uploads (upload.c) */

struct dal_upart {
	struct dal_part part; /* number, off, len; etag and checksum once it is there */
	bool copy; /* of the base's bytes, by the server */
	enum { DAL_PART_WANTED, DAL_PART_SENDING, DAL_PART_DONE } state;
	bool stale; /* the file has changed there since the part was read */
};

/* An unfinished multipart upload. Guarded by the file's lock, but for what is constant. */
struct dal_up {
	unsigned refs; /* the file's and one per job */
	char *path; /* owned; constant */
	char *id; /* owned; set once, by the thread that set `beginning` */
	struct dal_write_args args; /* constant; strings owned */
	struct dal_pairs user; /* owned; constant */
	struct dal_posix posix; /* constant */
	bool exclusive; /* constant */
	bool conditional; /* constant: completing it may be refused, so its data is kept here */
	struct dal_cobj *base; /* a reference; the version its parts contain bytes of, NULL for none */
	struct dal_upart *v; /* owned */
	size_t n, cap;
	size_t next; /* streaming: parts below were taken up */
	size_t dropped; /* parts below have no blocks in memory */
	unsigned sending; /* parts on their way */
	bool beginning;
	bool lost; /* the store does not know it any more */
	bool finished; /* completed: nothing to abort */
	bool planned; /* the list is a commit's: a stream cannot go on behind its short last part */
	uint64_t pause_ns; /* streaming rests until then, after a failure */
};

/* NULL when memory has run out. */
struct dal_up *dal_up_new(const struct dal_commit *how, bool conditional);
/* Makes @n parts out of the plan's, keeping what has been sent and still holds. */
int dal_up_plan_locked(
	struct dal_up *up, struct dal_call *call, const struct dal_plan_part *plan, size_t n, bool keep_sent);
/* Cuts parts off the end that begin at @size or behind, or are not a stream's: a stream goes on from there.
 */
void dal_up_trim_locked(struct dal_up *up, const struct dal_plan_limits *l, uint64_t size);
/* Marks what [off, end) touches as changed. */
void dal_up_touch_locked(struct dal_up *up, uint64_t off, uint64_t end);
/* What a commit of this upload is, for dal_file_commit() and its like; valid as long as @up. */
struct dal_commit dal_up_how(const struct dal_up *up);
void dal_up_ref_locked(struct dal_up *up);
/* Lets go of a reference; the last one aborts the upload in the store, unless it is finished: by a job where
 * possible. */
void dal_up_unref_locked(struct dal_file *f, struct dal_up *up);
/* Forgets the file's upload. */
void dal_file_drop_up_locked(struct dal_file *f);
/* Waits until nothing of the upload is on its way, past the call's deadline: what is has its own. Lets go of
 * the lock. */
int dal_up_quiet_locked(struct dal_file *f, struct dal_call *call);
/*
 * Sends part @i of @up, whose state is DAL_PART_SENDING, from @s. Without the lock; no commit and no
 * truncation shortens the list meanwhile. Sets its state.
 */
int dal_up_send(
	struct dal_file *f, struct dal_up *up, size_t i, struct dal_snapshot *s, struct dal_call *call);

/* Streaming (stream-upload.c) */

/* Starts what can be started. Never waits. */
void dal_stream_kick_locked(struct dal_file *f);
/* Lets go of memory of parts that are in the upload. Returns the bytes it freed. */
uint64_t dal_stream_drop_locked(struct dal_file *f);

/* Commit (commit.c) */

/* The turn is the caller's. Lets go of the lock and has it again when it returns. */
int dal_commit_locked(
	struct dal_file *f, struct dal_call *call, const struct dal_commit *how, struct dal_meta *ret_meta);

/*
 * Finds out what became of f->maybe: afterwards the file's base is that version, or it is known that there is
 * none. The turn is the caller's. Lets go of the lock.
 */
int dal_commit_resolve_locked(struct dal_file *f, struct dal_call *call);

/* Commit, asking the store (commit-send.c). Without the lock. */

/* The conditions a commit goes with. */
struct dal_commit_cond {
	const char *if_match; /* the version that must be there, NULL for any */
	bool if_not_exists;
};

/* One PUT of the whole snapshot. *ret_maybe is set when it fails in a way that may have been a success. */
int dal_commit_put(struct dal_snapshot *s, struct dal_call *call, const struct dal_commit *how,
	const struct dal_commit_cond *cond, struct dal_meta *ret_meta, struct dal_maybe *ret_maybe);
/*
 * Sends what @up, planned, lacks, and completes it. *ret_lost: the store does not know the upload any more.
 * Parts that were sent are kept when it fails. *ret_maybe as above.
 */
int dal_commit_parts(struct dal_snapshot *s, struct dal_call *call, struct dal_up *up,
	const struct dal_commit_cond *cond, struct dal_meta *ret_meta, bool *ret_lost,
	struct dal_maybe *ret_maybe);

/* Was it us (commit-verify.c)? Without the lock. */

/* Remembers a PUT of @body, or an upload with @up's parts, of the snapshot. False when that cannot be done.
 */
bool dal_maybe_put(
	struct dal_snapshot *s, const char *path, const struct dal_body *body, struct dal_maybe *ret);
bool dal_maybe_parts(struct dal_snapshot *s, const struct dal_up *up, struct dal_maybe *ret);
/* 1 when the object there is what @m remembers and not version @before, 0 when not, or why it cannot be told.
 */
int dal_maybe_look(struct dal_file *f, struct dal_call *call, const struct dal_maybe *m, const char *before,
	struct dal_meta *ret_meta);
/* Takes a zeroed one, and zeroes it. */
void dal_maybe_done(struct dal_maybe *m);
