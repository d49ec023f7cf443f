/* The head of a request: bytes in, offsets out (RFC 9112 sections 2 to 5, 6.1 to 6.3 and 9.3).
 *
 * Strict, and there is no lenient mode: what other parsers quarrel over is refused. Bare CR or LF, line
 * folding, white space before a colon, a control byte or DEL anywhere, a doubled or odd Content-Length,
 * Transfer-Encoding beside Content-Length or on HTTP/1.0, a missing, doubled or malformed Host.
 *
 * Ownership   nothing is allocated; the request borrows the input and the caller's fields array.
 * Threads     pure functions.
 * Cost        one pass over the head in 64-byte steps, and a few instructions a field; one indirect call a head.
 *             Never reads outside `in`.
 */
#ifndef VV_HTTP1_PARSE_H
#define VV_HTTP1_PARSE_H

#include "core/compiler.h"
#include "core/http1/request.h"
#include "core/status.h"

typedef struct vv_http1_limits {
    uint32_t head_bytes;    /* request line and header fields together, at most 65,535 (PROMISES: limit_head_bytes) */
    uint32_t header_fields; /* entries in the fields array as well (limit_header_fields)                            */
} vv_http1_limits;

/* Parses one request head from the front of `in`. At most one empty line (CRLF) before it is skipped.
 *
 *   in      borrowed; the offsets in *req count from req->head, which points into it.
 *   seen    how much of `in` an earlier call returned VV_AGAIN for, 0 at first. Keeps a head that trickles in
 *           byte by byte at O(n) in all, not O(n^2).
 *   fields  borrowed, room for limits->header_fields entries; becomes req->fields.
 *   req     meaningful only on VV_OK; req->used bytes of `in` are then used up.
 *
 * VV_OK, VV_AGAIN, or the failure whose answer vv_status_answer() knows: VV_E_SYNTAX, VV_E_VERSION, VV_E_HOST,
 * VV_E_FRAMING, VV_E_CODING, VV_E_EXPECT, VV_E_TARGET, VV_E_METHOD (CONNECT), VV_E_HEAD_TOO_LARGE,
 * VV_E_TARGET_TOO_LONG, VV_E_TOO_MANY_FIELDS.
 */
VV_NODISCARD vv_status vv_http1_parse_request(vv_span in, size_t seen, const vv_http1_limits *limits, vv_field *fields,
                                              vv_http1_request *req);

#endif
