/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Options are tables. A service (and the mount, and each layer) lists its options once; parsing, checking,
 * redaction, --help and the manual come from the table. Names are OpenDAL's where it has one.
 *
 * Threads: tables are const; a config belongs to one thread until it is handed to an open call.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/call.h"
#include "core/util.h"

enum dal_option_type {
	DAL_OPT_STRING,
	DAL_OPT_BOOL, /* true false yes no on off 1 0, or no value at all */
	DAL_OPT_UINT, /* decimal */
	DAL_OPT_OCTAL, /* 022 */
	DAL_OPT_SIZE, /* 64M */
	DAL_OPT_DURATION, /* 1.5s; a bare number is seconds */
	DAL_OPT_ENUM, /* one of `choices`, separated by '|' */
};

enum dal_option_flag {
	DAL_OPT_REQUIRED = 1 << 0,
	DAL_OPT_SECRET = 1 << 1, /* never printed; refused on the command line */
	DAL_OPT_HIDDEN = 1 << 2, /* not in --help: for tests, or kept for compatibility */
	DAL_OPT_NAMES_STORE =
		1 << 3, /* part of the store's name: bucket, endpoint; the first one is its authority */
};

struct dal_option {
	const char *name; /* NULL ends a table */
	enum dal_option_type type;
	unsigned flags;
	const char *fallback; /* default as text, NULL for none */
	const char *help;
	const char *aliases; /* other names, separated by ' '; NULL for none */
	const char *choices; /* for DAL_OPT_ENUM */
};

/* Where a value came from: a later source never replaces an earlier one. In order of precedence. */
enum dal_source {
	DAL_FROM_URI,
	DAL_FROM_COMMAND_LINE,
	DAL_FROM_CONFIG_FILE,
	DAL_FROM_ENVIRONMENT,
};

struct dal_config; /* option name -> value, checked against a list of tables */

/*
 * @tables: NULL-ended list of tables, the list copied, the tables borrowed for the config's life. A name that
 * is in several tables is the first one's. NULL when memory has run out.
 */
struct dal_config *dal_config_new(const struct dal_option *const *tables);
/* Takes NULL; returns NULL. Secrets are wiped. */
struct dal_config *dal_config_free(struct dal_config *cfg);
void dal_config_freep(struct dal_config **cfg);
struct dal_config *dal_config_dup(const struct dal_config *cfg);

/*
 * Sets @name (or one of its aliases) to @value; NULL @value means the name was given alone. Fails with
 * DAL_CONFIG_INVALID and a sentence for the user when the name is unknown (the nearest one is suggested), the
 * value does not fit the type, or a secret comes from the command line or a URI. A bool given alone is true,
 * with "no" before its name false. Nothing changes when a source of higher precedence has set it before; the
 * same source replaces.
 */
int dal_config_set(struct dal_config *cfg, struct dal_call *call, enum dal_source from, const char *name,
	const char *value);

/* Sets every "name=value" of the comma-separated @list; "\," is a comma. */
int dal_config_set_list(
	struct dal_config *cfg, struct dal_call *call, enum dal_source from, const char *list);

/* Sets every option that environment variable DALFS_<SCHEME>_<NAME> names, as DALFS_S3_SECRET_ACCESS_KEY;
 * empty ones are unset. */
int dal_config_set_env(struct dal_config *cfg, struct dal_call *call, const char *scheme);

/* DAL_CONFIG_INVALID when a required option has no value. @who names the owner in the message, as in "s3". */
int dal_config_check(const struct dal_config *cfg, struct dal_call *call, const char *who);

/* The option of @name in the config's tables, or NULL; aliases are followed. */
const struct dal_option *dal_config_find(const struct dal_config *cfg, const char *name);

/* Values, or the option's default. @name must be in the tables (asserted). Strings are borrowed; NULL when
 * unset. */
const char *dal_config_str(const struct dal_config *cfg, const char *name);
bool dal_config_bool(const struct dal_config *cfg, const char *name);
uint64_t dal_config_u64(
	const struct dal_config *cfg, const char *name); /* UINT, OCTAL, SIZE, DURATION in ns */
/* True when a value was set, rather than defaulted. */
bool dal_config_has(const struct dal_config *cfg, const char *name);

/* Writes a table as --help shows it. */
void dal_option_print(FILE *out, const struct dal_option *table);

/* The name nearest to @word among the NULL-ended @tables, or NULL when none is near. */
const char *dal_option_nearest(const struct dal_option *const *tables, const char *word);

/* The edit distance used for suggestions, for other lists of names (schemes, subcommands). */
unsigned dal_edit_distance(const char *a, const char *b);
