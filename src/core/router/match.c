/* The hot path: one search of the table of paths, then a walk down the tree.
 *
 * The walk tries a node's children in order of precedence and turns back where none leads on. It needs no stack: a
 * child knows its parent and what comes behind itself, and where a segment began is found by looking back for its
 * slash.
 *
 * What a hostile path can cost: a node lies under exactly one parent and takes its path at exactly one segment, and
 * its parent's children are tried in order, once. So each node is entered at most once in a look-up, however the path
 * is made: never more than node_count steps, which the routes alone decide, each linear in one segment (times the
 * number of different lengths that prefixes have at the node). Nothing is exponential. test_router counts the steps
 * through vv_tree_visits().
 */
#include "core/router/tree.h"

static int
is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static int
is_hex(uint8_t c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static size_t
count_digits(vv_span text, size_t from)
{
    size_t i = from;
    while (i < text.len && is_digit(text.at[i]))
        i++;
    return i - from;
}

static int
is_int(vv_span text)
{
    size_t sign = text.len > 0 && text.at[0] == '-';
    if (text.len - sign < 1 || text.len - sign > 64)
        return 0;
    return count_digits(text, sign) == text.len - sign;
}

static int
is_float(vv_span text)
{
    if (text.len < 1 || text.len > 64)
        return 0;
    size_t at = text.at[0] == '-';
    size_t whole = count_digits(text, at);
    at += whole;
    if (whole == 0 || at == text.len)
        return whole > 0;
    return text.at[at] == '.' && at + 1 < text.len && count_digits(text, at + 1) == text.len - at - 1;
}

static int
is_uuid(vv_span text)
{
    if (text.len != 36)
        return 0;
    for (size_t i = 0; i < 36; i++) {
        int dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text.at[i] != '-' : !is_hex(text.at[i]))
            return 0;
    }
    return 1;
}

/* Whether a placeholder of one segment takes the text. */
static int
takes(unsigned rank, vv_span text)
{
    switch (rank) {
    case VV_RANK_UUID:
        return is_uuid(text);
    case VV_RANK_INT:
        return is_int(text);
    case VV_RANK_FLOAT:
        return is_float(text);
    default:
        return text.len > 0;
    }
}

VV_INLINE const vv_route *
route_for(const vv_endpoint *endpoint, unsigned bit)
{
    if (bit < VV_BIT_CUSTOM)
        return endpoint->standard[bit];
    if (bit == VV_BIT_NONE)
        return NULL;
    return bit < VV_BIT_UNKNOWN && endpoint->custom ? endpoint->custom[bit - VV_BIT_CUSTOM] : endpoint->any;
}

VV_INLINE unsigned
method_bit(const vv_router *router, vv_span method)
{
    vv_words words = vv_words_of(method);
    for (unsigned bit = 0; bit < router->method_count; bit++) {
        if (vv_key_is(&router->methods[bit], words, method, 0))
            return bit;
    }
    return VV_BIT_UNKNOWN;
}

typedef struct walk {
    const vv_router *router;
    vv_span path;
    const vv_node *node;
    size_t at, end; /* the segment that a child of `node` is to take */
    unsigned bit;   /* the method */
    vv_match *out;
} walk;

static const vv_node *
literal_child(const walk *w, vv_span segment)
{
    const vv_node *node = w->node;
    if (node->literal_count == 0)
        return NULL;
    if (node->literal_count == 1)
        return vv_span_equal(vv_key_text(&node->literal->key), segment) ? node->literal : NULL;
    return (const vv_node *)vv_table_find(&w->router->literals, segment, node->id);
}

/* The node's fork for the prefix length in that place, if its prefix is the segment's. */
static const vv_fork *
fork_at(const walk *w, uint32_t place, vv_span segment)
{
    uint32_t len = w->node->prefix_lens[place];
    if (segment.len < len)
        return NULL;
    return (const vv_fork *)vv_table_find(&w->router->prefixes, vv_span_of(segment.at, len), w->node->id);
}

/* The first of these siblings that takes what stands behind their prefix. */
static const vv_node *
taker(const vv_node *child, vv_span segment)
{
    for (; child != NULL; child = child->sibling) {
        if (takes(child->rank, vv_span_of(segment.at + child->prefix_len, segment.len - child->prefix_len)))
            return child;
    }
    return NULL;
}

/* The best child for a placeholder that takes the rest, from that place on. */
static const vv_node *
rest_child(const walk *w, uint32_t place, vv_span segment)
{
    for (; place < w->node->prefix_count; place++) {
        const vv_fork *fork = fork_at(w, place, segment);
        if (fork != NULL && fork->rest != NULL)
            return fork->rest;
    }
    return place == w->node->prefix_count ? w->node->bare_rest : NULL;
}

/* The best child for any placeholder, of those that take one segment from that place on. */
static const vv_node *
placeholder_child(const walk *w, uint32_t place, vv_span segment)
{
    const vv_node *child = NULL;
    for (; child == NULL && place < w->node->prefix_count; place++) {
        const vv_fork *fork = fork_at(w, place, segment);
        if (fork != NULL)
            child = taker(fork->segments, segment);
    }
    if (child == NULL && place == w->node->prefix_count)
        child = taker(w->node->bare_segments, segment);
    return child ? child : rest_child(w, 0, segment);
}

