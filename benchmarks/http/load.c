/* A load generator that counts exactly and costs little: one thread, epoll, pipelines.
 *
 *   load [-c connections] [-d depth] [-r rate] [-t seconds] [-w warm-up seconds] [-p pid,pid,...] PORT REQUEST BODY
 *
 * REQUEST and BODY are files: the bytes of one request, and of the body that answers it. Each connection sends `depth`
 * requests at once, waits until every answer is there, and sends the next `depth`. With a rate, requests leave by a
 * schedule instead, one at a time on each connection, whether or not the server keeps up.
 *
 * Rule 1: an answer counts if it was read in full and is a 200 with the body, or if it is equal, byte for byte, to the
 *         last one of those (the sample). So a batch costs one memcmp, and nothing is counted unseen.
 * Rule 2: anything else is a fault: another status or body, bytes too many, a connection that ends. One fault and the
 *         measurement is worth nothing; the first is described on stderr.
 * Rule 3: with a rate, request n is due n / rate seconds after the start, on connection n modulo connections, and its
 *         latency runs from that moment: also while it waits for the answer before it, and also if it is never sent.
 *         So a server that stops for a while is charged for every request that would have come in that while
 *         ("coordinated omission" is the name of the mistake). `late` tells how far behind its own schedule this
 *         program was with requests that nothing held back.
 *
 * Prints one line of JSON. CPU time is that of the pids, from the kernel's own clock of each process.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "latency.h"

enum { ROOM = 1 << 20, FILE_BYTES = 64 * 1024, EVENTS = 256, PIDS = 64 };

typedef struct client {
    int fd;
    unsigned owed;  /* answers of this batch          */
    size_t sent;    /* bytes of the batch             */
    uint64_t began; /* ns; with a rate: when it was due */
    uint64_t turns; /* with a rate: requests begun    */
    uint64_t due;   /* with a rate: requests due      */
    char *rest;     /* the front of an answer, or NULL */
    size_t rest_len;
} client;

static struct {
    unsigned clients, depth, port;
    double seconds, warm_up, rate;
    char *batch, *body;
    size_t batch_len, body_len;
    pid_t pids[PIDS];
    unsigned pid_count;
} plan = {.clients = 100, .depth = 24, .seconds = 2, .warm_up = 0.5};

static struct {
    uint64_t answers, faults, read; /* read: answers that were read in full */
    uint64_t unanswered;            /* with a rate: due, and not answered by the end */
    latency batches, late;
} tally;

static struct {
    uint64_t start; /* ns */
    uint64_t next;  /* number of the request that is due next */
} schedule;

static client *clients;

static char *sample; /* `depth` times the last good answer */
static size_t sample_len, sample_room;
static char room[ROOM];
static int epoll;

static void
die(const char *what)
{
    perror(what);
    exit(2);
}

static void
fault(const char *what, const char *bytes, size_t len)
{
    if (tally.faults++ == 0)
        fprintf(stderr, "load: %s: %.*s\n", what, (int)(len < 300 ? len : 300), bytes);
    if (tally.faults > 1000)
        exit(1);
}

static uint64_t
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- one connection ---------------------------------------------------------------------------------------------- */

static void
send_more(client *c)
{
    ssize_t count = send(c->fd, plan.batch + c->sent, plan.batch_len - c->sent, MSG_NOSIGNAL);
    if (count > 0)
        c->sent += (size_t)count;
    if (c->sent < plan.batch_len) { /* rare: the batch is small, and the last one has been answered */
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
    }
}

static void
begin(client *c, uint64_t now)
{
    c->owed = plan.depth;
    c->sent = 0;
    c->began = now;
    send_more(c);
}

static uint64_t
due_ns(uint64_t number)
{
    return schedule.start + (uint64_t)((double)number * 1e9 / plan.rate);
}

static uint64_t
due_of(const client *c, uint64_t turn)
{
    return due_ns(turn * plan.clients + (uint64_t)(c - clients));
}

static void
begin_due(client *c)
{
    begin(c, due_of(c, c->turns));
    c->turns++;
}

/* Sends what is due by now; what is due on a connection that still waits is sent by receive(). */
static void
keep_schedule(uint64_t now)
{
    for (uint64_t due; (due = due_ns(schedule.next)) <= now; schedule.next++) {
        client *c = &clients[schedule.next % plan.clients];
        c->due++;
        if (c->owed == 0) {
            latency_add(&tally.late, now - due);
            begin_due(c);
        }
    }
}

static void
open_client(client *c)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)plan.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    const int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl");
}

