/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a store says about one path. Strings are owned by the struct and freed by dal_meta_done(); an unset
 * string is NULL. A zeroed struct is valid and empty.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/util.h"

enum dal_type {
	DAL_TYPE_UNKNOWN,
	DAL_TYPE_FILE,
	DAL_TYPE_DIR,
	DAL_TYPE_SYMLINK, /* only from stores that are real filesystems */
	DAL_TYPE_SPECIAL, /* fifo, socket, device: the same */
};

/* Ordered name-value pairs: user metadata, extended attributes, headers. */
struct dal_pair {
	char *name; /* owned */
	char *value; /* owned */
};

struct dal_pairs {
	struct dal_pair *v; /* owned */
	size_t n;
};

/* Attributes of a real filesystem; only the fields named in `valid` mean anything. */
enum dal_posix_field {
	DAL_POSIX_MODE = 1 << 0, /* all of st_mode, type bits included */
	DAL_POSIX_UID = 1 << 1,
	DAL_POSIX_GID = 1 << 2,
	DAL_POSIX_RDEV = 1 << 3,
	DAL_POSIX_NLINK = 1 << 4,
	DAL_POSIX_INO = 1 << 5,
	DAL_POSIX_ATIME = 1 << 6,
	DAL_POSIX_MTIME = 1 << 7,
	DAL_POSIX_CTIME = 1 << 8,
	DAL_POSIX_BLOCKS = 1 << 9,
};

struct dal_posix {
	unsigned valid; /* of enum dal_posix_field */
	uint32_t mode;
	uint32_t uid, gid;
	uint32_t nlink;
	uint64_t rdev;
	uint64_t ino;
	uint64_t blocks; /* of 512 bytes */
	int64_t atime_ns, mtime_ns, ctime_ns; /* since 1970 */
};

struct dal_meta {
	enum dal_type type;
	bool has_size;
	uint64_t size; /* bytes */
	int64_t mtime_ns; /* last modified in the store, since 1970; 0 when unknown */
	char *etag; /* as the server wrote it, quotes included: the version pin */
	char *version; /* version id of stores that keep versions */
	char *content_type, *cache_control, *content_disposition, *content_encoding, *content_md5;
	char *storage_class;
	bool user_known; /* `user` is what the store holds; false in listings that do not tell */
	struct dal_pairs user; /* user metadata, names in lower case without any header prefix */
	struct dal_posix posix;
};

void dal_meta_done(struct dal_meta *m);
/* False when memory has run out; *dst is then empty. *dst must be uninitialised or done. */
DAL_MUST_CHECK bool dal_meta_dup(struct dal_meta *dst, const struct dal_meta *src);

/* Sets @name to @value, replacing; NULL @value removes. False when memory has run out. */
DAL_MUST_CHECK bool dal_pairs_set(struct dal_pairs *p, const char *name, const char *value);
/* The value of @name, or NULL; borrowed until the pairs change. Names compare exactly. */
const char *dal_pairs_get(const struct dal_pairs *p, const char *name);
DAL_MUST_CHECK bool dal_pairs_dup(struct dal_pairs *dst, const struct dal_pairs *src);
void dal_pairs_done(struct dal_pairs *p);

/* One name of a listing. `path` is relative to the operator's root; directories end in '/'. */
struct dal_entry {
	char *path; /* owned */
	struct dal_meta meta;
};

/* One page of a listing. */
struct dal_page {
	struct dal_entry *v; /* owned */
	size_t n;
	size_t cap;
	char *next; /* owned; the token that continues the listing, NULL at its end */
};

/* Adds an entry and returns it, zeroed but for a copy of @path; NULL when memory has run out. Borrowed from
 * the page. */
struct dal_entry *dal_page_add(struct dal_page *page, const char *path);
void dal_page_done(struct dal_page *page);
