/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A service for tests of the layers and the operator: one object whose byte i is (i * 7 + i / 251) & 255, and
 * a script of what goes wrong. It counts what reaches it. Defines the registry, with itself as the only row.
 */

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/operator.h"
#include "core/registry.h"

struct fake {
	struct dal_backend b;
	/* what goes wrong */
	unsigned fail; /* so many calls fail with `error` first */
	struct dal_error error;
	bool hang; /* every call waits for its deadline or cancel */
	uint64_t size; /* of the object */
	const char *etag;
	uint64_t break_at[8]; /* streams break there, one after another; 0 ends the list */
	unsigned broken;
	bool partial_untold; /* a break does not tell how many bytes came before it */
	bool ignore_if_match;
	const char *etag_after_break;
	uint64_t lie_short, lie_long; /* streams end so many bytes early, or go on */
	bool ignore_range;
	struct dal_page page; /* list gives a copy of the names */
	/* what was seen */
	atomic_uint calls, running, peak, closed;
	unsigned attempts[32];
	uint64_t last_off, last_len;
	char last_path[256], last_if_match[64];
	char deleted[256];
	const char *const *remain; /* NULL-ended names that cannot be deleted while `fail` lasts */
};

/* The one opened last. */
static struct fake *fake_last;
/* How the next one starts: tests fill it before they open. */
static struct fake fake_script;

static inline unsigned char fake_byte(uint64_t i)
{
	return (unsigned char)(i * 7 + i / 251);
}

static int fake_open(struct dal_call *call, const struct dal_config *cfg, struct dal_backend **ret_b)
{
	struct fake *f = malloc(sizeof(*f));
	const struct dal_service *svc = fake_script.b.svc;

	if (!f)
		return dal_fail_nomem(call);
	*f = fake_script;
	f->b.svc = svc;
	if (!f->etag)
		f->etag = "\"one\"";
	f->b.cap.read_if_match = true;
	f->b.cap.list_recursive = true;
	f->b.cap.list_start_after = true;
	f->b.cap.key_max = 100;
	f->b.cap.delete_many_max = 3;
	fake_last = f;
	*ret_b = &f->b;
	return 0;
}

static void fake_close(struct dal_backend *b)
{
	free(b);
}

/* What every slot begins with. */
static int fake_enter(struct fake *f, struct dal_call *call, const char *path)
{
	unsigned n = atomic_fetch_add(&f->calls, 1);

	if (strcmp(path, "slow") == 0) /* asked for by many threads at once */
		return 0;
	if (n < DAL_COUNT_OF(f->attempts))
		f->attempts[n] = call->attempt;
	snprintf(f->last_path, sizeof(f->last_path), "%s", path);
	if (f->hang)
		return dal_call_sleep(call, 3600 * DAL_NS_PER_S);
	if (f->fail == 0)
		return 0;
	f->fail--;
	return dal_call_fail_as(call, &f->error);
}

static int fake_stat(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_stat_args *args, struct dal_meta *ret_meta)
{
	struct fake *f = dal_container_of(b, struct fake, b);
	unsigned running = atomic_fetch_add(&f->running, 1) + 1;
	int r;

	if (running > atomic_load(&f->peak))
		atomic_store(&f->peak, running);
	r = fake_enter(f, call, path);
	if (r == 0 && strcmp(path, "slow") == 0)
		usleep(20000);
	atomic_fetch_sub(&f->running, 1);
	if (r < 0)
		return r;
	ret_meta->type = DAL_TYPE_FILE;
	ret_meta->has_size = true;
	ret_meta->size = f->size;
	return 0;
}

struct fake_stream {
	struct dal_stream s;
	struct fake *f;
	uint64_t pos;
};

static int fake_stream_read(struct dal_stream *s, struct dal_call *call, void *buf, size_t len, size_t *ret_n)
{
	struct fake_stream *t = dal_container_of(s, struct fake_stream, s);
	struct fake *f = t->f;
	uint64_t end = s->off + s->len - f->lie_short + f->lie_long, at = s->off + t->pos;
	uint64_t stop = f->broken < DAL_COUNT_OF(f->break_at) ? f->break_at[f->broken] : 0;
	size_t i, n = (size_t)DAL_MIN((uint64_t)len, end - at);
	bool breaks = stop && stop >= at && stop < at + n;

	if (f->hang)
		return dal_call_sleep(call, 3600 * DAL_NS_PER_S);
	if (breaks)
		n = (size_t)(stop - at);
	for (i = 0; i < n; i++)
		((unsigned char *)buf)[i] = fake_byte(at + i);
	if (breaks) {
		f->broken++;
		if (f->etag_after_break)
			f->etag = f->etag_after_break;
		*ret_n = f->partial_untold ? 0 : n;
		return dal_fail_temporary(call, DAL_UNEXPECTED, "connection reset");
	}
	t->pos += n;
	*ret_n = n;
	return 0;
}

static void fake_stream_close(struct dal_stream *s)
{
	struct fake_stream *t = dal_container_of(s, struct fake_stream, s);

	atomic_fetch_add(&t->f->closed, 1);
	dal_meta_done(&s->meta);
	free(t);
}

static const struct dal_stream_ops fake_stream_ops = { fake_stream_read, fake_stream_close };

