/* AVX2: a class is an entry per low nibble, holding one bit per high nibble. A byte of 0x80 or above looks up 0. */
#ifndef VV_SIMD_LANES_AVX2_H
#define VV_SIMD_LANES_AVX2_H

#include <immintrin.h>

typedef struct vv_lanes {
    __m256i low, high;         /* the bytes                           */
    __m256i low_row, high_row; /* 1 << their high nibble, 0 from 0x80 */
} vv_lanes;

VV_INLINE __m256i
vv_lanes_row(__m256i bytes)
{
    const __m256i rows = _mm256_setr_epi8(1, 2, 4, 8, 16, 32, 64, (char)128, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32,
                                          64, (char)128, 0, 0, 0, 0, 0, 0, 0, 0);
    return _mm256_shuffle_epi8(rows, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0f)));
}

VV_INLINE vv_lanes
vv_lanes_load(const uint8_t *low, const uint8_t *high)
{
    vv_lanes lanes;
    lanes.low = _mm256_loadu_si256((const __m256i *)low);
    lanes.high = _mm256_loadu_si256((const __m256i *)high);
    lanes.low_row = vv_lanes_row(lanes.low);
    lanes.high_row = vv_lanes_row(lanes.high);
    return lanes;
}

/* Where the class does not have the byte. */
VV_INLINE uint64_t
vv_lanes_outside(vv_lanes lanes, __m128i entries)
{
    __m256i both = _mm256_broadcastsi128_si256(entries), none = _mm256_setzero_si256();
    __m256i low = _mm256_and_si256(_mm256_shuffle_epi8(both, lanes.low), lanes.low_row);
    __m256i high = _mm256_and_si256(_mm256_shuffle_epi8(both, lanes.high), lanes.high_row);
    uint32_t low_bits = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, none));
    uint32_t high_bits = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, none));
    return low_bits | (uint64_t)high_bits << 32;
}

/* Entries from low nibble 0 to 15; the tests compare each map with its definition for all 256 bytes. */
VV_INLINE uint64_t
vv_lanes_name(vv_lanes lanes)
{
    return vv_lanes_outside(lanes, _mm_setr_epi8((char)0xe8, (char)0xfc, (char)0xf8, (char)0xfc, (char)0xfc, (char)0xfc,
                                                 (char)0xfc, (char)0xfc, (char)0xf8, (char)0xf8, (char)0xf4, 0x54,
                                                 (char)0xd0, 0x54, (char)0xf4, 0x70));
}

/* The entries are of the bytes that are not allowed: rows 0 and 1 without HTAB, and DEL. */
VV_INLINE uint64_t
vv_lanes_value(vv_lanes lanes)
{
    return ~vv_lanes_outside(lanes, _mm_setr_epi8(3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 3, 3, 3, 3, 3, (char)0x83));
}

VV_INLINE uint64_t
vv_lanes_target(vv_lanes lanes)
{
    return vv_lanes_outside(lanes, _mm_setr_epi8((char)0xf8, (char)0xfc, (char)0xfc, (char)0xf8, (char)0xfc, (char)0xf8,
                                                 (char)0xfc, (char)0xfc, (char)0xfc, (char)0xfc, (char)0xfc, (char)0xfc,
                                                 (char)0xfc, (char)0xfc, (char)0xfc, 0x74));
}

VV_INLINE uint64_t
vv_lanes_host(vv_lanes lanes)
{
    return vv_lanes_outside(lanes, _mm_setr_epi8((char)0xa8, (char)0xfc, (char)0xf8, (char)0xf8, (char)0xfc, (char)0xf8,
                                                 (char)0xfc, (char)0xfc, (char)0xfc, (char)0xfc, (char)0xf4, 0x5c, 0x54,
                                                 0x5c, (char)0xd4, 0x70));
}

#endif
