/* The path of a request target as text: percent escapes decoded (RFC 3986 section 2.1), UTF-8 checked.
 *
 * Ownership   the caller's memory.
 * Threads     pure functions.
 */
#ifndef VV_HTTP1_TARGET_H
#define VV_HTTP1_TARGET_H

#include "core/bytes/span.h"
#include "core/compiler.h"
#include "core/status.h"

/* What stands for an escaped slash in a decoded path: it must not split a segment, and a path cannot hold a NUL. */
enum { VV_TARGET_ESCAPED_SLASH = 0x00 };

/* Decodes the escapes of `raw`; hexadecimal digits of either case. "%2F" becomes VV_TARGET_ESCAPED_SLASH.
 *
 *   out      room for raw.len bytes; may be raw.at itself.
 *   out_len  written on VV_OK.
 *
 * VV_OK, or VV_E_TARGET: an escape is cut short or not hexadecimal, "%00", or the result is not UTF-8.
 */
VV_NODISCARD vv_status vv_target_decode(vv_span raw, uint8_t *out, size_t *out_len);

/* Whether the bytes are UTF-8 (RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF). */
int vv_utf8_valid(vv_span text);

#endif
