/* SPDX-License-Identifier: Apache-2.0 */

/* Finding a service by its scheme, and saying what to do when it is not there. */

#include "core/registry.h"

#include <string.h>
#include <strings.h>

static bool listed(const char *words, const char *word)
{
	size_t n = strlen(word);
	const char *p = words;

	while (p && *p) {
		size_t len = strcspn(p, " ");

		if (len == n && strncasecmp(p, word, n) == 0)
			return true;
		p += len + strspn(p + len, " ");
	}
	return false;
}

static const char *nearest(const char *scheme)
{
	const struct dal_registry_row *row;
	const char *best = NULL;
	unsigned near = 3;

	for (row = dal_registry; row->scheme; row++) {
		unsigned d = dal_edit_distance(scheme, row->scheme);

		if (d < near && d < strlen(row->scheme)) {
			near = d;
			best = row->scheme;
		}
	}
	return best;
}

int dal_registry_find(struct dal_call *call, const char *scheme, const struct dal_service **ret_svc)
{
	const struct dal_registry_row *row;
	const char *near;

	for (row = dal_registry; row->scheme; row++) {
		if (strcasecmp(row->scheme, scheme) != 0 && !listed(row->aliases, scheme))
			continue;
		if (!row->svc)
			return dal_fail(call, DAL_CONFIG_INVALID, "%s: not in this build, needs %s",
				row->scheme, row->needs);
		*ret_svc = row->svc;
		return 0;
	}
	near = nearest(scheme);
	if (near)
		return dal_fail(call, DAL_CONFIG_INVALID, "%.40s: no such service; did you mean \"%s\"?",
			scheme, near);
	return dal_fail(
		call, DAL_CONFIG_INVALID, "%.40s: no such service; \"dalfs services\" lists them", scheme);
}
