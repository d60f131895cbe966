/* SPDX-License-Identifier: Apache-2.0 */

/* Entering streams, and the three bodies everybody needs: memory, pieces of memory, a descriptor. */

#include "core/stream.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

int dal_stream_read(struct dal_stream *s, struct dal_call *call, void *buf, size_t len, size_t *ret_n)
{
	int r;

	*ret_n = 0;
	if (len == 0)
		return 0;
	r = s->ops->read(s, call, buf, len, ret_n);
	assert(r <= 0 && *ret_n <= len);
	return r;
}

struct dal_stream *dal_stream_close(struct dal_stream *s)
{
	if (s)
		s->ops->close(s);
	return NULL;
}

void dal_stream_closep(struct dal_stream **s)
{
	*s = dal_stream_close(*s);
}

static int body_read_iov(
	const struct dal_body *body, struct dal_call *call, void *buf, size_t len, uint64_t off)
{
	char *to = buf;
	size_t i;

	for (i = 0; i < body->iov_n && len > 0; i++) {
		const struct iovec *v = &body->iov[i];
		size_t n;

		if (off >= v->iov_len) {
			off -= v->iov_len;
			continue;
		}
		n = DAL_MIN(v->iov_len - (size_t)off, len);
		memcpy(to, (const char *)v->iov_base + off, n);
		to += n;
		len -= n;
		off = 0;
	}
	return 0;
}

struct dal_body dal_body_iov(const struct iovec *iov, size_t n)
{
	struct dal_body body = { .read = body_read_iov, .iov = iov, .iov_n = n };
	size_t i;

	for (i = 0; i < n; i++)
		body.len += iov[i].iov_len;
	return body;
}

struct dal_body dal_body_mem(struct iovec *iov, const void *bytes, size_t len)
{
	iov->iov_base = (void *)(uintptr_t)bytes;
	iov->iov_len = len;
	return dal_body_iov(iov, 1);
}

static int body_read_fd(
	const struct dal_body *body, struct dal_call *call, void *buf, size_t len, uint64_t off)
{
	const struct dal_body_range *range = body->ctx;
	char *to = buf;

	while (len > 0) {
		ssize_t n = pread(range->fd, to, len, (off_t)(range->off + off));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return dal_fail_errno(call, errno, "reading the data to send");
		if (n == 0)
			return dal_fail(call, DAL_UNEXPECTED, "the data to send ended %zu bytes early", len);
		to += n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

struct dal_body dal_body_fd(struct dal_body_range *range, int fd, uint64_t off, uint64_t len)
{
	range->fd = fd;
	range->off = off;
	return (struct dal_body){ .len = len, .read = body_read_fd, .ctx = range };
}

int dal_body_read(const struct dal_body *body, struct dal_call *call, void *buf, size_t len, uint64_t off)
{
	assert(off <= body->len && len <= body->len - off);
	return len ? body->read(body, call, buf, len, off) : 0;
}
