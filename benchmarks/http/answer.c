#include "answer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEAD_BYTES = 64 * 1024 };

static int
says(const char *text, size_t len, const char *word)
{
    return len == strlen(word) && strncasecmp(text, word, len) == 0;
}

/* A field line; -1 when it is none. */
static int
read_field(const char *line, size_t len, answer *out, long *length)
{
    const char *colon = memchr(line, ':', len), *end = line + len;
    if (colon == NULL)
        return -1;
    size_t name = (size_t)(colon - line);
    const char *value = colon + 1;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    size_t value_len = (size_t)(end - value);
    if (says(line, name, "Content-Length"))
        *length = strtol(value, NULL, 10);
    else if (says(line, name, "Transfer-Encoding"))
        out->chunked = says(value, value_len, "chunked");
    else if (says(line, name, "Connection"))
        out->closes = says(value, value_len, "close");
    return 0;
}

/* The bytes of a chunked body through its last CRLF; 0 when there are more to come, -1 when it is malformed. */
static long
chunked_len(const char *at, size_t len)
{
    size_t used = 0;
    for (;;) {
        const char *line_end = memmem(at + used, len - used, "\r\n", 2);
        char *digits_end;
        if (line_end == NULL)
            return 0;
        unsigned long size = strtoul(at + used, &digits_end, 16);
        if (digits_end == at + used || digits_end > line_end)
            return -1;
        used = (size_t)(line_end - at) + 2;
        if (len - used < size + 2)
            return 0;
        if (memcmp(at + used + size, "\r\n", 2) != 0)
            return -1; /* trailers too: no server here sends any */
        used += size + 2;
        if (size == 0)
            return (long)used;
    }
}

int
answer_read(const char *at, size_t len, answer *out)
{
    *out = (answer){.len = 0};
    const char *end = memmem(at, len, "\r\n\r\n", 4);
    if (end == NULL)
        return len > HEAD_BYTES ? ANSWER_BAD : ANSWER_MORE;
    if (end - at < 12 || memcmp(at, "HTTP/1.1 ", 9) != 0)
        return ANSWER_BAD;
    out->status = atoi(at + 9);
    out->head = (size_t)(end - at) + 4;
    out->body = at + out->head;

    long length = -1;
    for (const char *line = (const char *)memmem(at, out->head, "\r\n", 2) + 2; line < end;) {
        const char *line_end = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        if (read_field(line, (size_t)(line_end - line), out, &length) < 0)
            return ANSWER_BAD;
        line = line_end + 2;
    }
    if (out->status == 204 || out->status == 304)
        length = 0;
    if (out->chunked) {
        length = chunked_len(out->body, len - out->head);
        if (length == 0)
            return ANSWER_MORE;
    }
    if (length < 0)
        return ANSWER_BAD;
    if (len - out->head < (size_t)length)
        return ANSWER_MORE;
    out->body_len = (size_t)length;
    out->len = out->head + out->body_len;
    return ANSWER_WHOLE;
}

int
answer_is(const answer *a, const char *body, size_t len)
{
    const char *at = a->body;
    if (a->chunked) {
        at = (const char *)memmem(at, a->body_len, "\r\n", 2) + 2;
        if (strtoul(a->body, NULL, 16) != len)
            return 0;
    } else if (a->body_len != len) {
        return 0;
    }
    return memcmp(at, body, len) == 0;
}
