/* Chooses the parser for this CPU. The parser itself is parse.isa.c, compiled once per instruction set. */
#include "core/http1/parse.h"
#include "core/simd/isa.h"

typedef vv_status parse_fn(vv_span in, size_t seen, const vv_http1_limits *limits, vv_field *fields,
                           vv_http1_request *req);

static parse_fn choose_and_parse;
#define X(isa) parse_fn vv_http1_parse_request_##isa;
VV_ISA_LIST(X)
#undef X

static parse_fn *const variants[VV_ISA_COUNT + 1] = {
#define X(isa) [VV_ISA_##isa] = vv_http1_parse_request_##isa,
    VV_ISA_LIST(X)
#undef X
        [VV_ISA_COUNT] = choose_and_parse,
};

static vv_status
choose_and_parse(vv_span in, size_t seen, const vv_http1_limits *limits, vv_field *fields, vv_http1_request *req)
{
    return variants[vv_isa_chosen()](in, seen, limits, fields, req);
}

vv_status
vv_http1_parse_request(vv_span in, size_t seen, const vv_http1_limits *limits, vv_field *fields, vv_http1_request *req)
{
    /* One indirect call a head, so that the scans inside it are inlined. */
    return variants[vv_isa_index()](in, seen, limits, fields, req);
}
