/* The methods that the engine knows by number (RFC 9110 section 9, RFC 5789 for PATCH).
 * Any other method is VV_METHOD_OTHER and is told apart by its bytes. Methods are case-sensitive.
 */
#ifndef VV_HTTP1_METHOD_H
#define VV_HTTP1_METHOD_H

#include "core/bytes/span.h"

#define VV_METHOD_TABLE(X) X(GET) X(HEAD) X(POST) X(PUT) X(DELETE) X(PATCH) X(OPTIONS) X(TRACE) X(CONNECT)

typedef enum vv_method {
#define X(name) VV_METHOD_##name,
    VV_METHOD_TABLE(X)
#undef X
        VV_METHOD_OTHER, /* also the count of the known ones */
} vv_method;

/* The method of that exact name, VV_METHOD_OTHER if the engine has no number for it. */
vv_method vv_method_of(vv_span name);

/* The name of a known method; an empty span for VV_METHOD_OTHER. Static. */
vv_span vv_method_name(vv_method method);

#endif
