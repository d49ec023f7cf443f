/* Blocks of 64 bytes as bitmaps: bit i of a map says something of byte i of the block.
 *
 * A map marks the bytes at which a walk must stop:
 *   name     what no token has (RFC 9110 tchar): the end of a method, of a field name
 *   value    what no field value has: controls except HTAB, and DEL. Every one of them is marked in `name` too
 *   target   what ends a request target (space, controls, DEL, 0x80 and above) or means something in it: '?' '%' '#'
 *   host     what no registered name has without an escape (RFC 3986: unreserved and sub-delims remain)
 *
 * For *.isa.c alone: the instruction set is that of the compilation, so everything here is static.
 *
 * Cost        AVX-512 about 4 instructions a map, AVX2 about 12, SSE2 20 to 100; no loops but in the portable one.
 */
#ifndef VV_SIMD_LANES_H
#define VV_SIMD_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/compiler.h"

/* Each gives the type vv_lanes; vv_lanes_load(low, high), 32 bytes from either place; and the four maps,
 * vv_lanes_<map>(lanes). */
#if defined(VV_ISA_IS_SWAR) /* asked for by the tests, which compare the others with it */
#include "core/simd/lanes_swar.h"
#elif defined(VV_ISA_IS_AVX512)
#include "core/simd/lanes_avx512.h"
#elif defined(VV_ISA_IS_AVX2)
#include "core/simd/lanes_avx2.h"
#elif defined(__SSE2__)
#include "core/simd/lanes_sse.h"
#elif defined(__aarch64__) && defined(__ARM_NEON) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#include "core/simd/lanes_neon.h"
#else
#include "core/simd/lanes_swar.h"
#endif

enum { VV_LANES_BYTES = 64 };

/* All the maps of one block. */
typedef struct vv_lanes_maps {
    uint64_t name, value, target, host;
} vv_lanes_maps;

/* What makes the maps of a block true of which fewer than 64 bytes are there. */
typedef struct vv_lanes_cut {
    uint64_t stops; /* the bytes past the end, marked in every map */
    uint64_t keep;
    unsigned right, high;
} vv_lanes_cut;

VV_INLINE uint64_t
vv_lanes_mend(vv_lanes_cut cut, uint64_t map)
{
#ifdef VV_LANES_MASKED
    return map | cut.stops;
#else
    return ((map >> cut.right) & cut.keep) | (map >> 32) << cut.high | cut.stops;
#endif
}

/* Up to 31 bytes, with zeroes behind; two loads that overlap instead of a loop. */
VV_INLINE void
vv_lanes_copy_few(uint8_t out[32], const uint8_t *from, size_t n)
{
    memset(out, 0, 32);
    if (n >= 16) {
        memcpy(out, from, 16);
        memcpy(out + n - 16, from + n - 16, 16);
    } else if (n >= 8) {
        memcpy(out, from, 8);
        memcpy(out + n - 8, from + n - 8, 8);
    } else {
        for (size_t i = 0; i < n; i++)
            out[i] = from[i];
    }
}

/* The block at `at`, a multiple of 64, of bytes that end at `end`, before at + 64. Nothing past the end is read:
 * the load is moved back, or its halves are moved together, and the maps are shifted into place afterwards. */
VV_INLINE vv_lanes
vv_lanes_load_cut(const uint8_t *bytes, size_t at, size_t end, vv_lanes_cut *cut)
{
    size_t n = end - at;

    cut->stops = ~UINT64_C(0) << n;
#ifdef VV_LANES_MASKED
    return vv_lanes_load_masked(bytes + at, ~cut->stops);
#else
    if (end >= 64 && n > 0) {
        cut->keep = ~UINT64_C(0);
        cut->right = (unsigned)(64 - n);
        cut->high = 63; /* a bit that `stops` has anyway */
        return vv_lanes_load(bytes + end - 64, bytes + end - 32);
    }
    cut->keep = UINT32_MAX;
    cut->right = 0;
    cut->high = (unsigned)(n - 32) & 63;
    if (VV_LIKELY(n >= 32))
        return vv_lanes_load(bytes + at, bytes + end - 32);
    uint8_t few[32];
    vv_lanes_copy_few(few, bytes + at, n);
    return vv_lanes_load(few, few);
#endif
}

/* The maps of the block at `at` (a multiple of 64; at <= end). What lies past `end` is marked and not read. */
#define VV_LANES_DEFINE_MAP(map)                                                                                       \
    VV_INLINE uint64_t vv_lanes_##map##_at(const uint8_t *bytes, size_t at, size_t end)                                \
    {                                                                                                                  \
        if (VV_LIKELY(end - at >= 64))                                                                                 \
            return vv_lanes_##map(vv_lanes_load(bytes + at, bytes + at + 32));                                         \
        vv_lanes_cut cut;                                                                                              \
        vv_lanes lanes = vv_lanes_load_cut(bytes, at, end, &cut);                                                      \
        return vv_lanes_mend(cut, vv_lanes_##map(lanes));                                                              \
    }
VV_LANES_DEFINE_MAP(value)
VV_LANES_DEFINE_MAP(target)
VV_LANES_DEFINE_MAP(host)
#undef VV_LANES_DEFINE_MAP

/* The two maps that a field line needs, from one load. */
VV_INLINE void
vv_lanes_field_at(const uint8_t *bytes, size_t at, size_t end, uint64_t *name, uint64_t *value)
{
    if (VV_LIKELY(end - at >= 64)) {
        vv_lanes lanes = vv_lanes_load(bytes + at, bytes + at + 32);
        *name = vv_lanes_name(lanes);
        *value = vv_lanes_value(lanes);
        return;
    }
    vv_lanes_cut cut;
    vv_lanes lanes = vv_lanes_load_cut(bytes, at, end, &cut);
    *name = vv_lanes_mend(cut, vv_lanes_name(lanes));
    *value = vv_lanes_mend(cut, vv_lanes_value(lanes));
}

/* All of them, from one load. */
VV_INLINE void
vv_lanes_maps_at(const uint8_t *bytes, size_t at, size_t end, vv_lanes_maps *maps)
{
    if (VV_LIKELY(end - at >= 64)) {
        vv_lanes lanes = vv_lanes_load(bytes + at, bytes + at + 32);
        maps->name = vv_lanes_name(lanes);
        maps->value = vv_lanes_value(lanes);
        maps->target = vv_lanes_target(lanes);
        maps->host = vv_lanes_host(lanes);
        return;
    }
    vv_lanes_cut cut;
    vv_lanes lanes = vv_lanes_load_cut(bytes, at, end, &cut);
    maps->name = vv_lanes_mend(cut, vv_lanes_name(lanes));
    maps->value = vv_lanes_mend(cut, vv_lanes_value(lanes));
    maps->target = vv_lanes_mend(cut, vv_lanes_target(lanes));
    maps->host = vv_lanes_mend(cut, vv_lanes_host(lanes));
}

#endif
