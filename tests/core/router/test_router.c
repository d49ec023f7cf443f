/* core/router: patterns and their faults, precedence, methods, and an oracle: a matcher so naive that it is plainly
 * right, compared over random tables of routes. */
#include "core/router/router.h"
#include "core/router/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { METHODS_AT_MOST = 8 };

/* "GET,PUT" or "*" for any method. */
static vv_status
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
static vv_router *
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
static vv_span
exact_copy(vv_span text)
{
    uint8_t *copy = malloc(text.len ? text.len : 1);
    assert_non_null(copy);
    if (text.len > 0)
        memcpy(copy, text.at, text.len);
    return vv_span_of(copy, text.len);
}

static vv_match
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
static const char *
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

static void
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

static void
paths_without_placeholders(void **state)
{
    EXPECT(ROUTER("GET /", "GET /users", "GET /users/", "GET /a//b", "GET /a-path-of-more-than-sixteen-bytes"),
           {"GET", "/", "/"}, {"GET", "/users", "/users"}, {"GET", "/users/", "/users/"}, {"GET", "/user", "404"},
           {"GET", "/users//", "404"}, {"GET", "", "404"}, {"GET", "*", "404"}, {"GET", "users", "404"},
           {"GET", "/a//b", "/a//b"}, {"GET", "/a/b", "404"},
           {"GET", "/a-path-of-more-than-sixteen-bytes", "/a-path-of-more-than-sixteen-bytes"},
           {"GET", "/a-path-of-more-than-sixteen-bytEs", "404"}, {"GET", "/a-paTh-of-more-than-sixteen-bytes", "404"});
}

static void
a_trailing_slash_is_significant(void **state)
{
    EXPECT(ROUTER("GET /u/{id}", "GET /v/{id}/"), {"GET", "/u/1", "/u/{id} id=1"}, {"GET", "/u/1/", "404"},
           {"GET", "/v/1", "404"}, {"GET", "/v/1/", "/v/{id}/ id=1"}, {"GET", "/u/", "404"}, {"GET", "/u", "404"},
           {"GET", "/v//", "404"});
}

static void
static_beats_typed_beats_plain_beats_path(void **state)
{
    EXPECT(ROUTER("GET /{p:path}", "GET /{x}", "GET /{s:str}", "GET /{f:float}", "GET /{i:int}", "GET /{u:uuid}",
                  "GET /me"),
           {"GET", "/me", "/me"}, {"GET", "/12", "/{i:int} i=12"}, {"GET", "/1.5", "/{f:float} f=1.5"},
           {"GET", "/12345678-9abc-DEF0-1234-56789abcdef0", "/{u:uuid} u=12345678-9abc-DEF0-1234-56789abcdef0"},
           {"GET", "/you", "/{s:str} s=you"}, {"GET", "/a/b", "/{p:path} p=a/b"}, {"GET", "/", "/{p:path} p="});
    EXPECT(ROUTER("GET /{p:path}", "GET /{x}", "GET /{i:int}"), {"GET", "/12", "/{i:int} i=12"},
           {"GET", "/you", "/{x} x=you"}, {"GET", "/you/", "/{p:path} p=you/"});
}

static void
the_first_segment_that_differs_decides(void **state)
{
    EXPECT(ROUTER("GET /{x}/b", "GET /a/{y}", "GET /{i:int}/{z}", "GET /{w}/{v:int}"), {"GET", "/a/b", "/a/{y} y=b"},
           {"GET", "/c/b", "/{x}/b x=c"}, {"GET", "/1/b", "/{i:int}/{z} i=1 z=b"},
           {"GET", "/1/2", "/{i:int}/{z} i=1 z=2"}, {"GET", "/c/2", "/{w}/{v:int} w=c v=2"});
}

