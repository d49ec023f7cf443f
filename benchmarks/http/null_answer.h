/* What both null servers say, many times over, and where they listen. */
#ifndef VV_BENCH_NULL_ANSWER_H
#define VV_BENCH_NULL_ANSWER_H

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define NULL_ANSWER                                                                                                    \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 12\r\n\r\nHello world!"

enum { NULL_ANSWER_BYTES = sizeof NULL_ANSWER - 1, NULL_ANSWERS = 2048 };

/* `count` answers in a row; more than NULL_ANSWERS cannot come of one receive. */
static inline const char *
null_answers(size_t count)
{
    static char answers[NULL_ANSWERS * NULL_ANSWER_BYTES];
    if (answers[0] == '\0')
        for (size_t i = 0; i < NULL_ANSWERS; i++)
            memcpy(answers + i * NULL_ANSWER_BYTES, NULL_ANSWER, NULL_ANSWER_BYTES);
    if (count > NULL_ANSWERS)
        abort();
    return answers;
}

/* Listens on 127.0.0.1 at the port of the command line; leaves the program when it cannot. */
static inline int
null_listen(int argc, char **argv)
{
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (argc != 3 || atoi(argv[2]) < 40) {
        fprintf(stderr, "usage: %s PORT REQUEST_BYTES\n", argv[0]);
        exit(2);
    }
    at.sin_port = htons((uint16_t)atoi(argv[1]));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 4096) < 0) {
        perror("listen");
        exit(1);
    }
    return fd;
}

#endif
