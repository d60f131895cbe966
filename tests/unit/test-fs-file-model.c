/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The contents of a file against a plain array of bytes: thousands of random steps with little memory, small
 * parts and a store that fails and loses answers; and threads that write, read, cut and commit one file at
 * once.
 *
 * DAL_TEST_SEED repeats a run, DAL_TEST_STEPS makes it longer.
 */

#include <time.h>

#include "tests/unit/file-fixture.h"

#define SIZE_MAX_BYTES (3 * DAL_MIB)

struct model {
	struct dal_file *f;
	char *bytes; /* what the file is */
	uint64_t size;
	char path[32];
	unsigned names;
	uint64_t rng;
	unsigned commits, failures, conflicts, detached;
};

static uint64_t rnd(struct model *m, uint64_t below)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 7;
	m->rng ^= m->rng << 17;
	return m->rng % below;
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	uint64_t v;

	return text && dal_parse_u64(text, &v) ? v : otherwise;
}

static struct dal_commit how_of(const struct model *m)
{
	return (struct dal_commit){ .path = m->path };
}

static void model_write(struct model *m, bool append)
{
	uint64_t off = append ? m->size : rnd(m, 3) ? rnd(m, m->size + 1) : rnd(m, SIZE_MAX_BYTES);
	size_t len = 1 + (size_t)rnd(m, rnd(m, 4) ? 5000 : 200000);
	struct dal_call call = within();
	uint64_t at = off;
	char *p;

	if (off + len > SIZE_MAX_BYTES)
		return;
	p = pattern(1 + rnd(m, 1000000), off, len);
	if (dal_file_write(m->f, &call, p, len, off, append, &at) == 0) {
		assert_int_equal(at, off);
		if (off > m->size)
			memset(m->bytes + m->size, 0, off - m->size);
		memcpy(m->bytes + off, p, len);
		m->size = DAL_MAX(m->size, off + len);
	} else {
		m->failures++;
	}
	free(p);
}

/* What a program does that writes a file from front to end. */
static void model_stream(struct model *m)
{
	struct dal_commit how = how_of(m);
	uint64_t end = rnd(m, SIZE_MAX_BYTES);

	while (m->size < end) {
		uint64_t before = m->size;

		model_write(m, true);
		dal_file_stream(m->f, &how);
		if (m->size == before)
			break;
	}
}

static void model_truncate(struct model *m)
{
	uint64_t size = rnd(m, 4) == 0 ? 0 : rnd(m, SIZE_MAX_BYTES);
	struct dal_call call = within();

	if (dal_file_truncate(m->f, &call, size) < 0) {
		m->failures++;
		return;
	}
	if (size > m->size)
		memset(m->bytes + m->size, 0, size - m->size);
	m->size = size;
}

static void model_read(struct model *m, uint64_t off, size_t len)
{
	char *buf = malloc(len);
	size_t n = 0, i;

	if (read_to(m->f, off, len, buf, &n) < 0) {
		m->failures++;
	} else {
		assert_int_equal(n, off < m->size ? DAL_MIN((uint64_t)len, m->size - off) : 0);
		for (i = 0; i < n; i++)
			if (buf[i] != m->bytes[off + i])
				fail_msg("byte %llu of %llu reads as something else",
					(unsigned long long)(off + i), (unsigned long long)m->size);
	}
	free(buf);
}

static void check_store(struct model *m)
{
	uint64_t size = 0;
	char *bytes = bucket_bytes(k, m->path, &size);

	assert_non_null(bytes);
	assert_int_equal(size, m->size);
	assert_memory_equal(bytes, m->bytes, size);
	free(bytes);
}

static bool model_commit(struct model *m)
{
	struct dal_commit how = how_of(m);
	struct dal_call call = within();
	int r = dal_file_commit(m->f, &call, &how, NULL);

	if (r == 0) {
		m->commits++;
		check_store(m);
		assert_false(dal_file_dirty(m->f));
		return true;
	}
	m->failures++;
	/* Our own first try, whose answer was lost, is what we have lost the race to: the data goes
	 * elsewhere. */
	if (r == -DAL_CONDITION_NOT_MATCH) {
		m->conflicts++;
		snprintf(m->path, sizeof(m->path), "f%u", ++m->names);
	}
	return false;
}

