/* SPDX-License-Identifier: Apache-2.0 */

/* Metadata, name-value pairs and listing pages: their memory. Copies are made aside and handed over whole. */

#include "core/meta.h"

#include <stdlib.h>
#include <string.h>

/* Where the strings of a dal_meta are, so that freeing and copying cannot forget one. */
static const size_t meta_strings[] = {
	offsetof(struct dal_meta, etag),
	offsetof(struct dal_meta, version),
	offsetof(struct dal_meta, content_type),
	offsetof(struct dal_meta, cache_control),
	offsetof(struct dal_meta, content_disposition),
	offsetof(struct dal_meta, content_encoding),
	offsetof(struct dal_meta, content_md5),
	offsetof(struct dal_meta, storage_class),
};

static char **meta_string(struct dal_meta *m, size_t i)
{
	return (char **)(void *)((char *)m + meta_strings[i]);
}

void dal_meta_done(struct dal_meta *m)
{
	size_t i;

	for (i = 0; i < DAL_COUNT_OF(meta_strings); i++)
		free(*meta_string(m, i));
	dal_pairs_done(&m->user);
	*m = (struct dal_meta){ 0 };
}

bool dal_meta_dup(struct dal_meta *dst, const struct dal_meta *src)
{
	bool ok = true;
	size_t i;

	*dst = *src;
	dst->user = (struct dal_pairs){ 0 };
	for (i = 0; i < DAL_COUNT_OF(meta_strings); i++) {
		char **s = meta_string(dst, i);
		const char *from = *s;

		*s = dal_strdup(from);
		ok = ok && (*s || !from);
	}
	if (ok && dal_pairs_dup(&dst->user, &src->user))
		return true;
	dal_meta_done(dst);
	return false;
}

static void pair_done(struct dal_pair *p)
{
	free(p->name);
	free(p->value);
}

static struct dal_pair *pairs_find(const struct dal_pairs *p, const char *name)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (strcmp(p->v[i].name, name) == 0)
			return &p->v[i];
	return NULL;
}

static bool pairs_add(struct dal_pairs *p, const char *name, const char *value)
{
	DAL_CLEANUP(dal_mem_freep) char *n = strdup(name);
	DAL_CLEANUP(dal_mem_freep) char *v = strdup(value);
	struct dal_pair *grown;

	if (!n || !v)
		return false;
	grown = reallocarray(p->v, p->n + 1, sizeof(*grown));
	if (!grown)
		return false;
	p->v = grown;
	p->v[p->n].name = dal_take(&n);
	p->v[p->n].value = dal_take(&v);
	p->n++;
	return true;
}

bool dal_pairs_set(struct dal_pairs *p, const char *name, const char *value)
{
	struct dal_pair *old = pairs_find(p, name);
	char *copy;

	if (!old)
		return value ? pairs_add(p, name, value) : true;
	if (!value) {
		size_t i = (size_t)(old - p->v);

		pair_done(old);
		memmove(old, old + 1, (p->n - i - 1) * sizeof(*old));
		p->n--;
		return true;
	}
	copy = strdup(value);
	if (!copy)
		return false;
	free(old->value);
	old->value = copy;
	return true;
}

const char *dal_pairs_get(const struct dal_pairs *p, const char *name)
{
	const struct dal_pair *pair = pairs_find(p, name);

	return pair ? pair->value : NULL;
}

bool dal_pairs_dup(struct dal_pairs *dst, const struct dal_pairs *src)
{
	size_t i;

	*dst = (struct dal_pairs){ 0 };
	for (i = 0; i < src->n; i++)
		if (!pairs_add(dst, src->v[i].name, src->v[i].value)) {
			dal_pairs_done(dst);
			return false;
		}
	return true;
}

void dal_pairs_done(struct dal_pairs *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		pair_done(&p->v[i]);
	free(p->v);
	*p = (struct dal_pairs){ 0 };
}

struct dal_entry *dal_page_add(struct dal_page *page, const char *path)
{
	struct dal_entry *entry;
	char *copy;

	if (page->n == page->cap) {
		size_t cap = page->cap ? page->cap * 2 : 16;
		struct dal_entry *grown = reallocarray(page->v, cap, sizeof(*grown));

		if (!grown)
			return NULL;
		page->v = grown;
		page->cap = cap;
	}
	copy = strdup(path);
	if (!copy)
		return NULL;
	entry = &page->v[page->n++];
	*entry = (struct dal_entry){ .path = copy };
	return entry;
}

void dal_page_done(struct dal_page *page)
{
	size_t i;

	for (i = 0; i < page->n; i++) {
		free(page->v[i].path);
		dal_meta_done(&page->v[i].meta);
	}
	free(page->v);
	free(page->next);
	*page = (struct dal_page){ 0 };
}
