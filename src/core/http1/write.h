/* The answer as bytes: status line, fields, body (RFC 9112 section 4, RFC 9110 sections 6.6.1, 8.6 and 15).
 *
 * Content-Length, Date and Connection are written here and nowhere else. What the usual answers begin with is
 * prepared once a second, with the date in it, so that writing one is two copies and a few digits.
 *
 * Ownership   a writer holds no memory but itself; a reply borrows all it points to for the call.
 * Threads     none; one writer belongs to one loop.
 */
#ifndef VV_HTTP1_WRITE_H
#define VV_HTTP1_WRITE_H

#include "core/bytes/buffer.h"
#include "core/http1/date.h"

/* The media types that have a prepared head. */
typedef enum vv_media {
    VV_MEDIA_TEXT,  /* text/plain; charset=utf-8 */
    VV_MEDIA_BYTES, /* application/octet-stream  */
    VV_MEDIA_JSON,  /* application/json          */
    VV_MEDIA_NONE,  /* no Content-Type           */
    VV_MEDIA_OTHER, /* vv_reply.media_type       */
} vv_media;

typedef struct vv_reply {
    uint16_t status;    /* 100 to 999                                                                     */
    uint8_t media;      /* vv_media                                                                       */
    uint8_t close;      /* the connection ends with this answer                                           */
    vv_span media_type; /* borrowed; read for VV_MEDIA_OTHER; free of CR, LF and NUL                      */
    vv_span fields;     /* borrowed; further field lines, each ended by CRLF, checked by whoever made them */
    vv_span body;       /* borrowed                                                                       */
    void *owner;        /* of the body, if it can be kept alive and unchanged (vv_app.keep); else NULL    */
} vv_reply;

/* What the request and the connection ask of the answer's form. */
enum {
    VV_WRITE_HEAD_ONLY = 1 << 0,     /* the request was HEAD: lengths as if, but no body              */
    VV_WRITE_CLOSE = 1 << 1,         /* say "Connection: close"                                       */
    VV_WRITE_KEEP_ALIVE_10 = 1 << 2, /* an HTTP/1.0 client asked to keep alive: it wants to be told   */
};

enum { VV_PREPARED_BYTES = 128 }; /* room of a prepared head; a multiple of a vector, copied whole */

typedef struct vv_prepared {
    uint8_t bytes[VV_PREPARED_BYTES];
    uint32_t len; /* through "Content-Length: " */
} vv_prepared;

typedef struct vv_writer {
    vv_prepared ok[VV_MEDIA_NONE]; /* heads of a 200 answer by media type */
    int64_t second;                /* for which the date holds            */
    uint8_t date[VV_DATE_BYTES];
} vv_writer;

/* Brings the date to `unix_seconds`; costs nothing within the same second. Call once before the first write. */
void vv_writer_tick(vv_writer *writer, int64_t unix_seconds);

/* How many bytes of the reply's body are sent. */
size_t vv_writer_body_len(const vv_reply *reply, unsigned how);

/* Appends the answer to `out`: the general half. See vv_writer_write(). */
VV_NODISCARD vv_status vv_writer_write_any(const vv_writer *writer, vv_buffer *out, const vv_reply *reply,
                                           unsigned how);

/* Appends the answer to `out`. A body is left away where HTTP has none: HEAD, 1xx, 204, 304. An answer is appended
 * whole or, on VV_E_NO_MEMORY, not at all.
 *
 *   how   VV_WRITE_... bits.
 */
VV_NODISCARD static inline vv_status
vv_writer_write(const vv_writer *writer, vv_buffer *out, const vv_reply *reply, unsigned how)
{
    if (VV_UNLIKELY(reply->status != 200 || reply->media >= VV_MEDIA_NONE || reply->fields.len > 0 || how != 0 ||
                    reply->body.len >= 100000))
        return vv_writer_write_any(writer, out, reply, how);

    const vv_prepared *head = &writer->ok[reply->media];
    size_t len = reply->body.len;
    if (vv_buffer_reserve(out, VV_PREPARED_BYTES + 16 + len) != VV_OK)
        return VV_E_NO_MEMORY;

    uint8_t *at = out->base + out->tail;
    memcpy(at, head->bytes, VV_PREPARED_BYTES); /* a constant size: a few vector moves */
    at += head->len;
    if (len >= 10) {
        unsigned rest = (unsigned)len;
        if (len >= 100) {
            if (len >= 1000) {
                if (len >= 10000) {
                    *at++ = (uint8_t)('0' + rest / 10000);
                    rest %= 10000;
                }
                *at++ = (uint8_t)('0' + rest / 1000);
                rest %= 1000;
            }
            *at++ = (uint8_t)('0' + rest / 100);
            rest %= 100;
        }
        *at++ = (uint8_t)('0' + rest / 10);
        rest %= 10;
        *at++ = (uint8_t)('0' + rest);
    } else {
        *at++ = (uint8_t)('0' + len);
    }
    memcpy(at, "\r\n\r\n", 4);
    at += 4;
    if (len > 0)
        memcpy(at, reply->body.at, len);
    out->tail = (size_t)(at - out->base) + len;
    return VV_OK;
}

#endif
