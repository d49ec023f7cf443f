/* A server, its app and its clients on one stage: real sockets, one thread, turn by turn, on a clock that the test
 * moves.
 *
 * What a client hears is one line of text: "200 hello, 404 Not Found (close), end". The app does what the path says:
 *
 *   GET /say/{text:path}   answers the text at once
 *   GET /hold/{name}       holds; answer(stage, "name") answers its name
 *   GET /note/{name}       the same, and wants to be told when the answer has left
 *   GET /close/{name}      answers the name at once and ends the connection
 *   GET /big/{bytes:int}   answers so many bytes at once
 *   GET /abort, /finish    ends the connection by vv_conn_abort(), vv_conn_finish(), and answers
 *   GET /drop              ends the connection by vv_conn_abort(), and tries to hold
 *   POST /echo             answers the body
 *   POST /leave            answers without a look at the body
 *   POST /most             answers the body, which may be no longer than stage.route_limit
 */
#ifndef VV_TESTS_SERVER_STAGE_H
#define VV_TESTS_SERVER_STAGE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/io/loop_backend.h" /* its clock */
#include "core/io/socket.h"
#include "core/server/conn.h"
#include "core/server/server.h"

#define GET(path)        "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define LENGTH_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { STAGE_HELD = 1024, STAGE_BIG = 4 * 1024 * 1024, STAGE_HEARD = 64 * 1024 };

typedef struct held {
    vv_exchange *exchange; /* NULL once answered or gone */
    char name[32];
} held;

typedef struct stage {
    vv_loop *loop;
    vv_router *router;
    vv_server *server;
    int listening;
    int64_t later_ms; /* added to the loop's clock */
    held held[STAGE_HELD];
    size_t held_count;
    char told[1024]; /* "gone a, left b, refused 400" */
    size_t asked;    /* requests that the app saw */
    size_t spooled;  /* bodies that came in a file */
    uint64_t route_limit;
} stage;

typedef struct client {
    int fd;
    int head_only; /* it asks with HEAD: no answer has a body */
    uint8_t *got;
    size_t got_len, got_room;
    int ended; /* 1: an orderly end, -1: a reset */
} client;

/* ---- the app ---------------------------------------------------------------------------------------------------- */

static uint8_t stage_big[STAGE_BIG];

static inline void
tell(stage *s, const char *what, const char *whom)
{
    size_t len = strlen(s->told);
    assert_true(len + strlen(what) + strlen(whom) + 4 < sizeof s->told);
    snprintf(s->told + len, sizeof s->told - len, "%s%s %s", len > 0 ? ", " : "", what, whom);
}

static inline void
reply_text(vv_conn *conn, vv_span text, int close)
{
    vv_conn_reply(conn, &(vv_reply){.status = 200, .body = text, .close = (uint8_t)close});
}

static inline void
hold(stage *s, vv_conn *conn, vv_span name, int notify)
{
    assert_true(s->held_count < STAGE_HELD && name.len < sizeof s->held[0].name);
    held *h = &s->held[s->held_count++];
    memcpy(h->name, name.at, name.len);
    h->name[name.len] = '\0';
    h->exchange = vv_conn_hold(conn, h);
    assert_non_null(h->exchange);
    assert_ptr_equal(h->exchange->conn, conn);
    if (notify)
        vv_exchange_notify(h->exchange);
}

/* The body may lie in a file. */
static inline void
echo(stage *s, vv_conn *conn, vv_span body)
{
    vv_spool *spool;
    vv_form *form;
    if (body.at != NULL) {
        reply_text(conn, body, 0);
        return;
    }
    vv_server_take_body(s->server, &spool, &form);
    assert_true(vv_spool_len(spool) == body.len);
    uint8_t *bytes = malloc(body.len);
    assert_int_equal(vv_spool_read(spool, 0, bytes, body.len), VV_OK);
    reply_text(conn, vv_span_of(bytes, body.len), 0);
    free(bytes);
    vv_spool_free(spool);
    vv_form_free(form);
    s->spooled++;
}

