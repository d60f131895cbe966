/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From a URI and options to a working operator: config tables, the root, the store's name, the layers.
 * Nothing here touches the network.
 */

#include "core/operator-private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/layers/layers.h"
#include "core/log.h"
#include "core/path.h"
#include "core/registry.h"

#define ID_MAX_LEN 2048

const struct dal_option dal_operator_options[] = {
	{ "root", DAL_OPT_STRING, 0, NULL, "folder inside the store that all paths are relative to", "prefix",
		NULL },
	{ 0 },
};

struct dal_config *dal_operator_config(const struct dal_service *svc, const struct dal_option *const *more)
{
	const struct dal_option *tables[12];
	size_t n = 0;

	if (svc->options)
		tables[n++] = svc->options;
	for (const struct dal_option *const *t = svc->more_options; t && *t && n < DAL_COUNT_OF(tables) - 3;
		t++)
		tables[n++] = *t;
	tables[n++] = dal_operator_options;
	tables[n++] = dal_layer_options;
	for (; more && *more; more++) {
		assert(n < DAL_COUNT_OF(tables) - 1);
		tables[n++] = *more;
	}
	tables[n] = NULL;
	return dal_config_new(tables);
}

/* What a service without from_uri() has: a path only, from the top of this machine where it owns its root. */
static int from_path(struct dal_call *call, const struct dal_service *svc, const struct dal_uri *uri,
	struct dal_config *cfg)
{
	DAL_CLEANUP(dal_mem_freep) char *root = NULL;

	if (*uri->authority)
		return dal_fail(call, DAL_CONFIG_INVALID,
			"%s://%s: there are no hosts here; write %s:///path", svc->scheme, uri->authority,
			svc->scheme);
	if (!*uri->path && !svc->owns_root)
		return 0;
	root = svc->owns_root && *uri->path != '/' ? dal_path_join("/", uri->path) : strdup(uri->path);
	if (!root)
		return dal_fail_nomem(call);
	return dal_config_set(cfg, call, DAL_FROM_URI, "root", root);
}

static int set_location(struct dal_call *call, const struct dal_service *svc, const struct dal_uri *uri,
	struct dal_config *cfg)
{
	return svc->from_uri ? svc->from_uri(call, uri, cfg) : from_path(call, svc, uri, cfg);
}

/* A local path as it is seen from here, so that it still means the same after the program has changed its
 * directory. */
static int set_local(struct dal_call *call, const struct dal_service *svc, const struct dal_uri *uri,
	struct dal_config *cfg)
{
	DAL_CLEANUP(dal_mem_freep) char *real = realpath(uri->path, NULL);
	DAL_CLEANUP(dal_mem_freep) char *here = NULL;
	struct dal_uri absolute = *uri;

	if (!real && *uri->path != '/') {
		here = getcwd(NULL, 0);
		if (!here)
			return dal_fail_errno(call, errno, "the current directory");
		real = dal_asprintf("%s/%s", here, uri->path);
		if (!real)
			return dal_fail_nomem(call);
	}
	if (real)
		absolute.path = real;
	return set_location(call, svc, &absolute, cfg);
}

static int fail_remote(struct dal_call *call, const struct dal_uri *uri)
{
	return dal_fail(call, DAL_CONFIG_INVALID,
		"%s: is not a remote of the config file; the URI of a service is written %s://…", uri->scheme,
		uri->scheme);
}

int dal_operator_config_uri(struct dal_call *call, const struct dal_service *svc, const struct dal_uri *uri,
	struct dal_config *cfg)
{
	size_t i;
	int r;

	if (uri->kind == DAL_URI_REMOTE)
		return fail_remote(call, uri);
	for (i = 0; i < uri->query.n; i++) {
		r = dal_config_set(cfg, call, DAL_FROM_URI, uri->query.v[i].name, uri->query.v[i].value);
		if (r < 0)
			return r;
	}
	return uri->kind == DAL_URI_LOCAL ? set_local(call, svc, uri, cfg)
					  : set_location(call, svc, uri, cfg);
}