static void
the_walk_turns_back(void **state)
{
    EXPECT(ROUTER("GET /a/b/c/d", "GET /a/b/{x}/e", "GET /a/{y}/c/f", "GET /{z}/b/c/g", "GET /{p:path}"),
           {"GET", "/a/b/c/d", "/a/b/c/d"}, {"GET", "/a/b/c/e", "/a/b/{x}/e x=c"},
           {"GET", "/a/b/c/f", "/a/{y}/c/f y=b"}, {"GET", "/a/b/c/g", "/{z}/b/c/g z=a"},
           {"GET", "/a/b/c/h", "/{p:path} p=a/b/c/h"});
    EXPECT(ROUTER("GET /{a:int}/{b:int}/x", "GET /{a}/{b}/y", "GET /{a:int}/{p:path}"),
           {"GET", "/1/2/x", "/{a:int}/{b:int}/x a=1 b=2"}, {"GET", "/1/2/y", "/{a:int}/{p:path} a=1 p=2/y"},
           {"GET", "/c/2/y", "/{a}/{b}/y a=c b=2"}, {"GET", "/c/2/x", "404"});
}

static void
the_walk_turns_back_for_a_method(void **state)
{
    EXPECT(ROUTER("GET /users/me", "PUT /users/{id}", "DELETE /users/{id:int}", "PATCH /{p:path}"),
           {"GET", "/users/me", "/users/me"}, {"PUT", "/users/me", "/users/{id} id=me"},
           {"PATCH", "/users/me", "/{p:path} p=users/me"}, {"POST", "/users/me", "405 GET HEAD PUT PATCH OPTIONS"},
           {"PUT", "/users/1", "/users/{id} id=1"}, {"DELETE", "/users/1", "/users/{id:int} id=1"},
           {"GET", "/users/1", "405 PUT DELETE PATCH OPTIONS"}, {"GET", "/", "405 PATCH OPTIONS"});
}

static void
unknown_paths_and_unknown_methods(void **state)
{
    EXPECT(ROUTER("GET,POST /a", "PUT /b"), {"GET", "/c", "404"}, {"DELETE", "/a", "405 GET HEAD POST OPTIONS"},
           {"BREW", "/a", "405 GET HEAD POST OPTIONS"}, {"", "/a", "405 GET HEAD POST OPTIONS"},
           {"OPTIONS", "/b", "405 PUT OPTIONS"}, {"OPTIONS", "/c", "404"});
}

static void
head_falls_back_to_get(void **state)
{
    EXPECT(ROUTER("GET /a", "GET /u/{x}", "POST /p"), {"HEAD", "/a", "/a"}, {"HEAD", "/u/1", "/u/{x} x=1"},
           {"HEAD", "/p", "405 POST OPTIONS"});
    EXPECT(ROUTER("GET /u/{x}", "HEAD /u/{y}"), {"HEAD", "/u/1", "/u/{y} y=1"}, {"GET", "/u/1", "/u/{x} x=1"});
    EXPECT(ROUTER("GET /u/{x}", "* /u/{y}"), {"HEAD", "/u/1", "/u/{y} y=1"}, {"GET", "/u/1", "/u/{x} x=1"});
    EXPECT(ROUTER("HEAD /a"), {"GET", "/a", "405 HEAD OPTIONS"});
}

static void
any_method_stands_back_behind_named_ones(void **state)
{
    EXPECT(ROUTER("* /{any}", "GET,BREW /{some}", "COPY /x"), {"GET", "/a", "/{some} some=a"},
           {"BREW", "/a", "/{some} some=a"}, {"POST", "/a", "/{any} any=a"}, {"COPY", "/a", "/{any} any=a"},
           {"UNHEARD", "/a", "/{any} any=a"}, {"", "/a", "/{any} any=a"}, {"GET", "/a/b", "404"},
           {"UNHEARD", "/x", "/{any} any=x"}, {"COPY", "/x", "/x"});
    EXPECT(ROUTER("* /"), {"CONNECT", "/", "/"}, {"get", "/", "/"});
}

