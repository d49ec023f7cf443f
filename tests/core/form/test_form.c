/* core/form/form: every case is fed whole, in every two pieces, and byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/form/form.h"

#define LENGTH_OF(array) (sizeof(array) / sizeof((array)[0]))

static const vv_form_limits usual = {.parts = 5, .head_bytes = 200, .text_bytes = 400};

/* Feeds in pieces that end at `first` and then every `step` bytes, each at the end of its own allocation. */
static vv_form *
fed(const char *in, size_t len, size_t first, size_t step, const vv_form_limits *limits)
{
    vv_form *form;
    assert_int_equal(vv_form_new(&form, vv_span_text("b"), limits), VV_OK);
    for (size_t from = 0, to = first < len ? first : len; from < len;) {
        uint8_t *piece = malloc(to - from + 1);
        memcpy(piece + 1, in + from, to - from);
        (void)vv_form_feed(form, vv_span_of(piece + 1, to - from));
        free(piece);
        from = to;
        to = len - from > step ? from + step : len;
    }
    return form;
}

static size_t
add(char *out, size_t room, const char *before, vv_span text, const char *after)
{
    int len = snprintf(out, room, "%s%.*s%s", before, (int)text.len, (const char *)text.at, after);
    assert_true(len >= 0 && (size_t)len < room);
    return (size_t)len;
}

/* A form as text: `a=1, f(name.txt text/plain)="bytes"`, or what is wrong with it. */
static void
show(vv_form *form, const char *in, char *out, size_t room)
{
    size_t at = 0;
    uint64_t where;
    vv_status status = vv_form_end(form);
    out[0] = '\0';
    assert_int_equal(vv_form_end(form), status);
    if (status != VV_OK) {
        const char *fault = vv_form_fault(form, &where);
        assert_true(fault[0] != '\0');
        snprintf(out, room, "%d at %d: %s", vv_status_answer(status), (int)where, fault);
        return;
    }
    for (size_t i = 0; i < vv_form_count(form); i++) {
        const vv_form_part *part = vv_form_at(form, i);
        at += add(out + at, room - at, i > 0 ? ", " : "", vv_form_text_of(form, part->name.at, part->name.len), "");
        if (part->is_file) {
            at += add(out + at, room - at, "(", vv_form_text_of(form, part->filename.at, part->filename.len), "");
            at += add(out + at, room - at, " ", vv_form_text_of(form, part->type.at, part->type.len), ")=");
            at += add(out + at, room - at, "\"", vv_span_of(in + part->at, (size_t)part->len), "\"");
        } else {
            at += add(out + at, room - at, "=", vv_form_text_of(form, (size_t)part->at, (size_t)part->len), "");
            at += add(out + at, room - at, part->charset.len > 0 ? " in " : "",
                      vv_form_text_of(form, part->charset.at, part->charset.len), "");
        }
    }
}

static void
check_bytes(const char *in, size_t len, const char *expected, const vv_form_limits *limits)
{
    char whole[4096], cut[4096];
    vv_form *form = fed(in, len, len, len, limits);
    show(form, in, whole, sizeof whole);
    vv_form_free(form);
    assert_string_equal(whole, expected);
    for (size_t first = 0; first <= len; first++) {
        form = fed(in, len, first, first == 0 ? 1 : len, limits);
        show(form, in, cut, sizeof cut);
        vv_form_free(form);
        assert_string_equal(cut, expected);
    }
}

static void
check(const char *in, const char *expected)
{
    check_bytes(in, strlen(in), expected, &usual);
}

#define FIELD(name, text) "--b\r\nContent-Disposition: form-data; name=" name "\r\n\r\n" text "\r\n"
#define FILE_OF(name, filename, text)                                                                                  \
    "--b\r\nContent-Disposition: form-data; name=" name "; filename=" filename "\r\n\r\n" text "\r\n"
#define END "--b--\r\n"

