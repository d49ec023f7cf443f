#include "core/server/long_body.h"

vv_form_limits
vv_limits_of_forms(const vv_limits *limits)
{
    return (vv_form_limits){
        .parts = limits->limit_form_parts,
        .head_bytes = limits->limit_form_head_bytes,
        .text_bytes = limits->limit_form_text_bytes,
    };
}

vv_status
vv_long_body_open(vv_long_body *body, const char *directory, const vv_http1_request *req, const vv_limits *limits)
{
    uint8_t boundary[VV_FORM_BOUNDARY_BYTES];
    size_t len;
    vv_status status = vv_spool_new(&body->spool, directory);
    if (status != VV_OK)
        return status;
    /* A boundary that is none is told to whoever asks for the form. */
    if (vv_form_boundary(vv_request_value(req, vv_span_text("content-type")), boundary, &len) == VV_OK) {
        vv_form_limits form_limits = vv_limits_of_forms(limits);
        status = vv_form_new(&body->form, vv_span_of(boundary, len), &form_limits);
    }
    if (status != VV_OK)
        vv_long_body_close(body);
    return status;
}

void
vv_long_body_close(vv_long_body *body)
{
    vv_spool_free(body->spool);
    vv_form_free(body->form);
    *body = (vv_long_body){.spool = NULL};
}

vv_status
vv_long_body_append(vv_long_body *body, vv_span bytes)
{
    if (body->form != NULL)
        (void)vv_form_feed(body->form, bytes); /* what is wrong with it is told to whoever asks for the form */
    return vv_spool_append(body->spool, bytes);
}
