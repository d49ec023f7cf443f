/* One body has one payload and one end, however it was cut, and what follows it is left alone. */
#include <stdlib.h>
#include <string.h>

#include "core/http1/chunked.h"
#include "replay.h"

typedef struct outcome {
    vv_status status;
    size_t used, payload_len;
    uint8_t *payload; /* owned */
} outcome;

static void
decode(outcome *o, const uint8_t *data, size_t size, size_t step)
{
    vv_chunked decoder = {0};
    *o = (outcome){.status = VV_AGAIN, .payload = exact_copy(data, size)};

    for (size_t from = 0; o->status == VV_AGAIN && from < size; from += step) {
        size_t len = size - from < step ? size - from : step, consumed = SIZE_MAX, produced = SIZE_MAX;
        uint8_t *piece = exact_copy(data + from, len);
        o->status = vv_chunked_decode(&decoder, piece, len, &consumed, &produced);
        MUST(consumed <= len && produced <= consumed);
        MUST(o->status != VV_AGAIN || consumed == len);
        MUST(memcmp(piece + consumed, data + from + consumed, len - consumed) == 0);
        memcpy(o->payload + o->payload_len, piece, produced);
        o->payload_len += produced;
        o->used += consumed;
        free(piece);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    outcome whole, other;

    decode(&whole, data, size, size > 0 ? size : 1);
    MUST(whole.status == VV_OK || whole.status == VV_AGAIN || whole.status == VV_E_CHUNK);
    MUST(whole.status != VV_OK || memcmp(data + whole.used - 2, "\r\n", 2) == 0);
    for (size_t step = 1; step < 40; step += step < 4 ? 1 : 13) {
        decode(&other, data, size, step);
        MUST(whole.status == other.status && whole.used == other.used && whole.payload_len == other.payload_len);
        MUST(memcmp(whole.payload, other.payload, whole.payload_len) == 0);
        free(other.payload);
    }
    free(whole.payload);
    return 0;
}
