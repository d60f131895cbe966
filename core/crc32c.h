/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* CRC32C (Castagnoli, RFC 3720): by the processor's instruction where it has one. Start with @crc 0. */

#include <stddef.h>
#include <stdint.h>

uint32_t dal_crc32c(uint32_t crc, const void *bytes, size_t len);
