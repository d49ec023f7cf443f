#include "core/router/router.h"

#include "core/bytes/ascii.h"
#include "core/router/fault.h"
#include "core/router/pattern.h"
#include "core/router/tree.h"

#include <assert.h>
#include <stdlib.h>

static vv_status
add_method(vv_router *router, vv_span name)
{
    uint8_t *copy = vv_store_take(&router->store, name.len, 1);
    if (copy == NULL)
        return VV_E_NO_MEMORY;
    memcpy(copy, name.at, name.len);
    router->methods[router->method_count++] = vv_key_of(vv_span_of(copy, name.len), 0);
    return VV_OK;
}

static vv_status
add_standard_methods(vv_router *router)
{
    vv_status st = VV_OK;
#define X(name)                                                                                                        \
    if (st == VV_OK)                                                                                                   \
        st = add_method(router, vv_span_text(#name));
    VV_ROUTER_STANDARD(X)
#undef X
    return st;
}

vv_status
vv_router_new(vv_router **out)
{
    vv_router *router = calloc(1, sizeof *router);
    if (router == NULL)
        return VV_E_NO_MEMORY;

    vv_status st = vv_tree_plant(router);
    if (st == VV_OK)
        st = add_standard_methods(router);
    if (vv_failed(st))
        vv_router_free(router);
    else
        *out = router;
    return st;
}

void
vv_router_free(vv_router *router)
{
    if (router == NULL)
        return;
    vv_table_fini(&router->paths);
    vv_table_fini(&router->literals);
    vv_table_fini(&router->prefixes);
    vv_store_fini(&router->store);
    free(router);
}

static vv_status
refuse_method(vv_span pattern, vv_span method, const char *why, vv_router_fault *fault)
{
    vv_quote quoted_pattern, quoted_method;
    return vv_fault_say(fault, VV_E_PATTERN, "route \"%s\" names the method \"%s\"%s",
                        vv_quote_span(&quoted_pattern, pattern, VV_QUOTE_PATTERN),
                        vv_quote_span(&quoted_method, method, VV_QUOTE_NAME), why);
}

/* The bits of all names; names that are new become methods of the router. */
static vv_status
take_methods(vv_router *router, vv_span pattern, const vv_span *methods, size_t count, uint32_t *bits,
             vv_router_fault *fault)
{
    *bits = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned bit = 0;
        while (bit < router->method_count && !vv_span_equal(vv_router_method_name(router, bit), methods[i]))
            bit++;
        if (bit == router->method_count) {
            if (!vv_is_token(methods[i])) /* RFC 9110 section 9.1 */
                return refuse_method(pattern, methods[i], ": a method is one word, as in GET", fault);
            if (methods[i].len > VV_ROUTER_NAME_BYTES)
                return refuse_method(pattern, methods[i], " of more than 255 bytes: shorten it", fault);
            if (bit == VV_ROUTER_METHODS)
                return refuse_method(pattern, methods[i],
                                     ", one more than the 32 that a router tells apart: "
                                     "add the route without methods and look at the method in its handler",
                                     fault);
            vv_status st = add_method(router, methods[i]);
            if (vv_failed(st))
                return st;
        }
        *bits |= 1u << bit;
    }
    return VV_OK;
}

/* The route that answers one of these methods at this endpoint already. */
static const vv_route *
rival_of(const vv_endpoint *endpoint, uint32_t methods)
{
    for (const vv_route *route = endpoint->routes; route != NULL; route = route->next) {
        if (methods ? route->methods & methods : route->methods == 0)
            return route;
    }
    return NULL;
}

static vv_status
say_conflict(const vv_router *router, vv_span pattern, uint32_t methods, const vv_route *rival, vv_router_fault *fault)
{
    vv_quote ours, theirs, method;
    uint32_t both = methods & rival->methods;
    vv_span name = both ? vv_router_method_name(router, (unsigned)__builtin_ctz(both)) : vv_span_text("any method");
    return vv_fault_say(
        fault, VV_E_CONFLICT,
        "route \"%s\" answers %s at the same paths as route \"%s\": change one of the patterns, or give "
        "them different methods",
        vv_quote_span(&ours, pattern, VV_QUOTE_PATTERN), vv_quote_span(&method, name, VV_QUOTE_NAME),
        vv_quote_span(&theirs, rival->pattern, VV_QUOTE_PATTERN));
}

static vv_route *
new_route(vv_router *router, const vv_pattern *pattern)
{
    size_t head = sizeof(vv_route) + pattern->param_count * sizeof(((vv_route *)0)->params[0]);
    vv_route *route = vv_store_take(&router->store, head + pattern->source.len, _Alignof(vv_route));
    if (route == NULL)
        return NULL;

    uint8_t *copy = (uint8_t *)route + head;
    memcpy(copy, pattern->source.at, pattern->source.len);
    route->pattern = vv_span_of(copy, pattern->source.len);
    for (size_t i = 0; i < pattern->segment_count; i++) {
        const vv_segment *segment = &pattern->segments[i];
        if (segment->name.len == 0)
            continue;
        uint32_t n = route->param_count++;
        route->params[n].at = (uint16_t)(segment->name.at - pattern->source.at);
        route->params[n].len = (uint16_t)segment->name.len;
        route->params[n].type = segment->type;
    }
    return route;
}

static vv_status
add_parsed(vv_router *router, const vv_pattern *pattern, uint32_t methods, void *data, vv_route **out,
           vv_router_fault *fault)
{
    vv_endpoint *endpoint;
    vv_status st = vv_tree_place(router, pattern, &endpoint);
    if (vv_failed(st))
        return st;
    const vv_route *rival = rival_of(endpoint, methods);
    if (rival != NULL)
        return say_conflict(router, pattern->source, methods, rival, fault);

    vv_route *route = new_route(router, pattern);
    if (route == NULL)
        return VV_E_NO_MEMORY;
    route->data = data;
    route->methods = methods;
    route->next = endpoint->routes;
    endpoint->routes = route;
    *out = route;
    return VV_OK;
}

vv_status
vv_router_add(vv_router *router, vv_span pattern, const vv_span *methods, size_t method_count, void *data,
              vv_route **route, vv_router_fault *fault)
{
    assert(!router->compiled);
    vv_pattern parsed;
    vv_status st = vv_pattern_init(&parsed, pattern, fault);
    if (vv_failed(st))
        return st;

    uint32_t known_methods = router->method_count, bits;
    st = take_methods(router, pattern, methods, method_count, &bits, fault);
    if (st == VV_OK)
        st = add_parsed(router, &parsed, bits, data, route, fault);
    if (vv_failed(st))
        router->method_count = known_methods; /* a route that was refused uses no method up */
    vv_pattern_fini(&parsed);
    return st;
}

vv_status
vv_router_compile(vv_router *router)
{
    if (router->compiled)
        return VV_OK;
    vv_status st = vv_tree_compile(router);
    router->compiled = st == VV_OK;
    return st;
}

void *
vv_route_data(const vv_route *route)
{
    return route->data;
}

vv_span
vv_route_pattern(const vv_route *route)
{
    return route->pattern;
}

size_t
vv_route_param_count(const vv_route *route)
{
    return route->param_count;
}

vv_span
vv_route_param_name(const vv_route *route, size_t index)
{
    assert(index < route->param_count);
    return vv_span_of(route->pattern.at + route->params[index].at, route->params[index].len);
}

vv_param_type
vv_route_param_type(const vv_route *route, size_t index)
{
    assert(index < route->param_count);
    return route->params[index].type;
}

vv_span
vv_router_method_name(const vv_router *router, unsigned n)
{
    if (n >= router->method_count)
        return vv_span_of("", 0);
    return vv_key_text(&router->methods[n]);
}