static vv_span
segment_of(const walk *w)
{
    return vv_span_of(w->path.at + w->at, w->end - w->at);
}

/* The best child that takes the segment; NULL: none does. */
static const vv_node *
first_child(const walk *w)
{
    vv_span segment = segment_of(w);
    const vv_node *child = literal_child(w, segment);
    return child ? child : placeholder_child(w, 0, segment);
}

/* The next best behind `child`. */
static const vv_node *
child_behind(const walk *w, const vv_node *child)
{
    vv_span segment = segment_of(w);
    if (child->rank == VV_RANK_LITERAL)
        return placeholder_child(w, 0, segment);
    if (child->rank == VV_RANK_PATH)
        return rest_child(w, child->place + 1, segment);
    const vv_node *sibling = taker(child->sibling, segment);
    return sibling ? sibling : placeholder_child(w, child->place + 1, segment);
}

static size_t
end_of_segment(vv_span path, size_t at)
{
    const uint8_t *slash = at < path.len ? memchr(path.at + at, '/', path.len - at) : NULL;
    return slash ? (size_t)(slash - path.at) : path.len;
}

static size_t
start_of_segment(vv_span path, size_t end)
{
    while (path.at[end - 1] != '/')
        end--;
    return end;
}

static void
note_param(walk *w, const vv_node *child)
{
    if (child->rank == VV_RANK_LITERAL)
        return;
    size_t at = w->at + child->prefix_len;
    size_t end = child->rank == VV_RANK_PATH ? w->path.len : w->end;
    w->out->params[w->out->count++] = (vv_param){(uint32_t)at, (uint32_t)(end - at)};
}

/* Whether the pattern that ends in this child answers the method; if not, notes what it would. */
static int
settles(walk *w, const vv_node *child)
{
    const vv_endpoint *endpoint = child->endpoint;
    if (endpoint == NULL)
        return 0;
    w->out->route = route_for(endpoint, w->bit);
    w->out->allow |= endpoint->allow;
    return w->out->route != NULL;
}

static void
descend(walk *w, const vv_node *child)
{
    w->node = child;
    w->at = w->end + 1;
    w->end = end_of_segment(w->path, w->at);
}

/* Up to the parent, again before the segment that the node took. */
static void
turn_back(walk *w)
{
    w->out->count -= w->node->rank != VV_RANK_LITERAL;
    w->node = w->node->parent;
    w->end = w->at - 1;
    w->at = start_of_segment(w->path, w->end);
}

/* Walks the tree until a route answers or nothing is left to try. Gives how many nodes were entered. */
static size_t
walk_tree(const vv_router *router, unsigned bit, vv_span path, vv_match *out)
{
    walk w = {.router = router, .path = path, .node = router->root, .at = 1, .bit = bit, .out = out};
    size_t visits = 1;
    w.end = end_of_segment(path, 1);

    for (const vv_node *child = first_child(&w);;) {
        if (child == NULL) {
            child = w.node;
            if (child == router->root)
                return visits;
            turn_back(&w);
            child = child_behind(&w, child);
            continue;
        }

        visits++;
        note_param(&w, child);
        if (child->rank != VV_RANK_PATH && w.end < path.len) {
            descend(&w, child);
            child = first_child(&w);
            continue;
        }
        if (settles(&w, child))
            return visits;
        out->count -= child->rank != VV_RANK_LITERAL;
        child = child_behind(&w, child);
    }
}

/* The tree's part of a look-up; out is empty but for `allow`. */
static VV_NOINLINE size_t
match_tree(const vv_router *router, unsigned bit, vv_span path, vv_match *out)
{
    int absolute = path.len > 0 && path.len <= UINT32_MAX && path.at[0] == '/';
    /* Before vv_router_compile() the places are not set, and a walk might never end. */
    int walkable = router->compiled && router->node_count > 1;
    return absolute && walkable ? walk_tree(router, bit, path, out) : 0;
}

VV_INLINE void
match_bit(const vv_router *router, unsigned bit, vv_span path, vv_match *out)
{
    const vv_endpoint *endpoint = (const vv_endpoint *)vv_table_find(&router->paths, path, 0);
    out->route = endpoint ? route_for(endpoint, bit) : NULL;
    out->allow = endpoint ? endpoint->allow : 0;
    out->count = 0;
    if (VV_UNLIKELY(out->route == NULL))
        match_tree(router, bit, path, out);
}

static VV_NOINLINE void
match_long(const vv_router *router, vv_span method, vv_span path, vv_match *out)
{
    match_bit(router, method_bit(router, method), path, out);
}

void
vv_router_match(const vv_router *router, vv_span method, vv_span path, vv_match *out)
{
    /* Where the compiler knows that texts are short it saves no registers for calls that compare long ones. */
    if (method.len > 16 || path.len > 16)
        match_long(router, method, path, out);
    else
        match_bit(router, method_bit(router, method), path, out);
}

uint32_t
vv_router_allow(const vv_router *router, vv_span path)
{
    vv_match match;
    match_bit(router, VV_BIT_NONE, path, &match);
    return match.allow;
}

size_t
vv_tree_visits(const vv_router *router, vv_span path)
{
    vv_match match = {0};
    return match_tree(router, VV_BIT_NONE, path, &match);
}
