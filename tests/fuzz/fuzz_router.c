/* The router: any patterns, any methods, any paths. Never a crash; and whatever matches re-assembles: the pattern with
 * each placeholder replaced by what it took is the path, and each placeholder took what its type promises.
 *
 * The input is lines: "METHODS /pattern" (methods with commas between them, "*" for any) up to an empty line, then
 * "METHOD /path". Without libFuzzer, main() replays a corpus folder and some mutations of each file. */
#include "core/router/router.h"
#include "core/router/tree.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(promise)                                                                                                  \
    do {                                                                                                               \
        if (!(promise)) {                                                                                              \
            fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #promise);                              \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

enum { METHODS_AT_MOST = 40 };

/* Takes what stands before the next `separator`, or all, off the front. */
static vv_span
cut(vv_span *text, char separator)
{
    const uint8_t *at = text->len ? memchr(text->at, separator, text->len) : NULL;
    vv_span front = vv_span_of(text->at, at ? (size_t)(at - text->at) : text->len);
    size_t taken = front.len + (at != NULL);
    *text = vv_span_of(taken ? text->at + taken : text->at, text->len - taken);
    return front;
}

static void
add_line(vv_router *router, vv_span line)
{
    vv_span names[METHODS_AT_MOST], list = cut(&line, ' ');
    size_t count = 0;
    vv_route *route = NULL;
    vv_router_fault fault = {""};

    if (!vv_span_equal(list, vv_span_text("*"))) {
        do
            names[count++] = cut(&list, ',');
        while (list.len > 0 && count < METHODS_AT_MOST);
    }
    vv_status st = vv_router_add(router, line, names, count, NULL, &route, &fault);
    MUST(st == VV_OK || st == VV_E_PATTERN || st == VV_E_CONFLICT);
    MUST((st == VV_OK) == (route != NULL));
    if (st == VV_OK) {
        MUST(vv_span_equal(vv_route_pattern(route), line));
        return;
    }
    MUST(strncmp(fault.text, "route \"", 7) == 0 && strlen(fault.text) < sizeof fault.text - 1);
    for (const char *c = fault.text; *c != '\0'; c++)
        MUST((unsigned char)*c >= 0x20 && *c != 0x7F);
}

/* What a match took for its placeholder. */
static void
check_param(const vv_route *route, uint32_t n, vv_span path, vv_param param)
{
    MUST(param.at <= path.len && param.len <= path.len - param.at);
    vv_param_type type = vv_route_param_type(route, n);
    size_t slashes = 0;
    for (uint32_t i = 0; i < param.len; i++) {
        uint8_t c = path.at[param.at + i];
        int digit = c >= '0' && c <= '9';
        slashes += c == '/';
        MUST(type != VV_PARAM_INT || digit || (c == '-' && i == 0));
        MUST(type != VV_PARAM_FLOAT || digit || c == '.' || (c == '-' && i == 0));
    }
    MUST(type == VV_PARAM_PATH || (slashes == 0 && param.len > 0));
    MUST(type != VV_PARAM_UUID || param.len == 36);
}

static void
check_match(const vv_match *match, vv_span path)
{
    vv_span pattern = vv_route_pattern(match->route);
    size_t at = 0;
    uint32_t n = 0;

    MUST(match->count == vv_route_param_count(match->route));
    for (size_t i = 0; i < pattern.len; i++) {
        uint8_t c = pattern.at[i];
        int doubled = i + 1 < pattern.len && pattern.at[i + 1] == c;
        if (c == '{' && !doubled) {
            MUST(n < match->count && match->params[n].at == at);
            check_param(match->route, n, path, match->params[n]);
            at += match->params[n++].len;
            while (pattern.at[i] != '}')
                i++; /* it is there: the pattern was taken */
            continue;
        }
        MUST(at < path.len && path.at[at++] == c);
        i += (c == '{' || c == '}') && doubled;
    }
    MUST(at == path.len && n == match->count);
}

static void
check_line(const vv_router *router, vv_span line)
{
    vv_match match;
    vv_span method = cut(&line, ' ');
    uint32_t allow = vv_router_allow(router, line);

    vv_router_match(router, method, line, &match);
    MUST(vv_tree_visits(router, line) <= router->node_count);
    if (match.route != NULL) {
        MUST(allow != 0);
        check_match(&match, line);
        return;
    }
    MUST(match.count == 0 && match.allow == allow);
    for (unsigned bit = 0; bit < VV_ROUTER_METHODS; bit++) {
        vv_span name = vv_router_method_name(router, bit);
        MUST(!(allow >> bit & 1) || name.len > 0);
        /* A method that is allowed is answered; OPTIONS by the server. */
        MUST(!(allow >> bit & 1) || bit == VV_BIT_OPTIONS || !vv_span_equal(name, method));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vv_span in = vv_span_of(data, size), line;
    vv_router *router;

    MUST(vv_router_new(&router) == VV_OK);
    while ((line = cut(&in, '\n')).len > 0)
        add_line(router, line);
    MUST(vv_router_compile(router) == VV_OK);
    while (in.len > 0)
        check_line(router, cut(&in, '\n'));
    vv_router_free(router);
    return 0;
}

#ifndef VV_FUZZING
enum { INPUT_BYTES = 8192, MUTATIONS = 3000 };

static uint32_t seed = 1;

static size_t
random_below(size_t limit)
{
    seed = seed * 1664525u + 1013904223u;
    return (size_t)(((uint64_t)seed * limit) >> 32);
}

/* A copy of its own size, so that the address sanitizer sees a byte read too far. */
static void
run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    MUST(copy != NULL);
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* Overwrites, cuts out or doubles a few bytes; gives the new size. */
static size_t
mutate(uint8_t *data, size_t size)
{
    static const char spice[] = "/{}:-.\n ,*a1{}/intpath\0\xff?#";
    for (size_t times = 1 + random_below(4); times-- > 0 && size > 0;) {
        size_t at = random_below(size), len = 1 + random_below(size - at < 12 ? size - at : 12);
        switch (random_below(4)) {
        case 0:
            memmove(data + at, data + at + len, size - at - len);
            size -= len;
            break;
        case 1:
            if (size + len <= INPUT_BYTES) {
                memmove(data + at + len, data + at, size - at);
                size += len;
            }
            break;
        case 2:
            memmove(data + random_below(size - len + 1), data + at, len);
            break;
        default:
            data[at] = (uint8_t)spice[random_below(sizeof spice - 1)];
        }
    }
    return size;
}

static void
replay(const char *path)
{
    uint8_t data[INPUT_BYTES], mutant[INPUT_BYTES];
    FILE *file = fopen(path, "rb");
    MUST(file != NULL);
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);

    run(data, size);
    for (int i = 0; i < MUTATIONS; i++) {
        memcpy(mutant, data, size);
        run(mutant, mutate(mutant, size));
    }
}

int
main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (folder == NULL) {
        fprintf(stderr, "use: %s CORPUS-FOLDER\n", argv[0]);
        return 2;
    }
    size_t files = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        replay(path);
        files++;
    }
    closedir(folder);
    printf("%zu files, %d mutations of each\n", files, MUTATIONS);
    return files == 0;
}
#endif