/* @root without a leading '/', without empty parts, ending in '/' unless it is empty. */
static int normal_root(struct dal_call *call, const char *root, char **ret_root)
{
	DAL_CLEANUP(dal_mem_freep) char *clean = NULL;
	int r = dal_path_normalize(call, root, &clean);

	if (r < 0)
		return dal_call_context(call, r, "option root");
	*ret_root = dal_path_is_dir(clean) ? dal_take(&clean) : dal_path_join(clean, "/");
	return *ret_root ? 0 : dal_fail_nomem(call);
}

static int set_root(struct dal_operator *op, struct dal_call *call, const struct dal_config *cfg)
{
	const char *root = dal_config_str(cfg, "root");

	if (!root)
		root = "";
	if (!op->svc->owns_root) {
		int r = normal_root(call, root, &op->root);

		if (r < 0)
			return r;
		op->shown_root = strdup(op->root);
	} else {
		op->root = strdup("");
		op->shown_root = !*root || dal_ends_with(root, "/") ? strdup(root) : dal_path_join(root, "/");
	}
	if (!op->root || !op->shown_root)
		return dal_fail_nomem(call);
	op->root_len = strlen(op->root);
	return 0;
}

/* "scheme://" + the first naming option + root, then the other naming options as a query. */
static int set_id(struct dal_operator *op, struct dal_call *call, const struct dal_config *cfg)
{
	struct dal_buf id = DAL_BUF_INIT(ID_MAX_LEN);
	const struct dal_option *o;
	const char *authority = NULL;
	char sep = '?';
	bool ok;

	for (o = op->svc->options; o && o->name && !authority; o++)
		if (o->flags & DAL_OPT_NAMES_STORE)
			authority = dal_config_str(cfg, o->name);
	ok = dal_buf_printf(&id, "%s://%s%s%s", op->svc->scheme, authority ? authority : "",
		op->shown_root[0] == '/' ? "" : "/", op->shown_root);
	if (ok && id.data[id.len - 1] == '/' && *op->shown_root)
		id.data[--id.len] = '\0';
	for (o = op->svc->options; o && o->name && ok; o++) {
		const char *value = o->flags & DAL_OPT_NAMES_STORE ? dal_config_str(cfg, o->name) : NULL;

		if (!value || value == authority)
			continue;
		ok = dal_buf_printf(&id, "%c%s=%s", sep, o->name, value);
		sep = '&';
	}
	if (ok)
		dal_redact(id.data);
	op->id = ok ? dal_buf_steal(&id) : NULL;
	dal_buf_done(&id);
	return op->id ? 0
		      : dal_fail(call, DAL_CONFIG_INVALID, "%s: the store's name is too long",
				op->svc->scheme);
}

void dal_operator_fill_cap(struct dal_capability *cap, const struct dal_service *svc)
{
	cap->stat = svc->stat;
	cap->read = svc->read;
	cap->write = svc->write;
	cap->multipart = svc->multipart_begin && svc->multipart_part && svc->multipart_complete;
	cap->multipart_copy = cap->multipart && svc->multipart_copy;
	cap->append = svc->append;
	cap->delete = svc->delete;
	cap->delete_many = svc->delete_many;
	cap->copy = svc->copy;
	cap->rename = svc->rename;
	cap->create_dir = svc->create_dir;
	cap->list = svc->list;
	cap->presign = svc->presign;
	cap->setattr = svc->setattr;
	cap->symlink = svc->symlink && svc->readlink;
	cap->link = svc->link;
	cap->mknod = svc->mknod;
	cap->statvfs = svc->statvfs;
	cap->xattr = svc->getxattrs && svc->setxattr && svc->removexattr;
}

