/* Which handler answers: patterns compiled once, looked up for every request.
 *
 * Patterns: text and placeholders. "{name}" takes one segment (what stands before the brace in its segment is a
 * literal prefix), "{name:int|float|str|uuid}" a segment of that shape, "{name:path}" the rest of the path, slashes
 * and all, and may be empty. "{{" and "}}" are braces as text. A trailing slash is significant.
 *
 * Precedence, with back-tracking: the first segment in which two patterns differ decides. There a literal comes first;
 * then placeholders of one segment, a longer literal prefix before a shorter one and before none, and behind the same
 * prefix uuid, int, float, str, plain; then `path`, again the longest prefix first. A pattern that has no route for
 * the method leaves the path to the next best one that has.
 *
 * Ownership   vv_router_new() / vv_router_free(); a route's `data` is borrowed for the router's life.
 * Threads     read-only once compiled: any number may match at once.
 * Cost        a table look-up for paths without placeholders, whatever their number; else a walk over the segments
 *             of the path, in which no node of the tree is entered twice: however a path is made, a look-up takes at
 *             most as many steps as all patterns have segments. Matching allocates nothing and never recurses on
 *             input.
 */
#ifndef VV_ROUTER_ROUTER_H
#define VV_ROUTER_ROUTER_H

#include "core/bytes/span.h"
#include "core/compiler.h"
#include "core/status.h"

enum {
    VV_ROUTER_PARAMS = 32,      /* placeholders in a pattern                          */
    VV_ROUTER_METHODS = 32,     /* methods of one router: seven standard ones, and 25 */
    VV_ROUTER_NAME_BYTES = 255, /* of a placeholder or a method                       */
};

typedef enum vv_param_type {
    VV_PARAM_PLAIN, /* {name}      one non-empty segment                                              */
    VV_PARAM_STR,   /* {name:str}  the same, said aloud (ranks as typed)                              */
    VV_PARAM_INT,   /* an optional '-' and 1 to 64 digits                                             */
    VV_PARAM_FLOAT, /* an optional '-', digits, and optionally '.' and digits: 1 to 64 bytes          */
    VV_PARAM_UUID,  /* 8-4-4-4-12 hexadecimal digits of either case                                   */
    VV_PARAM_PATH,  /* the rest of the path, possibly empty; only as the last thing of a pattern      */
} vv_param_type;

typedef struct vv_router vv_router;
typedef struct vv_route vv_route;

/* Why a pattern was refused: text for the person who wrote it. */
typedef struct vv_router_fault {
    char text[384]; /* one line, ends in NUL; names the pattern(s) and says what to do */
} vv_router_fault;

VV_NODISCARD vv_status vv_router_new(vv_router **out);
void vv_router_free(vv_router *router); /* NULL is fine */

/* Adds a route. Not after vv_router_compile().
 *
 *   pattern        UTF-8 text that starts with '/'; copied.
 *   methods        names, copied, compared by their exact bytes; count 0: any method.
 *   data           borrowed; vv_route_data() gives it back.
 *   route          written on VV_OK; lives as long as the router.
 *   fault          written on VV_E_PATTERN and VV_E_CONFLICT; may be NULL.
 *
 * VV_OK, VV_E_PATTERN (malformed: unclosed brace, doubled or odd name, unknown type, text behind a placeholder,
 * `path` not last, too many placeholders or methods ...), VV_E_CONFLICT (a route that matches the same paths has one of
 * these methods already; an any-method route conflicts only with another any-method route and stands back behind
 * routes that name the method), VV_E_NO_MEMORY.
 */
VV_NODISCARD vv_status vv_router_add(vv_router *router, vv_span pattern, const vv_span *methods, size_t method_count,
                                     void *data, vv_route **route, vv_router_fault *fault);

/* Builds the tables that matching reads. VV_OK or VV_E_NO_MEMORY. May be called again after nothing; idempotent. */
VV_NODISCARD vv_status vv_router_compile(vv_router *router);

void *vv_route_data(const vv_route *route);
vv_span vv_route_pattern(const vv_route *route);
size_t vv_route_param_count(const vv_route *route);
vv_span vv_route_param_name(const vv_route *route, size_t index);
vv_param_type vv_route_param_type(const vv_route *route, size_t index);

typedef struct vv_param {
    uint32_t at, len; /* in the path that was matched */
} vv_param;

typedef struct vv_match {
    const vv_route *route; /* NULL: none */
    uint32_t allow;        /* without a route: the methods that this path would take, bit n being the method whose
                            * name is vv_router_method_name(router, n); 0: the path is unknown (404, else 405) */
    uint32_t count;        /* of params */
    vv_param params[VV_ROUTER_PARAMS];
} vv_match;

/* Looks a path up.
 *
 *   method   the request's method, as sent. A pattern's route for GET also takes HEAD, unless another route of the
 *            same pattern names HEAD.
 *   path     decoded by vv_target_decode() if it had escapes: an escaped slash is VV_TARGET_ESCAPED_SLASH (a NUL
 *            byte) and does not split a segment.
 *   out      route, allow and count are always written.
 */
void vv_router_match(const vv_router *router, vv_span method, vv_span path, vv_match *out);

/* The methods that a path would take, as in vv_match.allow (for OPTIONS), with HEAD where GET is, and with OPTIONS
 * where any is: the server answers it by itself. An any-method route allows every method the engine knows but CONNECT
 * and TRACE. */
uint32_t vv_router_allow(const vv_router *router, vv_span path);

/* The name of method bit `n`: GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS, then the others that routes name, as they
 * were first named. An empty span past the last. */
vv_span vv_router_method_name(const vv_router *router, unsigned n);

#endif
