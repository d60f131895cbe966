/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Was it us? An answer that is lost on the way makes a success look like a failure, and the next try look
 * like a lost race: it meets the version the first one made. What was sent is remembered by its size, its
 * number of parts and a checksum, of all of it when it is small, otherwise of its end; an object that is the
 * same in all of these and is not the version there was before is ours.
 *
 * Never asked for an exclusive PUT: two empty lock files are the same in everything, and only one may win.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crc32c.h"
#include "fs/file-private.h"

#define CHUNK ((size_t)256 << 10)
#define TAIL (1 * DAL_MIB)

void dal_maybe_done(struct dal_maybe *m)
{
	free(m->path);
	*m = (struct dal_maybe){ 0 };
}

static bool checksum_body(const struct dal_body *body, uint64_t off, uint32_t *ret_crc)
{
	DAL_CLEANUP(dal_mem_freep) char *buf = malloc(CHUNK);
	struct dal_call call = { 0 }; /* local: memory and disk, whatever time there was is spent */
	uint32_t crc = 0;

	while (buf && off < body->len) {
		size_t n = (size_t)DAL_MIN((uint64_t)CHUNK, body->len - off);

		if (dal_body_read(body, &call, buf, n, off) < 0)
			return false;
		crc = dal_crc32c(crc, buf, n);
		off += n;
	}
	*ret_crc = crc;
	return buf != NULL;
}

bool dal_maybe_put(
	struct dal_snapshot *s, const char *path, const struct dal_body *body, struct dal_maybe *ret)
{
	struct dal_maybe m = { .size = s->end, .gen = s->gen };

	m.sum_off = s->end > s->f->put_max ? s->end - DAL_MIN(s->end, TAIL) : 0;
	if (!checksum_body(body, m.sum_off, &m.sum))
		return false;
	m.path = dal_strdup(path);
	*ret = m;
	return m.path != NULL;
}

bool dal_maybe_parts(struct dal_snapshot *s, const struct dal_up *up, struct dal_maybe *ret)
{
	struct dal_maybe m = { .size = s->end, .gen = s->gen, .parts = up->n, .sum_off = s->end };
	uint64_t off = s->end - DAL_MIN(s->end, TAIL);
	struct dal_call call = { 0 };
	struct dal_payload payload;

	/* Of the end only when it is here: of dirty bytes that are not in the upload alone. */
	if (dal_extents_covers(&s->dirty, off, s->end) &&
		dal_payload_make(s, &call, off, s->end - off, true, &payload) == 0) {
		if (checksum_body(&payload.body, 0, &m.sum))
			m.sum_off = off;
		dal_payload_done(&payload);
	}
	m.path = dal_strdup(up->path);
	*ret = m;
	return m.path != NULL;
}

/* True when a multipart ETag, hash-n in the dialect of S3, says that the object came from another number of
 * parts. */
static bool other_parts(const char *etag, size_t parts)
{
	const char *dash = strrchr(etag, '-');
	char tail[32];

	snprintf(tail, sizeof(tail), "-%zu", parts);
	return parts && dash && strncmp(dash, tail, strlen(tail)) != 0;
}

/* 1 when the bytes of @m that have a checksum are those of version @etag, 0 when not, or why it cannot be
 * told. */
static int same_sum(struct dal_file *f, struct dal_call *call, const struct dal_maybe *m, const char *etag)
{
	struct dal_read_args args = { .off = m->sum_off, .len = m->size - m->sum_off };
	DAL_CLEANUP(dal_stream_closep) struct dal_stream *stream = NULL;
	DAL_CLEANUP(dal_mem_freep) char *buf = malloc(CHUNK);
	uint32_t crc = 0;
	size_t n = 1;
	int r;

	if (args.len == 0)
		return 1;
	if (!buf)
		return dal_fail_nomem(call);
	args.if_match = f->cap->read_if_match ? etag : NULL;
	r = dal_op_read(f->env->op, call, m->path, &args, &stream);
	while (r == 0 && n > 0) {
		r = dal_stream_read(stream, call, buf, CHUNK, &n);
		crc = dal_crc32c(crc, buf, n);
	}
	return r < 0 ? r : crc == m->sum;
}

int dal_maybe_look(struct dal_file *f, struct dal_call *call, const struct dal_maybe *m, const char *before,
	struct dal_meta *ret_meta)
{
	struct dal_meta meta = { 0 };
	int r;

	if (!f->cap->stat)
		return 0;
	r = dal_op_stat(f->env->op, call, m->path, NULL, &meta);
	if (r < 0)
		return r == -DAL_NOT_FOUND ? 0 : r;
	if (meta.has_size && meta.size == m->size && !(meta.etag && other_parts(meta.etag, m->parts)) &&
		!(meta.etag && before && strcmp(meta.etag, before) == 0))
		r = same_sum(f, call, m, meta.etag);
	if (r > 0)
		*ret_meta = meta;
	else
		dal_meta_done(&meta);
	return r;
}
