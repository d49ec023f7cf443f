#include "core/http1/write.h"

#include "core/bytes/ascii.h"
#include "core/http1/reason.h"

static const char *const media_texts[] = {
    [VV_MEDIA_TEXT] = "text/plain; charset=utf-8",
    [VV_MEDIA_BYTES] = "application/octet-stream",
    [VV_MEDIA_JSON] = "application/json",
    [VV_MEDIA_NONE] = "",
};

static uint8_t *
put(uint8_t *at, vv_span text)
{
    if (text.len > 0)
        memcpy(at, text.at, text.len);
    return at + text.len;
}

static uint8_t *
put_text(uint8_t *at, const char *text)
{
    return put(at, vv_span_text(text));
}

/* Status line and Date, which every answer has. */
static uint8_t *
put_status(const vv_writer *writer, uint8_t *at, unsigned status)
{
    at = put_text(at, "HTTP/1.1 ");
    at = vv_decimal_write(at, status);
    *at++ = ' ';
    at = put(at, vv_reason((int)status));
    at = put_text(at, "\r\nDate: ");
    at = put(at, vv_span_of(writer->date, VV_DATE_BYTES));
    return put_text(at, "\r\n");
}

static void
prepare(vv_writer *writer, vv_media media)
{
    vv_prepared *head = &writer->ok[media];
    uint8_t *at = put_status(writer, head->bytes, 200);
    at = put_text(at, "Content-Type: ");
    at = put_text(at, media_texts[media]);
    at = put_text(at, "\r\nContent-Length: ");
    head->len = (uint32_t)(at - head->bytes);
}

void
vv_writer_tick(vv_writer *writer, int64_t unix_seconds)
{
    if (VV_LIKELY(writer->second == unix_seconds && writer->date[0] != 0))
        return;
    writer->second = unix_seconds;
    vv_date_write(writer->date, unix_seconds);
    for (unsigned media = 0; media < VV_MEDIA_NONE; media++)
        prepare(writer, (vv_media)media);
}

/* RFC 9110 section 6.4.1: these have no content whatever they mean. */
static int
has_no_content(unsigned status)
{
    return status < 200 || status == 204 || status == 304;
}

size_t
vv_writer_body_len(const vv_reply *reply, unsigned how)
{
    return has_no_content(reply->status) || (how & VV_WRITE_HEAD_ONLY) != 0 ? 0 : reply->body.len;
}

vv_status
vv_writer_write_any(const vv_writer *writer, vv_buffer *out, const vv_reply *reply, unsigned how)
{
    vv_span type = reply->media == VV_MEDIA_OTHER ? reply->media_type : vv_span_text(media_texts[reply->media]);
    int no_content = has_no_content(reply->status);
    vv_span body = vv_span_of(reply->body.at, vv_writer_body_len(reply, how));

    /* 256: status line with the longest reason, Date, Connection, the names of the lengths and types. */
    if (vv_buffer_reserve(out, 256 + type.len + reply->fields.len + body.len) != VV_OK)
        return VV_E_NO_MEMORY;

    uint8_t *at = put_status(writer, out->base + out->tail, reply->status);
    if (type.len > 0) {
        at = put_text(at, "Content-Type: ");
        at = put(at, type);
        at = put_text(at, "\r\n");
    }
    at = put(at, reply->fields);
    if ((how & VV_WRITE_CLOSE) != 0)
        at = put_text(at, "Connection: close\r\n");
    else if ((how & VV_WRITE_KEEP_ALIVE_10) != 0)
        at = put_text(at, "Connection: keep-alive\r\n");
    if (!no_content) {
        at = put_text(at, "Content-Length: ");
        at = vv_decimal_write(at, reply->body.len);
        at = put_text(at, "\r\n");
    }
    at = put_text(at, "\r\n");
    at = put(at, body);
    out->tail = (size_t)(at - out->base);
    return VV_OK;
}