/* The server has ended it. */
static void
lost(client *c)
{
    fault("the server closed a connection", "", 0);
    close(c->fd);
    free(c->rest);
    *c = (client){.fd = -1, .turns = c->due, .due = c->due};
    open_client(c);
    if (plan.rate <= 0)
        begin(c, now_ns());
}

static void
take_sample(const char *at, size_t len)
{
    if (len * plan.depth > sample_room) {
        sample_room = len * plan.depth;
        sample = realloc(sample, sample_room);
        if (sample == NULL)
            die("sample");
    }
    for (unsigned i = 0; i < plan.depth; i++)
        memcpy(sample + i * len, at, len);
    sample_len = len;
}

/* The answers at the front that equal the sample. */
static unsigned
equal_ones(const client *c, const char *at, size_t len)
{
    size_t count = sample_len > 0 ? len / sample_len : 0;
    if (count > c->owed)
        count = c->owed;
    return count > 0 && memcmp(at, sample, count * sample_len) == 0 ? (unsigned)count : 0;
}

/* Counts the answers in `len` bytes. How many bytes they were; -1 when the connection is of no more use. */
static long
count_answers(client *c, const char *at, size_t len)
{
    size_t used = 0;
    while (used < len && c->owed > 0) {
        unsigned equal = equal_ones(c, at + used, len - used);
        if (equal > 0) {
            tally.answers += equal;
            c->owed -= equal;
            used += equal * sample_len;
            continue;
        }
        answer a;
        switch (answer_read(at + used, len - used, &a)) {
        case ANSWER_MORE:
            return (long)used;
        case ANSWER_BAD:
            fault("not an answer", at + used, len - used);
            return -1;
        }
        tally.read++;
        c->owed--;
        if (a.status != 200 || a.closes || !answer_is(&a, plan.body, plan.body_len)) {
            fault("a wrong answer", at + used, a.len);
        } else {
            tally.answers++;
            take_sample(at + used, a.len);
        }
        used += a.len;
    }
    return (long)used;
}

static void
keep(client *c, const char *at, size_t len)
{
    if (len > 0) {
        c->rest = realloc(c->rest, len);
        if (c->rest == NULL)
            die("rest");
        memcpy(c->rest, at, len);
    }
    c->rest_len = len;
}

static void
receive(client *c)
{
    if (c->rest_len > 0)
        memcpy(room, c->rest, c->rest_len);
    ssize_t count = recv(c->fd, room + c->rest_len, ROOM - c->rest_len, MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN)
        return;
    size_t len = c->rest_len + (count > 0 ? (size_t)count : 0);
    long used = count > 0 ? count_answers(c, room, len) : -1;
    if (used < 0) {
        lost(c);
        return;
    }
    if (c->owed > 0) {
        keep(c, room + used, len - (size_t)used);
        return;
    }
    if ((size_t)used < len)
        fault("bytes that nobody asked for", room + used, len - (size_t)used);
    c->rest_len = 0;
    uint64_t now = now_ns();
    latency_add(&tally.batches, now - c->began);
    if (plan.rate <= 0)
        begin(c, now);
    else if (c->turns < c->due)
        begin_due(c);
}

static void
run_until(uint64_t end)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        uint64_t now = now_ns();
        if (now >= end)
            return;
        if (plan.rate > 0)
            keep_schedule(now);
        /* A schedule is kept by asking again and again: a sleep of some microseconds takes many more. */
        int count = epoll_wait(epoll, events, EVENTS, plan.rate > 0 ? 0 : (int)((end - now) / 1000000 + 1));
        for (int i = 0; i < count; i++) {
            client *c = events[i].data.ptr;
            if ((events[i].events & EPOLLOUT) != 0) {
                struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
                epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
                send_more(c);
            }
            if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0)
                receive(c);
        }
    }
}

/* Rule 3, for what is still open at the end. */
static void
add_unanswered(uint64_t end)
{
    for (; due_ns(schedule.next) <= end; schedule.next++) /* the last ones, if we were late ourselves */
        clients[schedule.next % plan.clients].due++;
    for (unsigned i = 0; i < plan.clients; i++) {
        const client *c = &clients[i];
        if (c->owed > 0) {
            latency_add(&tally.batches, end - c->began);
            tally.unanswered++;
        }
        for (uint64_t turn = c->turns; turn < c->due; turn++) {
            latency_add(&tally.batches, end - due_of(c, turn));
            tally.unanswered++;
        }
    }
}

/* ---- the server, seen from outside --------------------------------------------------------------------------------
 */

