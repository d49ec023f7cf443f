/* The chunked transfer coding, decoded where it lies (RFC 9112 section 7.1).
 *
 * Strict: lines end in CRLF and nothing else, sizes are 1 to 16 hexadecimal digits, extensions and trailer
 * fields are checked, bounded and dropped (trailers are never merged into the header fields).
 *
 * Ownership   the caller's memory; nothing is allocated.
 * Threads     none; one decoder belongs to one body.
 * Cost        one memmove of each chunk's payload; O(1) state, resumable at every byte.
 */
#ifndef VV_HTTP1_CHUNKED_H
#define VV_HTTP1_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

#include "core/compiler.h"
#include "core/status.h"

enum {
    VV_CHUNKED_EXTENSION_BYTES = 1024, /* of all the chunk extensions of one body together */
    VV_CHUNKED_TRAILER_BYTES = 8192,   /* of the trailer section                           */
};

typedef struct vv_chunked {
    uint64_t left;      /* payload bytes still to come of the current chunk */
    uint32_t extension; /* bytes of extensions so far */
    uint32_t trailer;   /* bytes of trailers so far   */
    uint8_t state;      /* 0 at first */
    uint8_t digits;     /* of the size line so far */
} vv_chunked;

/* Decodes what lies at `bytes` in place: the payload found is moved together at the front.
 *
 *   decoder   all zero at the start of a body.
 *   bytes     borrowed and overwritten: bytes[0 .. *produced) is payload afterwards.
 *   consumed  written always: how many of the `len` bytes were used up; all of them on VV_AGAIN. What follows
 *             them (the next request) is left where it was.
 *   produced  written always; never more than *consumed.
 *
 * VV_OK (the body is complete), VV_AGAIN (more bytes are needed) or VV_E_CHUNK.
 */
VV_NODISCARD vv_status vv_chunked_decode(vv_chunked *decoder, uint8_t *bytes, size_t len, size_t *consumed,
                                         size_t *produced);

#endif