static inline void
stage_on_request(void *self, vv_conn *conn, const vv_http1_request *request, vv_span body, vv_span path,
                 const vv_match *match)
{
    stage *s = self;
    const char *does = vv_route_data(match->route);
    vv_span name = {0};
    if (match->count > 0)
        name = vv_span_of(path.at + match->params[0].at, match->params[0].len);
    s->asked++;
    if (strcmp(does, "say") == 0) {
        reply_text(conn, name, 0);
    } else if (strcmp(does, "hold") == 0 || strcmp(does, "note") == 0) {
        hold(s, conn, name, does[0] == 'n');
    } else if (strcmp(does, "close") == 0) {
        reply_text(conn, name, 1);
    } else if (strcmp(does, "big") == 0) {
        size_t bytes = strtoul((const char *)name.at, NULL, 10);
        assert_true(bytes <= STAGE_BIG);
        reply_text(conn, vv_span_of(stage_big, bytes), 0);
    } else if (strcmp(does, "abort") == 0) {
        vv_conn_abort(conn);
        reply_text(conn, name, 0); /* does nothing any more */
    } else if (strcmp(does, "drop") == 0) {
        vv_conn_abort(conn);
        assert_null(vv_conn_hold(conn, NULL));
    } else if (strcmp(does, "finish") == 0) {
        vv_conn_finish(conn);
        reply_text(conn, vv_span_text("bye"), 0);
    } else if (strcmp(does, "leave") == 0) {
        reply_text(conn, vv_span_text("left"), 0);
    } else {
        assert_true(strcmp(does, "echo") == 0 || strcmp(does, "most") == 0);
        echo(s, conn, body);
    }
}

static inline uint64_t
stage_body_limit(void *self, const vv_route *route)
{
    return strcmp(vv_route_data(route), "most") == 0 ? ((stage *)self)->route_limit : 0;
}

static inline void
stage_on_gone(void *self, void *owner)
{
    held *h = owner;
    tell(self, "gone", h->name);
    assert_non_null(h->exchange);
    h->exchange = NULL;
}

static inline void
stage_on_left(void *self, void *owner)
{
    held *h = owner;
    tell(self, "left", h->name);
    assert_null(h->exchange);
}

static inline void
stage_on_refused(void *self, vv_conn *conn, vv_status why, int code)
{
    char number[12];
    assert_int_equal(vv_status_answer(why), code);
    snprintf(number, sizeof number, "%d", code);
    tell(self, "refused", number);
}

/* ---- the stage -------------------------------------------------------------------------------------------------- */

static inline void
stage_route(stage *s, const char *method, const char *pattern, const char *does)
{
    vv_span name = vv_span_text(method);
    vv_route *route;
    assert_int_equal(vv_router_add(s->router, vv_span_text(pattern), &name, 1, (void *)(uintptr_t)does, &route, NULL),
                     VV_OK);
}

static inline void
stage_open(stage *s, const vv_limits *limits)
{
    *s = (stage){.later_ms = 0};
    assert_int_equal(vv_router_new(&s->router), VV_OK);
    stage_route(s, "GET", "/say/{text:path}", "say");
    stage_route(s, "GET", "/hold/{name}", "hold");
    stage_route(s, "GET", "/note/{name}", "note");
    stage_route(s, "GET", "/close/{name}", "close");
    stage_route(s, "GET", "/big/{bytes:int}", "big");
    stage_route(s, "GET", "/abort", "abort");
    stage_route(s, "GET", "/drop", "drop");
    stage_route(s, "GET", "/finish", "finish");
    stage_route(s, "POST", "/echo", "echo");
    stage_route(s, "POST", "/leave", "leave");
    stage_route(s, "POST", "/most", "most");
    assert_int_equal(vv_router_compile(s->router), VV_OK);

    vv_limits usual = vv_limits_default();
    vv_app app = {.self = s,
                  .on_request = stage_on_request,
                  .on_gone = stage_on_gone,
                  .on_left = stage_on_left,
                  .on_refused = stage_on_refused,
                  .body_limit = stage_body_limit};
    const char *io = getenv("VIVACE_IO");
    vv_loop_kind kind = io != NULL && strcmp(io, "epoll") == 0 ? VV_LOOP_EPOLL : VV_LOOP_AUTO;
    assert_int_equal(vv_loop_open(&s->loop, kind, &(vv_loop_events){.self = s}), VV_OK);
    assert_int_equal(vv_server_new(&s->server, s->loop, &app, s->router, limits != NULL ? limits : &usual), VV_OK);
    assert_int_equal(vv_socket_listen("127.0.0.1", 0, 1024, &s->listening), VV_OK);
    /* The kernel takes little, so that what we keep ourselves is tested. Accepted sockets inherit it. */
    setsockopt(s->listening, SOL_SOCKET, SO_SNDBUF, &(int){64 * 1024}, sizeof(int));
    assert_int_equal(vv_server_listen(s->server, s->listening, 0), VV_OK);
}

