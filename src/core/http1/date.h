/* HTTP dates (RFC 9110 section 5.6.7, IMF-fixdate), written without locale or time zone. */
#ifndef VV_HTTP1_DATE_H
#define VV_HTTP1_DATE_H

#include <stdint.h>

enum { VV_DATE_BYTES = 29 };

/* Writes "Sun, 06 Nov 1994 08:49:37 GMT" for seconds since 1970 (UTC); no NUL is added.
 *
 *   out   room for VV_DATE_BYTES.
 */
void vv_date_write(uint8_t *out, int64_t unix_seconds);

#endif
