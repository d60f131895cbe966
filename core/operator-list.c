/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Listings, which are what a server can lie about most: every name must be below the prefix asked for and,
 * without recursion, one level deep; a token must lead on. What fails this is an error, never an entry.
 */

#include "core/operator-private.h"

#include <stdlib.h>
#include <string.h>

static int check_entry(struct dal_call *call, const char *prefix, const struct dal_list_args *args,
	const struct dal_entry *entry)
{
	size_t prefix_len = strlen(prefix);
	const char *rest, *slash;

	if (strncmp(entry->path, prefix, prefix_len) != 0)
		return dal_fail(call, DAL_UNEXPECTED,
			"%s: the store listed \"%.100s\", which is not below it", prefix, entry->path);
	rest = entry->path + prefix_len;
	slash = strchr(rest, '/');
	if (!args->recursive && slash && slash[1])
		return dal_fail(call, DAL_UNEXPECTED,
			"%s: the store listed \"%.100s\", which is deeper than asked for", prefix,
			entry->path);
	if (entry->meta.type == DAL_TYPE_FILE && !entry->meta.has_size)
		return dal_fail(call, DAL_UNEXPECTED, "%.200s: listed without its size", entry->path);
	return 0;
}

static int check_page(struct dal_call *call, const char *prefix, const struct dal_list_args *args,
	const char *token, const struct dal_page *page)
{
	size_t i;

	for (i = 0; i < page->n; i++) {
		int r = check_entry(call, prefix, args, &page->v[i]);

		if (r < 0)
			return r;
	}
	if (page->next && token && strcmp(page->next, token) == 0)
		return dal_fail(call, DAL_UNEXPECTED,
			"%s: the store's listing does not end: a page names itself as the next", prefix);
	return 0;
}

int dal_op_list(struct dal_operator *op, struct dal_call *call, const char *prefix,
	const struct dal_list_args *args, const char *token, struct dal_page *ret_page)
{
	DAL_CLEANUP(dal_mem_freep) char *key = NULL;
	DAL_CLEANUP(dal_mem_freep) char *after = NULL;
	struct dal_list_args own = { 0 };
	struct dal_page page = { 0 };
	struct dal_operation o = { .code = DAL_OP_LIST };
	size_t i;
	int r = dal_operator_key(op, call, prefix, &key);

	if (r < 0)
		return r;
	if (args)
		own = *args;
	if (own.recursive && !op->cap.list_recursive)
		return dal_operator_unsupported(op, call, o.code, "recursive");
	if (own.start_after && !op->cap.list_start_after)
		return dal_operator_unsupported(op, call, o.code, "start_after");
	if (own.start_after) {
		own.start_after = after = dal_asprintf("%s%s", op->root, own.start_after);
		if (!after)
			return dal_fail_nomem(call);
	}
	o.path = key;
	o.u.list.args = &own;
	o.u.list.token = token;
	o.u.list.ret_page = &page;
	r = dal_operator_run(op, call, &o);
	if (r < 0)
		return r;
	r = check_page(call, key, &own, token, &page);
	if (r < 0) {
		dal_page_done(&page);
		return r;
	}
	for (i = 0; i < page.n && op->root_len; i++)
		memmove(page.v[i].path, page.v[i].path + op->root_len,
			strlen(page.v[i].path + op->root_len) + 1);
	*ret_page = page;
	return 0;
}
