/* core/io/socket: addresses as bytes and as text, and a socket that listens. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/io/socket.h"

static void
listens_as_a_server_should(void **state)
{
    int fd, on = 0;
    socklen_t len = sizeof on;
    assert_int_equal(vv_socket_listen("127.0.0.1", 0, 10, &fd), VV_OK);
    assert_true(vv_socket_port(fd) > 0);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    assert_int_equal(on, 1);

    int taken;
    assert_int_equal(vv_socket_listen("127.0.0.1", vv_socket_port(fd), 10, &taken), VV_E_SYSTEM);
    assert_int_equal(errno, EADDRINUSE);
    close(fd);

    assert_int_equal(vv_socket_listen("localhost", 0, 10, &fd), VV_E_SYSTEM); /* numbers only */
    assert_int_equal(errno, EINVAL);
    if (vv_socket_listen("::1", 0, 10, &fd) == VV_OK) { /* where there is IPv6 */
        assert_true(vv_socket_port(fd) > 0);
        close(fd);
    }
}

static void
only_some_sockets_have_a_port(void **state)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(vv_socket_port(pair[0]), 0);
    close(pair[0]);
    close(pair[1]);
    assert_int_equal(vv_socket_port(-1), 0);
}

static void
addresses_as_text(void **state)
{
    static const struct {
        int family;
        const char *in, *out;
    } rows[] = {
        {AF_INET, "192.0.2.1", "192.0.2.1"},
        {AF_INET6, "2001:db8::1", "2001:db8::1"},
        {AF_INET6, "::ffff:192.0.2.7", "192.0.2.7"},
        {AF_INET6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {AF_UNIX, "", ""},
        {AF_UNSPEC, "", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sockaddr_storage from = {.ss_family = (sa_family_t)rows[i].family};
        if (rows[i].family == AF_INET) {
            ((struct sockaddr_in *)&from)->sin_port = htons(4711);
            inet_pton(AF_INET, rows[i].in, &((struct sockaddr_in *)&from)->sin_addr);
        } else if (rows[i].family == AF_INET6) {
            ((struct sockaddr_in6 *)&from)->sin6_port = htons(4711);
            inet_pton(AF_INET6, rows[i].in, &((struct sockaddr_in6 *)&from)->sin6_addr);
        }
        vv_address address;
        char text[VV_ADDRESS_TEXT_BYTES];
        vv_address_from(&address, (struct sockaddr *)&from);
        assert_int_equal(vv_address_text(&address, text), strlen(rows[i].out));
        assert_string_equal(text, rows[i].out);
        assert_int_equal(address.port, rows[i].family == AF_INET || rows[i].family == AF_INET6 ? 4711 : 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listens_as_a_server_should),
        cmocka_unit_test(only_some_sockets_have_a_port),
        cmocka_unit_test(addresses_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
