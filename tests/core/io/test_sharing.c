/* core/io: several loops, which stand for as many processes, accept on one socket. On every back-end there is. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/io/loop.h"
#include "core/io/socket.h"

/* A loop that accepts. */
typedef struct house {
    vv_listener door; /* first: the loop's view is cast to ours */
    vv_loop *loop;
    int guests;
} house;

static void
on_accept(vv_listener *listener, int fd, const vv_address *peer)
{
    ((house *)listener)->guests++;
    close(fd);
}

static void
on_exhausted(vv_listener *listener)
{
}

static const vv_loop_kind kinds[] = {VV_LOOP_EPOLL, VV_LOOP_URING};

#define FOR_EACH_KIND(kind)                                                                                            \
    for (const vv_loop_kind *kind = kinds; kind < kinds + sizeof kinds / sizeof kinds[0]; kind++)                      \
        if (vv_loop_offers(*kind))

static void
turn(house *h, int timeout_ms)
{
    vv_loop_wait(h->loop, timeout_ms);
    vv_loop_dispatch(h->loop);
}

static void
open_house(house *h, vv_loop_kind kind, int fd)
{
    static const vv_loop_events nobody;
    *h = (house){.door = {.on_accept = on_accept, .on_exhausted = on_exhausted, .fd = fd}};
    assert_int_equal(vv_loop_open(&h->loop, kind, &nobody), VV_OK);
    assert_int_equal(vv_loop_listen(h->loop, &h->door, 1), VV_OK);
    turn(h, 0); /* from here on it is woken */
}

static void
close_house(house *h)
{
    if (h->door.fd >= 0)
        vv_loop_unlisten(h->loop, &h->door);
    vv_loop_close(h->loop);
}

static int
knock(int listening)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(vv_socket_port(listening)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void
let_in_by_one(vv_loop_kind kind)
{
    house houses[3];
    int listening;
    assert_int_equal(vv_socket_listen("127.0.0.1", 0, 16, &listening), VV_OK);
    for (int i = 0; i < 3; i++)
        open_house(&houses[i], kind, listening);
    for (int guests = 1; guests <= 6; guests++) {
        int client = knock(listening), let_in = 0;
        for (int turns = 0; turns < 1000 && let_in < guests; turns++) {
            let_in = 0;
            for (int i = 0; i < 3; i++) {
                turn(&houses[i], 1);
                let_in += houses[i].guests;
            }
        }
        assert_int_equal(let_in, guests);
        close(client);
    }
    for (int i = 0; i < 3; i++)
        close_house(&houses[i]);
    close(listening);
}

static void
who_comes_is_let_in_by_one(void **state)
{
    FOR_EACH_KIND(kind)
    let_in_by_one(*kind);
}

/* Of those who wait the kernel wakes the one that has waited longest. Once that has stopped it is woken no more. */
static void
stop(vv_loop_kind kind, void (*way)(vv_loop *, vv_listener *))
{
    house first, second;
    int listening;
    assert_int_equal(vv_socket_listen("127.0.0.1", 0, 16, &listening), VV_OK);
    open_house(&first, kind, listening);
    open_house(&second, kind, listening);
    way(first.loop, &first.door);
    int client = knock(listening);
    for (int turns = 0; turns < 100 && second.guests == 0; turns++)
        turn(&second, 20);
    assert_int_equal(second.guests, 1);
    assert_int_equal(first.guests, 0);
    close(client);
    close_house(&first);
    close_house(&second);
    close(listening);
}

static void
who_stops_takes_no_wake_up_from_the_others(void **state)
{
    FOR_EACH_KIND(kind)
    {
        stop(*kind, vv_loop_listen_pause);
        stop(*kind, vv_loop_accept_last);
        stop(*kind, vv_loop_unlisten);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_is_let_in_by_one),
        cmocka_unit_test(who_stops_takes_no_wake_up_from_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
