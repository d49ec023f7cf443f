/* core/router: nanoseconds a look-up, for one hot path and for all paths of the table in a random order.
 * "quick" measures next to nothing: it proves that the kernel still works. */
#include "core/router/router.h"

#include <stdio.h>
#include <stdlib.h>

#include "timing.h"

enum { ROUNDS = 7, TEXT = 64 };

static size_t lookups = 2000000; /* a round */

typedef struct table {
    vv_router *router;
    char (*paths)[TEXT];
    vv_span *spans;
    size_t count;
} table;

static void
must(vv_status status)
{
    if (status != VV_OK) {
        fprintf(stderr, "route: %s\n", vv_status_text(status));
        exit(1);
    }
}

static void
add(table *t, const char *pattern, const char *path)
{
    vv_route *route;
    vv_router_fault fault;
    vv_span get = vv_span_text("GET");
    must(vv_router_add(t->router, vv_span_text(pattern), &get, 1, NULL, &route, &fault));
    snprintf(t->paths[t->count], TEXT, "%s", path);
    t->spans[t->count] = vv_span_text(t->paths[t->count]);
    t->count++;
}

static table
new_table(size_t count)
{
    table t = {.paths = calloc(count, TEXT), .spans = calloc(count, sizeof *t.spans)};
    if (t.paths == NULL || t.spans == NULL)
        must(VV_E_NO_MEMORY);
    must(vv_router_new(&t.router));
    return t;
}

static void
free_table(table *t)
{
    vv_router_free(t->router);
    free(t->paths);
    free(t->spans);
}

/* The least of some rounds, so that a busy machine shows less. */
static double
lookup_ns(const table *t, size_t first, size_t count)
{
    vv_span get = vv_span_text("GET");
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        vv_match match;
        size_t found = 0;
        double start = now_ns();
        for (size_t i = 0, n = 0; i < lookups; i++) {
            vv_router_match(t->router, get, t->spans[first + n], &match);
            found += match.route != NULL;
            n = n + 1 == count ? 0 : n + 1;
        }
        double ns = (now_ns() - start) / (double)lookups;
        if (found != lookups)
            exit(1);
        best = ns < best ? ns : best;
    }
    return best;
}

/* Puts the paths in a random order, one behind the other: as in a server, the table may be cold, the path is not. */
static void
shuffle(table *t, size_t first, size_t count)
{
    vv_span *spans = t->spans + first;
    char(*paths)[TEXT] = t->paths + first, (*copy)[TEXT] = calloc(count, TEXT);
    uint32_t seed = 1;
    if (copy == NULL)
        must(VV_E_NO_MEMORY);
    for (size_t i = count - 1; i > 0; i--) {
        seed = seed * 1664525u + 1013904223u;
        size_t j = (size_t)(((uint64_t)seed * (i + 1)) >> 32);
        vv_span swap = spans[i];
        spans[i] = spans[j];
        spans[j] = swap;
    }
    for (size_t i = 0; i < count; i++)
        memcpy(copy[i], spans[i].at, spans[i].len);
    memcpy(paths, copy, count * TEXT);
    free(copy);
    for (size_t i = 0; i < count; i++)
        spans[i].at = (const uint8_t *)paths[i];
}

static void
single(const char *what, const char *pattern, const char *path)
{
    table t = new_table(1);
    add(&t, pattern, path);
    must(vv_router_compile(t.router));
    printf("%-44s %6.1f\n", what, lookup_ns(&t, 0, 1));
    free_table(&t);
}

static void
small_tree(void)
{
    table t = new_table(8);
    add(&t, "/users/{id:int}", "/users/123");
    add(&t, "/users/{id:int}/posts/{post:int}", "/users/123/posts/456");
    add(&t, "/users/{name}", "/users/alice");
    add(&t, "/files/{p:path}", "/files/a/b/c.txt");
    add(&t, "/objects/{id:uuid}", "/objects/12345678-9abc-def0-1234-56789abcdef0");
    add(&t, "/v{version:int}/status", "/v2/status");
    add(&t, "/", "/");
    add(&t, "/users", "/users");
    must(vv_router_compile(t.router));
    for (size_t i = 0; i < t.count; i++)
        printf("  %-42s %6.1f\n", t.paths[i], lookup_ns(&t, i, 1));
    free_table(&t);
}

/* Half static, half with parameters. */
static void
many(size_t count)
{
    table t = new_table(count);
    char pattern[TEXT], path[TEXT];
    for (size_t i = 0; i < count / 2; i++) {
        snprintf(path, TEXT, "/page/%zu", i);
        add(&t, path, path);
    }
    for (size_t i = 0; i < count / 2; i++) {
        snprintf(pattern, TEXT, "/r%zu/{id:int}", i);
        snprintf(path, TEXT, "/r%zu/123", i);
        add(&t, pattern, path);
    }
    must(vv_router_compile(t.router));
    size_t half = count / 2;
    double hot_static = lookup_ns(&t, half / 2, 1), hot_param = lookup_ns(&t, half + half / 2, 1);
    shuffle(&t, 0, half);
    shuffle(&t, half, half);
    printf("%8zu %13.1f %13.1f %13.1f %13.1f\n", count, hot_static, hot_param, lookup_ns(&t, 0, half),
           lookup_ns(&t, half, half));
    free_table(&t);
}

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "quick") == 0)
        lookups = 1000;
    printf("%-44s ns a look-up\n", "one route");
    single("  /", "/", "/");
    single("  /users/{id:int}", "/users/{id:int}", "/users/123");
    printf("eight routes\n");
    small_tree();
    printf("%8s %13s %13s %13s %13s\n", "routes", "hot static", "hot param", "all static", "all param");
    for (size_t count = 10; count <= 10000; count *= 10)
        many(count);
    return 0;
}
