/* core/http1/parse: every case is run whole, byte by byte and cut in three, on every instruction set this CPU has
 * and on the portable one, which is compiled into this file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define VV_ISA         swar
#define VV_ISA_IS_SWAR 1
#include "core/http1/parse.isa.c"

#include "core/simd/isa.h"

enum { FIELDS = 8, HEAD_BYTES = 4096 };

static const vv_http1_limits limits = {.head_bytes = HEAD_BYTES, .header_fields = FIELDS};

/* The instruction sets, and behind them the portable variant. */
enum { PORTABLE = VV_ISA_COUNT, VARIANTS };

static int
use(int variant)
{
    return variant == PORTABLE || vv_isa_force((vv_isa)variant);
}

static vv_status
parse(int variant, vv_span in, size_t seen, const vv_http1_limits *lim, vv_field *fields, vv_http1_request *req)
{
    if (variant == PORTABLE)
        return vv_http1_parse_request_swar(in, seen, lim, fields, req);
    return vv_http1_parse_request(in, seen, lim, fields, req);
}

/* ── Bytes that end where their page ends: reading one too far is a crash, not luck ───────────────────────────── */

static uint8_t *guard_end;

static void
guard_open(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = 32 * page;
    uint8_t *base = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(base != MAP_FAILED);
    assert_int_equal(mprotect(base + room, page, PROT_NONE), 0);
    guard_end = base + room;
}

static vv_span
guarded_copy(const void *bytes, size_t len)
{
    if (guard_end == NULL)
        guard_open();
    memcpy(guard_end - len, bytes, len);
    return vv_span_of(guard_end - len, len);
}

/* ── One input, every way ─────────────────────────────────────────────────────────────────────────────────────── */

typedef struct outcome {
    vv_status status;
    vv_http1_request req; /* as parsed; head and fields are not compared */
    vv_field fields[FIELDS + 1];
} outcome;

static outcome
parse_whole(int variant, const void *bytes, size_t len, const vv_http1_limits *lim)
{
    outcome o;
    memset(&o, 0x5a, sizeof(o));
    o.status = parse(variant, guarded_copy(bytes, len), 0, lim, o.fields, &o.req);
    assert_int_equal(o.fields[FIELDS].name_at, 0x5a5a5a5a);
    return o;
}

/* Fed piece by piece as a connection would, until there is an answer. */
static outcome
parse_cut(int variant, const void *bytes, size_t len, size_t first, size_t step, const vv_http1_limits *lim)
{
    outcome o;
    size_t seen = 0;
    memset(&o, 0x5a, sizeof(o));
    for (size_t have = first;; have += step) {
        if (have > len)
            have = len;
        o.status = parse(variant, guarded_copy(bytes, have), seen, lim, o.fields, &o.req);
        if (o.status != VV_AGAIN || have == len)
            return o;
        seen = have;
    }
}

static const char *trying = ""; /* borrowed: the input, for messages */

#define SAME(member) assert_int_equal(a->req.member, b->req.member)
static void
assert_same(const outcome *a, const outcome *b)
{
    if (a->status != b->status)
        fail_msg("\"%s\" and \"%s\" for\n%s", vv_status_text(a->status), vv_status_text(b->status), trying);
    if (a->status != VV_OK)
        return;
    SAME(content_length), SAME(used), SAME(head_len), SAME(target_at), SAME(target_len), SAME(path_at);
    SAME(path_len), SAME(query_at), SAME(query_len), SAME(host_at), SAME(host_len), SAME(method_len);
    SAME(field_count), SAME(flags), SAME(method), SAME(minor), SAME(form);
    assert_memory_equal(a->fields, b->fields, a->req.field_count * sizeof(vv_field));
}
#undef SAME

/* The one answer, whatever the variant and the cut. */
static outcome
answer_within(const void *bytes, size_t len, const vv_http1_limits *lim)
{
    trying = bytes;
    outcome first = parse_whole(PORTABLE, bytes, len, lim);
    for (int variant = 0; variant < VARIANTS; variant++) {
        if (!use(variant))
            continue;
        outcome other = parse_whole(variant, bytes, len, lim);
        assert_same(&first, &other);
        other = parse_cut(variant, bytes, len, 0, 1, lim);
        assert_same(&first, &other);
        other = parse_cut(variant, bytes, len, len / 3, len / 3 + 1, lim);
        assert_same(&first, &other);
    }
    return first;
}

