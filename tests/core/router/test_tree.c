/* core/router/tree: many routes, hostile paths, and a matcher so naive that it is plainly right, compared over random
 * tables of routes. */
#include "core/router/tree.h"
#include "router_of.h"

static void
ten_thousand_routes_are_each_found(void **state)
{
    enum { ROUTES = 10000 };
    vv_router *router;
    vv_router_fault fault;
    vv_route **routes = calloc(ROUTES, sizeof *routes);
    static const char *const shapes[] = {"/static/page-%d", "/r%d/{id:int}", "/p%d_{name}", "/deep/{a}/x%d/{b:path}"};
    static const char *const paths[] = {"/static/page-%d", "/r%d/-42", "/p%d_n", "/deep/1/x%d/2/3"};
    char text[64];
    vv_span get = vv_span_text("GET");

    assert_int_equal(vv_router_new(&router), VV_OK);
    for (int i = 0; i < ROUTES; i++) {
        snprintf(text, sizeof text, shapes[i % 4], i);
        assert_int_equal(vv_router_add(router, vv_span_text(text), &get, 1, NULL, &routes[i], &fault), VV_OK);
    }
    assert_int_equal(vv_router_compile(router), VV_OK);
    for (int i = 0; i < ROUTES; i++) {
        snprintf(text, sizeof text, paths[i % 4], i);
        vv_match match = look_up(router, get, vv_span_text(text));
        assert_ptr_equal(match.route, routes[i]);
        snprintf(text, sizeof text, paths[i % 4], i + ROUTES);
        assert_null(look_up(router, get, vv_span_text(text)).route);
    }
    vv_router_free(router);
    free(routes);
}

/* All 2^DEPTH patterns of {x:int} and {x}: every node takes the path, and each is entered once and no more. */
static void
a_hostile_path_enters_each_node_once(void **state)
{
    enum { DEPTH = 10 };
    vv_router *router;
    vv_route *route;
    vv_router_fault fault;
    vv_span get = vv_span_text("GET");
    char path[64] = "";

    assert_int_equal(vv_router_new(&router), VV_OK);
    for (unsigned set = 0; set < 1u << DEPTH; set++) {
        char pattern[256] = "";
        for (int i = 0; i < DEPTH; i++)
            snprintf(pattern + strlen(pattern), 16, set >> i & 1 ? "/{p%d:int}" : "/{p%d}", i);
        strcat(pattern, "/end");
        assert_int_equal(vv_router_add(router, vv_span_text(pattern), &get, 1, NULL, &route, &fault), VV_OK);
    }
    assert_int_equal(vv_router_compile(router), VV_OK);
    for (int i = 0; i < DEPTH; i++)
        strcat(path, "/1");
    strcat(path, "/");
    size_t all_but_ends = (2u << DEPTH) - 1;
    assert_int_equal(router->node_count, all_but_ends + (1u << DEPTH));
    assert_int_equal(vv_tree_visits(router, vv_span_text(path)), all_but_ends);
    strcat(path, "end");
    assert_int_equal(vv_tree_visits(router, vv_span_text(path)), router->node_count);
    vv_router_free(router);
}

static uint32_t seed = 1;

static uint32_t
random_below(uint32_t limit)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)seed * limit) >> 32);
}

enum { ORACLE_ROUTES = 14, ORACLE_SEGMENTS = 4 };

typedef struct naive_segment {
    const char *prefix; /* or the literal */
    int type;           /* -1: literal */
} naive_segment;

typedef struct naive_route {
    naive_segment segments[ORACLE_SEGMENTS];
    int count;
    int methods; /* bits of naive_methods; 0: any */
    char pattern[128];
    vv_route *route;
} naive_route;

static const char *const naive_methods[] = {"GET", "HEAD", "POST", "BREW"};
static const char *const naive_types[] = {"", ":str", ":int", ":float", ":uuid", ":path"};
static const char *const naive_texts[] = {"",
                                          "a",
                                          "ab",
                                          "1",
                                          "1.5",
                                          "a1",
                                          "ab1.5",
                                          "-2",
                                          "b",
                                          "a00000000-0000-0000-0000-000000000000",
                                          "00000000-0000-0000-0000-000000000000"};

static naive_route
random_route(void)
{
    naive_route r = {.count = 1 + (int)random_below(ORACLE_SEGMENTS)};
    char *at = r.pattern;
    for (int i = 0; i < r.count; i++) {
        naive_segment *s = &r.segments[i];
        s->prefix = naive_texts[random_below(9)];
        s->type = -1;
        if (random_below(5) >= 2) {
            s->prefix = random_below(3) ? "" : naive_texts[random_below(3)];
            s->type = (int)random_below(i == r.count - 1 ? 6 : 5);
        }
        if (s->type < 0)
            at += sprintf(at, "/%s", s->prefix);
        else
            at += sprintf(at, "/%s{p%d%s}", s->prefix, i, naive_types[s->type]);
    }
    r.methods = random_below(4) ? 1 + (int)random_below(15) : 0;
    return r;
}

static int
naive_takes(int type, const char *text)
{
    int n = -1;
    size_t len = strlen(text);
    switch (type) {
    case VV_PARAM_INT:
        return len > 0 && strspn(text, "0123456789-") == len && sscanf(text, "%*[-0-9]%n", &n) == 0 && n == (int)len &&
               strspn(text + (*text == '-'), "0123456789") == len - (*text == '-') && strcmp(text, "-") != 0;
    case VV_PARAM_FLOAT:
        return strcmp(text, "1.5") == 0 || naive_takes(VV_PARAM_INT, text);
    case VV_PARAM_UUID:
        return strcmp(text, "00000000-0000-0000-0000-000000000000") == 0;
    case VV_PARAM_PATH:
        return 1;
    default:
        return len > 0;
    }
}