static double
cpu_seconds(void)
{
    double sum = 0;
    for (unsigned i = 0; i < plan.pid_count; i++) {
        clockid_t clock;
        struct timespec t;
        if (clock_getcpuclockid(plan.pids[i], &clock) == 0 && clock_gettime(clock, &t) == 0)
            sum += (double)t.tv_sec + (double)t.tv_nsec / 1e9;
    }
    return sum;
}

static long
resident_kib(void)
{
    long sum = 0;
    for (unsigned i = 0; i < plan.pid_count; i++) {
        char path[64];
        long pages;
        snprintf(path, sizeof path, "/proc/%d/statm", (int)plan.pids[i]);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue;
        if (fscanf(file, "%*d %ld", &pages) == 1)
            sum += pages * (sysconf(_SC_PAGESIZE) / 1024);
        fclose(file);
    }
    return sum;
}

/* ---- the plan ------------------------------------------------------------------------------------------------------
 */

static char *
contents(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    char *bytes = malloc(FILE_BYTES);
    if (file == NULL || bytes == NULL)
        die(path);
    *len = fread(bytes, 1, FILE_BYTES, file);
    fclose(file);
    return bytes;
}

static void
read_plan(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "c:d:r:t:w:p:")) != -1;) {
        switch (option) {
        case 'c':
            plan.clients = (unsigned)atoi(optarg);
            break;
        case 'd':
            plan.depth = (unsigned)atoi(optarg);
            break;
        case 'r':
            plan.rate = atof(optarg);
            break;
        case 't':
            plan.seconds = atof(optarg);
            break;
        case 'w':
            plan.warm_up = atof(optarg);
            break;
        case 'p':
            for (char *pid = strtok(optarg, ","); pid != NULL && plan.pid_count < PIDS; pid = strtok(NULL, ","))
                plan.pids[plan.pid_count++] = atoi(pid);
            break;
        default:
            exit(2);
        }
    }
    if (argc - optind != 3 || plan.clients == 0 || plan.depth == 0 || (plan.rate > 0 && plan.depth > 1)) {
        fprintf(stderr, "usage: load [-c N] [-d N | -r RATE] [-t SECONDS] [-w SECONDS] [-p PIDS] PORT REQUEST BODY\n");
        exit(2);
    }
    size_t one;
    char *request = contents(argv[optind + 1], &one);
    plan.port = (unsigned)atoi(argv[optind]);
    plan.body = contents(argv[optind + 2], &plan.body_len);
    plan.batch_len = one * plan.depth;
    plan.batch = malloc(plan.batch_len);
    if (plan.batch == NULL)
        die("batch");
    for (unsigned i = 0; i < plan.depth; i++)
        memcpy(plan.batch + i * one, request, one);
    free(request);
}

static void
report(double seconds, double cpu)
{
    const latency *l = &tally.batches;
    printf("{\"answers\": %llu, \"faults\": %llu, \"read\": %llu, \"seconds\": %.4f, \"cpu_seconds\": %.4f, "
           "\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f, "
           "\"unanswered\": %llu, \"late_p99_us\": %.1f, \"rss_kib\": %ld}\n",
           (unsigned long long)tally.answers, (unsigned long long)tally.faults, (unsigned long long)tally.read, seconds,
           cpu, latency_us(l, 0.5), latency_us(l, 0.9), latency_us(l, 0.99), latency_us(l, 0.999), latency_us(l, 1),
           (unsigned long long)tally.unanswered, latency_us(&tally.late, 0.99), resident_kib());
}

int
main(int argc, char **argv)
{
    read_plan(argc, argv);
    epoll = epoll_create1(0);
    clients = calloc(plan.clients, sizeof *clients);
    if (epoll < 0 || clients == NULL)
        die("load");
    for (unsigned i = 0; i < plan.clients; i++)
        open_client(&clients[i]);
    uint64_t began = now_ns();
    schedule.start = began;
    if (plan.rate <= 0)
        for (unsigned i = 0; i < plan.clients; i++)
            begin(&clients[i], began);

    run_until(began + (uint64_t)(plan.warm_up * 1e9));
    uint64_t early_faults = tally.faults;
    memset(&tally, 0, sizeof tally);
    double cpu = cpu_seconds();
    began = now_ns();
    run_until(began + (uint64_t)(plan.seconds * 1e9));
    double seconds = (double)(now_ns() - began) / 1e9;
    cpu = cpu_seconds() - cpu;
    tally.faults += early_faults;
    if (plan.rate > 0)
        add_unanswered(now_ns());
    report(seconds, cpu);
    return tally.faults > 0 || tally.answers == 0;
}