static outcome
answer(const char *text)
{
    return answer_within(text, strlen(text), &limits);
}

static void
assert_answer(const char *name, const char *text, vv_status want)
{
    outcome o = answer(text);
    if (o.status != want)
        fail_msg("%s: \"%s\" instead of \"%s\" for\n%s", name, vv_status_text(o.status), vv_status_text(want), text);
}

/* The head's text at an offset. */
static void
assert_text(const char *text, uint32_t at, uint32_t len, const char *want)
{
    assert_int_equal(len, strlen(want));
    assert_memory_equal(text + at, want, len);
}

/* ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────── */

#define GET  "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define END  "\r\n"

typedef struct row {
    const char *name, *in;
    vv_status want;
} row;

static void
assert_rows(const row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_answer(rows[i].name, rows[i].in, rows[i].want);
}
#define ASSERT_ROWS(rows) assert_rows(rows, sizeof(rows) / sizeof((rows)[0]))

static void
request_lines(void **state)
{
    static const row rows[] = {
        {"simplest request", GET HOST END, VV_OK},
        {"HTTP/1.0 needs no Host", "GET / HTTP/1.0\r\n\r\n", VV_OK},
        {"one empty line before", "\r\n" GET HOST END, VV_OK},
        {"two empty lines before", "\r\n\r\n" GET HOST END, VV_E_SYNTAX},
        {"a bare LF before", "\n" GET HOST END, VV_E_SYNTAX},
        {"a bare CR before", "\r" GET HOST END, VV_E_SYNTAX},
        {"nothing", "", VV_AGAIN},
        {"half an empty line", "\r", VV_AGAIN},
        {"an empty line", "\r\n", VV_AGAIN},
        {"a head without its end", GET HOST, VV_AGAIN},
        {"a head without its last LF", GET HOST "\r", VV_AGAIN},
        {"an unknown method", "BREW / HTTP/1.1\r\n" HOST END, VV_OK},
        {"a method of marks", "!#$%&'*+-.^_`|~09 / HTTP/1.1\r\n" HOST END, VV_OK},
        {"a method of one letter", "M / HTTP/1.1\r\n" HOST END, VV_OK},
        {"a method of 32", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1\r\n" HOST END, VV_OK},
        {"a method of 33", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n" HOST END, VV_E_SYNTAX},
        {"no method", " / HTTP/1.1\r\n" HOST END, VV_E_SYNTAX},
        {"a method with a slash", "GE/T / HTTP/1.1\r\n" HOST END, VV_E_SYNTAX},
        {"a tab behind the method", "GET\t/ HTTP/1.1\r\n" HOST END, VV_E_SYNTAX},
        {"two spaces behind the method", "GET  / HTTP/1.1\r\n" HOST END, VV_E_SYNTAX},
        {"two spaces behind the target", "GET /  HTTP/1.1\r\n" HOST END, VV_E_SYNTAX},
        {"a space in the target", "GET /a b HTTP/1.1\r\n" HOST END, VV_E_SYNTAX},
        {"a space behind the version", "GET / HTTP/1.1 \r\n" HOST END, VV_E_SYNTAX},
        {"no version", "GET /\r\n" HOST END, VV_E_SYNTAX},
        {"a line feed alone", "GET / HTTP/1.1\n" HOST END, VV_E_SYNTAX},
        {"a carriage return alone", "GET / HTTP/1.1\r" HOST END, VV_E_SYNTAX},
        {"TLS instead", "\x16\x03\x01\x02\x01\x01\xfc\x03\x03", VV_E_SYNTAX},
        {"HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VV_E_VERSION},
        {"HTTP/1.2", "GET / HTTP/1.2\r\n" HOST END, VV_E_VERSION},
        {"HTTP/0.9", "GET / HTTP/0.9\r\n" HOST END, VV_E_VERSION},
        {"HTTP/3.0", "GET / HTTP/3.0\r\n" HOST END, VV_E_VERSION},
        {"HTTP/1.10", "GET / HTTP/1.10\r\n" HOST END, VV_E_SYNTAX},
        {"HTTP/1", "GET / HTTP/1\r\n" HOST END, VV_E_SYNTAX},
        {"HTTP/1.a", "GET / HTTP/1.a\r\n" HOST END, VV_E_SYNTAX},
        {"http/1.1", "GET / http/1.1\r\n" HOST END, VV_E_SYNTAX},
        {"HTTPS/1.1", "GET / HTTPS/1.1\r\n" HOST END, VV_E_SYNTAX},
        {"an end within the version", "GET / HTTP/1.", VV_AGAIN},
        {"a line's end within the version", "GET / HTTP\r\nHost: a", VV_E_SYNTAX},
        {"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", VV_E_METHOD},
    };
    ASSERT_ROWS(rows);
}

static void
targets(void **state)
{
#define TO(target) "GET " target " HTTP/1.1\r\n" HOST END
    static const row rows[] = {
        {"a query", TO("/a?b=c&d"), VV_OK},
        {"an empty query", TO("/?"), VV_OK},
        {"two question marks", TO("/a?b?c"), VV_OK},
        {"marks that browsers do not escape", TO("/a|b\"<>[]{}^`\\"), VV_OK},
        {"a fragment", TO("/a#b"), VV_E_TARGET},
        {"a fragment in the query", TO("/a?b#c"), VV_E_TARGET},
        {"no slash", TO("a"), VV_E_TARGET},
        {"a query alone", TO("?a"), VV_E_TARGET},
        {"an asterisk with GET", TO("*"), VV_E_TARGET},
        {"an asterisk with OPTIONS", "OPTIONS * HTTP/1.1\r\n" HOST END, VV_OK},
        {"an asterisk and more", "OPTIONS *a HTTP/1.1\r\n" HOST END, VV_E_TARGET},
        {"absolute form", TO("http://b/c?d"), VV_OK},
        {"absolute form, https", TO("HTTPS://b:1/"), VV_OK},
        {"absolute form without a path", TO("hTTp://b"), VV_OK},
        {"absolute form, query alone", TO("http://b?c"), VV_OK},
        {"absolute form without a host", TO("http:///c"), VV_E_TARGET},
        {"absolute form without anything", TO("http://"), VV_E_TARGET},
        {"absolute form, a port alone", TO("http://:80/"), VV_E_TARGET},
        {"absolute form with a user", TO("http://u@b/"), VV_E_TARGET},
        {"another scheme", TO("ftp://b/"), VV_E_TARGET},
        {"authority form", TO("b:80"), VV_E_TARGET},
        {"DEL", TO("/\x7f"), VV_E_SYNTAX},
        {"a byte above ASCII", TO("/\xc3\xa9"), VV_E_SYNTAX},
        {"a tab", TO("/a\tb"), VV_E_SYNTAX},
        {"a line's end", TO("/a\r\nb"), VV_E_SYNTAX},
        {"more than a block",
         TO("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            "aaa"
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?"
            "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"),
         VV_OK},
        {"absolute form without Host", "GET http://b/ HTTP/1.1\r\n\r\n", VV_E_HOST},
        {"absolute form without Host on 1.0", "GET http://b/ HTTP/1.0\r\n\r\n", VV_OK},
    };
    ASSERT_ROWS(rows);
}

static void
field_lines(void **state)
{
#define WITH(lines) GET HOST lines END
    static const row rows[] = {
        {"no white space", WITH("a:b\r\n"), VV_OK},
        {"much white space", WITH("a: \t b \t \r\n"), VV_OK},
        {"an empty value", WITH("a:\r\n"), VV_OK},
        {"a value of white space", WITH("a: \t \r\n"), VV_OK},
        {"white space within", WITH("a: b\t c\r\n"), VV_OK},
        {"colons in the value", WITH("a: b:c:d\r\n"), VV_OK},
        {"bytes above ASCII in the value", WITH("a: \x80\xff\r\n"), VV_OK},
        {"marks in the name", WITH("!#$%&'*+-.^_`|~: b\r\n"), VV_OK},
        {"space before the colon", WITH("a : b\r\n"), VV_E_SYNTAX},
        {"no name", WITH(": b\r\n"), VV_E_SYNTAX},
        {"no colon", WITH("a\r\n"), VV_E_SYNTAX},
        {"no colon, a space", WITH("a b\r\n"), VV_E_SYNTAX},
        {"a folded line", WITH("a: b\r\n c\r\n"), VV_E_SYNTAX},
        {"a line folded by a tab", WITH("a: b\r\n\tc: d\r\n"), VV_E_SYNTAX},
        {"a space before the first name", GET " " HOST END, VV_E_SYNTAX},
        {"a line feed alone", WITH("a: b\nc: d\r\n"), VV_E_SYNTAX},
        {"a carriage return alone", WITH("a: b\rc: d\r\n"), VV_E_SYNTAX},
        {"two carriage returns", WITH("a: b\r\r\n"), VV_E_SYNTAX},
        {"a line feed alone at the end", GET HOST "\n", VV_E_SYNTAX},
        {"a carriage return alone at the end", GET HOST "\rX", VV_E_SYNTAX},
        {"DEL in the value", WITH("a: \x7f\r\n"), VV_E_SYNTAX},
        {"a control in the value", WITH("a: \x01\r\n"), VV_E_SYNTAX},
        {"a byte above ASCII in the name", WITH("\xc3\xa9: b\r\n"), VV_E_SYNTAX},
        {"eight fields", WITH("a:\r\nb:\r\nc:\r\nd:\r\ne:\r\nf:\r\ng:\r\n"), VV_OK},
        {"nine fields", WITH("a:\r\nb:\r\nc:\r\nd:\r\ne:\r\nf:\r\ng:\r\nh:\r\n"), VV_E_TOO_MANY_FIELDS},
        {"a ninth field that is none", WITH("a:\r\nb:\r\nc:\r\nd:\r\ne:\r\nf:\r\ng:\r\nh\r\n"), VV_E_SYNTAX},
    };
    ASSERT_ROWS(rows);

    static const char nul[] = GET HOST "a: b\0c\r\n\r\n";
    assert_int_equal(answer_within(nul, sizeof(nul) - 1, &limits).status, VV_E_SYNTAX);
}

static void
hosts(void **state)
{
#define AT(host) GET "Host: " host "\r\n\r\n"
    static const row rows[] = {
        {"none", GET END, VV_E_HOST},
        {"empty", AT(""), VV_E_HOST},
        {"doubled", GET HOST HOST END, VV_E_HOST},
        {"doubled, another case", GET HOST "hOsT: b\r\n" END, VV_E_HOST},
        {"a name", AT("www.example.com"), VV_OK},
        {"every byte of a name", AT("azAZ09-._~!$&'()*+,;="), VV_OK},
        {"an escape", AT("a%2Fb"), VV_OK},
        {"half an escape", AT("a%2"), VV_E_HOST},
        {"an escape of nothing", AT("a%zz"), VV_E_HOST},
        {"a port", AT("a:80"), VV_OK},
        {"an empty port", AT("a:"), VV_OK},
        {"a port of five digits", AT("a:65535"), VV_OK},
        {"a port of six digits", AT("a:123456"), VV_E_HOST},
        {"a port of letters", AT("a:http"), VV_E_HOST},
        {"a digit and a letter", AT("a:8o"), VV_E_HOST},
        {"two ports", AT("a:1:2"), VV_E_HOST},
        {"a port alone", AT(":80"), VV_E_HOST},
        {"an escape and a port", AT("%61:80"), VV_OK},
        {"a user", AT("u@a"), VV_E_HOST},
        {"a path", AT("a/b"), VV_E_HOST},
        {"a list", AT("a b"), VV_E_HOST},
        {"a byte above ASCII", AT("\xc3\xa9"), VV_E_HOST},
        {"IPv4", AT("127.0.0.1:8080"), VV_OK},
        {"IPv6", AT("[::1]"), VV_OK},
        {"IPv6 and a port", AT("[2001:db8::8:800:200c:417a]:443"), VV_OK},
        {"IPv6, all of it", AT("[1:2:3:4:5:6:7:8]"), VV_OK},
        {"IPv6, nothing but the gap", AT("[::]"), VV_OK},
        {"IPv6, a gap at the end", AT("[1::]"), VV_OK},
        {"IPv6, IPv4 within", AT("[::ffff:192.0.2.1]"), VV_OK},
        {"IPv6, six groups and IPv4", AT("[1:2:3:4:5:6:192.0.2.1]"), VV_OK},
        {"IPv6, nine groups", AT("[1:2:3:4:5:6:7:8:9]"), VV_E_HOST},
        {"IPv6, seven groups", AT("[1:2:3:4:5:6:7]"), VV_E_HOST},
        {"IPv6, two gaps", AT("[1::2::3]"), VV_E_HOST},
        {"IPv6, three colons", AT("[1:::2]"), VV_E_HOST},
        {"IPv6, a colon first", AT("[:1::2]"), VV_E_HOST},
        {"IPv6, a colon last", AT("[1::2:]"), VV_E_HOST},
        {"IPv6, five digits", AT("[12345::]"), VV_E_HOST},
        {"IPv6, 256", AT("[::256.0.2.1]"), VV_E_HOST},
        {"IPv6, three of four", AT("[::192.0.2]"), VV_E_HOST},
        {"IPv6, IPv4 not last", AT("[::192.0.2.1:1]"), VV_E_HOST},
        {"IPv6, no end", AT("[::1"), VV_E_HOST},
        {"IPv6, empty", AT("[]"), VV_E_HOST},
        {"IPv6, more behind it", AT("[::1]a"), VV_E_HOST},
        {"IPv6, a zone", AT("[fe80::1%25eth0]"), VV_E_HOST},
        {"a name over two blocks", AT("a23456789.b23456789.c23456789.d23456789.e23456789.f23456789.g23456789:80"),
         VV_OK},
        {"an odd byte in the second block", AT("a23456789.b23456789.c23456789.d23456789.e23456789.f2345/789"),
         VV_E_HOST},
        {"malformed on 1.0", "GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", VV_E_HOST},
        {"doubled on 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", VV_E_HOST},
        {"empty on 1.0", "GET / HTTP/1.0\r\nHost:\r\n\r\n", VV_OK},
        {"empty and doubled on 1.0", "GET / HTTP/1.0\r\nHost:\r\nHost:\r\n\r\n", VV_E_HOST},
    };
    ASSERT_ROWS(rows);
}

static void
framing(void **state)
{
    static const row rows[] = {
        {"a length", WITH("Content-Length: 5\r\n"), VV_OK},
        {"the largest length", WITH("Content-Length: 9223372036854775807\r\n"), VV_OK},
        {"a length too large", WITH("Content-Length: 9223372036854775808\r\n"), VV_E_FRAMING},
        {"a length far too large", WITH("Content-Length: 99999999999999999999\r\n"), VV_E_FRAMING},
        {"zeroes before the length", WITH("Content-Length: 0000000000000000000000005\r\n"), VV_OK},
        {"no length", WITH("Content-Length:\r\n"), VV_E_FRAMING},
        {"a plus", WITH("Content-Length: +5\r\n"), VV_E_FRAMING},
        {"a minus", WITH("Content-Length: -5\r\n"), VV_E_FRAMING},
        {"hexadecimal", WITH("Content-Length: 0x5\r\n"), VV_E_FRAMING},
        {"a list of lengths", WITH("Content-Length: 5, 5\r\n"), VV_E_FRAMING},
        {"two lengths", WITH("Content-Length: 5\r\ncontent-length: 6\r\n"), VV_E_FRAMING},
        {"two equal lengths", WITH("Content-Length: 5\r\nCONTENT-LENGTH: 5\r\n"), VV_E_FRAMING},
        {"a space within", WITH("Content-Length: 5 5\r\n"), VV_E_FRAMING},
        {"another field of that length", WITH("Content-Lengtx: x\r\n"), VV_OK},
        {"chunked", WITH("Transfer-Encoding: chunked\r\n"), VV_OK},
        {"chunked, another case", WITH("TRANSFER-encoding:CHUNKED \r\n"), VV_OK},
        {"length, then coding", WITH("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), VV_E_FRAMING},
        {"coding, then length", WITH("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), VV_E_FRAMING},
        {"chunked on 1.0", "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", VV_E_FRAMING},
        {"gzip, chunked", WITH("Transfer-Encoding: gzip, chunked\r\n"), VV_E_CODING},
        {"gzip with a parameter", WITH("Transfer-Encoding: gzip;q=1 , chunked\r\n"), VV_E_CODING},
        {"gzip", WITH("Transfer-Encoding: gzip\r\n"), VV_E_CODING},
        {"identity", WITH("Transfer-Encoding: identity\r\n"), VV_E_CODING},
        {"xchunked", WITH("Transfer-Encoding: xchunked\r\n"), VV_E_CODING},
        {"chunked, gzip", WITH("Transfer-Encoding: chunked, gzip\r\n"), VV_E_FRAMING},
        {"chunked, chunked", WITH("Transfer-Encoding: chunked, chunked\r\n"), VV_E_FRAMING},
        {"chunked with a parameter", WITH("Transfer-Encoding: chunked;a=b\r\n"), VV_E_FRAMING},
        {"chunked in quotes", WITH("Transfer-Encoding: \"chunked\"\r\n"), VV_E_FRAMING},
        {"a comma behind", WITH("Transfer-Encoding: chunked,\r\n"), VV_E_FRAMING},
        {"a comma before", WITH("Transfer-Encoding: ,chunked\r\n"), VV_E_FRAMING},
        {"two words", WITH("Transfer-Encoding: chunked identity\r\n"), VV_E_FRAMING},
        {"no coding", WITH("Transfer-Encoding:\r\n"), VV_E_FRAMING},
        {"two fields", WITH("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), VV_E_FRAMING},
        {"two fields, the first unknown", WITH("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"),
         VV_E_CODING},
        {"a vertical tab", WITH("Transfer-Encoding: \vchunked\r\n"), VV_E_SYNTAX},
        {"another expectation", WITH("Expect: 200-ok\r\n"), VV_E_EXPECT},
        {"an expectation", WITH("Expect: 100-Continue\r\n"), VV_OK},
    };
    ASSERT_ROWS(rows);
    assert_int_equal(answer(WITH("Content-Length: 0\r\n")).req.flags & VV_REQUEST_HAS_LENGTH, VV_REQUEST_HAS_LENGTH);
    assert_true(answer(WITH("Content-Length: 9223372036854775807\r\n")).req.content_length == INT64_MAX);
    assert_int_equal(answer(WITH("Transfer-Encoding: ChunkeD\r\n")).req.flags & VV_REQUEST_CHUNKED, VV_REQUEST_CHUNKED);
}

static void
flags(void **state)
{
#define OLD "GET / HTTP/1.0\r\n"
    enum { KEPT = VV_REQUEST_KEEP_ALIVE, HOSTED = VV_REQUEST_HAS_HOST };
    static const struct {
        const char *name, *in;
        int want;
    } rows[] = {
        {"1.1 stays open", GET HOST END, HOSTED | KEPT},
        {"1.0 does not", OLD END, 0},
        {"1.0 asks to", OLD "Connection: Keep-Alive\r\n\r\n", KEPT},
        {"1.1 asks to close", WITH("Connection: close\r\n"), HOSTED},
        {"close wins", WITH("Connection: close, keep-alive\r\n"), HOSTED},
        {"close wins, two fields", WITH("Connection: keep-alive\r\nCONNECTION: CLOSE\r\n"), HOSTED},
        {"close wins on 1.0", OLD "Connection: ,keep-alive ,\tclose,\r\n\r\n", 0},
        {"not quite close", WITH("Connection: closed, xclose, close d\r\n"), HOSTED | KEPT},
        {"an upgrade", WITH("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"),
         HOSTED | KEPT | VV_REQUEST_UPGRADE},
        {"an upgrade not in Connection", WITH("Upgrade: websocket\r\n"), HOSTED | KEPT},
        {"an upgrade in Connection alone", WITH("Connection: upgrade\r\n"), HOSTED | KEPT},
        {"an upgrade on 1.0", OLD "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", 0},
        {"expects", WITH("Expect: 100-continue\r\n"), HOSTED | KEPT | VV_REQUEST_EXPECT},
        {"expects on 1.0", OLD "Expect: 100-continue\r\n\r\n", 0},
        {"an escape in the path", "GET /%41 HTTP/1.0\r\n\r\n", VV_REQUEST_ESCAPED},
        {"an escape in the query", "GET /a?%41 HTTP/1.0\r\n\r\n", VV_REQUEST_HAS_QUERY},
        {"an escape in the authority", "GET http://%41/?% HTTP/1.0\r\n\r\n", HOSTED | VV_REQUEST_HAS_QUERY},
        {"an escape behind the authority", "GET http://a/%41 HTTP/1.0\r\n\r\n", HOSTED | VV_REQUEST_ESCAPED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        outcome o = answer(rows[i].in);
        if (o.status != VV_OK || o.req.flags != rows[i].want)
            fail_msg("%s: %s, flags %#x instead of %#x", rows[i].name, vv_status_text(o.status), o.req.flags,
                     rows[i].want);
    }
}

/* ── What is found ────────────────────────────────────────────────────────────────────────────────────────────── */

static void
every_offset(void **state)
{
    static const char text[] =
        "POST /a/b?c=d HTTP/1.1\r\nHost: \thost:1 \r\nX-Long-Name-0123456789: v w\r\nEmpty:\r\n\r\n";
    outcome o = answer(text);
    const vv_http1_request *req = &o.req;

    assert_int_equal(o.status, VV_OK);
    assert_int_equal(req->method, VV_METHOD_POST);
    assert_int_equal(req->minor, 1);
    assert_int_equal(req->form, VV_TARGET_ORIGIN);
    assert_int_equal(req->used, strlen(text));
    assert_int_equal(req->head_len, strlen(text));
    assert_text(text, 0, req->method_len, "POST");
    assert_text(text, req->target_at, req->target_len, "/a/b?c=d");
    assert_text(text, req->path_at, req->path_len, "/a/b");
    assert_text(text, req->query_at, req->query_len, "c=d");
    assert_text(text, req->host_at, req->host_len, "host:1");
    assert_int_equal(req->field_count, 3);
    assert_text(text, o.fields[0].name_at, o.fields[0].name_len, "Host");
    assert_text(text, o.fields[0].value_at, o.fields[0].value_len, "host:1");
    assert_text(text, o.fields[1].name_at, o.fields[1].name_len, "X-Long-Name-0123456789");
    assert_text(text, o.fields[1].value_at, o.fields[1].value_len, "v w");
    assert_text(text, o.fields[2].name_at, o.fields[2].name_len, "Empty");
    assert_text(text, o.fields[2].value_at, o.fields[2].value_len, "");
}

static void
absolute_form(void **state)
{
    static const char text[] = "GET http://b:8/c/d?e HTTP/1.1\r\nHost: a\r\n\r\n";
    outcome o = answer(text);
    assert_int_equal(o.req.form, VV_TARGET_ABSOLUTE);
    assert_text(text, o.req.host_at, o.req.host_len, "b:8");
    assert_text(text, o.req.path_at, o.req.path_len, "/c/d");
    assert_text(text, o.req.query_at, o.req.query_len, "e");

    static const char bare[] = "GET http://b?e HTTP/1.1\r\nHost: a\r\n\r\n";
    o = answer(bare);
    assert_text(bare, o.req.path_at, o.req.path_len, "");
    assert_text(bare, o.req.query_at, o.req.query_len, "e");
}

static void
what_follows_is_left(void **state)
{
    static const char text[] = "\r\n" GET HOST END GET HOST END;
    for (int variant = 0; variant < VARIANTS; variant++) {
        if (!use(variant))
            continue;
        vv_span in = guarded_copy(text, strlen(text));
        vv_field fields[FIELDS];
        vv_http1_request req;
        assert_int_equal(parse(variant, in, 0, &limits, fields, &req), VV_OK);
        assert_ptr_equal(req.head, in.at + 2);
        assert_int_equal(req.used, req.head_len + 2);
        in = vv_span_of(in.at + req.used, in.len - req.used);
        assert_int_equal(parse(variant, in, 0, &limits, fields, &req), VV_OK);
        assert_int_equal(req.used, in.len);
    }
}

/* ── Limits ───────────────────────────────────────────────────────────────────────────────────────────────────── */

static vv_status
answer_of_limit(const char *text, uint32_t head_bytes)
{
    vv_http1_limits lim = {.head_bytes = head_bytes, .header_fields = FIELDS};
    return answer_within(text, strlen(text), &lim).status;
}

static void
head_limit(void **state)
{
    static const char text[] = GET HOST "a: b\r\n" END;
    uint32_t len = (uint32_t)strlen(text);

    assert_int_equal(answer_of_limit(text, len), VV_OK);
    assert_int_equal(answer_of_limit(text, len - 1), VV_E_HEAD_TOO_LARGE);
    assert_int_equal(answer_of_limit("\r\n" GET HOST "a: b\r\n" END, len), VV_OK);
    assert_int_equal(answer_of_limit("\r\n" GET HOST "a: b\r\n" END, len - 1), VV_E_HEAD_TOO_LARGE);
    assert_int_equal(answer_of_limit(GET HOST "a: b", 29), VV_E_HEAD_TOO_LARGE);
    assert_int_equal(answer_of_limit(GET HOST "a: b", 30), VV_AGAIN);
    assert_int_equal(answer_of_limit("GET /aaaaaaaaa", 14), VV_E_TARGET_TOO_LONG);
    assert_int_equal(answer_of_limit("GET /aaaaaaaaa", 15), VV_AGAIN);
    assert_int_equal(answer_of_limit("GET /aaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n", 10), VV_E_TARGET_TOO_LONG);
    assert_int_equal(answer_of_limit(GET HOST END GET HOST END, 27), VV_OK);
}

/* ── Every byte in every place: the maps against their definitions ────────────────────────────────────────────── */

static int
is_one_of(int c, const char *marks)
{
    return c != 0 && strchr(marks, c) != NULL;
}

static int
is_alphanumeric(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static void
assert_byte(const char *format, int at, int c, vv_status good, vv_status bad, int want)
{
    char text[256];
    int len = snprintf(text, sizeof(text), format, at, 0, "");
    char *mark = strchr(text, '\x01');
    *mark = (char)c;
    outcome o = answer_within(text, (size_t)len, &limits);
    if ((o.status == good) != want || (o.status != good && o.status != bad))
        fail_msg("byte %#x at %d of %s: %s", c, at, format, vv_status_text(o.status));
}

static void
every_byte(void **state)
{
    for (int c = 0; c < 256; c++) {
        int token = is_alphanumeric(c) || is_one_of(c, "!#$%&'*+-.^_`|~");
        int value = c == '\t' || (c >= ' ' && c != 0x7f);
        int target = c > ' ' && c < 0x7f && c != '#';
        int host = is_alphanumeric(c) || is_one_of(c, "-._~!$&'()*+,;=");
        for (int at = 1; at < 70; at += 23) {
            if (c != ':')
                assert_byte("GET / HTTP/1.1\r\nHost: a\r\n%0*d\x01%sz: b\r\n\r\n", at, c, VV_OK, VV_E_SYNTAX, token);
            assert_byte("GET / HTTP/1.1\r\nHost: a\r\na: %0*d\x01%sz\r\n\r\n", at, c, VV_OK, VV_E_SYNTAX, value);
            if (c != '#')
                assert_byte("GET /%0*d\x01%sz HTTP/1.1\r\nHost: a\r\n\r\n", at, c, VV_OK, VV_E_SYNTAX, target);
            if (value)
                assert_byte("GET / HTTP/1.1\r\nHost: a%0*d\x01%s.z\r\n\r\n", at, c, VV_OK, VV_E_HOST, host);
        }
        if (c != ' ')
            assert_byte("G%0*d\x01%sZ / HTTP/1.1\r\nHost: a\r\n\r\n", 1, c, VV_OK, VV_E_SYNTAX, token);
    }
}

/* A head of every length and alignment to the blocks, with one field of every length. */
static void
every_length(void **state)
{
    for (int name = 1; name < 140; name += 3) {
        for (int value = 0; value < 140; value += 1 + name % 5) {
            char text[512];
            int len = snprintf(text, sizeof(text), GET HOST "%0*d: %.*s\r\nb: c\r\n\r\n", name, 7, value,
                               "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                               "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
            outcome first = parse_whole(PORTABLE, text, (size_t)len, &limits);
            assert_int_equal(first.status, VV_OK);
            assert_int_equal(first.fields[1].name_len, name);
            assert_int_equal(first.fields[1].value_len, value);
            for (int variant = 0; variant < VV_ISA_COUNT; variant++) {
                if (!use(variant))
                    continue;
                outcome other = parse_whole(variant, text, (size_t)len, &limits);
                assert_same(&first, &other);
                for (int cut = 0; cut < len; cut++)
                    assert_int_equal(parse_whole(variant, text, (size_t)cut, &limits).status, VV_AGAIN);
            }
        }
    }
}

static void
the_choice(void **state)
{
    assert_true(vv_isa_runs(vv_isa_best()));
    assert_true(vv_isa_force(VV_ISA_base));
    assert_int_equal(vv_isa_chosen(), VV_ISA_base);
    assert_string_equal(vv_isa_name(VV_ISA_base), "base");
    assert_false(vv_isa_force(VV_ISA_COUNT));
    assert_string_equal(vv_isa_name(VV_ISA_COUNT), "unknown");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_lines), cmocka_unit_test(targets),       cmocka_unit_test(field_lines),
        cmocka_unit_test(hosts),         cmocka_unit_test(framing),       cmocka_unit_test(flags),
        cmocka_unit_test(every_offset),  cmocka_unit_test(absolute_form), cmocka_unit_test(what_follows_is_left),
        cmocka_unit_test(head_limit),    cmocka_unit_test(every_byte),    cmocka_unit_test(every_length),
        cmocka_unit_test(the_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
