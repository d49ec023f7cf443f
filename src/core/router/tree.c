#include "core/router/tree.h"

enum { LINE = 64, WORD = 8 };

static const vv_rank rank_of[] = {
    [VV_PARAM_PLAIN] = VV_RANK_PLAIN, [VV_PARAM_STR] = VV_RANK_STR,   [VV_PARAM_INT] = VV_RANK_INT,
    [VV_PARAM_FLOAT] = VV_RANK_FLOAT, [VV_PARAM_UUID] = VV_RANK_UUID, [VV_PARAM_PATH] = VV_RANK_PATH,
};

/* A key for a copy of the text. */
static vv_status
keep_key(vv_router *router, vv_span text, uint32_t owner, vv_key *key)
{
    uint8_t *copy = vv_store_take(&router->store, text.len, 1);
    if (copy == NULL)
        return VV_E_NO_MEMORY;
    if (text.len > 0)
        memcpy(copy, text.at, text.len);
    *key = vv_key_of(vv_span_of(copy, text.len), owner);
    return VV_OK;
}

static vv_status
add_key(vv_router *router, vv_table *table, vv_span text, uint32_t owner, vv_key *key)
{
    vv_status st = keep_key(router, text, owner, key);
    return st == VV_OK ? vv_table_add(table, key) : st;
}

static vv_endpoint *
new_endpoint(vv_router *router)
{
    vv_endpoint *endpoint = vv_store_take(&router->store, sizeof *endpoint, LINE);
    if (endpoint != NULL) {
        endpoint->next = router->endpoints;
        router->endpoints = endpoint;
    }
    return endpoint;
}

static vv_node *
new_node(vv_router *router, vv_node *parent, vv_rank rank, size_t prefix_len)
{
    vv_node *node = vv_store_take(&router->store, sizeof *node, LINE);
    if (node != NULL) {
        node->parent = parent;
        node->rank = rank;
        node->prefix_len = (uint32_t)prefix_len;
        node->id = router->node_count++;
        node->next = router->nodes;
        router->nodes = node;
    }
    return node;
}

vv_status
vv_tree_plant(vv_router *router)
{
    router->root = new_node(router, NULL, VV_RANK_LITERAL, 0);
    return router->root ? VV_OK : VV_E_NO_MEMORY;
}

static vv_status
literal_child(vv_router *router, vv_node *node, vv_span segment, vv_node **child)
{
    *child = (vv_node *)vv_table_find(&router->literals, segment, node->id);
    if (*child != NULL)
        return VV_OK;

    vv_node *made = new_node(router, node, VV_RANK_LITERAL, 0);
    if (made == NULL)
        return VV_E_NO_MEMORY;
    vv_status st = add_key(router, &router->literals, segment, node->id, &made->key);
    if (st == VV_OK) {
        node->literal = made;
        node->literal_count++;
        *child = made;
    }
    return st;
}

/* Puts a length among the node's, which fall: long prefixes are tried first. */
static vv_status
note_prefix_len(vv_router *router, vv_node *node, uint32_t len)
{
    uint32_t count = node->prefix_count, place = 0;
    while (place < count && node->prefix_lens[place] > len)
        place++;
    if (place < count && node->prefix_lens[place] == len)
        return VV_OK;

    /* The array doubles when its length is a power of two, so that its capacity need not be kept. */
    if ((count & (count - 1)) == 0) {
        uint32_t *larger = vv_store_take(&router->store, (count ? 2 * (size_t)count : 1) * sizeof *larger, WORD);
        if (larger == NULL)
            return VV_E_NO_MEMORY;
        if (count > 0)
            memcpy(larger, node->prefix_lens, count * sizeof *larger);
        node->prefix_lens = larger;
    }
    memmove(node->prefix_lens + place + 1, node->prefix_lens + place, (count - place) * sizeof *node->prefix_lens);
    node->prefix_lens[place] = len;
    node->prefix_count++;
    return VV_OK;
}

static vv_status
fork_of(vv_router *router, vv_node *node, vv_span prefix, vv_fork **fork)
{
    *fork = (vv_fork *)vv_table_find(&router->prefixes, prefix, node->id);
    if (*fork != NULL)
        return VV_OK;

    vv_fork *made = vv_store_take(&router->store, sizeof *made, WORD);
    if (made == NULL)
        return VV_E_NO_MEMORY;
    vv_status st = note_prefix_len(router, node, (uint32_t)prefix.len);
    if (st == VV_OK)
        st = add_key(router, &router->prefixes, prefix, node->id, &made->key);
    if (st == VV_OK)
        *fork = made;
    return st;
}

/* The child of that rank in a list that is sorted by rank, made if there is none. */
static vv_status
ranked_child(vv_router *router, vv_node *node, vv_node **link, vv_rank rank, size_t prefix_len, vv_node **child)
{
    while (*link != NULL && (*link)->rank < rank)
        link = &(*link)->sibling;
    if (*link == NULL || (*link)->rank != rank) {
        vv_node *made = new_node(router, node, rank, prefix_len);
        if (made == NULL)
            return VV_E_NO_MEMORY;
        made->sibling = *link;
        *link = made;
    }
    *child = *link;
    return VV_OK;
}

