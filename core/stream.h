/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The two ways bytes travel. A *stream* is pulled: its reader says where the next bytes shall land, so data
 * is written once, where it will stay. A *body* is what an upload sends: it can be read again from any
 * offset, so a try that failed half way is simply repeated.
 *
 * Threads: a stream is used by one thread at a time. A body's read may be called from several.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/call.h"
#include "core/meta.h"

struct dal_stream;

struct dal_stream_ops {
	/*
	 * Fills @buf, returning short only at the end of the range: *ret_n == 0 is the end. A body that ends
	 * before the promised length is a failure (temporary), never a short success. *ret_n is 0 on entry;
	 * with a failure it may say how many bytes came before it, so that a download goes on at the byte
	 * where it broke.
	 */
	int (*read)(struct dal_stream *s, struct dal_call *call, void *buf, size_t len, size_t *ret_n);
	/* Releases the stream, finished or not. Must be fast: what is still on the wire is dropped. */
	void (*close)(struct dal_stream *s);
};

struct dal_stream {
	const struct dal_stream_ops *ops;
	struct dal_meta meta; /* owned; of the whole object: `size` is the object's, not the range's */
	uint64_t off; /* where in the object the stream began */
	uint64_t len; /* bytes the whole stream will give */
};

/* The stream's read. *ret_n is meaningful with a failure too: bytes that came before it, 0 when not known. */
int dal_stream_read(struct dal_stream *s, struct dal_call *call, void *buf, size_t len, size_t *ret_n);
/* Takes NULL; returns NULL. */
struct dal_stream *dal_stream_close(struct dal_stream *s);
/* For DAL_CLEANUP. */
void dal_stream_closep(struct dal_stream **s);

struct dal_body {
	uint64_t len;
	/* Fills @buf with exactly @len bytes from @off; off + len <= body->len. */
	int (*read)(const struct dal_body *body, struct dal_call *call, void *buf, size_t len, uint64_t off);
	/*
	 * The bytes themselves when they are in memory, one after another; NULL when they must be read().
	 * Lets a sender hash and send without a copy.
	 */
	const struct iovec *iov;
	size_t iov_n;
	void *ctx; /* the maker's */
};

/* A body over memory that outlives it. @iov is the caller's storage for one element. */
struct dal_body dal_body_mem(struct iovec *iov, const void *bytes, size_t len);
/* A body over @n pieces of memory; @iov outlives it. */
struct dal_body dal_body_iov(const struct iovec *iov, size_t n);
/* A body over bytes [@off, @off + @len) of descriptor *@fd, read by pread(); @range is the caller's storage.
 */
struct dal_body_range {
	int fd;
	uint64_t off;
};
struct dal_body dal_body_fd(struct dal_body_range *range, int fd, uint64_t off, uint64_t len);

int dal_body_read(const struct dal_body *body, struct dal_call *call, void *buf, size_t len, uint64_t off);