static void
what_an_any_method_route_allows(void **state)
{
    vv_router *router = ROUTER("* /any", "COPY /{x}", "GET /g");
    uint32_t standard = (1u << VV_BIT_CUSTOM) - 1;
    assert_int_equal(vv_router_allow(router, vv_span_text("/any")), standard | 1u << VV_BIT_CUSTOM);
    assert_int_equal(vv_router_allow(router, vv_span_text("/")), 0);
    assert_int_equal(vv_router_allow(router, vv_span_text("/x")), 1u << VV_BIT_CUSTOM | 1u << VV_BIT_OPTIONS);
    vv_router_free(router);
}

static void
custom_methods_are_told_apart(void **state)
{
    EXPECT(ROUTER("PROPFIND /a", "MKCALENDAR-WITH-A-LONG-NAME /a", "MKCALENDAR-WITH-A-LONG-NAMF /b", "TRACE /{x}"),
           {"PROPFIND", "/a", "/a"}, {"MKCALENDAR-WITH-A-LONG-NAME", "/a", "/a"}, {"TRACE", "/a", "/{x} x=a"},
           {"propfind", "/a", "405 OPTIONS PROPFIND MKCALENDAR-WITH-A-LONG-NAME TRACE"},
           {"MKCALENDAR-WITH-A-LONG-NAMF", "/a", "405 OPTIONS PROPFIND MKCALENDAR-WITH-A-LONG-NAME TRACE"});
}

static void
a_method_matches_by_its_whole_name(void **state)
{
    EXPECT(ROUTER("GET /", "POST /p"), {"ET", "/", "405 GET HEAD OPTIONS"}, {"T", "/", "405 GET HEAD OPTIONS"},
           {"GETS", "/", "405 GET HEAD OPTIONS"}, {"get", "/", "405 GET HEAD OPTIONS"},
           {"OST", "/p", "405 POST OPTIONS"}, {"POS", "/p", "405 POST OPTIONS"});
}

static void
the_end_of_the_path_is_no_match_at_a_slash(void **state)
{
    EXPECT(ROUTER("GET /x/{q}/foo"), {"GET", "/x/abc", "404"}, {"GET", "/x/abc/", "404"},
           {"GET", "/x/abc/foo", "/x/{q}/foo q=abc"}, {"GET", "/x/abc/foo/", "404"}, {"GET", "/x", "404"});
}

static void
a_prefix_stands_before_a_placeholder(void **state)
{
    EXPECT(ROUTER("GET /a{x}", "GET /ab{x:int}", "GET /abc", "GET /{z}"), {"GET", "/ab", "/a{x} x=b"},
           {"GET", "/a", "/{z} z=a"}, {"GET", "/ab1", "/ab{x:int} x=1"}, {"GET", "/abx", "/a{x} x=bx"},
           {"GET", "/abc", "/abc"}, {"GET", "/b", "/{z} z=b"});
    EXPECT(ROUTER("GET /{z:str}", "GET /v{x}", "GET /{p:path}", "GET /v{q:path}", "GET /vv{q:path}"),
           {"GET", "/v1", "/v{x} x=1"}, {"GET", "/w1", "/{z:str} z=w1"}, {"GET", "/v", "/{z:str} z=v"},
           {"GET", "/v/1", "/v{q:path} q=/1"}, {"GET", "/vv/1", "/vv{q:path} q=/1"},
           {"GET", "/w/1", "/{p:path} p=w/1"});
}

static void
doubled_braces_are_text(void **state)
{
    EXPECT(ROUTER("GET /{{a}}", "GET /x{{{b}", "GET /}}{c}/{{"), {"GET", "/{a}", "/{{a}}"}, {"GET", "/{{a}}", "404"},
           {"GET", "/x{1", "/x{{{b} b=1"}, {"GET", "/}1/{", "/}}{c}/{{ c=1"});
}

