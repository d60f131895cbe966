/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How much memory this process may use, as the machine and its cgroups say. */

#include <stdint.h>

/*
 * The least of MemTotal and every memory limit from the process's cgroup up to the root, version 2 or 1.
 * @root: where /proc and /sys are, "" but in tests. 0 when nothing can be read.
 */
uint64_t dal_memory_limit(const char *root);
