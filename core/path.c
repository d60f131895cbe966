/* SPDX-License-Identifier: Apache-2.0 */

/* Path rules: one pass over the parts, no table, no locale. */

#include "core/path.h"

#include <stdlib.h>
#include <string.h>

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

int dal_path_check(struct dal_call *call, const char *path)
{
	if (strnlen(path, DAL_PATH_MAX_LEN + 1) > DAL_PATH_MAX_LEN)
		return dal_fail(
			call, DAL_TOO_LONG, "%.64s…: a path of more than %d bytes", path, DAL_PATH_MAX_LEN);
	return 0;
}

int dal_path_normalize(struct dal_call *call, const char *path, char **ret_path)
{
	DAL_CLEANUP(dal_mem_freep) char *out = NULL;
	const char *end;
	size_t n = 0;
	int r = dal_path_check(call, path);

	if (r < 0)
		return r;
	while (is_space(*path))
		path++;
	end = path + strlen(path);
	while (end > path && is_space(end[-1]))
		end--;
	out = malloc((size_t)(end - path) + 1);
	if (!out)
		return dal_fail_nomem(call);
	while (path < end) {
		const char *slash = memchr(path, '/', (size_t)(end - path));
		size_t len = (size_t)((slash ? slash : end) - path);

		if ((len == 1 && path[0] == '.') || (len == 2 && path[0] == '.' && path[1] == '.'))
			return dal_fail(call, DAL_CONFIG_INVALID,
				"%.200s: \".\" and \"..\" are no steps of a key", path);
		memcpy(out + n, path, len);
		n += len;
		path += len;
		if (slash && len > 0)
			out[n++] = '/';
		if (slash)
			path++;
	}
	out[n] = '\0';
	*ret_path = dal_take(&out);
	return 0;
}

bool dal_path_is_dir(const char *path)
{
	size_t n = strlen(path);

	return n == 0 || path[n - 1] == '/';
}

size_t dal_path_parent_len(const char *path)
{
	size_t n = strlen(path);

	if (n > 0)
		n--; /* the slash of a directory is not its parent's */
	while (n > 0 && path[n - 1] != '/')
		n--;
	return n;
}

const char *dal_path_name(const char *path)
{
	return path + dal_path_parent_len(path);
}

char *dal_path_join(const char *dir, const char *name)
{
	return dal_asprintf("%s%s", dir, name);
}
