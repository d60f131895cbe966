/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The file is made with O_TMPFILE, or made and unlinked where the directory's filesystem has no such thing:
 * nothing is left behind by a crash. Slots and not file offsets, because two versions of one block can be
 * here at a time: the one being sent and the one written meanwhile.
 */

#include "fs/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Left free for everybody else: a twentieth of the disk within these bounds, and never more than a quarter of
 * it. */
#define FLOOR_MIN (64 * DAL_MIB)
#define FLOOR_MAX DAL_GIB

void dal_spool_init(struct dal_spool *s, const char *dir, uint64_t slot_size)
{
	*s = (struct dal_spool){ .dir = dir, .slot_size = slot_size, .fd = -1 };
}

void dal_spool_done(struct dal_spool *s)
{
	if (s->fd >= 0)
		close(s->fd);
	free(s->free);
	s->fd = -1;
	s->free = NULL;
	s->n_free = s->cap_free = 0;
}

/* No directory, no right to it: a broken set-up, not something about the file that is written. */
static int fail_open(struct dal_call *call, int sys_errno, const char *dir)
{
	int r = dal_fail_errno(call, sys_errno, "spool %s", dir);

	return r == -DAL_NO_SPACE ? r : dal_fail(call, DAL_UNEXPECTED, "%s", call->err.msg);
}

static int open_unlinked(struct dal_call *call, const char *dir)
{
	DAL_CLEANUP(dal_mem_freep) char *name = NULL;
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);

	if (fd >= 0)
		return fd;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return fail_open(call, errno, dir);
	name = dal_asprintf("%s/.dalfs-spool-XXXXXX", dir);
	if (!name)
		return dal_fail_nomem(call);
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return fail_open(call, errno, dir);
	unlink(name);
	return fd;
}

/* DAL_NO_SPACE when taking @bytes would go below the floor. */
static int check_floor(const struct dal_spool *s, struct dal_call *call, uint64_t bytes)
{
	uint64_t all, avail, floor;
	struct statvfs sv;

	if (fstatvfs(s->fd, &sv) != 0)
		return dal_fail_errno(call, errno, "spool %s", s->dir);
	all = (uint64_t)sv.f_blocks * sv.f_frsize;
	avail = (uint64_t)sv.f_bavail * sv.f_frsize;
	if (all == 0)
		return 0; /* a filesystem that does not say */
	floor = DAL_MAX(all / 20, FLOOR_MIN);
	floor = DAL_MIN(floor, FLOOR_MAX);
	floor = DAL_MIN(floor, all / 4);
	if (avail < floor || avail - floor < bytes)
		return dal_fail(call, DAL_NO_SPACE, "spool %s: no space left above the floor of %llu MiB",
			s->dir, (unsigned long long)(floor / DAL_MIB));
	return 0;
}

int dal_spool_take(struct dal_spool *s, struct dal_call *call, int64_t *ret_slot)
{
	if (s->fd < 0) {
		int fd = open_unlinked(call, s->dir);

		if (fd < 0)
			return fd;
		s->fd = fd;
		s->next = 0;
		s->n_free = 0;
	}
	/* Room to take every slot back is made now: giving one back cannot fail. */
	if (s->cap_free < s->used + s->n_free + 1) {
		size_t cap = DAL_MAX(2 * s->cap_free, (size_t)16);
		int64_t *v = reallocarray(s->free, cap, sizeof(*v));

		if (!v)
			return dal_fail_nomem(call);
		s->free = v;
		s->cap_free = cap;
	}
	*ret_slot = s->n_free ? s->free[--s->n_free] : s->next++;
	s->used++;
	return 0;
}

void dal_spool_give(struct dal_spool *s, int64_t slot)
{
	if (slot == DAL_SPOOL_NONE)
		return;
	s->free[s->n_free++] = slot;
	if (--s->used == 0) {
		/* Nothing is left in it: the disk gets everything back, the process its descriptor. */
		close(s->fd);
		s->fd = -1;
		return;
	}
	(void)fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		(off_t)((uint64_t)slot * s->slot_size), (off_t)s->slot_size);
}

int dal_spool_reserve(struct dal_spool *s, struct dal_call *call, int64_t slot, uint64_t off, uint64_t len)
{
	off_t at = (off_t)((uint64_t)slot * s->slot_size + off);
	struct stat st;
	int r = check_floor(s, call, len);

	if (r < 0)
		return r;
	do
		r = fallocate(s->fd, 0, at, (off_t)len);
	while (r != 0 && errno == EINTR);
	if (r == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return dal_fail_errno(call, errno, "spool %s", s->dir);
	/* Where space cannot be reserved, the write will tell; the file is only made long enough to be read.
	 */
	if (fstat(s->fd, &st) == 0 && st.st_size < at + (off_t)len && ftruncate(s->fd, at + (off_t)len) != 0)
		return dal_fail_errno(call, errno, "spool %s", s->dir);
	return 0;
}

int dal_spool_write(const struct dal_spool *s, struct dal_call *call, int64_t slot, uint64_t off,
	const void *buf, size_t len)
{
	uint64_t at = (uint64_t)slot * s->slot_size + off;
	const char *from = buf;

	while (len > 0) {
		ssize_t n = pwrite(s->fd, from, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return dal_fail_errno(call, errno, "spool %s", s->dir);
		from += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

int dal_spool_read(
	const struct dal_spool *s, struct dal_call *call, int64_t slot, uint64_t off, void *buf, size_t len)
{
	uint64_t at = (uint64_t)slot * s->slot_size + off;
	char *to = buf;

	while (len > 0) {
		ssize_t n = pread(s->fd, to, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return dal_fail_errno(call, errno, "spool %s", s->dir);
		if (n == 0)
			return dal_fail(call, DAL_UNEXPECTED,
				"spool %s: the file is shorter than it was written", s->dir);
		to += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}
