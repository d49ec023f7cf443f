/* Nanoseconds a request head, on every instruction set of this CPU: the median of many short runs, which is what
 * the code costs while nothing else disturbs it. Reads no arguments; `bench_parse quick` is a smoke test. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/http1/parse.h"
#include "core/simd/isa.h"
#include "heads.h"
#include "timing.h"

enum { FIELDS = 100, RUNS = 41, PIPELINED = 24 };

static const vv_http1_limits limits = {.head_bytes = 32768, .header_fields = FIELDS};

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
