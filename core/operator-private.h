/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the operator's files share. An operation goes: key (normalise, add the root) -> allowed (capability)
 * -> run (the layers and the service) -> what came back is checked.
 */

#include "core/operation.h"
#include "core/operator.h"

struct dal_operator {
	struct dal_backend *top; /* owned chain: layers, then the service */
	const struct dal_service *svc;
	struct dal_capability cap; /* constant but for dal_op_probe() */
	unsigned flags; /* of enum dal_operator_flag */
	char *root; /* owned; put before every path: "" or ends in '/'; "" when the service owns it */
	size_t root_len;
	char *shown_root; /* owned; what dal_operator_root() says */
	char *id; /* owned */
};

/* The store's key for the caller's @path. Caller owns *ret_key. */
int dal_operator_key(const struct dal_operator *op, struct dal_call *call, const char *path, char **ret_key);
/* The same for a path that names a file or a marker: the bare top of the store is refused. */
int dal_operator_object_key(
	const struct dal_operator *op, struct dal_call *call, const char *path, char **ret_key);

/* Runs @o. Holds the service to its half of the contract. */
int dal_operator_run(struct dal_operator *op, struct dal_call *call, const struct dal_operation *o);

/* The failure for an operation or argument the store does not have. */
int dal_operator_unsupported(
	const struct dal_operator *op, struct dal_call *call, enum dal_opcode code, const char *argument);

/* Refuses conditions, metadata and attributes that the store cannot take. @args is never NULL. */
int dal_operator_check_write(const struct dal_operator *op, struct dal_call *call, enum dal_opcode code,
	const struct dal_write_args *args);

/* Wraps @inner, asked for with @args: more or less bytes than promised become failures. Takes @inner in any
 * case. */
int dal_operator_checked_stream(struct dal_call *call, const char *path, const struct dal_read_args *args,
	struct dal_stream *inner, struct dal_stream **ret_stream);

/* Sets the operation bits of @cap from the slots @svc fills. */
void dal_operator_fill_cap(struct dal_capability *cap, const struct dal_service *svc);
