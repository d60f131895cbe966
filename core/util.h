/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Small things every file needs: scope-bound cleanup, moving ownership, overflow-checked sizes and a byte
 * buffer that knows its maximum. Nothing here takes a lock; no function may be called for one object from two
 * threads at once.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Runs @f with the address of the variable when it leaves its scope. */
#define DAL_CLEANUP(f) __attribute__((cleanup(f)))

#define DAL_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define DAL_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#define DAL_MUST_CHECK __attribute__((warn_unused_result))

/* Moves the pointer out of *@p and leaves NULL there: how ownership passes to a receiver. */
#define dal_take(p)                                                                                          \
	({                                                                                                   \
		__typeof__(*(p)) _taken = *(p);                                                              \
		*(p) = NULL;                                                                                 \
		_taken;                                                                                      \
	})

#define dal_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define DAL_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define DAL_MIN(a, b)                                                                                        \
	({                                                                                                   \
		__typeof__(a) _a = (a);                                                                      \
		__typeof__(b) _b = (b);                                                                      \
		_a < _b ? _a : _b;                                                                           \
	})
#define DAL_MAX(a, b)                                                                                        \
	({                                                                                                   \
		__typeof__(a) _a = (a);                                                                      \
		__typeof__(b) _b = (b);                                                                      \
		_a > _b ? _a : _b;                                                                           \
	})

#define DAL_KIB ((uint64_t)1 << 10)
#define DAL_MIB ((uint64_t)1 << 20)
#define DAL_GIB ((uint64_t)1 << 30)
#define DAL_NS_PER_S ((uint64_t)1000000000)
#define DAL_NS_PER_MS ((uint64_t)1000000)

/* For DAL_CLEANUP: frees what a `T *` variable points to; @p is the variable's address. */
void dal_mem_freep(void *p);

/* For DAL_CLEANUP: closes the descriptor in an `int` variable unless it is negative. */
void dal_fd_closep(int *fd);

/* strdup() that passes NULL through. The receiver owns the result; NULL for NULL, or when memory has run out.
 */
char *dal_strdup(const char *s);

/* asprintf() that returns the string, or NULL when memory has run out. The receiver owns it. */
char *dal_asprintf(const char *fmt, ...) DAL_PRINTF(1, 2);

bool dal_starts_with(const char *s, const char *prefix) DAL_NONNULL(1, 2);
bool dal_ends_with(const char *s, const char *suffix) DAL_NONNULL(1, 2);

/* Parses a whole unsigned decimal. False, *ret_v untouched, for an empty, signed, overflowing or
 * trailing-text one. */
bool dal_parse_u64(const char *s, uint64_t *ret_v) DAL_NONNULL(1, 2);

/* Parses "64M", "1GiB", "512k", "4096": binary multiples K, M, G, T with optional "B" or "iB". */
bool dal_parse_size(const char *s, uint64_t *ret_bytes) DAL_NONNULL(1, 2);

/* Parses "10", "1.5s", "500ms", "2m", "1h", "1d" into nanoseconds; a bare number is seconds. */
bool dal_parse_duration(const char *s, uint64_t *ret_ns) DAL_NONNULL(1, 2);

/*
 * A growable byte buffer. It never grows past `max`: everything read from a peer goes through one, so every
 * parser has a bound. `data` is NUL-terminated whenever it is not NULL.
 */
struct dal_buf {
	char *data; /* owned */
	size_t len; /* without the terminator */
	size_t cap;
	size_t max; /* constant after init */
};

#define DAL_BUF_INIT(maximum)                                                                                \
	{                                                                                                    \
		.max = (maximum)                                                                             \
	}

/* Each returns false, the buffer unchanged, when the maximum would be passed or memory has run out. */
DAL_MUST_CHECK bool dal_buf_append(struct dal_buf *b, const void *bytes, size_t len);
DAL_MUST_CHECK bool dal_buf_puts(struct dal_buf *b, const char *s);
DAL_MUST_CHECK bool dal_buf_printf(struct dal_buf *b, const char *fmt, ...) DAL_PRINTF(2, 3);
/* Forgets the bytes, keeps the memory. */
void dal_buf_clear(struct dal_buf *b);
/* The bytes move to the caller, who frees them; "" is allocated for an empty buffer; NULL when memory has run
 * out. */
char *dal_buf_steal(struct dal_buf *b);
void dal_buf_done(struct dal_buf *b);
