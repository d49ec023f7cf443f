/* core/router/pattern: what a pattern may be, and what is said of one that may not. */
#include "core/router/tree.h"
#include "router_of.h"

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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_route_knows_its_parts),         cmocka_unit_test(the_standard_methods_come_first),
        cmocka_unit_test(every_fault_says_what_to_do),     cmocka_unit_test(conflicts_show_both_patterns),
        cmocka_unit_test(long_patterns_are_cut_in_faults), cmocka_unit_test(placeholders_up_to_32),
        cmocka_unit_test(names_up_to_255_bytes),           cmocka_unit_test(methods_up_to_32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
