/* SSE2, which every x86-64 CPU has. It has no table look-up of bytes, so classes are ranges, compared signed: bytes
 * of 0x80 and above are negative. */
#ifndef VV_SIMD_LANES_SSE_H
#define VV_SIMD_LANES_SSE_H

#include <emmintrin.h>

typedef struct vv_lanes {
    __m128i part[4];
} vv_lanes;

VV_INLINE vv_lanes
vv_lanes_load(const uint8_t *low, const uint8_t *high)
{
    return (vv_lanes){{
        _mm_loadu_si128((const __m128i *)low),
        _mm_loadu_si128((const __m128i *)(low + 16)),
        _mm_loadu_si128((const __m128i *)high),
        _mm_loadu_si128((const __m128i *)(high + 16)),
    }};
}

VV_INLINE __m128i
vv_lanes_is(__m128i bytes, char byte)
{
    return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte));
}

/* first <= byte <= last: moved so that the range begins at the smallest number, one comparison does. */
VV_INLINE __m128i
vv_lanes_in(__m128i bytes, int first, int last)
{
    __m128i moved = _mm_add_epi8(bytes, _mm_set1_epi8((char)(0x80 - first)));
    return _mm_cmplt_epi8(moved, _mm_set1_epi8((char)(0x80 + last - first + 1)));
}

VV_INLINE __m128i
vv_lanes_or(__m128i a, __m128i b)
{
    return _mm_or_si128(a, b);
}

VV_INLINE __m128i
vv_lanes_name_part(__m128i b)
{
    __m128i folded = _mm_or_si128(b, _mm_set1_epi8(0x20)); /* [ with {, ] with } */
    __m128i low = _mm_cmplt_epi8(b, _mm_set1_epi8(0x21));  /* controls, space, 0x80 and above */
    __m128i quote = vv_lanes_or(vv_lanes_is(b, '"'), vv_lanes_is(_mm_and_si128(b, _mm_set1_epi8((char)0xfe)), '('));
    __m128i comma = vv_lanes_or(vv_lanes_is(b, ','), vv_lanes_is(b, '/'));
    __m128i colon = vv_lanes_or(vv_lanes_in(b, ':', '@'), vv_lanes_is(b, '\\'));
    __m128i brace = vv_lanes_or(vv_lanes_is(folded, '{'), vv_lanes_is(folded, '}'));
    __m128i del = vv_lanes_or(low, vv_lanes_is(b, 0x7f));
    return vv_lanes_or(vv_lanes_or(vv_lanes_or(quote, comma), vv_lanes_or(colon, brace)), del);
}

VV_INLINE __m128i
vv_lanes_value_part(__m128i b)
{
    __m128i control = _mm_andnot_si128(vv_lanes_is(b, '\t'), vv_lanes_in(b, 0x00, 0x1f));
    return vv_lanes_or(control, vv_lanes_is(b, 0x7f));
}

VV_INLINE __m128i
vv_lanes_target_part(__m128i b)
{
    __m128i marks = vv_lanes_or(vv_lanes_is(b, '?'), vv_lanes_or(vv_lanes_is(b, '%'), vv_lanes_is(b, '#')));
    return vv_lanes_or(marks, vv_lanes_or(_mm_cmplt_epi8(b, _mm_set1_epi8(0x21)), vv_lanes_is(b, 0x7f)));
}

VV_INLINE __m128i
vv_lanes_host_part(__m128i b)
{
    __m128i letter = vv_lanes_in(_mm_or_si128(b, _mm_set1_epi8(0x20)), 'a', 'z');
    __m128i digit = vv_lanes_or(vv_lanes_in(b, '0', '9'), vv_lanes_in(b, '&', '.')); /* & ' ( ) * + , - . */
    __m128i marks = vv_lanes_or(vv_lanes_is(b, '!'), vv_lanes_or(vv_lanes_is(b, '$'), vv_lanes_is(b, ';')));
    __m128i others = vv_lanes_or(vv_lanes_is(b, '='), vv_lanes_or(vv_lanes_is(b, '_'), vv_lanes_is(b, '~')));
    __m128i inside = vv_lanes_or(vv_lanes_or(letter, digit), vv_lanes_or(marks, others));
    return _mm_cmpeq_epi8(inside, _mm_setzero_si128());
}

#define VV_LANES_DEFINE(map)                                                                                           \
    VV_INLINE uint64_t vv_lanes_##map(vv_lanes lanes)                                                                  \
    {                                                                                                                  \
        uint64_t bits = 0;                                                                                             \
        for (int i = 0; i < 4; i++)                                                                                    \
            bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(vv_lanes_##map##_part(lanes.part[i])) << (16 * i);           \
        return bits;                                                                                                   \
    }
VV_LANES_DEFINE(name)
VV_LANES_DEFINE(value)
VV_LANES_DEFINE(target)
VV_LANES_DEFINE(host)
#undef VV_LANES_DEFINE

#endif
