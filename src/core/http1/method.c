#include "core/http1/method.h"

static const vv_span names[] = {
#define X(name) [VV_METHOD_##name] = {(const uint8_t *)#name, sizeof(#name) - 1},
    VV_METHOD_TABLE(X)
#undef X
        [VV_METHOD_OTHER] = {(const uint8_t *)"", 0},
};

/* A method's bytes in one word, which the compiler folds for a literal; 0 for what no known method is as long as. */
static inline uint64_t
word_of(const void *at, size_t len)
{
    uint64_t word = 0;
    switch (len) { /* copies of a constant size are single loads */
    case 3:
        memcpy(&word, at, 3);
        break;
    case 4:
        memcpy(&word, at, 4);
        break;
    case 5:
        memcpy(&word, at, 5);
        break;
    case 6:
        memcpy(&word, at, 6);
        break;
    case 7:
        memcpy(&word, at, 7);
        break;
    }
    return word;
}

vv_method
vv_method_of(vv_span name)
{
    uint64_t word = word_of(name.at, name.len);
#define X(known)                                                                                                       \
    if (name.len == sizeof(#known) - 1 && word == word_of(#known, sizeof(#known) - 1))                                 \
        return VV_METHOD_##known;
    VV_METHOD_TABLE(X)
#undef X
    return VV_METHOD_OTHER;
}

vv_span
vv_method_name(vv_method method)
{
    return names[(unsigned)method < VV_METHOD_OTHER ? method : VV_METHOD_OTHER];
}
