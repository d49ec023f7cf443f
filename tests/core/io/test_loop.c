/* core/io/loop: here are bytes, these were sent, that is the end; over real sockets, on every back-end there is. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/io/loop.h"
#include "core/io/socket.h"

/* A stream with the other end in the test's hand, and a diary. */
typedef struct end {
    vv_stream stream;
    vv_loop *loop;
    int far;
    char diary[256];
    void (*also)(struct end *end); /* done when bytes arrive */
    struct end *other;
} end;

static void
note(end *e, const char *what, size_t len)
{
    size_t used = strlen(e->diary);
    snprintf(e->diary + used, sizeof e->diary - used, "%s%.*s", used > 0 ? " " : "", (int)len, what);
}

static void
on_bytes(vv_stream *stream, uint8_t *bytes, size_t len)
{
    end *e = (end *)stream;
    note(e, (const char *)bytes, len);
    memset(bytes, '#', len); /* it is ours to overwrite */
    if (e->also != NULL)
        e->also(e);
}

static void
on_end(vv_stream *stream)
{
    note((end *)stream, "END", 3);
    vv_loop_pause(((end *)stream)->loop, stream);
}

static void
on_sent(vv_stream *stream, size_t sent)
{
    note((end *)stream, "SENT", 4);
}

static void
on_lost(vv_stream *stream)
{
    note((end *)stream, "LOST", 4);
    vv_loop_drop(((end *)stream)->loop, stream);
}

static const vv_stream_events events = {.on_bytes = on_bytes, .on_end = on_end, .on_sent = on_sent, .on_lost = on_lost};

static void
on_ready(void *self, int fd, unsigned ready)
{
    unsigned *seen = self;
    *seen = (unsigned)fd << 8 | ready;
}

static unsigned watched;

static vv_loop *
open_loop(void)
{
    vv_loop *loop;
    assert_int_equal(vv_loop_open(&loop, VV_LOOP_EPOLL, &(vv_loop_events){.self = &watched, .on_ready = on_ready}),
                     VV_OK);
    assert_string_equal(vv_loop_name(loop), "epoll");
    return loop;
}

static void
open_end(vv_loop *loop, end *e)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    *e = (end){.stream = {.on = &events, .fd = pair[0]}, .loop = loop, .far = pair[1]};
    assert_int_equal(vv_loop_add(loop, &e->stream), VV_OK);
}

static void
close_end(end *e)
{
    vv_loop_drop(e->loop, &e->stream);
    assert_int_equal(e->stream.fd, -1);
    vv_loop_drop(e->loop, &e->stream); /* once more: fine */
    if (e->far >= 0)
        close(e->far);
}

static int
turn(vv_loop *loop)
{
    int count = vv_loop_wait(loop, 0);
    vv_loop_dispatch(loop);
    return count;
}

static void
far_says(end *e, const char *text)
{
    assert_int_equal(write(e->far, text, strlen(text)), (ssize_t)strlen(text));
}

static void
bytes_arrive_and_the_end_is_told(void **state)
{
    vv_loop *loop = open_loop();
    end e;
    open_end(loop, &e);
    assert_int_equal(turn(loop), 0);
    far_says(&e, "one");
    assert_int_equal(turn(loop), 1);
    far_says(&e, "two");
    shutdown(e.far, SHUT_WR);
    turn(loop);
    turn(loop);
    assert_string_equal(e.diary, "one two END");
    assert_int_equal(turn(loop), 0);

    size_t sent;
    assert_int_equal(vv_loop_send(loop, &e.stream, vv_span_text("still here"), &sent), VV_OK);
    assert_int_equal(sent, 10);
    vv_loop_shut(loop, &e.stream);
    char got[32];
    assert_int_equal(read(e.far, got, sizeof got), 10);
    assert_int_equal(read(e.far, got, sizeof got), 0);
    close_end(&e);
    vv_loop_close(loop);
    vv_loop_close(NULL);
}