static void
fields_and_files(void **state)
{
    check("--b--", "");
    check("--b--\r\n", "");
    check("\r\n--b--", "");
    check(FIELD("a", "1") END, "a=1");
    check(FIELD("\"a b\"", "") FIELD("c", "1\r\n2\r\n\r\n") END, "a b=, c=1\r\n2\r\n\r\n");
    check(FILE_OF("f", "\"x.txt\"", "data") FIELD("a", "1") FILE_OF("f", "y", "") END,
          "f(x.txt )=\"data\", a=1, f(y )=\"\"");
    check("--b \t \r\ncontent-disposition:form-data;name=a\r\n\r\n1\r\n--b-- \t\r\n", "a=1");
    check("--b\r\nX: y\r\nCONTENT-TYPE:  text/plain; charset=\"latin1\"\r\n"
          "Content-Disposition: Form-Data ; NAME=\"a\" ; x=y\r\n\r\n1\r\n" END,
          "a=1 in latin1");
    check("--b\r\nContent-Disposition: form-data; name=f; filename=\"\"\r\nContent-Type: a/b; c=d\r\n\r\n\r\n" END,
          "f( a/b; c=d)=\"\"");
    check("--b\r\nContent-Disposition: form-data; filename*=utf-8''e; name=f; filename=e\r\n"
          "Content-Transfer-Encoding: BINARY\r\n\r\nx\r\n" END,
          "f(e )=\"x\"");
}

static void
what_looks_like_a_boundary(void **state)
{
    check(FILE_OF("f", "n", "\r") END, "f(n )=\"\r\"");
    check(FILE_OF("f", "n", "\r\n-") END, "f(n )=\"\r\n-\"");
    check(FILE_OF("f", "n", "\r\n--") END, "f(n )=\"\r\n--\"");
    check(FILE_OF("f", "n", "\r\r\n\r\n--\r\n--c--b") END, "f(n )=\"\r\r\n\r\n--\r\n--c--b\"");
    check(FIELD("a", "\r\r\n\r\n--\r\n--c--b") END, "a=\r\r\n\r\n--\r\n--c--b");
    check(FIELD("a", "--b--") END, "a=--b--");
    check(FIELD("a", "\n--b--\n") END, "a=\n--b--\n");
}

static void
quoted_names(void **state)
{
    check(FIELD("\"a\\\"b\\\\c\"", "1") END, "a\"b\\c=1");
    check(FILE_OF("f", "\"C:\\dir\\x.txt\"", "") END, "f(C:\\dir\\x.txt )=\"\"");
    check(FILE_OF("f", "\"../../etc/passwd\"", "") END, "f(../../etc/passwd )=\"\"");
    check(FILE_OF("f", "\"a;b=c\"", "") END, "f(a;b=c )=\"\"");
    check(FILE_OF("\"\"", "\"\xc3\xa4%22\"", "") END, "(\xc3\xa4%22 )=\"\"");
}

static void
what_is_refused(void **state)
{
    static const struct {
        const char *in, *expected;
    } cases[] = {
        {"", "400 at 0: it ends before its last boundary"},
        {"x", "400 at 0: it does not begin with its boundary"},
        {"--c--", "400 at 2: it does not begin with its boundary"},
        {"preamble\r\n--b--", "400 at 0: it does not begin with its boundary"},
        {"\r\n\r\n--b--", "400 at 2: it does not begin with its boundary"},
        {"--b", "400 at 3: it ends before its last boundary"},
        {"--b-", "400 at 4: it ends before its last boundary"},
        {"--b-\r", "400 at 4: a boundary's line goes on"},
        {"--bb", "400 at 3: a boundary's line goes on"},
        {"--b -", "400 at 4: a boundary's line goes on"},
        {"--b\n", "400 at 3: a boundary's line goes on"},
        {"--b\r\r", "400 at 4: a line does not end in CRLF"},
        {"--b--x", "400 at 5: something follows its last boundary"},
        {"--b--\r\nx", "400 at 7: something follows its last boundary"},
        {"--b--\r\n\r\n", "400 at 7: something follows its last boundary"},
        {"--b--\r", "400 at 6: it ends before its last boundary"},
        {"--b\r\n\r\n", "400 at 6: a part has no Content-Disposition"},
        {"--b\r\nA: b\r\n\r\n", "400 at 12: a part has no Content-Disposition"},
        {"--b\r\n folded\r\n", "400 at 5: a header line of a part is malformed"},
        {"--b\r\nA: b\r\n c\r\n", "400 at 11: a header line of a part is malformed"},
        {"--b\r\nA: b\n", "400 at 9: a header line of a part is malformed"},
        {"--b\r\nA: b\x7f", "400 at 9: a header line of a part is malformed"},
        {"--b\r\nA: b\rc", "400 at 10: a line does not end in CRLF"},
        {"--b\r\nA: b\r\n\rc", "400 at 12: a line does not end in CRLF"},
        {"--b\r\nno colon\r\n\r\n", "400 at 16: a header line of a part is malformed"},
        {"--b\r\n: b\r\n\r\n", "400 at 11: a header line of a part is malformed"},
        {"--b\r\na b: c\r\n\r\n", "400 at 14: a header line of a part is malformed"},
    };
    for (size_t i = 0; i < LENGTH_OF(cases); i++)
        check(cases[i].in, cases[i].expected);
    check(FIELD("a", "1"), "400 at 50: it ends before its last boundary");
    check(FIELD("a", "1") "--", "400 at 52: it ends before its last boundary");
}

