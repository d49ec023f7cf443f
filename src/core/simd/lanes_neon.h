/* NEON on AArch64: a class is an entry per low nibble, holding one bit per high nibble. The index of a byte of 0x80
 * or above lies outside the table, which looks up 0. */
#ifndef VV_SIMD_LANES_NEON_H
#define VV_SIMD_LANES_NEON_H

#include <arm_neon.h>

typedef struct vv_lanes {
    uint8x16_t index[4]; /* the low nibbles, and bit 7                */
    uint8x16_t row[4];   /* 1 << the high nibble, 0 from 0x80 */
} vv_lanes;

VV_INLINE vv_lanes
vv_lanes_load(const uint8_t *low, const uint8_t *high)
{
    static const uint8_t rows[16] = {1, 2, 4, 8, 16, 32, 64, 128};
    const uint8_t *from[4] = {low, low + 16, high, high + 16};
    uint8x16_t row_of = vld1q_u8(rows);
    vv_lanes lanes;
    for (int i = 0; i < 4; i++) {
        uint8x16_t bytes = vld1q_u8(from[i]);
        lanes.index[i] = vandq_u8(bytes, vdupq_n_u8(0x8f));
        lanes.row[i] = vqtbl1q_u8(row_of, vshrq_n_u8(bytes, 4));
    }
    return lanes;
}

/* Where the class has the byte: each lane's bit, then pairs are added until 64 lanes are 64 bits. */
VV_INLINE uint64_t
vv_lanes_inside(const vv_lanes *lanes, const uint8_t entries[16])
{
    static const uint8_t bits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t entry_of = vld1q_u8(entries), bit = vld1q_u8(bits), found[4];
    for (int i = 0; i < 4; i++)
        found[i] = vandq_u8(vtstq_u8(vqtbl1q_u8(entry_of, lanes->index[i]), lanes->row[i]), bit);
    uint8x16_t sum = vpaddq_u8(vpaddq_u8(found[0], found[1]), vpaddq_u8(found[2], found[3]));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sum, sum)), 0);
}

/* Entries from low nibble 0 to 15; the tests compare each map with its definition for all 256 bytes. */
VV_INLINE uint64_t
vv_lanes_name(vv_lanes lanes)
{
    static const uint8_t token[16] = {0xe8, 0xfc, 0xf8, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc,
                                      0xf8, 0xf8, 0xf4, 0x54, 0xd0, 0x54, 0xf4, 0x70};
    return ~vv_lanes_inside(&lanes, token);
}

/* The entries are of the bytes that are not allowed: rows 0 and 1 without HTAB, and DEL. */
VV_INLINE uint64_t
vv_lanes_value(vv_lanes lanes)
{
    static const uint8_t control[16] = {3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 3, 3, 3, 3, 3, 0x83};
    return vv_lanes_inside(&lanes, control);
}

VV_INLINE uint64_t
vv_lanes_target(vv_lanes lanes)
{
    static const uint8_t target[16] = {0xf8, 0xfc, 0xfc, 0xf8, 0xfc, 0xf8, 0xfc, 0xfc,
                                       0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0x74};
    return ~vv_lanes_inside(&lanes, target);
}

VV_INLINE uint64_t
vv_lanes_host(vv_lanes lanes)
{
    static const uint8_t host[16] = {0xa8, 0xfc, 0xf8, 0xf8, 0xfc, 0xf8, 0xfc, 0xfc,
                                     0xfc, 0xfc, 0xf4, 0x5c, 0x54, 0x5c, 0xd4, 0x70};
    return ~vv_lanes_inside(&lanes, host);
}

#endif
