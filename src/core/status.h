/* What every function of the engine answers: one enumeration, one meaning, one HTTP answer.
 *
 * VV_AGAIN is not a failure. A failure that a peer can cause carries the status code of the answer
 * that the peer gets for it (PROMISES: "bad input gets its answer"); 0 where no answer is owed.
 */
#ifndef VV_CORE_STATUS_H
#define VV_CORE_STATUS_H

/* clang-format off */
/*        name                   number  answer  meaning, as logged                               */
#define VV_STATUS_TABLE(X)                                                                          \
    X(VV_OK,                       0,      0, "done")                                               \
    X(VV_AGAIN,                    1,      0, "not yet: more bytes, or more room, are needed")      \
    X(VV_E_NO_MEMORY,             -1,    503, "out of memory")                                      \
    X(VV_E_SYSTEM,                -2,    500, "a system call failed; see errno")                    \
    X(VV_E_CLOSED,                -3,      0, "the peer has closed the connection")                 \
    X(VV_E_SYNTAX,               -10,    400, "not HTTP/1.x")                                       \
    X(VV_E_HEAD_TOO_LARGE,       -11,    431, "request head exceeds limit_head_bytes")              \
    X(VV_E_TARGET_TOO_LONG,      -12,    414, "request target alone exceeds limit_head_bytes")      \
    X(VV_E_TOO_MANY_FIELDS,      -13,    431, "more header fields than limit_header_fields")        \
    X(VV_E_VERSION,              -14,    505, "an HTTP version other than 1.0 and 1.1")             \
    X(VV_E_HOST,                 -15,    400, "Host is missing, doubled or malformed")              \
    X(VV_E_FRAMING,              -16,    400, "body length is missing, doubled or contradictory")   \
    X(VV_E_CODING,               -17,    501, "a transfer coding other than chunked")               \
    X(VV_E_CHUNK,                -18,    400, "chunked body is malformed")                          \
    X(VV_E_TARGET,               -19,    400, "request target is malformed")                        \
    X(VV_E_BODY_TOO_LARGE,       -20,    413, "request body exceeds limit_body_bytes")              \
    X(VV_E_EXPECT,               -21,    417, "an expectation other than 100-continue")             \
    X(VV_E_METHOD,               -22,    501, "a method that this server does not speak")           \
    X(VV_E_TIMEOUT,              -23,    408, "the request did not arrive in time")                 \
    X(VV_E_SPOOL,                -24,    503, "no temporary file for a request body: see TMPDIR, and open files") \
    X(VV_E_SPOOL_FULL,           -25,    507, "the temporary directory is full: see TMPDIR")        \
    X(VV_E_FORM,                 -30,    400, "multipart form is malformed")                        \
    X(VV_E_FORM_LIMIT,           -31,    413, "multipart form exceeds a limit")                     \
    X(VV_E_PATTERN,              -40,      0, "a route's pattern is malformed")                     \
    X(VV_E_CONFLICT,             -41,      0, "two routes match the same requests")
/* clang-format on */

typedef enum vv_status {
#define X(name, number, answer, text) name = number,
    VV_STATUS_TABLE(X)
#undef X
} vv_status;

static inline int
vv_failed(vv_status status)
{
    return status < 0;
}

/* The HTTP status code with which a failure is answered; 0 if no answer is owed. */
int vv_status_answer(vv_status status);

/* The meaning, as logged. Never NULL; static. */
const char *vv_status_text(vv_status status);

#endif
