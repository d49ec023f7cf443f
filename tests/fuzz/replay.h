/* What drives a fuzz target: libFuzzer where it is built with it (-Dfuzzing=true, clang), else a main() that replays
 * the corpus files and directories named on the command line, and a bounded number of mutations of each, always the
 * same ones. */
#ifndef VV_FUZZ_REPLAY_H
#define VV_FUZZ_REPLAY_H

#include <stddef.h>
#include <stdint.h>

/* The target; 0 always. A property that does not hold aborts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* States a property. */
#define MUST(holds)                                                                                                    \
    do {                                                                                                               \
        if (!(holds))                                                                                                  \
            must_have(#holds, __FILE__, __LINE__);                                                                     \
    } while (0)

_Noreturn void must_have(const char *property, const char *file, int line);

/* A copy that ends where its allocation ends, for ASan; the caller frees it. Never NULL. */
uint8_t *exact_copy(const uint8_t *data, size_t size);

#endif