static void
a_paused_stream_is_left_alone(void **state)
{
    vv_loop *loop = open_loop();
    end e;
    open_end(loop, &e);
    vv_loop_pause(loop, &e.stream);
    vv_loop_pause(loop, &e.stream);
    far_says(&e, "later");
    assert_int_equal(turn(loop), 0);
    vv_loop_resume(loop, &e.stream);
    turn(loop);
    assert_string_equal(e.diary, "later");
    close_end(&e);
    vv_loop_close(loop);
}

static void
end_turn(end *e)
{
    vv_loop_end_turn(e->loop);
}

/* Whoever ends the turn is the last that is served in it. The others are served in the next ones, nobody twice. */
static void
a_turn_that_is_ended_leaves_the_rest_for_the_next(void **state)
{
    enum { ENDS = 9 };
    vv_loop *loop = open_loop();
    end ends[ENDS];
    for (size_t i = 0; i < ENDS; i++) {
        open_end(loop, &ends[i]);
        ends[i].also = i % 3 == 2 ? end_turn : NULL;
        far_says(&ends[i], "once");
    }
    for (size_t turns = 1; turns <= 3; turns++) {
        turn(loop);
        size_t served = 0;
        for (size_t i = 0; i < ENDS; i++)
            served += strcmp(ends[i].diary, "once") == 0;
        assert_int_equal(served, turns * 3);
    }
    assert_int_equal(turn(loop), 0);
    for (size_t i = 0; i < ENDS; i++) {
        ends[i].also = NULL;
        far_says(&ends[i], "again");
    }
    for (int turns = 0; turns < 3; turns++)
        turn(loop);
    for (size_t i = 0; i < ENDS; i++) {
        assert_string_equal(ends[i].diary, "once again");
        close_end(&ends[i]);
    }
    vv_loop_close(loop);
}

static void
pause_other(end *e)
{
    vv_loop_pause(e->loop, &e->other->stream);
}

static void
drop_other(end *e)
{
    vv_loop_drop(e->loop, &e->other->stream);
}

static void
what_one_stream_does_to_another_holds_at_once(void **state)
{
    void (*const deeds[])(end *) = {pause_other, drop_other};
    for (size_t i = 0; i < 2; i++) {
        vv_loop *loop = open_loop();
        end a, b;
        open_end(loop, &a);
        open_end(loop, &b);
        a.also = b.also = deeds[i];
        a.other = &b;
        b.other = &a;
        far_says(&a, "a");
        far_says(&b, "b");
        assert_int_equal(turn(loop), 2); /* both are found, the first one served stops the other */
        assert_int_equal(strlen(a.diary) + strlen(b.diary), 1);
        close_end(&a);
        close_end(&b);
        vv_loop_close(loop);
    }
}

static void
a_full_socket_takes_the_rest_later(void **state)
{
    enum { BYTES = 1 << 20 };
    static uint8_t many[BYTES], got[BYTES];
    vv_loop *loop = open_loop();
    end e;
    open_end(loop, &e);
    memset(many, 'm', sizeof many);
    size_t at, taken = 0, sent;
    assert_int_equal(vv_loop_send(loop, &e.stream, vv_span_of(many, BYTES), &at), VV_AGAIN);
    assert_true(at > 0 && at < BYTES);
    turn(loop);
    assert_string_equal(e.diary, "");
    for (int turns = 0; at < BYTES && turns < 10000; turns++) {
        ssize_t count = read(e.far, got + taken, BYTES - taken);
        taken += count > 0 ? (size_t)count : 0;
        e.diary[0] = '\0';
        turn(loop);
        if (strcmp(e.diary, "SENT") == 0) {
            (void)!vv_loop_send(loop, &e.stream, vv_span_of(many + at, BYTES - at), &sent);
            at += sent;
        }
    }
    assert_int_equal(at, BYTES);
    for (ssize_t count; (count = read(e.far, got + taken, BYTES - taken)) > 0;)
        taken += (size_t)count;
    assert_int_equal(taken, BYTES);
    assert_memory_equal(got, many, BYTES);
    e.diary[0] = '\0';
    assert_int_equal(turn(loop), 0); /* all sent: nothing to be told any more */
    close_end(&e);
    vv_loop_close(loop);
}

