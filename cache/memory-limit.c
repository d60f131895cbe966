/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A limit holds for a cgroup and all below it, so every step from ours up to the root is asked. In a
 * container the path in /proc/self/cgroup may be the host's and lead nowhere; the steps above it then end at
 * the container's own root, which is where its limit is.
 */

#include "cache/memory-limit.h"

#include <stdio.h>
#include <string.h>

#include "core/util.h"

#define TEXT_MAX 8192

/* The start of the file as text; false when it cannot be read. */
static bool read_text(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t n;

	if (!f)
		return false;
	n = fread(text, 1, size - 1, f);
	text[n] = '\0';
	fclose(f);
	return n > 0;
}

static uint64_t limit_in(const char *file)
{
	char text[64];
	uint64_t v;

	if (!read_text(file, text, sizeof(text)))
		return UINT64_MAX;
	text[strcspn(text, "\n")] = '\0';
	return dal_parse_u64(text, &v) ? v : UINT64_MAX;
}

/* The least limit of cgroup @path (changed) and those above it, in the hierarchy mounted at @mount. */
static uint64_t limit_upwards(const char *root, const char *mount, char *path, const char *file)
{
	uint64_t least = UINT64_MAX;

	for (;;) {
		DAL_CLEANUP(dal_mem_freep) char *name = dal_asprintf("%s%s%s/%s", root, mount, path, file);
		char *slash = strrchr(path, '/');

		if (name)
			least = DAL_MIN(least, limit_in(name));
		if (!slash)
			return least;
		*slash = '\0';
	}
}

/* Version 2, mounted alone or beside version 1. */
static uint64_t limit_of_unified(const char *root, char *path)
{
	DAL_CLEANUP(dal_mem_freep) char *again = strdup(path);
	uint64_t alone = limit_upwards(root, "/sys/fs/cgroup", path, "memory.max"), beside;

	if (!again)
		return alone;
	beside = limit_upwards(root, "/sys/fs/cgroup/unified", again, "memory.max");
	return DAL_MIN(alone, beside);
}

static bool names_memory(const char *controllers)
{
	const char *at = controllers;

	while ((at = strstr(at, "memory"))) {
		if ((at == controllers || at[-1] == ',') && (at[6] == '\0' || at[6] == ','))
			return true;
		at += 6;
	}
	return false;
}

/* One line of /proc/self/cgroup: "0::/path" or "4:memory:/path". */
static uint64_t limit_of_line(const char *root, char *line)
{
	char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;

	if (!path)
		return UINT64_MAX;
	*controllers++ = '\0';
	*path++ = '\0';
	if (strcmp(line, "0") == 0 && !*controllers)
		return limit_of_unified(root, path);
	return names_memory(controllers)
		       ? limit_upwards(root, "/sys/fs/cgroup/memory", path, "memory.limit_in_bytes")
		       : UINT64_MAX;
}

static uint64_t limit_of_cgroups(const char *root)
{
	DAL_CLEANUP(dal_mem_freep) char *name = dal_asprintf("%s/proc/self/cgroup", root);
	uint64_t least = UINT64_MAX;
	char text[TEXT_MAX], *line, *rest = text;

	if (!name || !read_text(name, text, sizeof(text)))
		return UINT64_MAX;
	while ((line = strsep(&rest, "\n")))
		least = DAL_MIN(least, limit_of_line(root, line));
	return least;
}

static uint64_t limit_of_machine(const char *root)
{
	static const char field[] = "MemTotal:";
	DAL_CLEANUP(dal_mem_freep) char *name = dal_asprintf("%s/proc/meminfo", root);
	char text[TEXT_MAX], *at, *end;
	uint64_t kib;

	if (!name || !read_text(name, text, sizeof(text)))
		return UINT64_MAX;
	at = strstr(text, field);
	if (!at)
		return UINT64_MAX;
	at += sizeof(field) - 1;
	at += strspn(at, " \t");
	end = at + strspn(at, "0123456789");
	*end = '\0';
	return dal_parse_u64(at, &kib) && kib < UINT64_MAX / 1024 ? kib * 1024 : UINT64_MAX;
}

uint64_t dal_memory_limit(const char *root)
{
	uint64_t least = DAL_MIN(limit_of_machine(root), limit_of_cgroups(root));

	return least == UINT64_MAX ? 0 : least;
}
