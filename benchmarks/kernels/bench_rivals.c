/* Nanoseconds a request head: our parser beside picohttpparser, httparse and llhttp, in turn within each round, so that
 * whatever else the machine does falls on all alike. Prints a table for run.py, which builds this. */
#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/http1/parse.h"
#include "core/simd/isa.h"
#include "heads.h"
#include "timing.h"

enum { FIELDS = 100, ROUNDS = 151, HEADS_A_ROUND = 5000, WARM_UP = 1000 };

/* How many bytes the head is, 0 when it is refused; the number of fields. */
typedef size_t parser(const char *at, size_t len, size_t *fields);

/* ---- ours -------------------------------------------------------------------------------------------------------- */

static size_t
ours(const char *at, size_t len, size_t *fields)
{
    static const vv_http1_limits limits = {.head_bytes = 32768, .header_fields = FIELDS};
    vv_field found[FIELDS];
    vv_http1_request request;
    if (vv_http1_parse_request(vv_span_of((const uint8_t *)at, len), 0, &limits, found, &request) != VV_OK)
        return 0;
    *fields = request.field_count;
    return request.used;
}

/* ---- theirs ------------------------------------------------------------------------------------------------------ */

size_t rival_httparse(const char *at, size_t len, size_t *fields);

struct phr_header {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};

int phr_parse_request(const char *at, size_t len, const char **method, size_t *method_len, const char **path,
                      size_t *path_len, int *minor, struct phr_header *headers, size_t *count, size_t last_len);

static size_t
picohttpparser(const char *at, size_t len, size_t *fields)
{
    struct phr_header headers[FIELDS];
    const char *method, *path;
    size_t method_len, path_len, count = FIELDS;
    int minor;
    int used = phr_parse_request(at, len, &method, &method_len, &path, &path_len, &minor, headers, &count, 0);
    *fields = count;
    return used > 0 ? (size_t)used : 0;
}

/* llhttp tells what it finds; the least that a server does with that is to note where it lies. */
typedef struct notes {
    llhttp_t parser; /* first: callbacks get this */
    size_t count;
    struct phr_header headers[FIELDS];
    const char *target;
    size_t target_len;
} notes;

static int
on_url(llhttp_t *p, const char *at, size_t len)
{
    notes *n = (notes *)p;
    n->target = at;
    n->target_len = len;
    return 0;
}

static int
on_name(llhttp_t *p, const char *at, size_t len)
{
    notes *n = (notes *)p;
    if (n->count == FIELDS)
        return -1;
    n->headers[n->count].name = at;
    n->headers[n->count].name_len = len;
    return 0;
}

static int
on_value(llhttp_t *p, const char *at, size_t len)
{
    notes *n = (notes *)p;
    n->headers[n->count].value = at;
    n->headers[n->count].value_len = len;
    return 0;
}

static int
on_value_end(llhttp_t *p)
{
    ((notes *)p)->count++;
    return 0;
}

static int
on_message_end(llhttp_t *p)
{
    return HPE_PAUSED; /* so that it says where the head ends */
}

static size_t
llhttp(const char *at, size_t len, size_t *fields)
{
    static llhttp_settings_t settings;
    notes n;
    if (settings.on_url == NULL) {
        llhttp_settings_init(&settings);
        settings.on_url = on_url;
        settings.on_header_field = on_name;
        settings.on_header_value = on_value;
        settings.on_header_value_complete = on_value_end;
        settings.on_message_complete = on_message_end;
    }
    n.count = 0;
    llhttp_init(&n.parser, HTTP_REQUEST, &settings);
    if (llhttp_execute(&n.parser, at, len) != HPE_PAUSED)
        return 0;
    *fields = n.count;
    return (size_t)(llhttp_get_error_pos(&n.parser) - at);
}

/* ---- the measurement --------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    parser *parse;
} parsers[] = {{"vivace", ours}, {"picohttpparser", picohttpparser}, {"httparse", rival_httparse}, {"llhttp", llhttp}};

enum { PARSERS = sizeof parsers / sizeof parsers[0], ISAS = 8 };

/* The library knows how many instruction sets it was built with; this program was not told. */
static int
known(int isa)
{
    return isa < ISAS && strcmp(vv_isa_name((vv_isa)isa), "unknown") != 0;
}

static void
parse_all(parser *parse, const char *head, size_t len, int count)
{
    for (int i = 0; i < count; i++) {
        size_t fields;
        if (parse(head, len, &fields) != len)
            abort();
        /* The compiler may not see that every turn is like the one before. */
        __asm__ volatile("" : : "r"(&fields), "r"(head) : "memory");
    }
}

/* Nobody pays for what the parser before it left in the CPU's predictors. */
static double
round_ns(parser *parse, const char *head, size_t len)
{
    parse_all(parse, head, len, WARM_UP);
    double start = now_ns();
    parse_all(parse, head, len, HEADS_A_ROUND);
    return (now_ns() - start) / HEADS_A_ROUND;
}

/* All of them must agree on what is measured. */
static size_t
fields_of(const char *head, size_t len)
{
    size_t first = 0;
    for (size_t i = 0; i < PARSERS; i++) {
        size_t fields = 0, used = parsers[i].parse(head, len, &fields);
        if (used != len || (i > 0 && fields != first)) {
            fprintf(stderr, "%s: %zu bytes and %zu fields of %zu and %zu\n", parsers[i].name, used, fields, len, first);
            exit(1);
        }
        first = fields;
    }
    return first;
}

static void
measure(const char *name, const char *head, size_t len)
{
    static double ns[ISAS + PARSERS][ROUNDS];
    size_t columns = 0;
    printf("%s\t%zu\t%zu", name, len, fields_of(head, len));
    for (int round = 0; round < ROUNDS; round++) {
        columns = 0;
        for (int isa = 0; known(isa); isa++)
            if (vv_isa_force((vv_isa)isa))
                ns[columns++][round] = round_ns(ours, head, len);
        for (size_t i = 1; i < PARSERS; i++)
            ns[columns++][round] = round_ns(parsers[i].parse, head, len);
    }
    for (size_t i = 0; i < columns; i++) {
        qsort(ns[i], ROUNDS, sizeof ns[i][0], by_value);
        printf("\t%.1f", ns[i][ROUNDS / 2]);
    }
    printf("\n");
}

int
main(void)
{
    printf("head\tbytes\tfields");
    for (int isa = 0; known(isa); isa++)
        if (vv_isa_runs((vv_isa)isa))
            printf("\tvivace %s", vv_isa_name((vv_isa)isa));
    for (size_t i = 1; i < PARSERS; i++)
        printf("\t%s", parsers[i].name);
    printf("\n");
    measure("tiny", tiny, sizeof tiny - 1);
    measure("load generator", load, sizeof load - 1);
    measure("browser", browser, sizeof browser - 1);
    return 0;
}
