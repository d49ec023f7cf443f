/* Nanoseconds a request head, on every instruction set of this CPU: the median of many short runs, which is what
 * the code costs while nothing else disturbs it. Reads no arguments; `bench_parse quick` is a smoke test. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/http1/parse.h"
#include "core/simd/isa.h"

enum { FIELDS = 100, RUNS = 41, PIPELINED = 24 };

static const char tiny[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

static const char load[] = "GET /plaintext HTTP/1.1\r\n"
                           "Host: server.example:8080\r\n"
                           "User-Agent: wrk/4.2.0\r\n"
                           "Accept: text/plain,text/html;q=0.9,*/*;q=0.8\r\n"
                           "Connection: keep-alive\r\n\r\n";

static const char browser[] =
    "GET /articles/2024/05/the-shape-of-a-parser?ref=front&page=2 HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.7,cs;q=0.3\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Referer: https://www.example.com/articles/\r\n"
    "Cookie: session=8f2b1c0e9d7a4f5566778899aabbccdd; theme=dark; _ga=GA1.2.1234567890.1712345678\r\n"
    "Connection: keep-alive\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-User: ?1\r\n\r\n";

static const vv_http1_limits limits = {.head_bytes = 32768, .header_fields = FIELDS};

static double
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Parses every head of `in`, `rounds` times; nanoseconds a head. */
static double
run(vv_span in, long rounds)
{
    vv_field fields[FIELDS];
    vv_http1_request req;
    long heads = 0;
    double start = now_ns();

    for (long i = 0; i < rounds; i++) {
        vv_span rest = in;
        while (rest.len > 0) {
            if (vv_http1_parse_request(rest, 0, &limits, fields, &req) != VV_OK) {
                fprintf(stderr, "the parser refused its benchmark\n");
                exit(1);
            }
            rest = vv_span_of(rest.at + req.used, rest.len - req.used);
            heads++;
        }
    }
    return (now_ns() - start) / (double)heads;
}

static double
median(vv_span in, long rounds)
{
    double ns[RUNS];
    run(in, rounds);
    for (int i = 0; i < RUNS; i++)
        ns[i] = run(in, rounds);
    qsort(ns, RUNS, sizeof(ns[0]), by_value);
    return ns[RUNS / 2];
}

int
main(int argc, char **argv)
{
    long rounds = argc > 1 && strcmp(argv[1], "quick") == 0 ? 10 : 20000;
    static char pipelined[PIPELINED * sizeof(tiny)];
    for (int i = 0; i < PIPELINED; i++)
        memcpy(pipelined + (size_t)i * (sizeof(tiny) - 1), tiny, sizeof(tiny));

    const struct {
        const char *name;
        vv_span in;
        long rounds;
    } heads[] = {
        {"tiny", vv_span_text(tiny), rounds},
        {"tiny x 24", vv_span_text(pipelined), rounds / 10},
        {"load generator", vv_span_text(load), rounds},
        {"browser", vv_span_text(browser), rounds / 2},
    };

    printf("%-16s %6s", "ns a head", "bytes");
    for (int isa = 0; isa < VV_ISA_COUNT; isa++)
        if (vv_isa_runs((vv_isa)isa))
            printf(" %8s", vv_isa_name((vv_isa)isa));
    printf("\n");
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        printf("%-16s %6zu", heads[i].name, heads[i].in.len);
        for (int isa = 0; isa < VV_ISA_COUNT; isa++)
            if (vv_isa_force((vv_isa)isa))
                printf(" %8.1f", median(heads[i].in, heads[i].rounds));
        printf("\n");
    }
    return 0;
}
