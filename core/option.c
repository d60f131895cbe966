/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A config is one slot per option of its tables, in their order; the first of two options with one name wins.
 * A slot holds the text, checked when it was set, and is parsed when it is asked for: that happens when a
 * store is opened and never after.
 */

#include "core/option.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct slot {
	const struct dal_option *option; /* borrowed from the tables */
	char *text; /* owned; NULL when unset */
	enum dal_source from; /* meaningful when set */
};

struct dal_config {
	const struct dal_option **tables; /* owned list of borrowed tables, NULL-ended */
	struct slot *v; /* owned */
	size_t n;
};

struct dal_config *dal_config_new(const struct dal_option *const *tables)
{
	struct dal_config *cfg = calloc(1, sizeof(*cfg));
	size_t n_tables = 0, t, i = 0;
	const struct dal_option *o;

	if (!cfg)
		return NULL;
	for (; tables[n_tables]; n_tables++)
		for (o = tables[n_tables]; o->name; o++)
			cfg->n++;
	cfg->tables = calloc(n_tables + 1, sizeof(*cfg->tables));
	cfg->v = calloc(cfg->n + 1, sizeof(*cfg->v));
	if (!cfg->tables || !cfg->v)
		return dal_config_free(cfg);
	for (t = 0; t < n_tables; t++) {
		cfg->tables[t] = tables[t];
		for (o = tables[t]; o->name; o++)
			cfg->v[i++].option = o;
	}
	return cfg;
}

static void slot_clear(struct slot *s)
{
	if (s->text)
		explicit_bzero(s->text, strlen(s->text));
	free(dal_take(&s->text));
}

struct dal_config *dal_config_free(struct dal_config *cfg)
{
	size_t i;

	if (!cfg)
		return NULL;
	for (i = 0; cfg->v && i < cfg->n; i++)
		slot_clear(&cfg->v[i]);
	free(cfg->v);
	free(cfg->tables);
	free(cfg);
	return NULL;
}

void dal_config_freep(struct dal_config **cfg)
{
	*cfg = dal_config_free(*cfg);
}

struct dal_config *dal_config_dup(const struct dal_config *cfg)
{
	struct dal_config *copy = dal_config_new(cfg->tables);
	size_t i;

	if (!copy)
		return NULL;
	for (i = 0; i < cfg->n; i++) {
		copy->v[i].from = cfg->v[i].from;
		copy->v[i].text = dal_strdup(cfg->v[i].text);
		if (cfg->v[i].text && !copy->v[i].text)
			return dal_config_free(copy);
	}
	return copy;
}

/* True when @word is one of the @words separated by @sep. */
static bool is_listed(const char *words, char sep, const char *word)
{
	size_t n = strlen(word);

	while (words && *words) {
		const char *end = strchrnul(words, sep);

		if ((size_t)(end - words) == n && memcmp(words, word, n) == 0)
			return true;
		words = *end ? end + 1 : end;
	}
	return false;
}

static struct slot *find_slot(const struct dal_config *cfg, const char *name)
{
	size_t i;

	for (i = 0; i < cfg->n; i++)
		if (strcmp(cfg->v[i].option->name, name) == 0)
			return &cfg->v[i];
	for (i = 0; i < cfg->n; i++)
		if (is_listed(cfg->v[i].option->aliases, ' ', name))
			return &cfg->v[i];
	return NULL;
}

const struct dal_option *dal_config_find(const struct dal_config *cfg, const char *name)
{
	const struct slot *s = find_slot(cfg, name);

	return s ? s->option : NULL;
}

static bool parse_bool(const char *text, bool *ret_v)
{
	static const char *const yes[] = { "", "true", "yes", "on", "1" };
	static const char *const no[] = { "false", "no", "off", "0" };
	size_t i;

	for (i = 0; i < DAL_COUNT_OF(yes); i++)
		if (strcasecmp(text, yes[i]) == 0) {
			*ret_v = true;
			return true;
		}
	for (i = 0; i < DAL_COUNT_OF(no); i++)
		if (strcasecmp(text, no[i]) == 0) {
			*ret_v = false;
			return true;
		}
	return false;
}

static bool parse_octal(const char *text, uint64_t *ret_v)
{
	uint64_t v = 0;
	const char *p;

	for (p = text; *p >= '0' && *p <= '7' && p - text < 12; p++)
		v = v << 3 | (uint64_t)(*p - '0');
	if (*p || p == text)
		return false;
	*ret_v = v;
	return true;
}