static void
an_escaped_slash_does_not_split_a_segment(void **state)
{
    vv_router *router = ROUTER("GET /f/{x}", "GET /f/{x}/{y}", "GET /g/{p:path}", "GET /a/b");
    vv_span get = vv_span_text("GET");
    vv_match match = look_up(router, get, vv_span_of("/f/a\0b", 6));
    assert_string_equal(vv_route_data(match.route), "/f/{x}");
    assert_int_equal(match.params[0].at, 3);
    assert_int_equal(match.params[0].len, 3);
    match = look_up(router, get, vv_span_of("/g/a\0b/c", 8));
    assert_int_equal(match.params[0].len, 5);
    match = look_up(router, get, vv_span_of("/a\0b", 4));
    assert_null(match.route);
    vv_router_free(router);
}

static void
a_path_parameter_may_be_empty(void **state)
{
    EXPECT(ROUTER("GET /files/{p:path}", "GET /a{p:path}"), {"GET", "/files/", "/files/{p:path} p="},
           {"GET", "/files", "404"}, {"GET", "/files//", "/files/{p:path} p=/"},
           {"GET", "/files/a/b/", "/files/{p:path} p=a/b/"}, {"GET", "/a", "/a{p:path} p="},
           {"GET", "/abc/d", "/a{p:path} p=bc/d"}, {"GET", "/", "404"});
}

static void
patterns_are_compared_with_the_decoded_path(void **state)
{
    EXPECT(ROUTER("GET /caf\xc3\xa9", "GET /caf\xc3\xa9/{x}"), {"GET", "/caf\xc3\xa9", "/caf\xc3\xa9"},
           {"GET", "/caf\xc3\xa9/\xc3\xa9", "/caf\xc3\xa9/{x} x=\xc3\xa9"}, {"GET", "/caf%C3%A9", "404"});
}

#define DIGITS_63 "123456789012345678901234567890123456789012345678901234567890123"

static void
typed_placeholders_take_their_shape_alone(void **state)
{
    static const struct {
        const char *pattern, *text;
        int matches;
    } cases[] = {
        {"/{x:int}", "0", 1},
        {"/{x:int}", "-1", 1},
        {"/{x:int}", "007", 1},
        {"/{x:int}", "-", 0},
        {"/{x:int}", "", 0},
        {"/{x:int}", "+1", 0},
        {"/{x:int}", "1a", 0},
        {"/{x:int}", "--1", 0},
        {"/{x:int}", "1-", 0},
        {"/{x:int}", "1.0", 0},
        {"/{x:int}", DIGITS_63 "4", 1},
        {"/{x:int}", "-" DIGITS_63 "4", 1},
        {"/{x:int}", DIGITS_63 "45", 0},
        {"/{x:int}", "-" DIGITS_63 "45", 0},
        {"/{x:float}", "1", 1},
        {"/{x:float}", "-1.5", 1},
        {"/{x:float}", "1.", 0},
        {"/{x:float}", ".5", 0},
        {"/{x:float}", "-", 0},
        {"/{x:float}", "1.5.", 0},
        {"/{x:float}", "1e5", 0},
        {"/{x:float}", "nan", 0},
        {"/{x:float}", "1..5", 0},
        {"/{x:float}", "", 0},
        {"/{x:float}", DIGITS_63 "4", 1},
        {"/{x:float}", DIGITS_63 ".4", 0},
        {"/{x:float}", "-1.", 0},
        {"/{x:float}", "1.5a", 0},
        {"/{x:float}", "0.0", 1},
        {"/{x:str}", "a", 1},
        {"/{x:str}", "", 0},
        {"/{x}", "", 0},
        {"/{x:uuid}", "12345678-9abc-def0-1234-56789ABCDEF0", 1},
        {"/{x:uuid}", "12345678-9abc-def0-1234-56789ABCDEFg", 0},
        {"/{x:uuid}", "12345678-9abc-def0-1234-56789ABCDEF", 0},
        {"/{x:uuid}", "12345678-9abc-def0-1234-56789ABCDEF01", 0},
        {"/{x:uuid}", "123456789-abc-def0-1234-56789ABCDEF0", 0},
        {"/{x:uuid}", "1234567809abc0def001234056789ABCDEF0", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[64], path[128];
        snprintf(line, sizeof line, "GET %s", cases[i].pattern);
        vv_router *router = ROUTER(line);
        snprintf(path, sizeof path, "/%s", cases[i].text);
        vv_match match = look_up(router, vv_span_text("GET"), vv_span_text(path));
        if ((match.route != NULL) != cases[i].matches)
            fail_msg("%s on %s", cases[i].pattern, path);
        vv_router_free(router);
    }
}

static void
a_route_knows_its_parts(void **state)
{
    vv_router *router;
    vv_route *route;
    vv_router_fault fault;
    int data;
    char pattern[] = "/{{/a{id:int}/{rest:path}";
    assert_int_equal(vv_router_new(&router), VV_OK);
    assert_int_equal(vv_router_add(router, vv_span_text(pattern), NULL, 0, &data, &route, &fault), VV_OK);
    memset(pattern, 'x', sizeof pattern);
    assert_ptr_equal(vv_route_data(route), &data);
    assert_true(vv_span_equal(vv_route_pattern(route), vv_span_text("/{{/a{id:int}/{rest:path}")));
    assert_int_equal(vv_route_param_count(route), 2);
    assert_true(vv_span_equal(vv_route_param_name(route, 0), vv_span_text("id")));
    assert_true(vv_span_equal(vv_route_param_name(route, 1), vv_span_text("rest")));
    assert_int_equal(vv_route_param_type(route, 0), VV_PARAM_INT);
    assert_int_equal(vv_route_param_type(route, 1), VV_PARAM_PATH);
    vv_router_free(router);
    vv_router_free(NULL);
}

static void
the_standard_methods_come_first(void **state)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW", "GROW"};
    vv_router *router = ROUTER("BREW,PUT,GROW /");
    for (unsigned n = 0; n < 9; n++)
        assert_true(vv_span_equal(vv_router_method_name(router, n), vv_span_text(names[n])));
    assert_int_equal(vv_router_method_name(router, 9).len, 0);
    assert_int_equal(vv_router_method_name(router, 4000000000u).len, 0);
    vv_router_free(router);
}

