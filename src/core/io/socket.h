/* Sockets, for programs on the core alone and for what the binding asks of one.
 *
 * Threads     none.
 */
#ifndef VV_IO_SOCKET_H
#define VV_IO_SOCKET_H

#include "core/compiler.h"
#include "core/io/address.h"
#include "core/status.h"

struct sockaddr;

/* Binds and listens on a numeric host ("127.0.0.1", "::1"); non-blocking, closed on exec, without Nagle's delay.
 * VV_OK with *fd, or VV_E_SYSTEM (errno tells). */
VV_NODISCARD vv_status vv_socket_listen(const char *host, uint16_t port, int backlog, int *fd);

/* Makes an address of what accept() gave. */
void vv_address_from(vv_address *out, const struct sockaddr *from);

/* Whether an errno of accept() or socket() means that descriptors or memory have run out. */
int vv_socket_is_exhaustion(int error);

/* The port that a socket is bound to; 0 where there is none. */
uint16_t vv_socket_port(int fd);

#endif
