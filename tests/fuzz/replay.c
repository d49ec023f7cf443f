#include "replay.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void
must_have(const char *property, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, property);
    abort();
}

uint8_t *
exact_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL)
        abort();
    if (size > 0)
        memcpy(copy, data, size);
    return copy;
}

#ifndef VV_FUZZING

enum { INPUT_BYTES = 8192, MUTATIONS = 400 };

static uint64_t random_state;

/* xorshift64: the same numbers in every run. */
static uint32_t
random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % limit;
}

/* One small change; the bytes that grammars turn on come up more often than others. */
static size_t
mutate(uint8_t *data, size_t size)
{
    static const uint8_t telling[] = "\r\n\t :;,/%?#*[]\"=0a\x00\x7f\x80\xff";
    size_t at = size > 0 ? random_below((uint32_t)size) : 0, len;

    switch (random_below(6)) {
    case 0: /* another byte */
        if (size > 0)
            data[at] = (uint8_t)random_below(256);
        return size;
    case 1:
        if (size > 0)
            data[at] = telling[random_below(sizeof(telling) - 1)];
        return size;
    case 2: /* a byte more */
        if (size == INPUT_BYTES)
            return size;
        memmove(data + at + 1, data + at, size - at);
        data[at] = telling[random_below(sizeof(telling) - 1)];
        return size + 1;
    case 3: /* some bytes less */
        len = size > at ? 1 + random_below((uint32_t)(size - at)) % 8 : 0;
        len = len > size - at ? size - at : len;
        memmove(data + at, data + at + len, size - at - len);
        return size - len;
    case 4: /* some bytes twice */
        len = size > at ? 1 + random_below((uint32_t)(size - at)) : 0;
        if (size + len > INPUT_BYTES)
            return size;
        memmove(data + at + len, data + at, size - at);
        return size + len;
    default: /* an early end */
        return at;
    }
}

static void
replay_bytes(const uint8_t *data, size_t size)
{
    uint8_t *copy = exact_copy(data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void
replay_file(const char *path)
{
    static uint8_t seed[INPUT_BYTES], data[INPUT_BYTES];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    size_t seed_size = fread(seed, 1, sizeof(seed), file);
    fclose(file);

    replay_bytes(seed, seed_size);
    random_state = UINT64_C(0x9e3779b97f4a7c15) + seed_size;
    for (int i = 0; i < MUTATIONS; i++) {
        size_t size = seed_size;
        memcpy(data, seed, size);
        for (uint32_t changes = 1 + random_below(4); changes > 0; changes--)
            size = mutate(data, size);
        replay_bytes(data, size);
    }
}

static size_t
replay(const char *path)
{
    struct stat about;
    if (stat(path, &about) != 0) {
        perror(path);
        exit(1);
    }
    if (!S_ISDIR(about.st_mode)) {
        replay_file(path);
        return 1;
    }
    DIR *dir = opendir(path);
    if (dir == NULL) {
        perror(path);
        exit(1);
    }
    size_t files = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char inner[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
        files += replay(inner);
    }
    closedir(dir);
    return files;
}

int
main(int argc, char **argv)
{
    size_t files = 0;
    for (int i = 1; i < argc; i++)
        files += replay(argv[i]);
    printf("%zu inputs, %zu with their mutations\n", files, files * (MUTATIONS + 1));
    return files > 0 ? 0 : 1;
}

#endif