/* Whether the route takes the path; no cleverness. */
static int
naive_matches(const naive_route *r, const char *path)
{
    for (int i = 0; i < r->count; i++) {
        const naive_segment *s = &r->segments[i];
        size_t prefix_len = strlen(s->prefix);
        if (*path++ != '/' || strncmp(path, s->prefix, prefix_len) != 0)
            return 0;
        if (s->type == VV_PARAM_PATH)
            return 1;
        char segment[64];
        snprintf(segment, sizeof segment, "%.*s", (int)strcspn(path, "/"), path);
        if (s->type < 0 ? strcmp(segment, s->prefix) != 0 : !naive_takes(s->type, segment + prefix_len))
            return 0;
        path += strlen(segment);
    }
    return *path == '\0';
}

/* Smaller is better. */
static int
naive_rank(const naive_segment *s)
{
    static const int of_type[] = {[VV_PARAM_UUID] = 1, [VV_PARAM_INT] = 2,   [VV_PARAM_FLOAT] = 3,
                                  [VV_PARAM_STR] = 4,  [VV_PARAM_PLAIN] = 5, [VV_PARAM_PATH] = 1000};
    return s->type < 0 ? 0 : of_type[s->type] + 10 * (9 - (int)strlen(s->prefix));
}

static int
naive_better(const naive_route *a, const naive_route *b)
{
    for (int i = 0; i < a->count && i < b->count; i++) {
        int difference = naive_rank(&a->segments[i]) - naive_rank(&b->segments[i]);
        if (difference != 0)
            return difference < 0;
    }
    return 0;
}

/* 3: names the method; 2: takes HEAD for GET; 1: takes any; 0: not at all. */
static int
naive_claim(const naive_route *r, int method)
{
    if (method >= 0 && r->methods >> method & 1)
        return 3;
    if (r->methods == 0)
        return 1;
    return method == 1 && r->methods & 1 ? 2 : 0;
}

static const naive_route *
naive_match(const naive_route *routes, int count, int method, const char *path, int *allow)
{
    const naive_route *best = NULL;
    *allow = 0;
    for (int i = 0; i < count; i++) {
        const naive_route *r = &routes[i];
        if (!naive_matches(r, path))
            continue;
        *allow |= 16 | r->methods | (r->methods & 1) << 1 | (r->methods ? 0 : 32 | 7);
        if (naive_claim(r, method) == 0)
            continue;
        if (best == NULL || naive_better(r, best) ||
            (!naive_better(best, r) && naive_claim(r, method) > naive_claim(best, method)))
            best = r;
    }
    return best;
}

static uint32_t
real_allow(const vv_router *router, int naive)
{
    uint32_t allow = naive & 16 ? 1u << VV_BIT_OPTIONS : 0;
    if (naive & 32)
        allow |= (1u << VV_BIT_CUSTOM) - 1;
    for (unsigned n = 0; n < VV_ROUTER_METHODS; n++) {
        for (int m = 0; m < 4; m++) {
            if (naive >> m & 1 && vv_span_equal(vv_router_method_name(router, n), vv_span_text(naive_methods[m])))
                allow |= 1u << n;
        }
    }
    return allow;
}

static void
check_path(const vv_router *router, const naive_route *routes, int count, const char *path)
{
    for (int method = -1; method < 4; method++) {
        int allow;
        const naive_route *want = naive_match(routes, count, method, path, &allow);
        const char *name = method < 0 ? "UNHEARD" : naive_methods[method];
        vv_match got = look_up(router, vv_span_text(name), vv_span_text(path));
        if (got.route != (want ? want->route : NULL))
            fail_msg("%s %s: got %s, want %s", name, path,
                     got.route ? (const char *)vv_route_pattern(got.route).at : "none", want ? want->pattern : "none");
        if (got.route == NULL)
            assert_int_equal(got.allow, real_allow(router, allow));
        assert_int_equal(vv_router_allow(router, vv_span_text(path)), real_allow(router, allow));
    }
    assert_true(vv_tree_visits(router, vv_span_text(path)) <= router->node_count);
}

static void
random_tables_agree_with_the_naive_matcher(void **state)
{
    for (int table = 0; table < 3000; table++) {
        vv_router *router;
        naive_route routes[ORACLE_ROUTES];
        int count = 0;
        assert_int_equal(vv_router_new(&router), VV_OK);
        for (int i = 0; i < ORACLE_ROUTES; i++) {
            naive_route r = random_route();
            vv_span names[4];
            size_t n = 0;
            vv_router_fault fault;
            for (int m = 0; m < 4; m++) {
                if (r.methods >> m & 1)
                    names[n++] = vv_span_text(naive_methods[m]);
            }
            vv_status st = vv_router_add(router, vv_span_text(r.pattern), names, n, NULL, &r.route, &fault);
            if (st == VV_OK)
                routes[count++] = r;
            else
                assert_int_equal(st, VV_E_CONFLICT);
        }
        assert_int_equal(vv_router_compile(router), VV_OK);
        for (int i = 0; i < 30; i++) {
            char path[256] = "", *at = path;
            for (uint32_t segments = random_below(ORACLE_SEGMENTS + 1); segments-- > 0;)
                at += sprintf(at, "/%s", naive_texts[random_below(sizeof naive_texts / sizeof *naive_texts)]);
            check_path(router, routes, count, path);
        }
        vv_router_free(router);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_routes_are_each_found),
        cmocka_unit_test(a_hostile_path_enters_each_node_once),
        cmocka_unit_test(random_tables_agree_with_the_naive_matcher),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
