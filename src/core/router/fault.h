/* Says why a route was refused, in one line that names its pattern.
 *
 * Ownership   the caller's memory.
 * Threads     pure functions.
 */
#ifndef VV_ROUTER_FAULT_H
#define VV_ROUTER_FAULT_H

#include "core/router/router.h"

enum {
    VV_QUOTE_PATTERN = 110, /* two quoted patterns, a quoted name and the advice fit in a fault */
    VV_QUOTE_NAME = 40,
};

typedef struct vv_quote {
    char text[VV_QUOTE_PATTERN + 8]; /* room for a last escape, "..." and NUL */
} vv_quote;

/* Makes any bytes fit for one line: cut behind about `limit` bytes, control bytes and what is not UTF-8 as \xNN.
 * Gives quote->text. */
const char *vv_quote_span(vv_quote *quote, vv_span text, size_t limit);

/* How many of the first bytes of `text` make one character of UTF-8; 0 if they make none. */
size_t vv_utf8_first(vv_span text);

/* Writes the fault, which may be NULL, and gives `status` back. */
vv_status vv_fault_say(vv_router_fault *fault, vv_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
