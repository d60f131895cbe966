/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Strings, numbers as users write them, and the bounded buffer. Everything that parses takes the whole text
 * or nothing: "12x" is no number, and nothing wraps around.
 */

#include "core/util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

void dal_mem_freep(void *p)
{
	void *mem;

	memcpy(&mem, p, sizeof(mem));
	free(mem);
}

void dal_fd_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

char *dal_strdup(const char *s)
{
	return s ? strdup(s) : NULL;
}

char *dal_asprintf(const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : s;
}

bool dal_starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool dal_ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

/* Reads digits from *@s on and leaves *@s behind them. False when there are none or they overflow. */
static bool take_digits(const char **s, uint64_t *ret_v)
{
	const char *p = *s;
	uint64_t v = 0;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
			__builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return false;
	*s = p;
	*ret_v = v;
	return true;
}

bool dal_parse_u64(const char *s, uint64_t *ret_v)
{
	uint64_t v;

	if (!take_digits(&s, &v) || *s)
		return false;
	*ret_v = v;
	return true;
}

bool dal_parse_size(const char *s, uint64_t *ret_bytes)
{
	static const char units[] = "KMGT";
	const char *unit;
	uint64_t v, scale = 1;

	if (!take_digits(&s, &v))
		return false;
	unit = *s ? strchr(units, *s >= 'a' && *s <= 'z' ? *s - ('a' - 'A') : *s) : NULL;
	if (unit) {
		scale <<= 10 * (unit - units + 1);
		s++;
		if (*s == 'i' && s[1] != 'B')
			return false;
		if (*s == 'i')
			s++;
	}
	if (*s == 'B')
		s++;
	if (*s || __builtin_mul_overflow(v, scale, &v))
		return false;
	*ret_bytes = v;
	return true;
}

/* The nanoseconds one @unit of time stands for; 0 for an unknown one. */
static uint64_t duration_unit(const char *unit)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{ "", DAL_NS_PER_S },
		{ "s", DAL_NS_PER_S },
		{ "ms", DAL_NS_PER_MS },
		{ "us", 1000 },
		{ "ns", 1 },
		{ "m", 60 * DAL_NS_PER_S },
		{ "min", 60 * DAL_NS_PER_S },
		{ "h", 3600 * DAL_NS_PER_S },
		{ "d", 86400 * DAL_NS_PER_S },
	};
	size_t i;

	for (i = 0; i < DAL_COUNT_OF(units); i++)
		if (strcmp(unit, units[i].name) == 0)
			return units[i].ns;
	return 0;
}

bool dal_parse_duration(const char *s, uint64_t *ret_ns)
{
	uint64_t whole, unit, scale, ns = 0;
	const char *digits = NULL;

	if (!take_digits(&s, &whole))
		return false;
	if (*s == '.') {
		uint64_t ignored;

		digits = ++s;
		if (!take_digits(&s, &ignored))
			return false;
	}
	unit = duration_unit(s);
	if (!unit)
		return false;
	for (scale = unit / 10; digits && digits < s && scale > 0; digits++, scale /= 10)
		ns += (uint64_t)(*digits - '0') * scale;
	if (__builtin_mul_overflow(whole, unit, &whole) || __builtin_add_overflow(whole, ns, &ns))
		return false;
	*ret_ns = ns;
	return true;
}

/* Makes room for @more bytes and the terminator. */
static bool buf_reserve(struct dal_buf *b, size_t more)
{
	size_t need, cap;
	char *data;

	if (__builtin_add_overflow(b->len, more, &need) || need > b->max || need == SIZE_MAX)
		return false;
	need++;
	if (need <= b->cap)
		return true;
	cap = DAL_MAX(b->cap, (size_t)64);
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (cap - 1 > b->max)
		cap = b->max + 1;
	data = realloc(b->data, cap);
	if (!data)
		return false;
	b->data = data;
	b->cap = cap;
	return true;
}

bool dal_buf_append(struct dal_buf *b, const void *bytes, size_t len)
{
	if (!buf_reserve(b, len))
		return false;
	if (len)
		memcpy(b->data + b->len, bytes, len);
	b->len += len;
	b->data[b->len] = '\0';
	return true;
}

bool dal_buf_puts(struct dal_buf *b, const char *s)
{
	return dal_buf_append(b, s, strlen(s));
}

bool dal_buf_printf(struct dal_buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !buf_reserve(b, (size_t)n))
		return false;
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return true;
}

void dal_buf_clear(struct dal_buf *b)
{
	b->len = 0;
	if (b->data)
		b->data[0] = '\0';
}

char *dal_buf_steal(struct dal_buf *b)
{
	if (!b->data && !buf_reserve(b, 0))
		return NULL;
	b->data[b->len] = '\0';
	b->len = 0;
	b->cap = 0;
	return dal_take(&b->data);
}

void dal_buf_done(struct dal_buf *b)
{
	free(dal_take(&b->data));
	b->len = 0;
	b->cap = 0;
}