static vv_status
placeholder_child(vv_router *router, vv_node *node, const vv_segment *segment, vv_node **child)
{
    vv_rank rank = rank_of[segment->type];
    vv_node **segments = &node->bare_segments, **rest = &node->bare_rest;

    if (segment->text.len > 0) {
        vv_fork *fork;
        vv_status st = fork_of(router, node, segment->text, &fork);
        if (vv_failed(st))
            return st;
        segments = &fork->segments;
        rest = &fork->rest;
    }
    return ranked_child(router, node, rank == VV_RANK_PATH ? rest : segments, rank, segment->text.len, child);
}

static vv_status
place_path(vv_router *router, vv_span path, vv_endpoint **endpoint)
{
    *endpoint = (vv_endpoint *)vv_table_find(&router->paths, path, 0);
    if (*endpoint != NULL)
        return VV_OK;

    vv_endpoint *made = new_endpoint(router);
    if (made == NULL)
        return VV_E_NO_MEMORY;
    *endpoint = made;
    return add_key(router, &router->paths, path, 0, &made->key);
}

static vv_status
place_segments(vv_router *router, const vv_pattern *pattern, vv_endpoint **endpoint)
{
    vv_node *node = router->root;
    for (size_t i = 0; i < pattern->segment_count; i++) {
        const vv_segment *segment = &pattern->segments[i];
        vv_status st = segment->name.len > 0 ? placeholder_child(router, node, segment, &node)
                                             : literal_child(router, node, segment->text, &node);
        if (vv_failed(st))
            return st;
    }
    if (node->endpoint == NULL)
        node->endpoint = new_endpoint(router);
    *endpoint = node->endpoint;
    return node->endpoint ? VV_OK : VV_E_NO_MEMORY;
}

vv_status
vv_tree_place(vv_router *router, const vv_pattern *pattern, vv_endpoint **endpoint)
{
    if (pattern->param_count == 0)
        return place_path(router, vv_span_of(pattern->text, pattern->text_len), endpoint);
    return place_segments(router, pattern, endpoint);
}

static uint32_t
place_of(const vv_node *child)
{
    const vv_node *node = child->parent;
    uint32_t place = 0;
    while (place < node->prefix_count && node->prefix_lens[place] != child->prefix_len)
        place++;
    return place;
}

static uint32_t
allow_of(uint32_t named, int any)
{
    uint32_t allow = named | 1u << VV_BIT_OPTIONS; /* the server answers OPTIONS by itself */
    if (named & 1u << VV_BIT_GET)
        allow |= 1u << VV_BIT_HEAD;
    if (any)
        allow |= (1u << VV_BIT_CUSTOM) - 1;
    return allow;
}

static vv_status
settle_custom(vv_router *router, vv_endpoint *endpoint)
{
    size_t count = router->method_count - VV_BIT_CUSTOM;
    endpoint->custom = vv_store_take(&router->store, count * sizeof *endpoint->custom, WORD);
    if (endpoint->custom == NULL)
        return VV_E_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        endpoint->custom[i] = endpoint->any;
        for (const vv_route *route = endpoint->routes; route != NULL; route = route->next) {
            if (route->methods >> (VV_BIT_CUSTOM + i) & 1)
                endpoint->custom[i] = route;
        }
    }
    return VV_OK;
}

/* Gives every method its route: the one that names it; else, for HEAD, the one that names GET; else the any-method
 * route. Look-ups then index by the method and know nothing of these rules. */
static vv_status
settle_methods(vv_router *router, vv_endpoint *endpoint)
{
    uint32_t named = 0;
    for (const vv_route *route = endpoint->routes; route != NULL; route = route->next) {
        named |= route->methods;
        if (route->methods == 0)
            endpoint->any = route;
    }
    if (endpoint->routes == NULL)
        return VV_OK; /* of a route for which there was no memory: it stays a path that nobody knows */

    for (unsigned bit = 0; bit < VV_BIT_CUSTOM; bit++) {
        endpoint->standard[bit] = endpoint->any;
        for (const vv_route *route = endpoint->routes; route != NULL; route = route->next) {
            if (route->methods >> bit & 1)
                endpoint->standard[bit] = route;
        }
    }
    if ((named >> VV_BIT_HEAD & 1) == 0)
        endpoint->standard[VV_BIT_HEAD] = endpoint->standard[VV_BIT_GET];
    endpoint->allow = allow_of(named, endpoint->any != NULL);
    return named >> VV_BIT_CUSTOM ? settle_custom(router, endpoint) : VV_OK;
}

vv_status
vv_tree_compile(vv_router *router)
{
    for (vv_node *node = router->nodes; node != NULL; node = node->next) {
        if (node->parent != NULL)
            node->place = place_of(node);
    }
    for (vv_endpoint *endpoint = router->endpoints; endpoint != NULL; endpoint = endpoint->next) {
        vv_status st = settle_methods(router, endpoint);
        if (vv_failed(st))
            return st;
    }
    return VV_OK;
}
