/* No vectors: eight bytes at a time in a 64-bit word. Portable C, for any CPU and byte order. */
#ifndef VV_SIMD_LANES_SWAR_H
#define VV_SIMD_LANES_SWAR_H

typedef struct vv_lanes {
    uint64_t word[8]; /* first byte lowest */
} vv_lanes;

#define VV_LANES_EACH(byte) (UINT64_C(0x0101010101010101) * (uint8_t)(byte))

VV_INLINE uint64_t
vv_lanes_word(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

VV_INLINE vv_lanes
vv_lanes_load(const uint8_t *low, const uint8_t *high)
{
    vv_lanes lanes;
    for (int i = 0; i < 4; i++) {
        lanes.word[i] = vv_lanes_word(low + 8 * i);
        lanes.word[4 + i] = vv_lanes_word(high + 8 * i);
    }
    return lanes;
}

/* Bit 7 of each byte that is in the range; `low` has bit 7 of every byte clear, so no sum carries over. */
VV_INLINE uint64_t
vv_lanes_in(uint64_t low, int first, int last)
{
    return (low + VV_LANES_EACH(0x80 - first)) & ~(low + VV_LANES_EACH(0x7f - last));
}

VV_INLINE uint64_t
vv_lanes_is(uint64_t low, int byte)
{
    return vv_lanes_in(low, byte, byte);
}

VV_INLINE uint64_t
vv_lanes_name_word(uint64_t word)
{
    uint64_t low = word & VV_LANES_EACH(0x7f);
    return word | vv_lanes_in(low, 0x00, 0x20) | vv_lanes_is(low, '"') | vv_lanes_in(low, '(', ')') |
           vv_lanes_is(low, ',') | vv_lanes_is(low, '/') | vv_lanes_in(low, ':', '@') | vv_lanes_in(low, '[', ']') |
           vv_lanes_is(low, '{') | vv_lanes_is(low, '}') | vv_lanes_is(low, 0x7f);
}

VV_INLINE uint64_t
vv_lanes_value_word(uint64_t word)
{
    uint64_t low = word & VV_LANES_EACH(0x7f);
    return ~word & (vv_lanes_in(low, 0x00, 0x08) | vv_lanes_in(low, 0x0a, 0x1f) | vv_lanes_is(low, 0x7f));
}

VV_INLINE uint64_t
vv_lanes_target_word(uint64_t word)
{
    uint64_t low = word & VV_LANES_EACH(0x7f);
    return word | vv_lanes_in(low, 0x00, 0x20) | vv_lanes_is(low, '#') | vv_lanes_is(low, '%') | vv_lanes_is(low, '?') |
           vv_lanes_is(low, 0x7f);
}

VV_INLINE uint64_t
vv_lanes_host_word(uint64_t word)
{
    uint64_t low = word & VV_LANES_EACH(0x7f), letter = low | VV_LANES_EACH(0x20);
    return word | ~(vv_lanes_in(letter, 'a', 'z') | vv_lanes_in(low, '0', '9') | vv_lanes_in(low, '&', '.') |
                    vv_lanes_is(low, '!') | vv_lanes_is(low, '$') | vv_lanes_is(low, ';') | vv_lanes_is(low, '=') |
                    vv_lanes_is(low, '_') | vv_lanes_is(low, '~'));
}

/* Bit 7 of each byte to eight bits in a row: the products fall into the top byte side by side. */
VV_INLINE uint64_t
vv_lanes_gather(uint64_t word)
{
    return ((word >> 7 & VV_LANES_EACH(1)) * UINT64_C(0x0102040810204080)) >> 56;
}

#define VV_LANES_DEFINE(map)                                                                                           \
    VV_INLINE uint64_t vv_lanes_##map(vv_lanes lanes)                                                                  \
    {                                                                                                                  \
        uint64_t bits = 0;                                                                                             \
        for (int i = 0; i < 8; i++)                                                                                    \
            bits |= vv_lanes_gather(vv_lanes_##map##_word(lanes.word[i])) << (8 * i);                                  \
        return bits;                                                                                                   \
    }
VV_LANES_DEFINE(name)
VV_LANES_DEFINE(value)
VV_LANES_DEFINE(target)
VV_LANES_DEFINE(host)
#undef VV_LANES_DEFINE

#endif
