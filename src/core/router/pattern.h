/* A pattern, cut into its segments.
 *
 *     pattern = 1*( "/" segment )
 *     segment = text [ "{" name [ ":" type ] "}" ]        text may be empty; "{{" and "}}" in it are braces
 *     type    = "int" / "float" / "str" / "uuid" / "path" "path" only in the last segment
 *
 * Ownership   vv_pattern_init() / vv_pattern_fini(). `source` is borrowed, and so are the names, which lie in it.
 * Threads     none.
 * Cost        O(n); placeholders are compared pairwise, and there are at most VV_ROUTER_PARAMS.
 */
#ifndef VV_ROUTER_PATTERN_H
#define VV_ROUTER_PATTERN_H

#include "core/router/router.h"

enum { VV_PATTERN_BYTES = 65535 };

typedef struct vv_segment {
    vv_span text; /* the whole segment, or what stands before its placeholder; lies in pattern->text */
    vv_span name; /* of its placeholder, in pattern->source; empty: there is none */
    vv_param_type type;
} vv_segment;

typedef struct vv_pattern {
    vv_span source;       /* borrowed: as written */
    uint8_t *text;        /* the text without placeholders, doubled braces made single */
    size_t text_len;      /* of a pattern without placeholders `text` is the path it matches */
    vv_segment *segments; /* at least one */
    size_t segment_count;
    size_t param_count;
} vv_pattern;

/* Cuts `source` up.
 *
 *   pattern  written on VV_OK only.
 *   fault    written on VV_E_PATTERN; may be NULL.
 *
 * VV_OK, VV_E_PATTERN or VV_E_NO_MEMORY.
 */
VV_NODISCARD vv_status vv_pattern_init(vv_pattern *pattern, vv_span source, vv_router_fault *fault);
void vv_pattern_fini(vv_pattern *pattern);

#endif