static void
heads_that_are_refused(void **state)
{
    static const struct {
        const char *lines, *why;
    } cases[] = {
        {"attachment; name=a", "a part's Content-Disposition is not form-data"},
        {"", "a part's Content-Disposition is not form-data"},
        {"form-data", "a part's Content-Disposition has no name"},
        {"form-data; filename=x", "a part's Content-Disposition has no name"},
        {"form-data; name", "a part's Content-Disposition is malformed"},
        {"form-data; name=", "a part's Content-Disposition is malformed"},
        {"form-data; name=\"a", "a part's Content-Disposition is malformed"},
        {"form-data; name=\"a\\\"", "a part's Content-Disposition is malformed"},
        {"form-data; name=a b", "a part's Content-Disposition is malformed"},
        {"form-data; name=\"a\"b", "a part's Content-Disposition is malformed"},
        {"form-data; name =a", "a part's Content-Disposition is malformed"},
        {"form-data; =a", "a part's Content-Disposition is malformed"},
        {"form-data; name=a; name=b", "a part's Content-Disposition says something twice"},
        {"form-data; name=a; filename=b; FILENAME=c", "a part's Content-Disposition says something twice"},
        {"form-data; name=a; filename*=utf-8''b", "a part has a filename* and no filename"},
        {"form-data; name=a\r\nContent-Disposition: form-data; name=a", "a part has a header line twice"},
        {"form-data; name=a\r\nContent-Type: a/b\r\nContent-Type: a/b", "a part has a header line twice"},
        {"form-data; name=a\r\nContent-Type:", "a part's Content-Type is empty"},
        {"form-data; name=a\r\nContent-Type: a/b; c", "a part's Content-Type is malformed"},
        {"form-data; name=a\r\nContent-Transfer-Encoding: base64", "a part has a Content-Transfer-Encoding"},
    };
    for (size_t i = 0; i < LENGTH_OF(cases); i++) {
        char in[512], expected[512];
        int len = snprintf(in, sizeof in, "--b\r\nContent-Disposition: %s\r\n\r\n", cases[i].lines);
        snprintf(expected, sizeof expected, "400 at %d: %s", len - 1, cases[i].why);
        check(in, expected);
    }
}

static void
limits(void **state)
{
    char in[2048], expected[1024], bytes[512];
    memset(bytes, 'x', sizeof bytes);
    in[0] = '\0';
    for (int i = 0; i < 5; i++)
        strcat(in, FIELD("a", "1"));
    size_t len = strlen(in);
    strcat(in, END);
    check(in, "a=1, a=1, a=1, a=1, a=1");
    strcpy(in + len, FILE_OF("f", "f", "") END);
    check(in, "413 at 0: it has more parts than limit_form_parts");

    /* The head: what counts is its lines with one byte for each line's end. */
    int line = 200 - 1 - (int)strlen("content-disposition:form-data;name=a\n");
    for (int more = 0; more < 2; more++) {
        sprintf(in, "--b\r\ncontent-disposition:form-data;name=a\r\nX:%.*s\r\n\r\n1\r\n" END, line - 2 + more, bytes);
        check(in, more ? "413 at 0: the header lines of a part exceed limit_form_head_bytes" : "a=1");
    }

    /* The texts: names and fields, and not what is in files. */
    sprintf(in, FIELD("a", "%.*s") FILE_OF("b", "c", "%.*s") END, 397, bytes, 500, bytes);
    sprintf(expected, "a=%.*s, b(c )=\"%.*s\"", 397, bytes, 500, bytes);
    check(in, expected);
    sprintf(in, FIELD("a", "%.*s") FILE_OF("b", "c", "%.*s") END, 398, bytes, 100, bytes);
    check(in, "413 at 0: its fields exceed limit_form_text_bytes");
    sprintf(in, FIELD("a", "%.*s\r\n--b"), 400, bytes);
    vv_form *form = fed(in, strlen(in), strlen(in), strlen(in), &usual);
    assert_int_equal(vv_form_end(form), VV_E_FORM_LIMIT);
    assert_int_equal(vv_form_feed(form, vv_span_text("--b")), VV_E_FORM_LIMIT);
    vv_form_free(form);
}

