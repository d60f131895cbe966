/* SPDX-License-Identifier: Apache-2.0 */

/* Everything in core that parses text from users and servers: URIs, option lists, paths, numbers, log lines.
 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/option.h"
#include "core/path.h"
#include "core/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct dal_option options[] = {
	{ "bucket", DAL_OPT_STRING, DAL_OPT_REQUIRED, NULL, "", "b", NULL },
	{ "secret", DAL_OPT_STRING, DAL_OPT_SECRET, NULL, "", NULL, NULL },
	{ "ro", DAL_OPT_BOOL, 0, "false", "", NULL, NULL },
	{ "n", DAL_OPT_UINT, 0, NULL, "", NULL, NULL },
	{ "umask", DAL_OPT_OCTAL, 0, NULL, "", NULL, NULL },
	{ "size", DAL_OPT_SIZE, 0, NULL, "", NULL, NULL },
	{ "ttl", DAL_OPT_DURATION, 0, NULL, "", NULL, NULL },
	{ "mode", DAL_OPT_ENUM, 0, NULL, "", NULL, "a|b" },
	{ 0 },
};

static void check_message(const struct dal_call *call)
{
	const char *p;

	for (p = call->err.msg; *p; p++)
		assert((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void uri(const char *text)
{
	struct dal_call call = { 0 };
	struct dal_uri parsed;
	char *escaped, *back;

	if (dal_uri_parse(&call, text, &parsed) < 0) {
		check_message(&call);
	} else {
		assert(parsed.scheme && parsed.authority && parsed.path);
		dal_uri_done(&parsed);
	}
	escaped = dal_uri_encode(text, true);
	back = dal_uri_decode(escaped);
	assert(strcmp(back, text) == 0);
	free(back);
	free(escaped);
	free(dal_uri_decode(text));
}

static void option_list(const char *text)
{
	static const struct dal_option *const tables[] = { options, NULL };
	struct dal_config *cfg = dal_config_new(tables);
	struct dal_call call = { 0 };

	if (dal_config_set_list(cfg, &call, DAL_FROM_COMMAND_LINE, text) < 0)
		check_message(&call);
	assert(!dal_config_has(cfg, "secret"));
	/* What was taken can be read. */
	dal_config_u64(cfg, "n");
	dal_config_u64(cfg, "umask");
	dal_config_u64(cfg, "size");
	dal_config_u64(cfg, "ttl");
	dal_config_bool(cfg, "ro");
	dal_config_free(cfg);
}

static void path(const char *text)
{
	struct dal_call call = { 0 };
	char *clean;

	if (dal_path_normalize(&call, text, &clean) < 0) {
		check_message(&call);
		return;
	}
	assert(clean[0] != '/' && !strstr(clean, "//") && strlen(clean) <= strlen(text));
	assert(dal_path_parent_len(clean) <= strlen(clean));
	free(clean);
}

static void log_line(char *text)
{
	size_t before = strlen(text);

	dal_redact(text);
	assert(strlen(text) <= before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	uint64_t v;

	memcpy(text, data, size);
	text[size] = '\0';
	uri(text);
	option_list(text);
	path(text);
	dal_parse_size(text, &v);
	dal_parse_duration(text, &v);
	log_line(text);
	free(text);
	return 0;
}
