/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A pool of threads for work that is split: parallel ranged reads, part uploads, copies of a tree. Threads
 * start on demand, up to the maximum, and stay. Every thread is joined by dal_workers_free(): no thread
 * outlives its pool.
 *
 * Threads: any thread may submit. A job must not wait for a job of the same pool that has not started.
 */

#include <stddef.h>

#include "core/util.h"

struct dal_workers;

/* NULL when memory has run out. @name shows in ps and gdb, at most 11 characters. */
struct dal_workers *dal_workers_new(const char *name, unsigned max_threads);
/* Runs all queued jobs, then joins. Takes NULL; returns NULL. */
struct dal_workers *dal_workers_free(struct dal_workers *w);

/* Queues @fn(@arg). False when memory has run out or no thread could be started: the caller then does the
 * work itself. */
DAL_MUST_CHECK bool dal_workers_submit(struct dal_workers *w, void (*fn)(void *arg), void *arg);

/* Jobs queued and not started. */
size_t dal_workers_queued(struct dal_workers *w);

/*
 * Runs @fn(arg, i) for every i < @n with up to @parallel threads of the pool besides the caller, which works
 * too and returns when all have returned. Safe within jobs of the same pool: the caller alone is enough to
 * finish.
 */
void dal_workers_each(
	struct dal_workers *w, unsigned parallel, size_t n, void (*fn)(void *arg, size_t i), void *arg);
