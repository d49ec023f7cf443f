/* AVX-512 (F, BW, VL, VBMI): one look-up in a table of 128 classes gives every map. */
#ifndef VV_SIMD_LANES_AVX512_H
#define VV_SIMD_LANES_AVX512_H

#include <immintrin.h>

#define VV_LANES_MASKED 1

/* The class of each byte: bit 0 name, 2 target, 3 host, 6 value; bit 7: the byte is 0x80 or above. */
typedef __m512i vv_lanes;

/* Two tables and five vectors of one byte. Weak, so that the compiler does not see which constants they are: it would
 * build each anew from a general register for every block, where an operand in memory does. */
/* clang-format off */
extern const uint8_t vv_lanes_tables[7 * 64];
const uint8_t vv_lanes_tables[7 * 64] __attribute__((weak, visibility("hidden"), aligned(64))) = {
    0x4d, 0x4d, 0x4d, 0x4d, 0x4d, 0x4d, 0x4d, 0x4d, 0x4d, 0x0d, 0x4d, 0x4d, 0x4d, 0x4d, 0x4d, 0x4d,  /* controls; 9 is HTAB  */
    0x4d, 0x4d, 0x4d, 0x4d, 0x4d, 0x4d, 0x4d, 0x4d, 0x4d, 0x4d, 0x4d, 0x4d, 0x4d, 0x4d, 0x4d, 0x4d,
    0x0d, 0x00, 0x09, 0x0c, 0x00, 0x0c, 0x00, 0x00, 0x01, 0x01, 0x00, 0x00, 0x01, 0x00, 0x00, 0x09,  /*  !"#$%&'()*+,-./   */
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x09, 0x01, 0x09, 0x01, 0x09, 0x0d,  /* 0123456789:;<=>?   */
    0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  /* @ABCDEFGHIJKLMNO   */
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x09, 0x09, 0x09, 0x08, 0x00,  /* PQRSTUVWXYZ[\]^_   */
    0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  /* `abcdefghijklmno   */
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x09, 0x08, 0x09, 0x00, 0x4d,  /* pqrstuvwxyz{|}~DEL */
#define X8(byte) byte, byte, byte, byte, byte, byte, byte, byte,
#define X64(byte) X8(byte) X8(byte) X8(byte) X8(byte) X8(byte) X8(byte) X8(byte) X8(byte)
    X64(0x81) X64(0x3f) X64(0x84) X64(0x88) X64(0x80)
#undef X64
#undef X8
};
/* clang-format on */

enum { VV_LANES_LOW, VV_LANES_HIGH, VV_LANES_NAME, VV_LANES_VALUE, VV_LANES_TARGET, VV_LANES_HOST, VV_LANES_ABOVE };

VV_INLINE __m512i
vv_lanes_table(size_t which)
{
    return _mm512_load_si512(vv_lanes_tables + 64 * which);
}

/* A map belongs into a general register at once: left to itself, gcc keeps it in a mask register and moves it out
 * anew for every line. */
VV_INLINE uint64_t
vv_lanes_map(__mmask64 mask)
{
    uint64_t map = mask;
    __asm__("" : "+r"(map));
    return map;
}

VV_INLINE vv_lanes
vv_lanes_classify(__m512i bytes)
{
    __asm__("" : "+v"(bytes)); /* one load: most cross a cache line */
    /* The look-up takes 7 bits of each byte as its index. */
    __m512i found = _mm512_permutex2var_epi8(vv_lanes_table(VV_LANES_LOW), bytes, vv_lanes_table(VV_LANES_HIGH));
    /* 0xf8: found | (bytes & 0x80) */
    return _mm512_ternarylogic_epi32(found, bytes, vv_lanes_table(VV_LANES_ABOVE), 0xf8);
}

VV_INLINE vv_lanes
vv_lanes_load(const uint8_t *low, const uint8_t *high)
{
    return vv_lanes_classify(_mm512_loadu_si512(low)); /* high is low + 32: nobody splits a block here */
}

VV_INLINE vv_lanes
vv_lanes_load_masked(const uint8_t *at, uint64_t mask)
{
    return vv_lanes_classify(_mm512_maskz_loadu_epi8(mask, at));
}

VV_INLINE uint64_t
vv_lanes_name(vv_lanes lanes)
{
    return vv_lanes_map(_mm512_test_epi8_mask(lanes, vv_lanes_table(VV_LANES_NAME)));
}

VV_INLINE uint64_t
vv_lanes_value(vv_lanes lanes)
{
    /* Signed: bit 6 without bit 7, whatever the rest. */
    return vv_lanes_map(_mm512_cmpgt_epi8_mask(lanes, vv_lanes_table(VV_LANES_VALUE)));
}

VV_INLINE uint64_t
vv_lanes_target(vv_lanes lanes)
{
    return vv_lanes_map(_mm512_test_epi8_mask(lanes, vv_lanes_table(VV_LANES_TARGET)));
}

VV_INLINE uint64_t
vv_lanes_host(vv_lanes lanes)
{
    return vv_lanes_map(_mm512_test_epi8_mask(lanes, vv_lanes_table(VV_LANES_HOST)));
}

#endif