/* Another program opens it: a new file over what is in the store. */
static void model_reopen(struct model *m)
{
	if (!model_commit(m))
		return;
	dal_file_free(m->f);
	m->f = open_file(m->path);
}

static void model_detach(struct model *m)
{
	struct dal_call call = within();

	if (dal_file_detach(m->f, &call) < 0) {
		m->failures++;
		return;
	}
	assert_null(dal_file_base(m->f));
	m->detached++;
	bucket_remove(k, m->path);
}

static void step(struct model *m)
{
	unsigned what = (unsigned)rnd(m, 100);

	if (what < 40)
		model_write(m, rnd(m, 5) == 0);
	else if (what < 45)
		model_stream(m);
	else if (what < 50)
		model_truncate(m);
	else if (what < 85)
		model_read(m, rnd(m, SIZE_MAX_BYTES), 1 + rnd(m, rnd(m, 3) ? 5000 : DAL_MIB));
	else if (what < 95)
		model_commit(m);
	else if (what < 97)
		model_reopen(m);
	else if (what < 98)
		dal_file_stream_abort(m->f);
	else if (what < 99)
		model_detach(m);
	assert_int_equal(dal_file_size(m->f), m->size);
}

static void run_model(const struct dal_capability *cap, unsigned faults)
{
	uint64_t seed = env_number("DAL_TEST_SEED", (uint64_t)time(NULL) * 1000003 % 1000000007 + faults);
	uint64_t steps = env_number("DAL_TEST_STEPS", 2500), i, off;
	struct model m = { .rng = seed * 2 + 1, .bytes = calloc(1, SIZE_MAX_BYTES), .path = "f" };

	printf("seed %llu, %u%% faults\n", (unsigned long long)seed, faults);
	/* The dirty share is half of this; a cache wants some room too. */
	open_store(cap, 4 * DAL_MIB, 64 << 10, 200000);
	atomic_store(&k->seed, (unsigned)seed);
	m.f = dal_file_new(&env);
	for (i = 0; i < steps; i++) {
		/* A store that fails always fails whatever is tried often enough: it comes in fits. */
		atomic_store(&k->fail_percent, i % 100 < 50 ? faults : 0);
		atomic_store(&k->lose_percent, i % 100 < 50 ? faults : 0);
		step(&m);
	}
	atomic_store(&k->fail_percent, 0);
	atomic_store(&k->lose_percent, 0);
	for (off = 0; off < m.size; off += 100000)
		model_read(&m, off, 100000);
	if (!model_commit(&m))
		assert_true(model_commit(&m));
	for (off = 0; off < m.size; off += 100000)
		model_read(&m, off, 100000);
	printf("%u commits, %u failures, %u conflicts, %u detached, %u parts, %u copies\n", m.commits,
		m.failures, m.conflicts, m.detached, count(BUCKET_PART), count(BUCKET_COPY));
	dal_file_free(m.f);
	close_store();
	free(m.bytes);
}

static void test_model(void **state)
{
	struct dal_capability cap = bucket_s3(20000);

	run_model(&cap, 0);
}

static void test_model_with_faults(void **state)
{
	struct dal_capability cap = bucket_s3(20000);

	run_model(&cap, 15);
}

static void test_model_without_conditions(void **state)
{
	struct dal_capability cap = { .read_if_match = true, .shared = true, .part_min = 70000 };

	run_model(&cap, 10);
}

static void test_model_without_multipart(void **state)
{
	struct dal_capability cap = { .read_if_match = true, .write_if_match = true, .shared = true };

	bucket_plain = true;
	run_model(&cap, 10);
	bucket_plain = false;
}

/* Threads: each owns a stripe of the file and knows what is in it; all read, commit and stream the whole. */

#define THREADS 4
#define STRIPE ((uint64_t)300000)

struct worker {
	pthread_t thread;
	struct dal_file *f;
	unsigned id;
	atomic_bool *stop;
};

