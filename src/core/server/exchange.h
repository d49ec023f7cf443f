/* Requests and their answers, in order. An answer that can be given at once is written straight into the output of
 * the connection, and no object exists for it. Only an answer that must wait is an exchange: it holds the place in the
 * order, and answers behind it wait in it or in exchanges of their own.
 *
 * Ownership   an exchange belongs to its connection. Whoever holds one may use it until it has answered, or until
 *             on_gone() is called for it, whichever comes first.
 * Threads     none: everything happens on the loop of the connection.
 * Cost        an immediate answer: none but its bytes. A held one: a recycled struct, and a buffer while it is
 *             finished but not first.
 */
#ifndef VV_SERVER_EXCHANGE_H
#define VV_SERVER_EXCHANGE_H

#include "core/compiler.h"
#include "core/http1/write.h"
#include "core/io/address.h"

typedef struct vv_conn vv_conn;
typedef struct vv_exchange vv_exchange;

/* Answers the request that on_request() was called for, now. */
void vv_conn_reply(vv_conn *conn, const vv_reply *reply);

/* Answers it with the status code and its reason phrase as text. */
void vv_conn_reply_status(vv_conn *conn, int status);

/* Puts the answer off. `owner` is what on_gone() and on_left() are told. NULL when the connection is closed already, or
 * now, as memory is out: the request has had its answer then, which is none. */
vv_exchange *vv_conn_hold(vv_conn *conn, void *owner);

/* Asks for on_left() once the answer has left. Before vv_exchange_reply(). */
void vv_exchange_notify(vv_exchange *exchange);

/* Answers a held exchange, whatever finished first: the engine keeps the order. Ends its use by the holder. */
void vv_exchange_reply(vv_exchange *exchange, const vv_reply *reply);

const vv_address *vv_conn_peer(const vv_conn *conn);
int vv_conn_fd(const vv_conn *conn);
/* Closes the connection without a further byte; held exchanges get on_gone(). */
void vv_conn_abort(vv_conn *conn);
/* Closes it once the answers of the requests in flight have left. */
void vv_conn_finish(vv_conn *conn);

#endif