static void
expect_fault(vv_router *router, const char *methods, vv_span pattern, vv_status want, const char *text)
{
    vv_router_fault fault = {""};
    vv_route *route = NULL;
    vv_span names[1] = {vv_span_text(methods)};
    vv_span exact = exact_copy(pattern);
    vv_status st = vv_router_add(router, exact, names, 1, NULL, &route, &fault);
    free((void *)exact.at);
    assert_string_equal(fault.text, text);
    assert_int_equal(st, want);
    assert_null(route);
}

static void
every_fault_says_what_to_do(void **state)
{
    static const char *const cases[][2] = {
        {"", "route \"\" must start with \"/\""},
        {"users", "route \"users\" must start with \"/\""},
        {"/users/{id", "route \"/users/{id\" is missing its closing brace"},
        {"/{", "route \"/{\" is missing its closing brace"},
        {"/{a/b}", "route \"/{a/b}\" is missing its closing brace"},
        {"/{a{b}}", "route \"/{a{b}}\" is missing its closing brace"},
        {"/a}", "route \"/a}\" has a \"}\" without its \"{\": write \"}}\" for a brace as text"},
        {"/{}", "route \"/{}\" has a placeholder without a name: write {name} or {name:type}"},
        {"/{:int}", "route \"/{:int}\" has a placeholder without a name: write {name} or {name:type}"},
        {"/{1a}", "route \"/{1a}\" has the odd name \"1a\": use letters, digits and \"_\", and no digit in front"},
        {"/{a-b}", "route \"/{a-b}\" has the odd name \"a-b\": use letters, digits and \"_\", and no digit in front"},
        {"/{ a}", "route \"/{ a}\" has the odd name \" a\": use letters, digits and \"_\", and no digit in front"},
        {"/{\xc3\xa9}", "route \"/{\xc3\xa9}\" has the odd name \"\xc3\xa9\": use letters, digits and \"_\", and no "
                        "digit in front"},
        {"/a/{x}/{x}", "route \"/a/{x}/{x}\" names \"x\" twice: rename one"},
        {"/{x}/{x:path}", "route \"/{x}/{x:path}\" names \"x\" twice: rename one"},
        {"/a/{x:integer}",
         "route \"/a/{x:integer}\" has the unknown type \"integer\": use int, float, str, uuid or path"},
        {"/a/{x:}", "route \"/a/{x:}\" has the unknown type \"\": use int, float, str, uuid or path"},
        {"/{x:int:str}", "route \"/{x:int:str}\" has the unknown type \"int:str\": use int, float, str, uuid or path"},
        {"/{x}y", "route \"/{x}y\" has text behind \"{x}\": put a \"/\" there, or the text in front"},
        {"/{x}{y}", "route \"/{x}{y}\" has text behind \"{x}\": put a \"/\" there, or the text in front"},
        {"/{x}}}", "route \"/{x}}}\" has text behind \"{x}\": put a \"/\" there, or the text in front"},
        {"/{p:path}/x", "route \"/{p:path}/x\" goes on behind \"{p:path}\": path takes the rest, so put it last"},
        {"/{p:path}/", "route \"/{p:path}/\" goes on behind \"{p:path}\": path takes the rest, so put it last"},
        {"/a?b", "route \"/a?b\" contains a \"?\": a pattern is the path alone, read the query in the handler"},
        {"/a#b", "route \"/a#b\" contains a \"#\": a pattern is the path alone, a fragment is never sent"},
        {"/\xff", "route \"/\\xff\" is not UTF-8: encode it as UTF-8"},
        {"/\xc3", "route \"/\\xc3\" is not UTF-8: encode it as UTF-8"},
        {"/\xed\xa0\x80", "route \"/\\xed\\xa0\\x80\" is not UTF-8: encode it as UTF-8"},
        {"/\xc0\xaf", "route \"/\\xc0\\xaf\" is not UTF-8: encode it as UTF-8"},
        {"/\xe0\x80\xaf", "route \"/\\xe0\\x80\\xaf\" is not UTF-8: encode it as UTF-8"},
        {"/\xf4\x90\x80\x80", "route \"/\\xf4\\x90\\x80\\x80\" is not UTF-8: encode it as UTF-8"},
        {"\n", "route \"\\x0a\" must start with \"/\""},
    };
    vv_router *router;
    assert_int_equal(vv_router_new(&router), VV_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_fault(router, "GET", vv_span_text(cases[i][0]), VV_E_PATTERN, cases[i][1]);
    expect_fault(router, "GET", vv_span_of("/a\0b", 4), VV_E_PATTERN,
                 "route \"/a\\x00b\" contains a NUL byte: remove it");
    expect_fault(router, "", vv_span_text("/"), VV_E_PATTERN,
                 "route \"/\" names the method \"\": a method is one word, as in GET");
    expect_fault(router, "GET POST", vv_span_text("/"), VV_E_PATTERN,
                 "route \"/\" names the method \"GET POST\": a method is one word, as in GET");
    assert_int_equal(vv_router_compile(router), VV_OK);
    assert_string_equal(answer(router, vv_span_text("GET"), vv_span_text("/")), "404");
    vv_router_free(router);
}

static void
conflicts_show_both_patterns(void **state)
{
    vv_router *router;
    vv_route *route;
    vv_router_fault fault;
    assert_int_equal(vv_router_new(&router), VV_OK);
    assert_int_equal(add(router, "GET,PUT", "/a/{x}", &route, &fault), VV_OK);
    assert_int_equal(add(router, "GET", "/a", &route, &fault), VV_OK);
    assert_int_equal(add(router, "*", "/a", &route, &fault), VV_OK);
    assert_int_equal(add(router, "GET", "/{{", &route, &fault), VV_OK);
    expect_fault(router, "PUT", vv_span_text("/a/{y}"), VV_E_CONFLICT,
                 "route \"/a/{y}\" answers PUT at the same paths as route \"/a/{x}\": change one of the patterns, or "
                 "give them different methods");
    expect_fault(router, "GET", vv_span_text("/a"), VV_E_CONFLICT,
                 "route \"/a\" answers GET at the same paths as route \"/a\": change one of the patterns, or give them "
                 "different methods");
    assert_int_equal(add(router, "*", "/a", &route, &fault), VV_E_CONFLICT);
    assert_string_equal(fault.text, "route \"/a\" answers any method at the same paths as route \"/a\": change one of "
                                    "the patterns, or give them different methods");

    assert_int_equal(add(router, "POST", "/a/{z}", &route, &fault), VV_OK);
    assert_int_equal(add(router, "*", "/a/{w}", &route, &fault), VV_OK);
    assert_int_equal(add(router, "GET", "/a/{x:str}", &route, &fault), VV_OK);
    assert_int_equal(add(router, "GET", "/a/b{x}", &route, &fault), VV_OK);
    assert_int_equal(add(router, "GET", "/a/{x}/", &route, &fault), VV_OK);
    assert_int_equal(add(router, "HEAD", "/a/{x}", &route, &fault), VV_OK);
    vv_router_free(router);
}

static void
long_patterns_are_cut_in_faults(void **state)
{
    vv_router *router;
    vv_route *route;
    vv_router_fault fault;
    char pattern[400] = "/";
    memset(pattern + 1, '\n', 300);
    strcpy(pattern + 301, "{x}");
    assert_int_equal(vv_router_new(&router), VV_OK);
    assert_int_equal(add(router, "GET", pattern, &route, &fault), VV_OK);
    assert_int_equal(add(router, "GET", pattern, &route, &fault), VV_E_CONFLICT);
    assert_non_null(strstr(fault.text, "...\""));
    assert_non_null(strstr(fault.text, "give them different methods"));
    assert_null(strchr(fault.text, '\n'));
    vv_router_free(router);
}

static void
placeholders_up_to_32(void **state)
{
    vv_router *router;
    vv_route *route;
    vv_router_fault fault;
    char pattern[512] = "", path[512] = "", want[2048];
    for (int i = 0; i < 32; i++) {
        snprintf(pattern + strlen(pattern), 16, "/{p%d}", i);
        snprintf(path + strlen(path), 16, "/%d", i);
    }
    assert_int_equal(vv_router_new(&router), VV_OK);
    assert_int_equal(add(router, "GET", pattern, &route, &fault), VV_OK);
    assert_int_equal(vv_router_compile(router), VV_OK);
    snprintf(want, sizeof want, "%s", pattern);
    for (int i = 0; i < 32; i++)
        snprintf(want + strlen(want), 32, " p%d=%d", i, i);
    assert_string_equal(answer(router, vv_span_text("GET"), vv_span_text(path)), want);
    vv_router_free(router);

    assert_int_equal(vv_router_new(&router), VV_OK);
    strcat(pattern, "/{p}");
    assert_int_equal(add(router, "GET", pattern, &route, &fault), VV_E_PATTERN);
    assert_non_null(strstr(fault.text, "...\" has more than 32 placeholders: use fewer, or take the rest with "
                                       "{name:path}"));
    vv_router_free(router);
}

static void
names_up_to_255_bytes(void **state)
{
    vv_router *router;
    vv_route *route;
    vv_router_fault fault;
    char pattern[512] = "/{";
    assert_int_equal(vv_router_new(&router), VV_OK);
    memset(pattern + 2, 'n', 255);
    strcpy(pattern + 257, "}");
    assert_int_equal(add(router, "GET", pattern, &route, &fault), VV_OK);
    strcpy(pattern + 257, "n}");
    assert_int_equal(add(router, "PUT", pattern, &route, &fault), VV_E_PATTERN);
    assert_non_null(strstr(fault.text, "...\" of more than 255 bytes: shorten it"));
    vv_router_free(router);
}

static void
methods_up_to_32(void **state)
{
    vv_router *router;
    vv_route *route;
    vv_router_fault fault;
    char name[16];
    assert_int_equal(vv_router_new(&router), VV_OK);
    for (int i = 0; i < VV_ROUTER_METHODS - VV_BIT_CUSTOM; i++) {
        snprintf(name, sizeof name, "M%d", i);
        assert_int_equal(add(router, name, i % 2 ? "/{x}" : "/x", &route, &fault), VV_OK);
        /* What is refused uses no method up. */
        assert_int_equal(add(router, "NEW,GET", "/{x", &route, &fault), VV_E_PATTERN);
        if (i > 0)
            assert_int_equal(add(router, "N1,N2,M0", "/x", &route, &fault),
                             i < VV_ROUTER_METHODS - VV_BIT_CUSTOM - 2 ? VV_E_CONFLICT : VV_E_PATTERN);
    }
    expect_fault(router, "ONE-MORE", vv_span_text("/x"), VV_E_PATTERN,
                 "route \"/x\" names the method \"ONE-MORE\", one more than the 32 that a router tells apart: add the "
                 "route without methods and look at the method in its handler");
    assert_int_equal(vv_router_compile(router), VV_OK);
    assert_string_equal(answer(router, vv_span_text("M24"), vv_span_text("/x")), "/x");
    assert_string_equal(answer(router, vv_span_text("M23"), vv_span_text("/x")), "/{x} x=x");
    assert_string_equal(answer(router, vv_span_text("M3"), vv_span_text("/y")), "/{x} x=y");
    vv_router_free(router);
}

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

/* ---- the oracle ---- */

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

/* 3: names the method; 2: takes any; 1: takes HEAD for GET; 0: not at all. */
static int
naive_claim(const naive_route *r, int method)
{
    if (method >= 0 && r->methods >> method & 1)
        return 3;
    if (r->methods == 0)
        return 2;
    return method == 1 && r->methods & 1;
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
        cmocka_unit_test(paths_without_placeholders),
        cmocka_unit_test(a_trailing_slash_is_significant),
        cmocka_unit_test(static_beats_typed_beats_plain_beats_path),
        cmocka_unit_test(the_first_segment_that_differs_decides),
        cmocka_unit_test(the_walk_turns_back),
        cmocka_unit_test(the_walk_turns_back_for_a_method),
        cmocka_unit_test(unknown_paths_and_unknown_methods),
        cmocka_unit_test(head_falls_back_to_get),
        cmocka_unit_test(any_method_stands_back_behind_named_ones),
        cmocka_unit_test(what_an_any_method_route_allows),
        cmocka_unit_test(custom_methods_are_told_apart),
        cmocka_unit_test(a_method_matches_by_its_whole_name),
        cmocka_unit_test(the_end_of_the_path_is_no_match_at_a_slash),
        cmocka_unit_test(a_prefix_stands_before_a_placeholder),
        cmocka_unit_test(doubled_braces_are_text),
        cmocka_unit_test(an_escaped_slash_does_not_split_a_segment),
        cmocka_unit_test(a_path_parameter_may_be_empty),
        cmocka_unit_test(patterns_are_compared_with_the_decoded_path),
        cmocka_unit_test(typed_placeholders_take_their_shape_alone),
        cmocka_unit_test(a_route_knows_its_parts),
        cmocka_unit_test(the_standard_methods_come_first),
        cmocka_unit_test(every_fault_says_what_to_do),
        cmocka_unit_test(conflicts_show_both_patterns),
        cmocka_unit_test(long_patterns_are_cut_in_faults),
        cmocka_unit_test(placeholders_up_to_32),
        cmocka_unit_test(names_up_to_255_bytes),
        cmocka_unit_test(methods_up_to_32),
        cmocka_unit_test(ten_thousand_routes_are_each_found),
        cmocka_unit_test(a_hostile_path_enters_each_node_once),
        cmocka_unit_test(random_tables_agree_with_the_naive_matcher),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
