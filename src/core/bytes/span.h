/* A borrowed run of bytes: a pointer and a length, passed by value.
 *
 * Ownership   none. A span never frees; whoever made it says how long its bytes live.
 * Threads     as the bytes it borrows.
 * Cost        two registers.
 */
#ifndef VV_BYTES_SPAN_H
#define VV_BYTES_SPAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct vv_span {
    const uint8_t *at; /* borrowed; may be NULL when len is 0 */
    size_t len;
} vv_span;

static inline vv_span
vv_span_of(const void *at, size_t len)
{
    return (vv_span){.at = at, .len = len};
}

/* The text of a string that ends in NUL, without the NUL. */
static inline vv_span
vv_span_text(const char *text)
{
    return vv_span_of(text, strlen(text));
}

/* What stands before the first `separator`, or all; both are taken off `text`. */
static inline vv_span
vv_span_cut(vv_span *text, uint8_t separator)
{
    const uint8_t *end = text->len > 0 ? memchr(text->at, separator, text->len) : NULL;
    vv_span piece = vv_span_of(text->at, end != NULL ? (size_t)(end - text->at) : text->len);
    size_t used = piece.len + (end != NULL);
    *text = vv_span_of(text->at + used, text->len - used);
    return piece;
}

static inline int
vv_span_equal(vv_span a, vv_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

#endif
