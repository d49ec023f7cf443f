#include "binding/py_strings.h"

#include <string.h>

#include "binding/py_spans.h"
#include "core/compiler.h"

/* Up to 8 bytes as a number: of shorter texts every byte is in it. `len` is not 0. */
static inline uint64_t
load_word(const uint8_t *at, size_t len)
{
    uint64_t low = 0, high = 0;
    if (len >= 8) {
        memcpy(&low, at, 8);
        return low;
    }
    if (len >= 4) {
        memcpy(&low, at, 4);
        memcpy(&high, at + len - 4, 4);
        return low | high << 32;
    }
    return (uint64_t)at[0] | (uint64_t)at[len / 2] << 8 | (uint64_t)at[len - 1] << 16;
}

/* By the first and the last 8 bytes: texts that differ only in between push each other out, no more. */
static inline string_pair *
pair_of(module_state *state, vv_span text)
{
    uint64_t first = load_word(text.at, text.len);
    uint64_t last = text.len > 8 ? load_word(text.at + text.len - 8, 8) : 0;
    uint64_t mixed = (first ^ (last << 29 | last >> 35) ^ text.len) * UINT64_C(0x9E3779B97F4A7C15);
    return &state->strings[mixed >> (64 - STRING_PAIR_BITS)];
}

static inline int
same_bytes(const uint8_t *a, const uint8_t *b, size_t len)
{
    if (len < 8)
        return load_word(a, len) == load_word(b, len);
    for (size_t i = 0; i < len - 8; i += 8)
        if (load_word(a + i, 8) != load_word(b + i, 8))
            return 0;
    return load_word(a + len - 8, 8) == load_word(b + len - 8, 8);
}

static inline int
is_text(PyObject *known, vv_span text)
{
    return known != NULL && (size_t)PyUnicode_GET_LENGTH(known) == text.len &&
           same_bytes(PyUnicode_DATA(known), text.at, text.len);
}

static PyObject *
make(string_pair *pair, vv_span text)
{
    PyObject *made = latin1_of(text);
    /* Only ASCII lies in memory as it was sent. */
    if (made != NULL && PyUnicode_IS_COMPACT_ASCII(made)) {
        Py_XSETREF(pair->older, pair->newer);
        pair->newer = Py_NewRef(made);
    }
    return made;
}

PyObject *
strings_latin1(module_state *state, vv_span text)
{
    /* CPython has all texts of one byte and of none already. */
    if (VV_UNLIKELY(text.len < 2 || text.len > STRING_KEPT_BYTES))
        return latin1_of(text);
    string_pair *pair = pair_of(state, text);
    if (VV_LIKELY(is_text(pair->newer, text)))
        return Py_NewRef(pair->newer);
    if (VV_LIKELY(is_text(pair->older, text)))
        return Py_NewRef(pair->older);
    return make(pair, text);
}

void
strings_clear(module_state *state)
{
    for (size_t i = 0; i < sizeof state->strings / sizeof *state->strings; i++) {
        Py_CLEAR(state->strings[i].newer);
        Py_CLEAR(state->strings[i].older);
    }
}
