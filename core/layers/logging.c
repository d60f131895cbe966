/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Logging: a line per operation at trace level, and at debug level for each that failed. Costs one comparison
 * when nobody listens.
 */

#include "core/layers/layers.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/operation.h"

struct logging {
	struct dal_layer layer;
	char *name; /* owned: the store's */
};

static int logging_around(struct dal_layer *l, struct dal_call *call, const struct dal_operation *o)
{
	struct logging *log = dal_container_of(l, struct logging, layer);
	unsigned long long bytes = (unsigned long long)dal_operation_bytes_out(o);
	uint64_t start;
	double ms;
	int r;

	if (!dal_log_on(DAL_LOG_DEBUG))
		return dal_operation_invoke(l->b.next, call, o);
	start = dal_now_ns();
	r = dal_operation_invoke(l->b.next, call, o);
	ms = (double)(dal_now_ns() - start) / (double)DAL_NS_PER_MS;
	if (r < 0)
		dal_log(DAL_LOG_DEBUG, "%s %s \"%s\" %.1f ms: %s: %s", log->name, dal_opcode_name(o->code),
			o->path, ms, dal_kind_name(call->err.kind), call->err.msg);
	else if (o->code == DAL_OP_READ)
		dal_log(DAL_LOG_TRACE, "%s read \"%s\" %llu+%llu %.1f ms", log->name, o->path,
			(unsigned long long)o->u.read.args->off,
			(unsigned long long)(*o->u.read.ret_stream)->len, ms);
	else if (o->code == DAL_OP_LIST)
		dal_log(DAL_LOG_TRACE, "%s list \"%s\" %zu entries%s %.1f ms", log->name, o->path,
			o->u.list.ret_page->n, o->u.list.ret_page->next ? ", more" : "", ms);
	else
		dal_log(DAL_LOG_TRACE, "%s %s \"%s\" %llu bytes %.1f ms", log->name, dal_opcode_name(o->code),
			o->path, bytes, ms);
	return r;
}

static void logging_free(struct dal_layer *l)
{
	struct logging *log = dal_container_of(l, struct logging, layer);

	free(log->name);
	free(log);
}

static const struct dal_layer_ops logging_ops = { "logging", logging_around, logging_free };

int dal_layer_logging(
	struct dal_call *call, const char *name, struct dal_backend *next, struct dal_backend **ret_b)
{
	struct logging *log = calloc(1, sizeof(*log));

	if (!log)
		return dal_fail_nomem(call);
	log->name = strdup(name);
	if (!log->name) {
		free(log);
		return dal_fail_nomem(call);
	}
	dal_layer_init(&log->layer, &logging_ops, next);
	*ret_b = &log->layer.b;
	return 0;
}
