/* Every limit of the server, by the name that users know it by (PROMISES). */
#ifndef VV_SERVER_LIMITS_H
#define VV_SERVER_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/* clang-format off */
/*    name                     type      default           least, most              of what, in bytes, ms or pieces */
#define VV_LIMITS_TABLE(X)                                                                                          \
    X(limit_head_bytes,        uint32_t, 32 * 1024,        64, 65535)            /* request line and fields      */ \
    X(limit_header_fields,     uint32_t, 100,              1,  10000)            /* field lines                  */ \
    X(limit_body_bytes,        uint64_t, 16 * 1024 * 1024, 1,  1000000000000000) /* of a request                 */ \
    X(limit_body_memory_bytes, uint64_t, 1024 * 1024,      1,  1000000000000000) /* of it; then it is a file     */ \
    X(limit_form_parts,        uint32_t, 1000,             1,  1000000)          /* fields and files of a form   */ \
    X(limit_form_head_bytes,   uint32_t, 16 * 1024,        64, 1000000)          /* head of one part of a form   */ \
    X(limit_form_text_bytes,   uint64_t, 1024 * 1024,      1,  1000000000000)    /* of a form, all but its files */ \
    X(limit_pipeline,          uint32_t, 128,              1,  60000)            /* in flight on one connection  */ \
    X(limit_output_bytes,      uint64_t, 256 * 1024,       1,  1000000000000)    /* unsent on one connection     */ \
    X(limit_connections,       uint32_t, 10000,            1,  10000000)         /* of one server                */ \
    X(timeout_head_ms,         uint32_t, 10 * 1000,        1,  4000000000)       /* from its first byte          */ \
    X(timeout_body_ms,         uint32_t, 30 * 1000,        1,  4000000000)       /* without progress of the body */ \
    X(timeout_keep_alive_ms,   uint32_t, 75 * 1000,        1,  4000000000)       /* idle                         */ \
    X(timeout_write_ms,        uint32_t, 30 * 1000,        1,  4000000000)       /* a client takes nothing       */
/* clang-format on */

typedef struct vv_limits {
#define X(name, type, value, least, most) type name;
    VV_LIMITS_TABLE(X)
#undef X
} vv_limits;

static inline vv_limits
vv_limits_default(void)
{
    return (vv_limits){
#define X(name, type, value, least, most) .name = value,
        VV_LIMITS_TABLE(X)
#undef X
    };
}

#endif