static void
a_peer_that_is_gone_is_told_of(void **state)
{
    vv_loop *loop = open_loop();
    end e;
    size_t sent;
    open_end(loop, &e);
    close(e.far);
    e.far = -1;
    assert_int_equal(vv_loop_send(loop, &e.stream, vv_span_text("hello?"), &sent), VV_E_CLOSED);
    close_end(&e);

    open_end(loop, &e);
    vv_loop_pause(loop, &e.stream);
    close(e.far);
    e.far = -1;
    turn(loop);
    assert_string_equal(e.diary, "LOST"); /* though it is paused */
    close_end(&e);
    vv_loop_close(loop);
}

/* ---- other people's descriptors --------------------------------------------------------------------------------- */

static void
watches_what_it_is_asked_to(void **state)
{
    vv_loop *loop = open_loop();
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    unsigned fd = (unsigned)pair[0];
    assert_int_equal(vv_loop_watch(loop, pair[0], VV_WATCH_READ), VV_OK);
    assert_int_equal(turn(loop), 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    watched = 0;
    turn(loop);
    assert_int_equal(watched, fd << 8 | VV_WATCH_READ);
    assert_int_equal(vv_loop_watch(loop, pair[0], VV_WATCH_WRITE), VV_OK);
    turn(loop);
    assert_int_equal(watched, fd << 8 | VV_WATCH_WRITE);
    assert_int_equal(vv_loop_watch(loop, pair[0], VV_WATCH_READ | VV_WATCH_WRITE), VV_OK);
    turn(loop);
    assert_int_equal(watched, fd << 8 | VV_WATCH_READ | VV_WATCH_WRITE);
    assert_int_equal(vv_loop_watch(loop, pair[0], 0), VV_OK);
    assert_int_equal(vv_loop_watch(loop, pair[0], 0), VV_OK);
    assert_int_equal(turn(loop), 0);
    assert_int_equal(vv_loop_watch(loop, -1, VV_WATCH_READ), VV_E_SYSTEM);
    assert_int_equal(errno, EBADF);

    /* Closed without a word, and its number used again. */
    assert_int_equal(vv_loop_watch(loop, pair[0], VV_WATCH_WRITE), VV_OK);
    close(pair[0]);
    assert_int_equal(dup(pair[1]), pair[0]);
    assert_int_equal(vv_loop_watch(loop, pair[0], VV_WATCH_READ), VV_OK);
    watched = 0;
    turn(loop);
    assert_int_equal(watched, fd << 8 | VV_WATCH_READ); /* its other end is closed */
    close(pair[0]);
    close(pair[1]);
    vv_loop_close(loop);
}

static void
a_stale_watch_does_not_touch_the_stream_that_has_its_number_now(void **state)
{
    vv_loop *loop = open_loop();
    int gone = dup(0);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(dup2(pair[0], gone), gone);
    assert_int_equal(vv_loop_watch(loop, gone, VV_WATCH_READ), VV_OK);
    close(pair[0]);
    close(pair[1]);
    close(gone);
    end e;
    open_end(loop, &e);
    assert_int_equal(e.stream.fd, gone);
    assert_int_equal(vv_loop_watch(loop, gone, 0), VV_OK); /* somebody tidies up late */
    far_says(&e, "heard");
    turn(loop);
    assert_string_equal(e.diary, "heard");
    close_end(&e);
    vv_loop_close(loop);
}

/* ---- accepting -------------------------------------------------------------------------------------------------- */

typedef struct door {
    vv_listener listener;
    int accepted[64], count, exhausted;
} door;

static void
on_accept(vv_listener *listener, int fd, const vv_address *peer)
{
    door *d = (door *)listener;
    assert_int_equal(peer->family, VV_FAMILY_IPV4);
    d->accepted[d->count++] = fd;
}

static void
on_exhausted(vv_listener *listener)
{
    ((door *)listener)->exhausted++;
}

static int
knock(const door *d)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(vv_socket_port(d->listener.fd)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void
turn_until(vv_loop *loop, const door *d, int count)
{
    for (int i = 0; i < 1000 && d->count < count; i++) {
        vv_loop_wait(loop, 2);
        vv_loop_dispatch(loop);
    }
    assert_int_equal(d->count, count);
}

static void
connections_are_accepted_and_wait_while_paused(void **state)
{
    for (int shared = 0; shared < 2; shared++) {
        vv_loop *loop = open_loop();
        door d = {.listener = {.on_accept = on_accept, .on_exhausted = on_exhausted}};
        int clients[3];
        assert_int_equal(vv_socket_listen("127.0.0.1", 0, 16, &d.listener.fd), VV_OK);
        int fd = d.listener.fd;
        assert_int_equal(vv_loop_listen(loop, &d.listener, shared), VV_OK);
        clients[0] = knock(&d);
        turn_until(loop, &d, 1);
        vv_loop_listen_pause(loop, &d.listener);
        vv_loop_listen_pause(loop, &d.listener);
        clients[1] = knock(&d);
        clients[2] = knock(&d);
        assert_int_equal(turn(loop), 0);
        vv_loop_listen_resume(loop, &d.listener);
        turn_until(loop, &d, 3);
        vv_loop_unlisten(loop, &d.listener);
        for (int i = 0; i < 3; i++) {
            close(d.accepted[i]);
            close(clients[i]);
        }
        close(fd);
        vv_loop_close(loop);
    }
}

static void
without_descriptors_it_pauses_and_says_so(void **state)
{
    vv_loop *loop = open_loop();
    door d = {.listener = {.on_accept = on_accept, .on_exhausted = on_exhausted}};
    assert_int_equal(vv_socket_listen("127.0.0.1", 0, 16, &d.listener.fd), VV_OK);
    int fd = d.listener.fd;
    assert_int_equal(vv_loop_listen(loop, &d.listener, 0), VV_OK);
    int client = knock(&d);
    struct rlimit before, tight;
    getrlimit(RLIMIT_NOFILE, &before);
    tight = (struct rlimit){.rlim_cur = (rlim_t)client + 1, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    for (int i = 0; i < 1000 && d.exhausted == 0; i++) {
        vv_loop_wait(loop, 2);
        vv_loop_dispatch(loop);
    }
    assert_int_equal(d.exhausted, 1);
    assert_int_equal(turn(loop), 0); /* it does not spin */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    vv_loop_listen_resume(loop, &d.listener);
    turn_until(loop, &d, 1);
    vv_loop_unlisten(loop, &d.listener);
    close(d.accepted[0]);
    close(client);
    close(fd);
    vv_loop_close(loop);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_and_the_end_is_told),
        cmocka_unit_test(a_paused_stream_is_left_alone),
        cmocka_unit_test(a_turn_that_is_ended_leaves_the_rest_for_the_next),
        cmocka_unit_test(what_one_stream_does_to_another_holds_at_once),
        cmocka_unit_test(a_full_socket_takes_the_rest_later),
        cmocka_unit_test(a_peer_that_is_gone_is_told_of),
        cmocka_unit_test(watches_what_it_is_asked_to),
        cmocka_unit_test(a_stale_watch_does_not_touch_the_stream_that_has_its_number_now),
        cmocka_unit_test(connections_are_accepted_and_wait_while_paused),
        cmocka_unit_test(without_descriptors_it_pauses_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
