/* Routers in a few words, for the tests of core/router. */
#ifndef VV_TESTS_ROUTER_OF_H
#define VV_TESTS_ROUTER_OF_H

#include "core/router/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { METHODS_AT_MOST = 8 };

/* "GET,PUT" or "*" for any method. */
static inline vv_status
add(vv_router *router, const char *methods, const char *pattern, vv_route **route, vv_router_fault *fault)
{
    vv_span names[METHODS_AT_MOST];
    size_t count = 0;
    for (const char *at = methods; strcmp(methods, "*") != 0; at++) {
        size_t len = strcspn(at, ",");
        names[count++] = vv_span_of(at, len);
        at += len;
        if (*at == '\0')
            break;
    }
    return vv_router_add(router, vv_span_text(pattern), names, count, (void *)pattern, route, fault);
}

/* A compiled router of "METHODS /pattern" lines; the list ends in NULL. */
static inline vv_router *
router_of(const char *const *lines)
{
    vv_router *router;
    assert_int_equal(vv_router_new(&router), VV_OK);
    for (; *lines != NULL; lines++) {
        char methods[256];
        const char *space = strchr(*lines, ' ');
        vv_route *route;
        vv_router_fault fault = {""};
        snprintf(methods, sizeof methods, "%.*s", (int)(space - *lines), *lines);
        if (add(router, methods, space + 1, &route, &fault) != VV_OK)
            fail_msg("%s: %s", *lines, fault.text);
    }
    assert_int_equal(vv_router_compile(router), VV_OK);
    assert_int_equal(vv_router_compile(router), VV_OK);
    return router;
}

#define ROUTER(...) router_of((const char *const[]){__VA_ARGS__, NULL})

/* A heap copy without a NUL, so that the address sanitizer sees a byte read too far. */
static inline vv_span
exact_copy(vv_span text)
{
    uint8_t *copy = malloc(text.len ? text.len : 1);
    assert_non_null(copy);
    if (text.len > 0)
        memcpy(copy, text.at, text.len);
    return vv_span_of(copy, text.len);
}

static inline vv_match
look_up(const vv_router *router, vv_span method, vv_span path)
{
    vv_match match;
    vv_span exact_method = exact_copy(method), exact_path = exact_copy(path);
    memset(&match, 0xA5, sizeof match);
    vv_router_match(router, exact_method, exact_path, &match);
    free((void *)exact_method.at);
    free((void *)exact_path.at);
    return match;
}

/* "the pattern name=value name=value", "405 GET HEAD OPTIONS" or "404". */
static inline const char *
answer(const vv_router *router, vv_span method, vv_span path)
{
    static char text[4096];
    vv_match match = look_up(router, method, path);
    size_t at = 0;

    if (match.route == NULL) {
        assert_int_equal(match.count, 0);
        assert_int_equal(match.allow, vv_router_allow(router, path));
        at += (size_t)snprintf(text, sizeof text, match.allow ? "405" : "404");
        for (unsigned n = 0; n < VV_ROUTER_METHODS; n++) {
            vv_span name = vv_router_method_name(router, n);
            if (match.allow >> n & 1)
                at += (size_t)snprintf(text + at, sizeof text - at, " %.*s", (int)name.len, (const char *)name.at);
        }
        return text;
    }
    assert_int_equal(match.count, vv_route_param_count(match.route));
    at += (size_t)snprintf(text, sizeof text, "%s", (const char *)vv_route_data(match.route));
    for (uint32_t i = 0; i < match.count; i++) {
        vv_span name = vv_route_param_name(match.route, i);
        at += (size_t)snprintf(text + at, sizeof text - at, " %.*s=%.*s", (int)name.len, (const char *)name.at,
                               (int)match.params[i].len, (const char *)path.at + match.params[i].at);
    }
    return text;
}

static inline void
expect_answers(vv_router *router, const char *const (*cases)[3])
{
    for (; (*cases)[0] != NULL; cases++) {
        const char *got = answer(router, vv_span_text((*cases)[0]), vv_span_text((*cases)[1]));
        if (strcmp(got, (*cases)[2]) != 0)
            fail_msg("%s %s: got \"%s\", want \"%s\"", (*cases)[0], (*cases)[1], got, (*cases)[2]);
    }
    vv_router_free(router);
}

/* expect(router, {method, path, answer}, ...) frees the router. */
#define EXPECT(router, ...) expect_answers(router, (const char *const[][3]){__VA_ARGS__, {NULL, NULL, NULL}})

#endif
