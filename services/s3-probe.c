/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What this server does with conditions, found out and not believed: a store that ignores a condition in
 * silence loses data when it is relied on. A capability bit is set only after the server has refused a
 * condition that does not hold, and obeyed one that does. (!) marks what must be refused.
 *
 *   list         one page: proves endpoint, bucket, key, clock and region, which all else needs
 *   create       PUT If-None-Match:*, with a CRC32C: may we write, and are checksums taken
 *   put chain    create again (!), If-Match right, wrong (!), DELETE If-Match wrong (!)
 *   copy chain   put, copy onto itself with the source's If-Match wrong (!), right, If-None-Match:* (!)
 *   end chain    put, begin, part, complete If-Match wrong (!), complete If-None-Match:* (!), abort
 *   clean-up     one DeleteObjects for the three scratch objects
 *
 * The chains touch an object each and run side by side: nine round trips in all. A credential that may not
 * write leaves all bits unset, which is no failure: the store can be read.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/log.h"
#include "core/workers.h"
#include "services/s3-headers.h"

#define WRONG_ETAG "\"00000000000000000000000000000000\""
#define CHAINS 3
#define TRIES 3
#define CLEANUP_NS (15 * DAL_NS_PER_S)

struct chain {
	struct dal_s3 *s;
	char *path; /* owned; the scratch object */
	char *etag; /* owned; of the scratch object */
	struct dal_call call;
	struct dal_capability found; /* bits proven here */
	bool made; /* there is something to clean up */
	bool created; /* If-None-Match:* was no hindrance */
};

static const struct dal_write_args plain;

/* PUTs the scratch object, again when that failed for a passing reason; *etag is replaced. */
static int put(struct chain *c, const struct dal_write_args *args, char **etag)
{
	struct iovec iov;
	struct dal_body body = dal_body_mem(&iov, "dalfs\n", 6);
	struct dal_meta meta;
	int r = 0;

	for (int i = 0; i < TRIES; i++) {
		r = dal_s3_write(&c->s->base, &c->call, c->path, args, &body, &meta);
		if (!r) {
			c->made = true;
			free(*etag);
			*etag = dal_take(&meta.etag);
			dal_meta_done(&meta);
			return *etag ? 0 : dal_fail_nomem(&c->call);
		}
		if (c->call.err.retry != DAL_TEMPORARY || dal_call_sleep(&c->call, 200 * DAL_NS_PER_MS) < 0)
			return r;
	}
	return r;
}

static bool refuses(int r)
{
	return r == -DAL_CONDITION_NOT_MATCH;
}

static void probe_if_match(struct chain *c, char **etag)
{
	DAL_CLEANUP(dal_mem_freep) char *was = dal_strdup(*etag);
	struct dal_write_args right = { .if_match = was }, wrong = { .if_match = WRONG_ETAG };
	int r = was ? put(c, &right, etag) : -DAL_NO_MEMORY;

	if (!r) {
		c->found.write_if_match = refuses(put(c, &wrong, etag));
		return;
	}
	if (!refuses(r))
		return;
	/* The right version in quotes was refused: this server compares the bytes without them. */
	atomic_store(&c->s->if_match_bare, true);
	if (!put(c, &right, etag))
		c->found.write_if_match = true;
	else
		atomic_store(&c->s->if_match_bare, false);
}

/* The first write of all: whether it is allowed, and what it may carry. */
static int probe_create(struct chain *c)
{
	struct dal_write_args create = { .if_not_exists = true };
	bool ask = c->s->checksum == DAL_S3_CHECKSUM_AUTO;
	int r;

	/* Set for this one request; the answer decides whether it stays. */
	if (ask)
		atomic_store(&c->s->takes_crc32c, true);
	r = put(c, &create, &c->etag);
	c->created = !r;
	if (r < 0 && ask && r != -DAL_PERMISSION_DENIED) {
		atomic_store(&c->s->takes_crc32c, false);
		r = put(c, &create, &c->etag);
		c->created = !r;
	}
	if (r == -DAL_UNSUPPORTED)
		r = put(c, &plain, &c->etag);
	return r;
}

static void probe_put(struct chain *c)
{
	struct dal_write_args create = { .if_not_exists = true };
	struct dal_delete_args wrong = { .if_match = WRONG_ETAG };

	if (c->created)
		c->found.write_if_not_exists = refuses(put(c, &create, &c->etag));
	probe_if_match(c, &c->etag);
	c->found.delete_if_match = refuses(dal_s3_delete(&c->s->base, &c->call, c->path, &wrong));
}

static int copy(struct chain *c, const char *if_match, bool if_not_exists)
{
	struct dal_copy_args args = {
		.if_match = if_match, .if_not_exists = if_not_exists, .replace = &plain, .size = 6
	};
	struct dal_meta meta;
	int r = dal_s3_copy(&c->s->base, &c->call, c->path, c->path, &args, &meta);

	if (!r)
		dal_meta_done(&meta);
	return r;
}

static void probe_copy(struct chain *c)
{
	if (put(c, &plain, &c->etag) < 0)
		return;
	/* The condition is sent only when the bit is set. */
	c->s->base.cap.copy_if_match = true;
	c->found.copy_if_match = refuses(copy(c, WRONG_ETAG, false)) && !copy(c, c->etag, false);
	c->s->base.cap.copy_if_match = false;
	c->found.copy_if_not_exists = refuses(copy(c, NULL, true));
}

static int complete(
	struct chain *c, const char *id, const struct dal_part *part, const struct dal_write_args *args)
{
	struct dal_meta meta;
	int r = dal_s3_multipart_complete(&c->s->base, &c->call, c->path, id, part, 1, args, &meta);

