/* One request head, as the parser leaves it: offsets into the bytes of the head, so that a head is
 * moved to another place by one memcpy and a new `head` pointer.
 *
 * Ownership   `head` and `fields` are borrowed from whoever called the parser.
 */
#ifndef VV_HTTP1_REQUEST_H
#define VV_HTTP1_REQUEST_H

#include "core/bytes/ascii.h"
#include "core/bytes/span.h"

/* One field line (RFC 9112 section 5): name and value without the white space around it. */
typedef struct vv_field {
    uint32_t name_at; /* offsets count from the head's first byte */
    uint32_t value_at;
    uint32_t value_len;
    uint16_t name_len;
    uint16_t reserved;
} vv_field;

/* The forms of a request target (RFC 9112 section 3.2). */
typedef enum vv_target_form {
    VV_TARGET_ORIGIN,   /* /path?query                                         */
    VV_TARGET_ABSOLUTE, /* http://host/path?query: host_at/host_len tell where */
    VV_TARGET_ASTERISK, /* * (only with OPTIONS)                               */
} vv_target_form;

enum {
    VV_REQUEST_KEEP_ALIVE = 1 << 0, /* the connection may serve another request after this one */
    VV_REQUEST_HAS_LENGTH = 1 << 1, /* Content-Length was sent; content_length holds it        */
    VV_REQUEST_CHUNKED = 1 << 2,    /* Transfer-Encoding: chunked                              */
    VV_REQUEST_EXPECT = 1 << 3,     /* Expect: 100-continue                                    */
    VV_REQUEST_UPGRADE = 1 << 4,    /* an Upgrade field, and "upgrade" among Connection's      */
    VV_REQUEST_HAS_QUERY = 1 << 5,  /* the target has a '?'                                    */
    VV_REQUEST_ESCAPED = 1 << 6,    /* the path has a '%'                                      */
    VV_REQUEST_HAS_HOST = 1 << 7,   /* host_at/host_len are set                                */
};

typedef struct vv_http1_request {
    const uint8_t *head;     /* borrowed: first byte of the method                               */
    vv_field *fields;        /* borrowed: the caller's array                                     */
    uint64_t content_length; /* 0 unless VV_REQUEST_HAS_LENGTH                                   */
    uint32_t used;           /* bytes of the input that the head took, with a leading empty line */
    uint32_t head_len;       /* bytes from `head` through the empty line that ends it            */
    uint32_t target_at, target_len;
    uint32_t path_at, path_len;   /* as sent, without the query; "*" in asterisk form; may be    */
                                  /* empty in absolute form (means "/")                          */
    uint32_t query_at, query_len; /* behind the '?'                                              */
    uint32_t host_at, host_len;   /* authority: from the target in absolute form, else from Host */
    uint16_t method_len;          /* the method starts at offset 0                               */
    uint16_t field_count;
    uint16_t flags; /* VV_REQUEST_...                                              */
    uint8_t method; /* vv_method                                                   */
    uint8_t minor;  /* HTTP/1.<minor>: 0 or 1                                      */
    uint8_t form;   /* vv_target_form                                              */
} vv_http1_request;

static inline vv_span
vv_request_span(const vv_http1_request *req, uint32_t at, uint32_t len)
{
    return vv_span_of(req->head + at, len);
}

/* The first field of that name (any case); NULL: none. */
static inline const vv_field *
vv_request_field(const vv_http1_request *req, vv_span name)
{
    const vv_field *end = req->fields + req->field_count;
    for (const vv_field *field = req->fields; field < end; field++)
        if (field->name_len == name.len && vv_equal_nocase(vv_request_span(req, field->name_at, field->name_len), name))
            return field;
    return NULL;
}

/* The value of that field; empty: none. */
static inline vv_span
vv_request_value(const vv_http1_request *req, vv_span name)
{
    const vv_field *field = vv_request_field(req, name);
    return field != NULL ? vv_request_span(req, field->value_at, field->value_len) : vv_span_of(NULL, 0);
}

#endif