/* One turn of the program; how many events it had. */
static inline int
turn(stage *s, int timeout_ms)
{
    vv_server_flush(s->server);
    int count = vv_loop_wait(s->loop, timeout_ms);
    assert_true(count >= 0);
    s->loop->now_ms += s->later_ms;
    vv_server_turn(s->server);
    vv_loop_dispatch(s->loop);
    vv_server_flush(s->server);
    return count;
}

/* Turns until nothing more seems to happen. A busy kernel may deliver later: whoever expects something says
 * WAIT_FOR(). */
static inline void
turns(stage *s)
{
    while (turn(s, 0) > 0)
        continue;
}

/* Turns until the condition holds; gives up after some seconds. */
#define WAIT_FOR(stage, condition)                                                                                     \
    for (int patience = 2000; !(condition) && patience > 0; patience--)                                                \
    turn(stage, 2)

/* Lets time pass, in steps that a program would take. */
static inline void
pass(stage *s, int ms)
{
    for (; ms > 0; ms -= 250) {
        s->later_ms += 250;
        turn(s, 0);
    }
    turns(s);
}

static inline held *
find_held(stage *s, const char *name)
{
    for (size_t i = 0; i < s->held_count; i++)
        if (s->held[i].exchange != NULL && strcmp(s->held[i].name, name) == 0)
            return &s->held[i];
    return NULL;
}

static inline void
answer_with(stage *s, const char *name, const vv_reply *reply)
{
    held *h;
    turns(s);
    WAIT_FOR(s, (h = find_held(s, name)) != NULL);
    if (h == NULL)
        fail_msg("nothing is held as \"%s\"", name);
    vv_exchange *exchange = h->exchange;
    h->exchange = NULL; /* before: on_left() may come at once */
    vv_exchange_reply(exchange, reply);
}

static inline void
answer(stage *s, const char *name)
{
    vv_reply reply = {.status = 200, .body = vv_span_text(name)};
    answer_with(s, name, &reply);
}

static inline void
stage_close(stage *s)
{
    vv_server_free(s->server);
    vv_loop_close(s->loop);
    vv_router_free(s->router);
    close(s->listening);
}

/* What the app was told since the last question. Waits for as much as is expected. */
static inline const char *
told(stage *s, const char *expected)
{
    static char copy[sizeof s->told];
    WAIT_FOR(s, strlen(s->told) >= strlen(expected));
    memcpy(copy, s->told, sizeof copy);
    s->told[0] = '\0';
    return copy;
}

/* ---- clients ---------------------------------------------------------------------------------------------------- */