/* Fills @op; what is half done is released by dal_operator_free(). */
static int build(struct dal_operator *op, struct dal_call *call, const struct dal_config *cfg)
{
	struct dal_backend *service = NULL;
	int r;

	if (!dal_config_find(cfg, "root") || !dal_config_find(cfg, dal_layer_options[0].name))
		return dal_fail(call, DAL_CONFIG_INVALID,
			"%s: a config without the operator's options; see dal_operator_config()",
			op->svc->scheme);
	r = dal_config_check(cfg, call, op->svc->scheme);
	if (r == 0)
		r = set_root(op, call, cfg);
	if (r == 0)
		r = set_id(op, call, cfg);
	if (r == 0)
		r = op->svc->open(call, cfg, &service);
	if (r < 0)
		return r;
	r = dal_layers_stack(call, cfg, op->id, service, &op->top);
	if (r < 0) {
		service->svc->close(service);
		return r;
	}
	op->cap = service->cap;
	dal_operator_fill_cap(&op->cap, op->svc);
	return 0;
}

int dal_operator_open(struct dal_call *call, const struct dal_service *svc, const struct dal_config *cfg,
	unsigned flags, struct dal_operator **ret_op)
{
	DAL_CLEANUP(dal_operator_freep) struct dal_operator *op = calloc(1, sizeof(*op));
	int r;

	if (!op)
		return dal_fail_nomem(call);
	op->svc = svc;
	op->flags = flags;
	r = build(op, call, cfg);
	if (r < 0)
		return r;
	*ret_op = dal_take(&op);
	return 0;
}

static int open_uri(struct dal_call *call, const struct dal_uri *uri, const char *cfg_text, unsigned flags,
	struct dal_operator **ret_op)
{
	DAL_CLEANUP(dal_config_freep) struct dal_config *cfg = NULL;
	const struct dal_service *svc;
	int r = uri->kind == DAL_URI_REMOTE ? fail_remote(call, uri)
					    : dal_registry_find(call, uri->scheme, &svc);

	if (r < 0)
		return r;
	cfg = dal_operator_config(svc, NULL);
	if (!cfg)
		return dal_fail_nomem(call);
	r = dal_operator_config_uri(call, svc, uri, cfg);
	if (r == 0 && cfg_text)
		r = dal_config_set_list(cfg, call, DAL_FROM_COMMAND_LINE, cfg_text);
	if (r == 0)
		r = dal_config_set_env(cfg, call, svc->scheme);
	return r < 0 ? r : dal_operator_open(call, svc, cfg, flags, ret_op);
}

int dal_operator_open_uri(struct dal_call *call, const char *uri, const char *cfg_text, unsigned flags,
	struct dal_operator **ret_op)
{
	struct dal_uri parsed;
	int r = dal_uri_parse(call, uri, &parsed);

	if (r < 0)
		return r;
	r = open_uri(call, &parsed, cfg_text, flags, ret_op);
	dal_uri_done(&parsed);
	return r;
}

struct dal_operator *dal_operator_free(struct dal_operator *op)
{
	if (!op)
		return NULL;
	dal_layers_close(op->top);
	free(op->root);
	free(op->shown_root);
	free(op->id);
	free(op);
	return NULL;
}

void dal_operator_freep(struct dal_operator **op)
{
	*op = dal_operator_free(*op);
}

const char *dal_operator_scheme(const struct dal_operator *op)
{
	return op->svc->scheme;
}

const char *dal_operator_root(const struct dal_operator *op)
{
	return op->shown_root;
}

const struct dal_capability *dal_operator_cap(const struct dal_operator *op)
{
	return &op->cap;
}

const char *dal_operator_id(const struct dal_operator *op)
{
	return op->id;
}

bool dal_operator_counts(const struct dal_operator *op, const char *operation, struct dal_op_counts *ret)
{
	return dal_layer_metrics_get(op->top, operation, ret);
}

char *dal_operator_stats_json(const struct dal_operator *op)
{
	return dal_layer_metrics_json(op->top);
}
