/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A queue, one condition, threads that start when a job finds nobody idle. `each` shares its items out by a
 * counter: the caller takes items like any helper, so it needs no helper to finish, and waits only for
 * helpers that have taken one. A helper that starts when all items are gone finds the counter at its end and
 * leaves; the state it looks at is reference-counted for that.
 */

#include "core/workers.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
	struct job *next; /* owned by the queue */
	void (*fn)(void *arg);
	void *arg; /* borrowed until fn has returned */
};

struct dal_workers {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct job *head, **tail; /* guarded by lock; owned */
	size_t queued; /* guarded by lock */
	size_t idle; /* guarded by lock: threads that wait for work */
	bool stopping; /* guarded by lock */
	unsigned n, max; /* n guarded by lock, max constant */
	pthread_t *threads; /* guarded by lock; owned; joined by dal_workers_free() */
	char name[12]; /* constant */
};

struct dal_workers *dal_workers_new(const char *name, unsigned max_threads)
{
	struct dal_workers *w = calloc(1, sizeof(*w));

	assert(max_threads > 0);
	if (!w)
		return NULL;
	w->threads = calloc(max_threads, sizeof(*w->threads));
	if (!w->threads) {
		free(w);
		return NULL;
	}
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->work, NULL);
	w->tail = &w->head;
	w->max = max_threads;
	snprintf(w->name, sizeof(w->name), "%s", name);
	return w;
}

static struct job *take_job_locked(struct dal_workers *w)
{
	struct job *job = w->head;

	w->head = job->next;
	if (!w->head)
		w->tail = &w->head;
	w->queued--;
	return job;
}

static void *worker(void *arg)
{
	struct dal_workers *w = arg;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		struct job *job;

		while (!w->head && !w->stopping) {
			w->idle++;
			pthread_cond_wait(&w->work, &w->lock);
			w->idle--;
		}
		if (!w->head)
			break;
		job = take_job_locked(w);
		pthread_mutex_unlock(&w->lock);
		job->fn(job->arg);
		free(job);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* Starts one more thread. Signals are for the program's own thread, so none is delivered to it. */
static bool start_locked(struct dal_workers *w)
{
	sigset_t all, old;
	char name[16];
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&w->threads[w->n], NULL, worker, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0)
		return false;
	snprintf(name, sizeof(name), "%s-%u", w->name, w->n % 100);
	pthread_setname_np(w->threads[w->n], name);
	w->n++;
	return true;
}

bool dal_workers_submit(struct dal_workers *w, void (*fn)(void *arg), void *arg)
{
	struct job *job = malloc(sizeof(*job));
	bool ok = true;

	if (!job)
		return false;
	*job = (struct job){ .fn = fn, .arg = arg };
	pthread_mutex_lock(&w->lock);
	assert(!w->stopping || w->n > 0);
	if (w->idle <= w->queued && w->n < w->max)
		ok = start_locked(w) || w->n > 0;
	if (ok) {
		*w->tail = job;
		w->tail = &job->next;
		w->queued++;
		pthread_cond_signal(&w->work);
		job = NULL;
	}
	pthread_mutex_unlock(&w->lock);
	free(job);
	return ok;
}

size_t dal_workers_queued(struct dal_workers *w)
{
	size_t n;

	pthread_mutex_lock(&w->lock);
	n = w->queued;
	pthread_mutex_unlock(&w->lock);
	return n;
}

struct dal_workers *dal_workers_free(struct dal_workers *w)
{
	unsigned i, n;

	if (!w)
		return NULL;
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_broadcast(&w->work);
	n = w->n;
	pthread_mutex_unlock(&w->lock);
	for (i = 0; i < n; i++)
		pthread_join(w->threads[i], NULL);
	assert(!w->head);
	pthread_cond_destroy(&w->work);
	pthread_mutex_destroy(&w->lock);
	free(w->threads);
	free(w);
	return NULL;
}

struct each {
	void (*fn)(void *arg, size_t i);
	void *arg; /* borrowed from the caller of dal_workers_each(), valid while an item is left or running
		    */
	size_t n;
	atomic_size_t next;
	pthread_mutex_t lock;
	pthread_cond_t finished;
	size_t done; /* guarded by lock: items finished */
	unsigned refs; /* guarded by lock: the caller and each helper queued or running */
};

static void each_unref(struct each *e)
{
	bool last;

	pthread_mutex_lock(&e->lock);
	last = --e->refs == 0;
	pthread_mutex_unlock(&e->lock);
	if (!last)
		return;
	pthread_cond_destroy(&e->finished);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

static void each_work(struct each *e)
{
	size_t did = 0, i;

	while ((i = atomic_fetch_add(&e->next, 1)) < e->n) {
		e->fn(e->arg, i);
		did++;
	}
	pthread_mutex_lock(&e->lock);
	e->done += did;
	if (e->done == e->n)
		pthread_cond_broadcast(&e->finished);
	pthread_mutex_unlock(&e->lock);
}

static void each_helper(void *arg)
{
	struct each *e = arg;

	each_work(e);
	each_unref(e);
}

static void call_helpers(struct dal_workers *w, struct each *e, size_t helpers)
{
	size_t i;

	for (i = 0; i < helpers; i++) {
		pthread_mutex_lock(&e->lock);
		e->refs++;
		pthread_mutex_unlock(&e->lock);
		if (!dal_workers_submit(w, each_helper, e)) {
			each_unref(e);
			return;
		}
	}
}

void dal_workers_each(
	struct dal_workers *w, unsigned parallel, size_t n, void (*fn)(void *arg, size_t i), void *arg)
{
	struct each *e = n > 1 && parallel > 0 ? calloc(1, sizeof(*e)) : NULL;
	size_t i;

	if (!e) {
		for (i = 0; i < n; i++)
			fn(arg, i);
		return;
	}
	e->fn = fn;
	e->arg = arg;
	e->n = n;
	e->refs = 1;
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->finished, NULL);
	call_helpers(w, e, DAL_MIN((size_t)parallel, n - 1));
	each_work(e);
	pthread_mutex_lock(&e->lock);
	while (e->done < e->n)
		pthread_cond_wait(&e->finished, &e->lock);
	pthread_mutex_unlock(&e->lock);
	each_unref(e);
}