/* True when @text fits @o; numbers and bools are stored in *ret_v. */
static bool parse_value(const struct dal_option *o, const char *text, uint64_t *ret_v)
{
	bool b = false;

	switch (o->type) {
	case DAL_OPT_STRING:
		return true;
	case DAL_OPT_BOOL:
		if (!parse_bool(text, &b))
			return false;
		*ret_v = b;
		return true;
	case DAL_OPT_UINT:
		return dal_parse_u64(text, ret_v);
	case DAL_OPT_OCTAL:
		return parse_octal(text, ret_v);
	case DAL_OPT_SIZE:
		return dal_parse_size(text, ret_v);
	case DAL_OPT_DURATION:
		return dal_parse_duration(text, ret_v);
	case DAL_OPT_ENUM:
		return is_listed(o->choices, '|', text);
	}
	return false;
}

static int fail_value(struct dal_call *call, const struct dal_option *o, const char *text)
{
	static const char *const wants[] = {
		[DAL_OPT_STRING] = "text",
		[DAL_OPT_BOOL] = "true or false",
		[DAL_OPT_UINT] = "a number",
		[DAL_OPT_OCTAL] = "an octal number such as 022",
		[DAL_OPT_SIZE] = "a size such as 64M",
		[DAL_OPT_DURATION] = "a time such as 10, 1.5s or 500ms",
		[DAL_OPT_ENUM] = "one of ",
	};

	if (o->flags & DAL_OPT_SECRET)
		text = "***";
	return dal_fail(call, DAL_CONFIG_INVALID, "option %s: \"%.60s\" is not %s%s", o->name, text,
		wants[o->type], o->type == DAL_OPT_ENUM ? o->choices : "");
}

static int fail_unknown(const struct dal_config *cfg, struct dal_call *call, const char *name)
{
	const char *near = dal_option_nearest((const struct dal_option *const *)cfg->tables, name);

	if (near)
		return dal_fail(
			call, DAL_CONFIG_INVALID, "no option \"%.60s\"; did you mean \"%s\"?", name, near);
	return dal_fail(call, DAL_CONFIG_INVALID, "no option \"%.60s\"", name);
}

static int fail_secret(struct dal_call *call, const struct dal_option *o, enum dal_source from)
{
	return dal_fail(call, DAL_CONFIG_INVALID,
		"option %s is a secret and %s shows in process lists and shell history: set it in the "
		"environment "
		"(DALFS_<SCHEME>_<NAME>), in the config file (mode 0600) or in a credentials file",
		o->name, from == DAL_FROM_URI ? "a URI" : "the command line");
}

int dal_config_set(struct dal_config *cfg, struct dal_call *call, enum dal_source from, const char *name,
	const char *value)
{
	struct slot *s = find_slot(cfg, name);
	uint64_t ignored;
	char *copy;

	if (!s && (!value || !*value) && dal_starts_with(name, "no")) {
		s = find_slot(cfg, name + 2);
		if (s && s->option->type != DAL_OPT_BOOL)
			s = NULL;
		value = "false";
	}
	if (!s)
		return fail_unknown(cfg, call, name);
	if ((s->option->flags & DAL_OPT_SECRET) && (from == DAL_FROM_URI || from == DAL_FROM_COMMAND_LINE))
		return fail_secret(call, s->option, from);
	if (!value && s->option->type != DAL_OPT_BOOL)
		return dal_fail(call, DAL_CONFIG_INVALID, "option %s needs a value", s->option->name);
	if (!value)
		value = "true";
	if (!parse_value(s->option, value, &ignored))
		return fail_value(call, s->option, value);
	if (s->text && s->from < from)
		return 0;
	copy = strdup(value);
	if (!copy)
		return dal_fail_nomem(call);
	slot_clear(s);
	s->text = copy;
	s->from = from;
	return 0;
}

/* Cuts one item off *@list and unescapes it into @out, which holds it for sure. */
static void take_item(const char **list, char *out)
{
	const char *p = *list;

	while (*p && *p != ',') {
		if (p[0] == '\\' && (p[1] == ',' || p[1] == '\\'))
			p++;
		*out++ = *p++;
	}
	*out = '\0';
	*list = *p ? p + 1 : p;
}

int dal_config_set_list(struct dal_config *cfg, struct dal_call *call, enum dal_source from, const char *list)
{
	size_t size = strlen(list) + 1;
	char *item = malloc(size);
	int r = 0;

	if (!item)
		return dal_fail_nomem(call);
	while (*list && r == 0) {
		char *eq;

		take_item(&list, item);
		if (!*item)
			continue;
		eq = strchr(item, '=');
		if (eq)
			*eq = '\0';
		r = dal_config_set(cfg, call, from, item, eq ? eq + 1 : NULL);
	}
	explicit_bzero(item, size);
	free(item);
	return r;
}

