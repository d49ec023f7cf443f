/* What matching reads: a table of the paths that have no placeholders, and a tree for the patterns that do.
 *
 * The tree has one level for each segment. A node's children are found by
 *
 *     the segment itself           one table for the whole tree, keyed by (node, segment)
 *     a prefix of the segment      a fork: the placeholders behind that prefix, one child for each type; a table keyed
 *                                  by (node, prefix), searched once for each length that prefixes have at the node
 *     nothing                      the node's bare fork: placeholders that take the whole segment
 *
 * Precedence, at each segment: the literal; then placeholders of one segment, those with the longest prefix first,
 * and among them uuid, int, float, str, plain; then `path`, again the longest prefix first. The first segment in which
 * two patterns differ decides between them.
 *
 * Ownership   everything lies in the router's store and lives as long.
 * Threads     read-only once compiled.
 */
#ifndef VV_ROUTER_TREE_H
#define VV_ROUTER_TREE_H

#include "core/router/pattern.h"
#include "core/router/router.h"
#include "core/router/store.h"
#include "core/router/table.h"

/* The methods that come first, whether a route names them or not: their bits and the order of Allow. */
#define VV_ROUTER_STANDARD(X) X(GET) X(HEAD) X(POST) X(PUT) X(DELETE) X(PATCH) X(OPTIONS)

enum {
#define X(name) VV_BIT_##name,
    VV_ROUTER_STANDARD(X)
#undef X
        VV_BIT_CUSTOM,                  /* the first of the others */
    VV_BIT_UNKNOWN = VV_ROUTER_METHODS, /* a method that no route names */
    VV_BIT_NONE,                        /* stands for no method at all: no route takes it */
};

/* Kinds of edges by precedence; those from UUID to PLAIN take one segment, and a fork has a child for each. */
typedef enum vv_rank {
    VV_RANK_LITERAL,
    VV_RANK_UUID,
    VV_RANK_INT,
    VV_RANK_FLOAT,
    VV_RANK_STR,
    VV_RANK_PLAIN,
    VV_RANK_PATH,
    VV_RANKS,
} vv_rank;

struct vv_route {
    void *data; /* borrowed: the caller's */
    vv_span pattern;
    uint32_t methods; /* bits; 0: any */
    uint32_t param_count;
    vv_route *next; /* of the same endpoint */
    struct {
        uint16_t at, len; /* of the name, in pattern */
        vv_param_type type;
    } params[];
};

/* The end of a pattern: its routes by method. */
typedef struct vv_endpoint {
    vv_key key;                              /* without placeholders: the path */
    const vv_route *standard[VV_BIT_CUSTOM]; /* by method bit, with HEAD's and the any-method route's claims settled */
    const vv_route *any;
    const vv_route **custom; /* by method bit - VV_BIT_CUSTOM; NULL: all of them are `any` */
    uint32_t allow;
    vv_route *routes; /* as added */
    struct vv_endpoint *next;
} vv_endpoint;

typedef struct vv_node vv_node;

/* The placeholders behind one prefix. */
typedef struct vv_fork {
    vv_key key;        /* the node and the prefix */
    vv_node *segments; /* children that take one segment, by rank; linked by their `sibling` */
    vv_node *rest;     /* the child that takes the rest of the path */
} vv_fork;

/* Two cache lines: what a look-up reads when it enters the node, and what it reads to go on from there. */
struct vv_node {
    vv_key key; /* the parent and the segment, when a literal leads here */
    vv_node *parent;
    vv_node *sibling;      /* of the same fork, the next by rank */
    vv_endpoint *endpoint; /* of the patterns that end here; NULL: none */
    uint32_t rank;         /* of the edge that leads here */
    uint32_t prefix_len;   /* before the placeholder that leads here */

    vv_node *literal;       /* the newest literal child: the only one, when literal_count is 1 */
    vv_node *bare_segments; /* the fork without a prefix */
    vv_node *bare_rest;
    uint32_t *prefix_lens; /* of its forks: falling, each once */
    uint32_t prefix_count;
    uint32_t literal_count;
    uint32_t id;
    uint32_t place; /* of prefix_len among the parent's prefix_lens; their count, when there is no prefix */
    vv_node *next;
};

struct vv_router {
    vv_key methods[VV_ROUTER_METHODS]; /* names */
    uint32_t method_count;
    uint32_t node_count; /* with the root */
    vv_table paths;      /* endpoints of the patterns without placeholders */
    vv_node *root;
    vv_table literals; /* nodes */
    vv_table prefixes; /* forks */
    vv_node *nodes;
    vv_endpoint *endpoints;
    vv_store store;
    int compiled;
};

/* The endpoint of the pattern's shape, made if there is none. VV_OK or VV_E_NO_MEMORY, which leaves no trace that a
 * look-up could see. */
VV_NODISCARD vv_status vv_tree_place(vv_router *router, const vv_pattern *pattern, vv_endpoint **endpoint);

/* Settles what look-ups read. VV_OK or VV_E_NO_MEMORY. */
VV_NODISCARD vv_status vv_tree_compile(vv_router *router);

/* Adds the node that the router begins with. */
VV_NODISCARD vv_status vv_tree_plant(vv_router *router);

/* How many nodes of the tree a look-up of `path` enters at most: what a hostile path can cost. Never more than
 * router->node_count, see match.c. */
size_t vv_tree_visits(const vv_router *router, vv_span path);

#endif
