/* One input has one answer, however it was cut and whatever the CPU; and what is answered lies within the head. */
#include <stdlib.h>
#include <string.h>

#include "core/http1/parse.h"
#include "core/simd/isa.h"
#include "replay.h"

enum { FIELDS = 16 };

static const vv_http1_limits limits = {.head_bytes = 1024, .header_fields = FIELDS};

typedef struct outcome {
    vv_status status;
    size_t head_at;
    vv_http1_request req;
    vv_field fields[FIELDS + 1];
} outcome;

static void
parse(outcome *o, const uint8_t *data, size_t size, size_t seen)
{
    memset(o, 0, sizeof(*o));
    uint8_t *copy = exact_copy(data, size);
    o->status = vv_http1_parse_request(vv_span_of(copy, size), seen, &limits, o->fields, &o->req);
    MUST(o->fields[FIELDS].name_at == 0 && o->fields[FIELDS].name_len == 0);
    if (o->status == VV_OK)
        o->head_at = (size_t)(o->req.head - copy);
    free(copy);
}

static void
parse_in_steps(outcome *o, const uint8_t *data, size_t size, size_t step)
{
    size_t seen = 0, have = 0;
    do {
        have = size - have > step ? have + step : size;
        parse(o, data, have, seen);
        seen = have;
    } while (o->status == VV_AGAIN && have < size);
}

static void
must_be_same(const outcome *a, const outcome *b)
{
    MUST(a->status == b->status);
    if (a->status != VV_OK)
        return;
    vv_http1_request x = a->req, y = b->req;
    x.head = y.head = NULL;
    x.fields = y.fields = NULL;
    MUST(memcmp(&x, &y, sizeof(x)) == 0); /* both were cleared, padding too */
    MUST(a->head_at == b->head_at);
    MUST(memcmp(a->fields, b->fields, sizeof(a->fields)) == 0 || a->req.field_count < FIELDS);
    MUST(memcmp(a->fields, b->fields, a->req.field_count * sizeof(vv_field)) == 0);
}

static void
must_lie_within(uint32_t at, uint32_t len, uint32_t end)
{
    MUST(at <= end && len <= end - at);
}

/* What the contract says of a request, looked at byte by byte. */
static void
must_be_sound(const outcome *o, const uint8_t *data, size_t size)
{
    const vv_http1_request *req = &o->req;
    const uint8_t *head = data + o->head_at;

    MUST(req->used == o->head_at + req->head_len && req->used <= size && req->head_len <= limits.head_bytes);
    MUST(memcmp(head + req->head_len - 4, "\r\n\r\n", 4) == 0);
    MUST(req->method_len > 0 && req->method_len <= 32 && head[req->method_len] == ' ');
    must_lie_within(req->target_at, req->target_len, req->head_len);
    must_lie_within(req->path_at, req->path_len, req->target_at + req->target_len);
    must_lie_within(req->query_at, req->query_len, req->target_at + req->target_len);
    must_lie_within(req->host_at, req->host_len, req->head_len);
    MUST(req->path_at >= req->target_at);
    MUST(!(req->flags & VV_REQUEST_HAS_LENGTH) || !(req->flags & VV_REQUEST_CHUNKED));
    MUST(req->minor == 0 || req->host_len > 0);
    MUST(req->field_count <= FIELDS);
    for (size_t i = 0; i < req->field_count; i++) {
        const vv_field *field = &req->fields[i];
        must_lie_within(field->name_at, field->name_len, req->head_len);
        must_lie_within(field->value_at, field->value_len, req->head_len);
        MUST(field->name_len > 0 && head[field->name_at + field->name_len] == ':');
        MUST(field->name_at < 2 || head[field->name_at - 1] == '\n');
        for (uint32_t k = 0; k < field->value_len; k++)
            MUST(head[field->value_at + k] >= ' ' ? head[field->value_at + k] != 0x7f
                                                  : head[field->value_at + k] == '\t');
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    outcome first, other;

    MUST(vv_isa_force(VV_ISA_base));
    parse(&first, data, size, 0);
    first.req.fields = first.fields;
    if (first.status == VV_OK)
        must_be_sound(&first, data, size);
    for (int isa = 0; isa < VV_ISA_COUNT; isa++) {
        if (!vv_isa_force((vv_isa)isa))
            continue;
        parse(&other, data, size, 0);
        must_be_same(&first, &other);
        for (size_t step = 1; step < 70; step += step < 3 ? 1 : 31) {
            parse_in_steps(&other, data, size, step);
            must_be_same(&first, &other);
        }
    }
    return 0;
}