int dal_config_set_env(struct dal_config *cfg, struct dal_call *call, const char *scheme)
{
	size_t i;

	for (i = 0; i < cfg->n; i++) {
		DAL_CLEANUP(dal_mem_freep)
		char *name = dal_asprintf("DALFS_%s_%s", scheme, cfg->v[i].option->name);
		const char *value;
		char *p;
		int r;

		if (!name)
			return dal_fail_nomem(call);
		for (p = name; *p; p++)
			*p = *p == '-' || *p == '.' || *p == '+'
				     ? '_'
				     : (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
		value = getenv(name);
		if (!value || !*value)
			continue;
		r = dal_config_set(cfg, call, DAL_FROM_ENVIRONMENT, cfg->v[i].option->name, value);
		if (r < 0)
			return dal_call_context(call, r, "environment variable %s", name);
	}
	return 0;
}

int dal_config_check(const struct dal_config *cfg, struct dal_call *call, const char *who)
{
	size_t i;

	for (i = 0; i < cfg->n; i++) {
		const struct dal_option *o = cfg->v[i].option;

		if ((o->flags & DAL_OPT_REQUIRED) && !o->fallback && (!cfg->v[i].text || !*cfg->v[i].text))
			return dal_fail(call, DAL_CONFIG_INVALID, "%s: option %s is required: %s", who,
				o->name, o->help ? o->help : "");
	}
	return 0;
}

const char *dal_config_str(const struct dal_config *cfg, const char *name)
{
	const struct slot *s = find_slot(cfg, name);

	assert(s);
	return s->text ? s->text : s->option->fallback;
}

static uint64_t number(const struct dal_config *cfg, const char *name)
{
	const struct slot *s = find_slot(cfg, name);
	const char *text;
	uint64_t v = 0;
	bool ok;

	assert(s);
	text = s->text ? s->text : s->option->fallback;
	if (!text)
		return 0;
	ok = parse_value(s->option, text, &v);
	assert(ok); /* set values were checked; a default that does not fit is a bug of its table */
	return v;
}

bool dal_config_bool(const struct dal_config *cfg, const char *name)
{
	return number(cfg, name) != 0;
}

uint64_t dal_config_u64(const struct dal_config *cfg, const char *name)
{
	return number(cfg, name);
}

bool dal_config_has(const struct dal_config *cfg, const char *name)
{
	const struct slot *s = find_slot(cfg, name);

	assert(s);
	return s->text != NULL;
}

void dal_option_print(FILE *out, const struct dal_option *table)
{
	static const char *const metavars[] = {
		[DAL_OPT_STRING] = "TEXT",
		[DAL_OPT_BOOL] = NULL,
		[DAL_OPT_UINT] = "N",
		[DAL_OPT_OCTAL] = "OCTAL",
		[DAL_OPT_SIZE] = "SIZE",
		[DAL_OPT_DURATION] = "TIME",
		[DAL_OPT_ENUM] = NULL,
	};
	const struct dal_option *o;

	for (o = table; o->name; o++) {
		const char *value = o->type == DAL_OPT_ENUM ? o->choices : metavars[o->type];
		int width;

		if (o->flags & DAL_OPT_HIDDEN)
			continue;
		width = fprintf(out, "  %s%s%s", o->name, value ? "=" : "", value ? value : "");
		if (width > 29)
			fprintf(out, "\n%30s", "");
		else
			fprintf(out, "%*s", 30 - width, "");
		fprintf(out, "%s", o->help ? o->help : "");
		if (o->fallback)
			fprintf(out, " [%s]", o->fallback);
		if (o->flags & DAL_OPT_REQUIRED)
			fprintf(out, " (required)");
		if (o->flags & DAL_OPT_SECRET)
			fprintf(out, " (secret: environment or config file)");
		fputc('\n', out);
	}
}

unsigned dal_edit_distance(const char *a, const char *b)
{
	unsigned row[65];
	size_t n = strnlen(a, 64), m = strnlen(b, 64), i, j;

	for (j = 0; j <= m; j++)
		row[j] = (unsigned)j;
	for (i = 1; i <= n; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (j = 1; j <= m; j++) {
			unsigned above = row[j];
			unsigned step = DAL_MIN(above, row[j - 1]) + 1;

			row[j] = DAL_MIN(step, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[m];
}

const char *dal_option_nearest(const struct dal_option *const *tables, const char *word)
{
	unsigned near = (unsigned)(strnlen(word, 64) / 3 + 2);
	const char *best = NULL;
	const struct dal_option *o;

	for (; *tables; tables++)
		for (o = *tables; o->name; o++) {
			unsigned d = dal_edit_distance(word, o->name);

			if (d < near && d < strlen(o->name) && !(o->flags & DAL_OPT_HIDDEN)) {
				near = d;
				best = o->name;
			}
		}
	return best;
}
