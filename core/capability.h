/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a store can do. The operation bits are computed by the core from the slots a service fills; the
 * argument bits and limits are the service's to declare. A bit exists only if a caller or a test branches on
 * it.
 */

#include <stdbool.h>
#include <stdint.h>

struct dal_capability {
	/* operations: set by the core */
	bool stat, read, write, multipart, multipart_copy, append, delete, delete_many, copy, rename,
		create_dir, list, presign;
	bool setattr, symlink, link, mknod, statvfs, xattr;

	/* arguments: set by the service, some only after probe() */
	bool stat_if_match, stat_if_none_match;
	bool read_if_match, read_if_none_match;
	bool write_if_match; /* PUT over the version named, or fail */
	bool write_if_not_exists; /* PUT only where nothing is */
	bool complete_if_match; /* the same two for the end of a multipart upload */
	bool complete_if_not_exists;
	bool copy_if_match; /* of the source's version */
	bool copy_if_not_exists; /* of the target */
	bool copy_replaces_meta; /* copy can give the target new metadata */
	bool delete_if_match;
	bool delete_recursive;
	bool write_user_metadata;
	bool list_recursive; /* flat: all keys below, no directories, in key order */
	bool list_start_after;
	bool list_sorted; /* in byte order of the keys */
	bool rename_no_replace, rename_exchange;

	/* nature */
	bool posix; /* a real filesystem: native attributes, real directories, atomic rename */
	bool shared; /* others may change it: false for memory */

	/* limits, 0 = none known */
	uint64_t write_max; /* bytes of one write() */
	uint64_t part_min, part_max; /* bytes of a part, but the last may be shorter than part_min */
	uint64_t parts_max; /* parts of one upload */
	uint64_t object_max; /* bytes of an object */
	uint64_t copy_max; /* bytes of one copy() */
	uint64_t key_max; /* bytes of a key */
	uint64_t user_metadata_max; /* bytes of all names and values */
	uint64_t delete_many_max;
};
