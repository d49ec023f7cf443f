/* The body of a request that is too long for memory: it goes to a temporary file while it arrives, and if it is a form,
 * that is taken apart on the way. So no request needs more memory than limit_body_memory_bytes, and whoever reads the
 * form does not wait for a second look at all of it.
 *
 * Ownership   vv_long_body_open() / vv_long_body_close(), or vv_server_take_body().
 * Threads     none.
 * Cost        a write() a piece, and for forms a memchr() over it.
 */
#ifndef VV_SERVER_LONG_BODY_H
#define VV_SERVER_LONG_BODY_H

#include "core/form/form.h"
#include "core/http1/request.h"
#include "core/io/spool.h"
#include "core/server/limits.h"

typedef struct vv_long_body {
    vv_spool *spool; /* owned; NULL: there is none */
    vv_form *form;   /* owned; NULL: it is no form of several parts */
} vv_long_body;

/* The limits of a form. */
vv_form_limits vv_limits_of_forms(const vv_limits *limits);

/* Begins one. VV_OK, or as vv_spool_new(). */
VV_NODISCARD vv_status vv_long_body_open(vv_long_body *body, const char *directory, const vv_http1_request *req,
                                         const vv_limits *limits);
void vv_long_body_close(vv_long_body *body); /* fine when there is none */

/* The next bytes. VV_OK, or as vv_spool_append(). */
VV_NODISCARD vv_status vv_long_body_append(vv_long_body *body, vv_span bytes);

#endif
