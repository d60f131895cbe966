/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Redaction: a word that names a secret, then ':', '=' or '>' with quotes and spaces around it, then the
 * value. That one rule covers headers, query strings, options, JSON and XML. The value of a header goes to
 * the end of its line, others to the first character that cannot be part of one. User information in URLs is
 * a rule of its own.
 *
 * It errs on the side of hiding: a harmless word after "token:" is lost to the reader too.
 */

#include "core/log.h"

#include <string.h>
#include <strings.h>

struct secret {
	const char *word;
	bool header; /* the value is the rest of the line */
	bool boundary; /* only where no letter or digit stands before it */
};

static const struct secret secrets[] = {
	{ "authorization", true, false },
	{ "cookie", true, false },
	{ "security-token", true, false },
	{ "customer-key", true, false },
	{ "auth-token", true, false },
	{ "metadata-token", true, false },
	{ "signature", false, false },
	{ "credential", false, false },
	{ "token", false, false },
	{ "password", false, false },
	{ "passwd", false, false },
	{ "secret", false, false },
	{ "secret_access_key", false, false },
	{ "secretaccesskey", false, false },
	{ "secret_key", false, false },
	{ "account_key", false, false },
	{ "accountkey", false, false },
	{ "encryption_key", false, false },
	{ "customer_key", false, false },
	{ "sig", false, true },
};

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '-';
}

/* Puts "***" over the @len bytes at @at, as much of it as fits, and closes the gap. Returns what follows it.
 */
static char *cover(char *at, size_t len)
{
	size_t stars = len < 3 ? len : 3;

	memset(at, '*', stars);
	memmove(at + stars, at + len, strlen(at + len) + 1);
	return at + stars;
}

/* The value after a secret's word that ended before @p, or NULL when what follows is no value. */
static char *value_after(char *p)
{
	if (*p == '"' || *p == '\'')
		p++;
	while (*p == ' ')
		p++;
	if (*p != ':' && *p != '=' && *p != '>')
		return NULL;
	p++;
	while (*p == ' ')
		p++;
	if (*p == '"' || *p == '\'')
		p++;
	return *p ? p : NULL;
}

static size_t value_len(const char *value, bool header)
{
	return header ? strcspn(value, "\r\n\"") : strcspn(value, "&\r\n\t \"',;<>()[]{}");
}

/* Redacts what starts at *@at if a secret's word ends here; moves *@at on then. */
static bool redact_word(char *line, char **at)
{
	size_t i;

	for (i = 0; i < DAL_COUNT_OF(secrets); i++) {
		const struct secret *s = &secrets[i];
		size_t n = strlen(s->word), len;
		char *value;

		if (strncasecmp(*at, s->word, n) != 0)
			continue;
		if (s->boundary && *at > line && is_word((*at)[-1]))
			continue;
		value = value_after(*at + n);
		if (!value)
			continue;
		len = value_len(value, s->header);
		if (len == 0)
			continue;
		*at = cover(value, len);
		return true;
	}
	return false;
}

/* "://user:password@host": @at is behind the slashes. */
static char *redact_userinfo(char *at)
{
	size_t len = strcspn(at, "/?# \t\r\n\"'<>");
	char *sign = memrchr(at, '@', len);

	return sign ? cover(at, (size_t)(sign - at)) : at;
}

void dal_redact(char *line)
{
	char *p = line;

	while (*p) {
		/* The first letters of all words, so that ordinary text costs one comparison a character. */
		if (strchr("acsmtpeACSMTPE", *p) && redact_word(line, &p))
			continue;
		if (p[0] == ':' && p[1] == '/' && p[2] == '/') {
			p = redact_userinfo(p + 3);
			continue;
		}
		p++;
	}
}
