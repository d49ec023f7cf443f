/* One form has one content and one fault, however it was cut; what it names lies within it; its limits hold. */
#include <stdlib.h>
#include <string.h>

#include "core/form/form.h"
#include "replay.h"

static const vv_form_limits limits = {.parts = 20, .head_bytes = 300, .text_bytes = 2000};

static vv_form *
fed(vv_span boundary, const uint8_t *data, size_t size, size_t step)
{
    vv_form *form;
    MUST(vv_form_new(&form, boundary, &limits) == VV_OK);
    for (size_t from = 0; from < size; from += step) {
        size_t len = size - from < step ? size - from : step;
        uint8_t *piece = exact_copy(data + from, len);
        vv_status status = vv_form_feed(form, vv_span_of(piece, len));
        MUST(status == VV_AGAIN || status == VV_E_FORM || status == VV_E_FORM_LIMIT);
        free(piece);
    }
    return form;
}

static int
same_text(const vv_form *a, vv_form_text x, const vv_form *b, vv_form_text y)
{
    return vv_span_equal(vv_form_text_of(a, x.at, x.len), vv_form_text_of(b, y.at, y.len));
}

static void
same(vv_form *a, vv_form *b, size_t size)
{
    uint64_t at_a, at_b, text = 0;
    vv_status status = vv_form_end(a);
    MUST(vv_form_end(b) == status);
    MUST(strcmp(vv_form_fault(a, &at_a), vv_form_fault(b, &at_b)) == 0 && at_a == at_b && at_a <= size);
    if (status != VV_OK)
        return;
    MUST(at_a == size && vv_form_count(a) == vv_form_count(b) && vv_form_count(a) <= limits.parts);
    for (size_t i = 0; i < vv_form_count(a); i++) {
        const vv_form_part *x = vv_form_at(a, i), *y = vv_form_at(b, i);
        MUST(x->is_file == y->is_file && x->len == y->len && x->at == y->at);
        MUST(same_text(a, x->name, b, y->name) && same_text(a, x->filename, b, y->filename));
        MUST(same_text(a, x->type, b, y->type) && same_text(a, x->charset, b, y->charset));
        MUST(!x->is_file || (x->at <= size && x->len <= size - x->at));
        text += x->name.len + x->filename.len + x->type.len + x->charset.len + (x->is_file ? 0 : x->len);
    }
    MUST(text <= limits.text_bytes);
}

/* The first line is what Content-Type says, the rest the body. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t boundary[VV_FORM_BOUNDARY_BYTES];
    size_t boundary_len = 0;
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    if (end == NULL)
        return 0;
    uint8_t *type = exact_copy(data, (size_t)(end - data));
    vv_status status = vv_form_boundary(vv_span_of(type, (size_t)(end - data)), boundary, &boundary_len);
    free(type);
    MUST(status == VV_OK || status == VV_AGAIN || status == VV_E_FORM);
    if (status != VV_OK)
        return 0;
    MUST(boundary_len > 0 && boundary_len <= VV_FORM_BOUNDARY_BYTES);
    size -= (size_t)(end + 1 - data);
    data = end + 1;
    vv_form *whole = fed(vv_span_of(boundary, boundary_len), data, size, size > 0 ? size : 1);
    for (size_t step = 1; step < 40; step += step < 4 ? 1 : 13) {
        vv_form *cut = fed(vv_span_of(boundary, boundary_len), data, size, step);
        same(whole, cut, size);
        vv_form_free(cut);
    }
    vv_form_free(whole);
    return 0;
}