/* A client that is connected, and not accepted yet. */
static inline client
client_queue_sized(stage *s, int receive_bytes)
{
    client c = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(vv_socket_port(s->listening)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(c.fd >= 0);
    if (receive_bytes > 0)
        setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    assert_true(connect(c.fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS);
    return c;
}

static inline client
client_queue(stage *s)
{
    client c = client_queue_sized(s, 0);
    assert_int_equal(poll(&(struct pollfd){.fd = c.fd, .events = POLLOUT}, 1, 5000), 1);
    return c;
}

static inline client
client_open_sized(stage *s, int receive_bytes)
{
    client c = client_queue_sized(s, receive_bytes);
    turns(s);
    return c;
}

static inline client
client_open(stage *s)
{
    return client_open_sized(s, 0);
}

static inline void
client_close(stage *s, client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    free(c->got);
    *c = (client){.fd = -1};
    turns(s);
}

/* Goes away with a reset. */
static inline void
client_reset(stage *s, client *c)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    client_close(s, c);
}

static inline void
say_bytes(stage *s, client *c, const void *bytes, size_t len)
{
    assert_int_equal(send(c->fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* More than the kernel takes at once. */
static inline void
say_much(stage *s, client *c, const uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t sent = send(c->fd, bytes + at, len - at, MSG_NOSIGNAL);
        assert_true(sent > 0 || errno == EAGAIN);
        at += sent > 0 ? (size_t)sent : 0;
        turn(s, 0);
    }
}

static inline void
say(stage *s, client *c, const char *text)
{
    say_bytes(s, c, text, strlen(text));
    turns(s);
}

/* Takes what has come. How many bytes. */
static inline size_t
take_bytes(client *c)
{
    size_t before = c->got_len;
    for (;;) {
        if (c->got_room - c->got_len < STAGE_HEARD) {
            c->got_room = c->got_room * 2 + STAGE_HEARD;
            c->got = realloc(c->got, c->got_room + 1);
            assert_non_null(c->got);
        }
        ssize_t count = recv(c->fd, c->got + c->got_len, c->got_room - c->got_len, 0);
        if (count > 0) {
            c->got_len += (size_t)count;
            continue;
        }
        if (count == 0)
            c->ended = 1;
        else if (errno == ECONNRESET || errno == EPIPE)
            c->ended = -1;
        c->got[c->got_len] = '\0';
        return c->got_len - before;
    }
}

/* The length of the answer at `at` with its line of text in `line`; 0 when it is not whole. */
static inline size_t
one_answer(const client *c, const char *at, size_t len, char *line, size_t room)
{
    const char *end = strstr(at, "\r\n\r\n");
    if (end == NULL)
        return 0;
    size_t head = (size_t)(end - at) + 4, body = 0;
    int status = 0;
    assert_int_equal(sscanf(at, "HTTP/1.1 %3d ", &status), 1);
    const char *field = memmem(at, head, "\r\nContent-Length: ", 18);
    if (field != NULL && !c->head_only)
        body = strtoul(field + 18, NULL, 10);
    assert_true(status == 100 || memmem(at, head, "\r\nDate: ", 8) != NULL);
    assert_true(field != NULL || status < 200 || status == 204 || status == 304);
    if (len - head < body)
        return 0;
    const char *close = memmem(at, head, "\r\nConnection: close\r\n", 21) != NULL ? " (close)" : "";
    if (body > 64)
        snprintf(line, room, "%d [%zu]%s", status, body, close);
    else
        snprintf(line, room, "%d%s%.*s%s", status, body > 0 ? " " : "", (int)body, at + head, close);
    return head + body;
}

/* Adds to `text` what the client has got in whole answers. */
static inline void
read_answers(client *c, char *text)
{
    char line[256];
    size_t at = 0, len;
    while (at < c->got_len && (len = one_answer(c, (char *)c->got + at, c->got_len - at, line, sizeof line)) > 0) {
        assert_true(strlen(text) + sizeof line < STAGE_HEARD);
        strcat(strcat(text, *text != '\0' ? ", " : ""), line);
        at += len;
    }
    c->got_len -= at;
    memmove(c->got, c->got + at, c->got_len + 1); /* with the NUL */
}

/* What the client has heard since it was last asked. Waits for as much as is expected; then a little, for more. */
static inline const char *
heard(stage *s, client *c, const char *expected)
{
    static char text[STAGE_HEARD];
    text[0] = '\0';
    for (int patience = 2000, quiet = 0, missing = 0; patience > 0 && quiet < 2; patience--) {
        int events = turn(s, missing);
        size_t taken = take_bytes(c);
        read_answers(c, text);
        missing = strlen(text) + (c->ended != 0 ? 5 : 0) < strlen(expected);
        quiet = events > 0 || taken > 0 || missing ? 0 : quiet + 1;
    }
    if (c->got_len > 0 && c->ended != 0)
        strcat(strcat(text, *text != '\0' ? ", " : ""), "cut");
    if (c->ended != 0)
        strcat(strcat(text, *text != '\0' ? ", " : ""), c->ended > 0 ? "end" : "reset");
    return text;
}

#define assert_hears(stage, client, text) assert_string_equal(heard(stage, client, text), text)
#define assert_told(stage, text)          assert_string_equal(told(stage, text), text)

/* So many connections are open, so many requests have been asked. */
#define assert_open(stage, count)                                                                                      \
    do {                                                                                                               \
        WAIT_FOR(stage, vv_server_connections((stage)->server) == (count));                                            \
        assert_int_equal(vv_server_connections((stage)->server), count);                                               \
    } while (0)
#define assert_asked(stage, count)                                                                                     \
    do {                                                                                                               \
        WAIT_FOR(stage, (stage)->asked >= (count));                                                                    \
        assert_int_equal((stage)->asked, count);                                                                       \
    } while (0)

#endif
