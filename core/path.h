/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Path rules. A path in the core is relative to the operator's root, has no leading '/', and is UTF-8 only by
 * custom: bytes are kept as they are. A directory ends in '/'; the root itself is "".
 */

#include <stdbool.h>
#include <stddef.h>

#include "core/call.h"

/* Longest path the core carries, in bytes: S3's key limit is 1,024, local paths may be longer. */
#define DAL_PATH_MAX_LEN 4096

/*
 * Normalises as OpenDAL does: trims white space, drops empty parts and leading '/', keeps a trailing '/'; "/"
 * is "".
 * "." and ".." are refused: an object key has no such steps. Caller owns *ret_path.
 */
int dal_path_normalize(struct dal_call *call, const char *path, char **ret_path);

/* Only checks what must hold for any key: no NUL (by type), no leading '/' unless it is the key's, the
 * length. */
int dal_path_check(struct dal_call *call, const char *path);

bool dal_path_is_dir(const char *path); /* "" or ends in '/' */
/* Start of the last part: "a/b/c" -> "c", "a/b/" -> "b/". Borrowed from @path. */
const char *dal_path_name(const char *path);
/* Length of the parent including its '/': "a/b" -> 2, "a/b/" -> 2, "a" -> 0. */
size_t dal_path_parent_len(const char *path);
/* @dir (ends in '/' or empty) + @name. Caller owns; NULL: no memory. */
char *dal_path_join(const char *dir, const char *name);
