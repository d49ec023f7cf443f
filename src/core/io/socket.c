#include "core/io/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Both families in one, without punning. */
typedef union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} any_address;

static socklen_t
resolve(const char *host, uint16_t port, any_address *out)
{
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        return sizeof out->v4;
    }
    if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        return sizeof out->v6;
    }
    return 0;
}

vv_status
vv_socket_listen(const char *host, uint16_t port, int backlog, int *fd_out)
{
    any_address address;
    socklen_t len = resolve(host, port, &address);
    if (len == 0) {
        errno = EINVAL;
        return VV_E_SYSTEM;
    }
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return VV_E_SYSTEM;

    const int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        goto close_fd;
    /* Accepted sockets inherit it, which spares a call for each. */
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        goto close_fd;
    if (bind(fd, &address.any, len) < 0 || listen(fd, backlog) < 0)
        goto close_fd;
    *fd_out = fd;
    return VV_OK;

close_fd:
    close(fd);
    return VV_E_SYSTEM;
}

uint16_t
vv_socket_port(int fd)
{
    any_address address;
    socklen_t len = sizeof address;
    if (getsockname(fd, &address.any, &len) < 0)
        return 0;
    if (address.any.sa_family == AF_INET)
        return ntohs(address.v4.sin_port);
    if (address.any.sa_family == AF_INET6)
        return ntohs(address.v6.sin6_port);
    return 0;
}

int
vv_socket_is_exhaustion(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

void
vv_address_from(vv_address *out, const struct sockaddr *from)
{
    memset(out, 0, sizeof *out);
    if (from->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof v4);
        memcpy(out->bytes, &v4.sin_addr, 4);
        out->port = ntohs(v4.sin_port);
        out->family = VV_FAMILY_IPV4;
    } else if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, from, sizeof v6);
        memcpy(out->bytes, &v6.sin6_addr, 16);
        out->port = ntohs(v6.sin6_port);
        out->family = VV_FAMILY_IPV6;
    } else if (from->sa_family == AF_UNIX) {
        out->family = VV_FAMILY_UNIX;
    }
}

size_t
vv_address_text(const vv_address *address, char *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const char *text = NULL;
    if (address->family == VV_FAMILY_IPV4)
        text = inet_ntop(AF_INET, address->bytes, out, VV_ADDRESS_TEXT_BYTES);
    else if (address->family == VV_FAMILY_IPV6 && memcmp(address->bytes, mapped, sizeof mapped) == 0)
        text = inet_ntop(AF_INET, address->bytes + sizeof mapped, out, VV_ADDRESS_TEXT_BYTES);
    else if (address->family == VV_FAMILY_IPV6)
        text = inet_ntop(AF_INET6, address->bytes, out, VV_ADDRESS_TEXT_BYTES);
    if (text == NULL) {
        *out = '\0';
        return 0;
    }
    return strlen(text);
}
