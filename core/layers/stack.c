/* SPDX-License-Identifier: Apache-2.0 */

/* Puts the layers on top of each other, in the order that core/layers/layers.h gives reasons for. */

#include "core/layers/layers.h"

#include <assert.h>

const struct dal_option dal_layer_options[] = {
	{ "retry_max", DAL_OPT_UINT, 0, "8", "tries after the first one, for failures that may pass", NULL,
		NULL },
	{ "retry_min_delay", DAL_OPT_DURATION, 0, "100ms",
		"longest wait before the second try; doubles each time", NULL, NULL },
	{ "retry_max_delay", DAL_OPT_DURATION, 0, "10s", "longest wait between two tries", NULL, NULL },
	{ "retry_total", DAL_OPT_DURATION, 0, "55s",
		"time for all tries of an operation, moving its data aside", NULL, NULL },
	{ "timeout", DAL_OPT_DURATION, 0, "30s", "time for one try, moving its data aside", "io_timeout",
		NULL },
	{ "max_concurrency", DAL_OPT_UINT, 0, "64", "operations and open downloads at once; 0 is no limit",
		"concurrent", NULL },
	{ "chaos_rate", DAL_OPT_STRING, DAL_OPT_HIDDEN, NULL, "share of operations to disturb: 0.05 or 5%",
		NULL, NULL },
	{ "chaos_seed", DAL_OPT_UINT, DAL_OPT_HIDDEN, "1", "the same seed disturbs the same operations", NULL,
		NULL },
	{ "chaos_ops", DAL_OPT_STRING, DAL_OPT_HIDDEN, NULL, "operations to disturb, as in stat:read:list",
		NULL, NULL },
	{ 0 },
};

int dal_layers_stack(struct dal_call *call, const struct dal_config *cfg, const char *name,
	struct dal_backend *service, struct dal_backend **ret_top)
{
	struct dal_backend *top = service;
	int r = 0;

	if (dal_config_has(cfg, "chaos_rate"))
		r = dal_layer_chaos(call, cfg, top, &top);
	if (r == 0 && dal_config_u64(cfg, "timeout"))
		r = dal_layer_timeout(call, cfg, top, &top);
	if (r == 0 && dal_config_u64(cfg, "max_concurrency"))
		r = dal_layer_limit(call, cfg, top, &top);
	if (r == 0)
		r = dal_layer_retry(call, cfg, top, &top);
	if (r == 0)
		r = dal_layer_logging(call, name, top, &top);
	if (r == 0)
		r = dal_layer_metrics(call, top, &top);
	if (r == 0) {
		*ret_top = top;
		return 0;
	}
	/* The service stays the caller's. */
	while (top != service) {
		struct dal_backend *next = top->next;

		top->svc->close(top);
		top = next;
	}
	return r;
}

void dal_layers_close(struct dal_backend *top)
{
	while (top) {
		struct dal_backend *next = top->next;

		top->svc->close(top);
		top = next;
	}
}
