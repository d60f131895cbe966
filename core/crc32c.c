/* SPDX-License-Identifier: Apache-2.0 */

/*
 * CRC32C. The processor's instruction does 8 bytes in 3 cycles, faster than memory is copied; without one, a
 * table of 16 entries does half a byte at a time.
 */

#include "core/crc32c.h"

#include <string.h>

#include "core/util.h"

static const uint32_t nibble[16] = {
	0x00000000,
	0x105ec76f,
	0x20bd8ede,
	0x30e349b1,
	0x417b1dbc,
	0x5125dad3,
	0x61c69362,
	0x7198540d,
	0x82f63b78,
	0x92a8fc17,
	0xa24bb5a6,
	0xb21572c9,
	0xc38d26c4,
	0xd3d3e1ab,
	0xe330a81a,
	0xf36e6f75,
};

static uint32_t by_table(uint32_t crc, const unsigned char *p, size_t len)
{
	for (; len > 0; len--, p++) {
		crc ^= *p;
		crc = crc >> 4 ^ nibble[crc & 15];
		crc = crc >> 4 ^ nibble[crc & 15];
	}
	return crc;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t by_instruction(
	uint32_t crc, const unsigned char *p, size_t len)
{
	uint64_t wide = crc;

	for (; len >= 8; len -= 8, p += 8) {
		uint64_t v;

		memcpy(&v, p, sizeof(v));
		wide = __builtin_ia32_crc32di(wide, v);
	}
	crc = (uint32_t)wide;
	for (; len > 0; len--, p++)
		crc = __builtin_ia32_crc32qi(crc, *p);
	return crc;
}

static bool has_instruction(void)
{
	return __builtin_cpu_supports("sse4.2");
}

#else

static uint32_t by_instruction(uint32_t crc, const unsigned char *p, size_t len)
{
	return by_table(crc, p, len);
}

static bool has_instruction(void)
{
	return false;
}

#endif

uint32_t dal_crc32c(uint32_t crc, const void *bytes, size_t len)
{
	crc = ~crc;
	crc = has_instruction() ? by_instruction(crc, bytes, len) : by_table(crc, bytes, len);
	return ~crc;
}
