/* What the kernel alone costs: `null_epoll PORT REQUEST_BYTES` reads, counts bytes, and answers every REQUEST_BYTES of
 * them with the same prepared bytes, one send a receive. No parser, no route, no date: no server on epoll can do less.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "null_answer.h"

enum { EVENTS = 256, DESCRIPTORS = 1 << 16 };

static char received[64 * 1024];
static size_t rest[DESCRIPTORS]; /* bytes of a request that has come in part */

static void
accept_all(int listening, int epoll)
{
    const int on = 1;
    for (int fd; (fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (fd >= DESCRIPTORS || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
            close(fd);
        else
            rest[fd] = 0;
    }
}

static void
serve(int fd, size_t request_bytes)
{
    ssize_t count = recv(fd, received, sizeof received, 0);
    if (count <= 0) {
        if (count == 0 || errno != EAGAIN)
            close(fd);
        return;
    }
    size_t bytes = rest[fd] + (size_t)count, requests = bytes / request_bytes;
    rest[fd] = bytes % request_bytes;
    if (requests > 0 && send(fd, null_answers(requests), requests * NULL_ANSWER_BYTES, MSG_NOSIGNAL) < 0)
        close(fd);
}

int
main(int argc, char **argv)
{
    int listening = null_listen(argc, argv), epoll = epoll_create1(0);
    size_t request_bytes = strtoul(argv[2], NULL, 10);
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN, .data.fd = listening};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listening, &event);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++)
            if (events[i].data.fd == listening)
                accept_all(listening, epoll);
            else
                serve(events[i].data.fd, request_bytes);
    }
}
