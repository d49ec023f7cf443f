/* One line of the access log: a request and its answer as text.
 *
 * What a client sends cannot forge a line: control bytes, quotes, backslashes and bytes beyond ASCII are written as
 * \xHH, in every format alike (in JSON the backslash is doubled, as JSON wants it). What is longer than its limit below
 * is cut, and ends in "...".
 *
 *   short      12:03:11 INFO  127.0.0.1 "GET /items/3" 200 17B 0.41ms
 *   common     127.0.0.1 - - [23/Nov/2026:12:03:11 +0000] "GET /items/3 HTTP/1.1" 200 17
 *   combined   the same, then "referer" "user agent" and the seconds: 0.000412
 *   json       {"ts":"2026-11-23T12:03:11.046Z","level":"info","event":"request", ...}
 *
 * Ownership   vv_access borrows everything.
 * Cost        one pass over the bytes; what only a second changes is written once a second.
 */
#ifndef VV_SERVER_ACCESS_LINE_H
#define VV_SERVER_ACCESS_LINE_H

#include "core/bytes/span.h"
#include "core/io/address.h"

typedef enum vv_access_format {
    VV_ACCESS_SHORT,
    VV_ACCESS_COMMON,
    VV_ACCESS_COMBINED,
    VV_ACCESS_JSON,
} vv_access_format;

typedef struct vv_access_style {
    vv_access_format format;
    int color;       /* of the status, in short lines             */
    unsigned worker; /* its number, from 1; 0: there is only one  */
} vv_access_style;

enum {
    VV_ACCESS_METHOD_BYTES = 64, /* the most that is shown of each, before it is escaped */
    VV_ACCESS_TARGET_BYTES = 2048,
    VV_ACCESS_FIELD_BYTES = 1024,
    VV_ACCESS_ROUTE_BYTES = 512,
    VV_ACCESS_LINE_BYTES = 32 * 1024, /* no line is longer */
    VV_ACCESS_CLIENT_GONE = 499,      /* the status where the client had gone before its answer */
};

typedef struct vv_access {
    vv_span method, target; /* as sent; empty where no head was understood                 */
    vv_span raw;            /* in its place: the first bytes that came                     */
    vv_span referer, user_agent;
    vv_span route; /* the pattern; empty: none                                    */
    const vv_address *peer;
    const char *refused; /* why the engine refused it; NULL: it did not                 */
    int64_t begun_ns;    /* when the head was complete, vv_loop_clock_ns(); 0: it never was */
    uint64_t bytes;      /* of the body that is sent                                    */
    uint16_t status;
    uint8_t minor; /* HTTP/1.<minor> */
} vv_access;

/* The time of a line. Texts hold for one second. */
typedef struct vv_access_clock {
    int64_t second, offset_ns; /* offset_ns: from the monotonic clock to that of the world */
    char short_time[8];        /* 12:03:11                   */
    char clf_time[28];         /* [23/Nov/2026:12:03:11 +0000] */
    char iso_time[19];         /* 2026-11-23T12:03:11        */
    unsigned millisecond;
} vv_access_clock;

/* Brings the clock to a moment of vv_loop_clock_ns(). */
void vv_access_clock_set(vv_access_clock *clock, int64_t now_ns);

/* Writes the line, ended by LF; returns its length. `out` has room for VV_ACCESS_LINE_BYTES. */
size_t vv_access_line_write(uint8_t *out, const vv_access_style *style, const vv_access_clock *clock, int64_t now_ns,
                            const vv_access *access);

/* Writes the line that says how many lines could not be written, and why. As above. */
size_t vv_access_loss_write(uint8_t *out, const vv_access_style *style, const vv_access_clock *clock, uint64_t lost,
                            const char *why);

#endif