	if (!r)
		dal_meta_done(&meta);
	return r;
}

static void probe_complete(struct chain *c)
{
	DAL_CLEANUP(dal_mem_freep) char *id = NULL;
	struct dal_write_args wrong = { .if_match = WRONG_ETAG }, create = { .if_not_exists = true };
	struct dal_part part = { .number = 1, .len = 6 };
	struct iovec iov;
	struct dal_body body = dal_body_mem(&iov, "dalfs\n", 6);
	struct dal_backend *b = &c->s->base;

	if (put(c, &plain, &c->etag) < 0 || dal_s3_multipart_begin(b, &c->call, c->path, &plain, &id) < 0)
		return;
	if (!dal_s3_multipart_part(b, &c->call, c->path, id, &body, &part)) {
		c->found.complete_if_match = refuses(complete(c, id, &part, &wrong));
		if (c->found.complete_if_match)
			c->found.complete_if_not_exists = refuses(complete(c, id, &part, &create));
	}
	/* A completed upload is gone, and that is no failure. */
	(void)dal_s3_multipart_abort(b, &c->call, c->path, id);
}

static void run_chain(void *arg, size_t i)
{
	static void (*const probes[CHAINS])(struct chain *) = { probe_put, probe_copy, probe_complete };

	probes[i]((struct chain *)arg + i);
}

static void run_chains(struct chain chains[CHAINS])
{
	struct dal_workers *workers = dal_workers_new("s3-probe", CHAINS - 1);

	if (workers)
		dal_workers_each(workers, CHAINS - 1, CHAINS, run_chain, chains);
	else
		for (size_t i = 0; i < CHAINS; i++)
			run_chain(chains, i);
	dal_workers_free(workers);
}

/* Removes what was made, even when the caller's time is over. */
static void clean_up(struct dal_s3 *s, struct chain chains[CHAINS])
{
	static const struct dal_delete_args any;
	struct dal_call call = dal_call_within(CLEANUP_NS);
	const char *paths[CHAINS];
	bool failed[CHAINS] = { false };
	size_t n = 0;

	for (size_t i = 0; i < CHAINS; i++)
		if (chains[i].made)
			paths[n++] = chains[i].path;
	if (!n || !dal_s3_delete_many(&s->base, &call, paths, n, failed))
		return;
	for (size_t i = 0; i < n; i++)
		if (failed[i] && dal_s3_delete(&s->base, &call, paths[i], &any) < 0)
			dal_log(DAL_LOG_WARN, "s3: a scratch object was left behind: %s", call.err.msg);
}

static int prepare(struct dal_s3 *s, struct dal_call *call, const char *root, struct chain chains[CHAINS])
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return dal_fail_errno(call, errno, "getrandom");
	for (size_t i = 0; i < CHAINS; i++) {
		chains[i].s = s;
		chains[i].call = dal_call_child(call);
		/* A repeated probe has a new name: no condition can be refused by an earlier try. */
		chains[i].call.attempt = 0;
		chains[i].path = dal_asprintf("%s.dalfs-probe-%016" PRIx64 "-%zu", root, random, i);
		if (!chains[i].path)
			return dal_fail_nomem(call);
	}
	return 0;
}

static void keep(struct dal_s3 *s, const struct chain chains[CHAINS])
{
	struct dal_capability *cap = &s->base.cap;

	cap->write_if_not_exists = chains[0].found.write_if_not_exists;
	cap->write_if_match = chains[0].found.write_if_match && !s->no_write_if_match;
	cap->delete_if_match = chains[0].found.delete_if_match;
	cap->copy_if_match = chains[1].found.copy_if_match;
	cap->copy_if_not_exists = chains[1].found.copy_if_not_exists;
	cap->complete_if_match = chains[2].found.complete_if_match && !s->no_write_if_match;
	cap->complete_if_not_exists = chains[2].found.complete_if_not_exists;
	dal_log(DAL_LOG_DEBUG,
		"s3: conditions: put not-exists %d match %d%s, delete match %d, copy match %d not-exists %d, "
		"complete match "
		"%d not-exists %d",
		cap->write_if_not_exists, cap->write_if_match,
		atomic_load(&s->if_match_bare) ? " (bare)" : "", cap->delete_if_match, cap->copy_if_match,
		cap->copy_if_not_exists, cap->complete_if_match, cap->complete_if_not_exists);
}

int dal_s3_probe(struct dal_backend *b, struct dal_call *call, const char *root, bool may_write)
{
	struct dal_s3 *s = dal_s3_of(b);
	struct dal_list_args one = { .recursive = true, .limit = 1 };
	struct chain chains[CHAINS] = { 0 };
	struct dal_page page = { 0 };
	int r = dal_s3_list(b, call, root, &one, NULL, &page);

	if (r < 0)
		return r;
	dal_page_done(&page);
	if (!may_write)
		return 0;
	r = prepare(s, call, root, chains);
	if (!r) {
		r = probe_create(&chains[0]);
		if (!r) {
			run_chains(chains);
			keep(s, chains);
		} else if (r == -DAL_PERMISSION_DENIED) {
			dal_log(DAL_LOG_INFO, "s3: read-only: %s", chains[0].call.err.msg);
			r = 0;
		} else {
			r = dal_call_fail_as(call, &chains[0].call.err);
		}
		clean_up(s, chains);
	}
	for (size_t i = 0; i < CHAINS; i++) {
		free(chains[i].path);
		free(chains[i].etag);
	}
	return r;
}
