/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The layers and their order. A layer is a backend with a `next`; what it leaves NULL passes through.
 * Outermost first:
 *
 *   metrics      counts calls, bytes, errors and time per operation: sees what the caller sees
 *   logging      one line per operation: the same
 *   retry        repeats what failed for a passing reason; outside the timeout, so each try gets its own
 *   limit        how many operations at once; inside retry, so a call that waits to try again holds no slot
 *   timeout      brings the deadline of one try closer
 *   chaos        seeded faults, for tests: what the layers above must survive
 *   service
 *
 * Each open function takes ownership of @next on success and leaves it to the caller on failure.
 */

#include "core/service.h"

/* The options all operators understand: retry_*, timeout_*, max_concurrency, chaos_*. */
extern const struct dal_option dal_layer_options[];

int dal_layer_metrics(struct dal_call *call, struct dal_backend *next, struct dal_backend **ret_b);
int dal_layer_logging(
	struct dal_call *call, const char *name, struct dal_backend *next, struct dal_backend **ret_b);
int dal_layer_retry(struct dal_call *call, const struct dal_config *cfg, struct dal_backend *next,
	struct dal_backend **ret_b);
int dal_layer_limit(struct dal_call *call, const struct dal_config *cfg, struct dal_backend *next,
	struct dal_backend **ret_b);
int dal_layer_timeout(struct dal_call *call, const struct dal_config *cfg, struct dal_backend *next,
	struct dal_backend **ret_b);
int dal_layer_chaos(struct dal_call *call, const struct dal_config *cfg, struct dal_backend *next,
	struct dal_backend **ret_b);

/* Puts all layers that @cfg asks for over @service; on failure @service is the caller's still. */
int dal_layers_stack(struct dal_call *call, const struct dal_config *cfg, const char *name,
	struct dal_backend *service, struct dal_backend **ret_top);
/* Closes every backend from @top down. Takes NULL. */
void dal_layers_close(struct dal_backend *top);

/* What the metrics layer counted; @top may be any backend of the chain. */
struct dal_op_counts;
bool dal_layer_metrics_get(const struct dal_backend *top, const char *operation, struct dal_op_counts *ret);
char *dal_layer_metrics_json(const struct dal_backend *top);