static int fake_read(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_read_args *args, struct dal_stream **ret_stream)
{
	struct fake *f = dal_container_of(b, struct fake, b);
	struct fake_stream *t;
	int r = fake_enter(f, call, path);

	if (r < 0)
		return r;
	snprintf(f->last_if_match, sizeof(f->last_if_match), "%s", args->if_match ? args->if_match : "");
	f->last_off = args->off;
	f->last_len = args->len;
	if (args->if_match && !f->ignore_if_match && strcmp(args->if_match, f->etag) != 0)
		return dal_fail(call, DAL_CONDITION_NOT_MATCH, "%s: 412", path);
	t = calloc(1, sizeof(*t));
	t->f = f;
	t->s.ops = &fake_stream_ops;
	t->s.off = f->ignore_range ? 0 : DAL_MIN(args->off, f->size);
	t->s.len = f->ignore_range ? f->size : DAL_MIN(args->len, f->size - t->s.off);
	t->s.meta.type = DAL_TYPE_FILE;
	t->s.meta.has_size = true;
	t->s.meta.size = f->size;
	t->s.meta.etag = *f->etag ? strdup(f->etag) : NULL;
	*ret_stream = &t->s;
	return 0;
}

static int fake_write(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_write_args *args, const struct dal_body *body, struct dal_meta *ret_meta)
{
	struct fake *f = dal_container_of(b, struct fake, b);
	int r = fake_enter(f, call, path);

	if (r < 0)
		return r;
	f->size = body->len;
	ret_meta->etag = strdup(f->etag);
	return 0;
}

static int fake_append(struct dal_backend *b, struct dal_call *call, const char *path,
	const struct dal_write_args *args, uint64_t at, const struct dal_body *body,
	struct dal_meta *ret_meta)
{
	struct fake *f = dal_container_of(b, struct fake, b);
	int r = fake_enter(f, call, path);

	if (r < 0)
		return r;
	f->size += body->len;
	return 0;
}

static int fake_delete(
	struct dal_backend *b, struct dal_call *call, const char *path, const struct dal_delete_args *args)
{
	return fake_enter(dal_container_of(b, struct fake, b), call, path);
}

static int fake_delete_many(
	struct dal_backend *b, struct dal_call *call, const char *const *paths, size_t n, bool *failed)
{
	struct fake *f = dal_container_of(b, struct fake, b);
	bool failing = f->fail > 0;
	int r = fake_enter(f, call, paths[0]);
	size_t i;

	for (i = 0; i < n; i++) {
		const char *const *name = f->remain;
		bool stays = false;

		for (; failing && name && *name; name++)
			stays = stays || strcmp(*name, paths[i]) == 0;
		failed[i] = stays;
		snprintf(f->deleted + strlen(f->deleted), sizeof(f->deleted) - strlen(f->deleted), "%s%s ",
			stays ? "!" : "", paths[i]);
	}
	return r;
}

static int fake_list(struct dal_backend *b, struct dal_call *call, const char *prefix,
	const struct dal_list_args *args, const char *token, struct dal_page *ret_page)
{
	struct fake *f = dal_container_of(b, struct fake, b);
	size_t i;
	int r = fake_enter(f, call, prefix);

	if (r < 0)
		return r;
	if (args->start_after)
		snprintf(f->last_if_match, sizeof(f->last_if_match), "%s", args->start_after);
	for (i = 0; i < f->page.n; i++)
		dal_page_add(ret_page, f->page.v[i].path);
	ret_page->next = dal_strdup(f->page.next);
	return 0;
}

static int fake_probe(struct dal_backend *b, struct dal_call *call, const char *root, bool may_write)
{
	struct fake *f = dal_container_of(b, struct fake, b);
	int r = fake_enter(f, call, root);

	if (r == 0)
		b->cap.write_if_match = true;
	return r;
}

static const struct dal_option fake_options[] = {
	{ "bucket", DAL_OPT_STRING, DAL_OPT_REQUIRED | DAL_OPT_NAMES_STORE, NULL, "the bucket", NULL, NULL },
	{ "endpoint", DAL_OPT_STRING, DAL_OPT_NAMES_STORE, NULL, "the server", NULL, NULL },
	{ "secret", DAL_OPT_STRING, DAL_OPT_SECRET, NULL, "the secret", NULL, NULL },
	{ 0 },
};

static int fake_from_uri(struct dal_call *call, const struct dal_uri *uri, struct dal_config *cfg)
{
	int r = dal_config_set(cfg, call, DAL_FROM_URI, "bucket", uri->authority);

	return r == 0 && *uri->path ? dal_config_set(cfg, call, DAL_FROM_URI, "root", uri->path) : r;
}

static const struct dal_service fake_service = {
	.scheme = "fake",
	.summary = "for tests",
	.options = fake_options,
	.from_uri = fake_from_uri,
	.open = fake_open,
	.close = fake_close,
	.probe = fake_probe,
	.stat = fake_stat,
	.read = fake_read,
	.write = fake_write,
	.append = fake_append,
	.delete = fake_delete,
	.delete_many = fake_delete_many,
	.list = fake_list,
};

const struct dal_registry_row dal_registry[] = {
	{ "fake", &fake_service, NULL, "fakes" },
	{ "absent", NULL, "libabsent", NULL },
	{ NULL, NULL, NULL, NULL },
};

/* An operator on a new fake, `fake_script` as it starts. @options: "name=value,…". NULL, and the call's
 * error, on failure. */
static inline struct dal_operator *fake_operator(
	struct dal_call *call, const char *uri, const char *options, unsigned flags)
{
	struct dal_operator *op = NULL;

	fake_script.b.svc = &fake_service;
	return dal_operator_open_uri(call, uri, options, flags, &op) < 0 ? NULL : op;
}