static void
boundaries(void **state)
{
    static const struct {
        const char *type, *boundary;
    } cases[] = {
        {"multipart/form-data; boundary=abc", "abc"},
        {"Multipart/Form-Data;charset=utf-8;BOUNDARY=\"a b\"", "a b"},
        {"multipart/form-data; boundary=\"'()+_,-./:=?9Zz\";", "'()+_,-./:=?9Zz"},
        {"multipart/form-data; boundary=0123456789012345678901234567890123456789012345678901234567890123456789",
         "0123456789012345678901234567890123456789012345678901234567890123456789"},
        {"multipart/form-data; boundary=01234567890123456789012345678901234567890123456789012345678901234567890", NULL},
        {"multipart/form-data", NULL},
        {"multipart/form-data; boundary", NULL},
        {"multipart/form-data; boundary=", NULL},
        {"multipart/form-data; boundary=\"\"", NULL},
        {"multipart/form-data; boundary=\"a \"", NULL},
        {"multipart/form-data; boundary=\"a\\\"\"", NULL},
        {"multipart/form-data; boundary=\"a", NULL},
        {"multipart/form-data; boundary=a$", NULL},
        {"multipart/form-data; boundary=a b", NULL},
        {"multipart/form-data; boundary=a; boundary=a", NULL},
        {"multipart/form-data, boundary=a", ""},
        {"multipart/mixed; boundary=a", ""},
        {"text/plain", ""},
        {"", ""},
    };
    for (size_t i = 0; i < LENGTH_OF(cases); i++) {
        uint8_t boundary[VV_FORM_BOUNDARY_BYTES];
        size_t len = 0;
        vv_status status = vv_form_boundary(vv_span_text(cases[i].type), boundary, &len);
        if (cases[i].boundary == NULL) {
            assert_int_equal(status, VV_E_FORM);
        } else if (cases[i].boundary[0] == '\0') {
            assert_int_equal(status, VV_AGAIN);
        } else {
            assert_int_equal(status, VV_OK);
            assert_true(vv_span_equal(vv_span_of(boundary, len), vv_span_text(cases[i].boundary)));
        }
    }
}

static void
a_long_boundary_in_a_long_file(void **state)
{
    enum { BYTES = 100 * 1000 };
    char boundary[VV_FORM_BOUNDARY_BYTES + 1], *in = malloc(BYTES + 1000);
    memset(boundary, '-', VV_FORM_BOUNDARY_BYTES); /* as hard to find as can be */
    boundary[VV_FORM_BOUNDARY_BYTES] = '\0';
    int head = sprintf(in, "--%s\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n", boundary);
    for (int i = 0; i < BYTES; i++)
        in[head + i] = i % 71 == 0 ? '\r' : i % 71 == 1 ? '\n' : '-';
    int len = head + BYTES + sprintf(in + head + BYTES, "\r\n--%s--", boundary);
    for (size_t step = 1; step < 5000; step = step * 7 + 3) {
        vv_form *form;
        assert_int_equal(vv_form_new(&form, vv_span_text(boundary), &usual), VV_OK);
        for (size_t at = 0; at < (size_t)len; at += step)
            (void)vv_form_feed(form, vv_span_of(in + at, (size_t)len - at < step ? (size_t)len - at : step));
        assert_int_equal(vv_form_end(form), VV_OK);
        assert_int_equal(vv_form_count(form), 1);
        assert_int_equal(vv_form_at(form, 0)->at, head);
        assert_int_equal(vv_form_at(form, 0)->len, BYTES);
        vv_form_free(form);
    }
    free(in);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_and_files),
        cmocka_unit_test(what_looks_like_a_boundary),
        cmocka_unit_test(quoted_names),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(heads_that_are_refused),
        cmocka_unit_test(limits),
        cmocka_unit_test(boundaries),
        cmocka_unit_test(a_long_boundary_in_a_long_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
