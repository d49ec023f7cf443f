/* core/router: which route answers, with what, and what is allowed instead. */
#include "core/router/tree.h"
#include "router_of.h"

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
    EXPECT(ROUTER("GET /u/{x}", "* /u/{y}"), {"HEAD", "/u/1", "/u/{x} x=1"}, {"GET", "/u/1", "/u/{x} x=1"},
           {"PUT", "/u/1", "/u/{y} y=1"});
    EXPECT(ROUTER("* /u/{y}", "GET /u/{x}", "HEAD /u/{z}"), {"HEAD", "/u/1", "/u/{z} z=1"});
    EXPECT(ROUTER("* /u/{y}", "POST /u/{x}"), {"HEAD", "/u/1", "/u/{y} y=1"});
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
nothing_is_found_before_the_router_is_compiled(void **state)
{
    vv_router *router;
    vv_route *route;
    assert_int_equal(vv_router_new(&router), VV_OK);
    assert_int_equal(add(router, "GET", "/a", &route, NULL), VV_OK);
    assert_int_equal(add(router, "GET", "/b{x}/c", &route, NULL), VV_OK);
    assert_int_equal(add(router, "GET", "/{x}/d", &route, NULL), VV_OK);
    assert_string_equal(answer(router, vv_span_text("GET"), vv_span_text("/a")), "404");
    assert_string_equal(answer(router, vv_span_text("GET"), vv_span_text("/b1/e")), "404");
    assert_int_equal(vv_router_compile(router), VV_OK);
    assert_string_equal(answer(router, vv_span_text("GET"), vv_span_text("/b1/d")), "/{x}/d x=b1");
    vv_router_free(router);
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
        cmocka_unit_test(nothing_is_found_before_the_router_is_compiled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
