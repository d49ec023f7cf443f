/* A decoded path is UTF-8, no longer than it was, the same when decoded where it lies, and comes back when every byte
 * of it is escaped. */
#include <stdlib.h>
#include <string.h>

#include "core/http1/target.h"
#include "replay.h"

static size_t
escape(const uint8_t *text, size_t len, uint8_t *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        uint8_t c = text[i] == VV_TARGET_ESCAPED_SLASH ? '/' : text[i];
        *out++ = '%';
        *out++ = (uint8_t)digits[c >> 4];
        *out++ = (uint8_t)digits[c & 15];
    }
    return 3 * len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *in_place = exact_copy(data, size), *out = exact_copy(data, size);
    uint8_t *escaped = malloc(3 * size + 1), *again = malloc(3 * size + 1);
    size_t len = 0, in_place_len = 0, again_len = 0;

    MUST(escaped != NULL && again != NULL);
    vv_status status = vv_target_decode(vv_span_of(data, size), out, &len);
    MUST(status == VV_OK || status == VV_E_TARGET);
    MUST(vv_target_decode(vv_span_of(in_place, size), in_place, &in_place_len) == status);
    if (status == VV_OK && memchr(data, 0, size) == NULL) {
        MUST(len == in_place_len && len <= size && memcmp(in_place, out, len) == 0);
        MUST(vv_utf8_valid(vv_span_of(out, len)));
        size_t escaped_len = escape(out, len, escaped);
        MUST(vv_target_decode(vv_span_of(escaped, escaped_len), again, &again_len) == VV_OK && again_len == len);
        for (size_t i = 0; i < len; i++)
            MUST(again[i] == (out[i] == '/' ? VV_TARGET_ESCAPED_SLASH : out[i]));
    }
    free(in_place);
    free(out);
    free(escaped);
    free(again);
    return 0;
}