static void *stripe_thread(void *arg)
{
	struct worker *w = arg;
	struct model m = { .f = w->f, .rng = 77 + w->id, .bytes = calloc(1, STRIPE), .path = "f" };
	uint64_t base = w->id * STRIPE;
	unsigned i;

	for (i = 0; i < 150; i++) {
		uint64_t off = rnd(&m, STRIPE), len = 1 + rnd(&m, DAL_MIN(STRIPE - off, (uint64_t)60000));
		char *p = pattern(1 + rnd(&m, 1000000), off, (size_t)len), *buf = malloc(STRIPE);
		struct dal_call call = within();
		size_t n = 0;

		must(dal_file_write(w->f, &call, p, (size_t)len, base + off, false, NULL) == 0);
		memcpy(m.bytes + off, p, (size_t)len);
		if (i % 3 == 0) {
			memset(buf, 0, STRIPE);
			must(read_to(w->f, base, STRIPE, buf, &n) == 0);
			must(memcmp(buf, m.bytes, n) == 0);
		}
		if (i % 10 == w->id)
			stream(w->f);
		if (i % 25 == w->id)
			must(commit(w->f) == 0);
		free(p);
		free(buf);
	}
	return m.bytes;
}

/* Cuts and regrows what lies behind all stripes. */
static void *tail_thread(void *arg)
{
	struct worker *w = arg;
	struct model m = { .rng = 99 };

	while (!atomic_load(w->stop)) {
		struct dal_call call = within();

		must(dal_file_truncate(w->f, &call, THREADS * STRIPE + rnd(&m, 500000)) == 0);
		put(w->f, 5, THREADS * STRIPE, 1000);
		check(w->f, 5, THREADS * STRIPE, 1000);
		(void)dal_file_dirty_bytes(w->f);
		usleep(200);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct dal_capability cap = bucket_s3(20000);
	struct worker w[THREADS + 1];
	atomic_bool stop = false;
	struct dal_file *f;
	char *bytes[THREADS];
	unsigned i;

	open_store(&cap, 4 * DAL_MIB, 64 << 10, 200000);
	atomic_store(&k->latency_us, 300);
	f = dal_file_new(&env);
	put(f, 5, THREADS * STRIPE, 1000);
	for (i = 0; i <= THREADS; i++) {
		w[i] = (struct worker){ .f = f, .id = i, .stop = &stop };
		pthread_create(&w[i].thread, NULL, i < THREADS ? stripe_thread : tail_thread, &w[i]);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(w[i].thread, (void **)&bytes[i]);
	atomic_store(&stop, true);
	pthread_join(w[THREADS].thread, NULL);
	assert_int_equal(commit(f), 0);
	assert_false(dal_file_dirty(f));
	for (i = 0; i < THREADS; i++) {
		uint64_t size = 0;
		char *all = bucket_bytes(k, "f", &size);

		assert_true(size >= THREADS * STRIPE);
		assert_memory_equal(all + i * STRIPE, bytes[i], STRIPE);
		free(all);
		free(bytes[i]);
	}
	dal_file_free(f);
	close_store();
}

/* Several streams at once on little memory: they take turns, and all end. */
static void *stream_thread(void *arg)
{
	struct worker *w = arg;
	char path[16];
	struct dal_commit how = { .path = path };
	struct dal_file *f = dal_file_new(&env);
	uint64_t off;

	snprintf(path, sizeof(path), "s%u", w->id);
	for (off = 0; off < 6 * DAL_MIB; off += 100000) {
		put(f, w->id + 1, off, 100000);
		dal_file_stream(f, &how);
	}
	must(commit_as(f, path, false, NULL) == 0);
	check(f, w->id + 1, 0, off);
	check_object(path, w->id + 1, off);
	dal_file_free(f);
	return NULL;
}

static void test_many_streams(void **state)
{
	struct dal_capability cap = bucket_s3(20000);
	struct worker w[THREADS];
	unsigned i;

	open_store(&cap, 4 * DAL_MIB, 64 << 10, 200000);
	atomic_store(&k->latency_us, 2000);
	for (i = 0; i < THREADS; i++) {
		w[i] = (struct worker){ .id = i };
		pthread_create(&w[i].thread, NULL, stream_thread, &w[i]);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(w[i].thread, NULL);
	close_store();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_model_with_faults),
		cmocka_unit_test(test_model_without_conditions),
		cmocka_unit_test(test_model_without_multipart),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_many_streams),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
