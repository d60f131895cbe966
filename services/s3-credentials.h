/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where S3's keys come from: options, environment, profile files, web identity, container, instance metadata.
 * The first source that has any is kept; keys with an end are renewed before it. Nothing falls back to
 * anonymous requests.
 *
 * Threads: any.
 */

#include "core/call.h"
#include "core/option.h"
#include "services/http-client.h"
#include "services/s3-sign.h"

/* access_key_id, secret_access_key, session_token, profile, role_arn, disable_config_load and the like. */
extern const struct dal_option dal_s3_credentials_options[];

struct dal_s3_credentials;

/* One set of keys, a copy of its own: `key` points into it. */
struct dal_s3_keys {
	struct dal_s3_key key;
	char *id, *secret, *token; /* owned */
};

/* @http is borrowed, for the sources that are asked over HTTP. No network here. */
int dal_s3_credentials_new(struct dal_call *call, const struct dal_config *cfg, struct dal_http *http,
	struct dal_s3_credentials **ret_c);
/* Takes NULL; returns NULL. Secrets are wiped. */
struct dal_s3_credentials *dal_s3_credentials_free(struct dal_s3_credentials *c);

/* The keys to sign with now, renewed when needed. PERMISSION_DENIED says which sources were tried. */
int dal_s3_credentials_get(struct dal_s3_credentials *c, struct dal_call *call, struct dal_s3_keys *ret_keys);
/* Wipes and releases. Takes zeroed ones. */
void dal_s3_keys_done(struct dal_s3_keys *keys);
/* The server has called the keys expired: the next dal_s3_credentials_get() renews them. */
void dal_s3_credentials_invalidate(struct dal_s3_credentials *c);

/* The region that the profile in use names; NULL for none. Caller owns. */
char *dal_s3_profile_region(const struct dal_config *cfg);
