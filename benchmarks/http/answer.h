/* One HTTP/1.1 answer, read in full: where it ends and whether it is what was asked for. */
#ifndef VV_BENCH_ANSWER_H
#define VV_BENCH_ANSWER_H

#include <stddef.h>

typedef struct answer {
    size_t len;  /* head and body                     */
    size_t head; /* of it                             */
    int status;
    int closes; /* the server ends the connection    */
    const char *body;
    size_t body_len; /* as it lies there: with chunk sizes, if it is chunked */
    int chunked;
} answer;

enum { ANSWER_WHOLE, ANSWER_MORE, ANSWER_BAD };

/* Reads the answer at the front of `len` bytes: ANSWER_WHOLE, ANSWER_MORE (not all of it is here) or ANSWER_BAD. */
int answer_read(const char *at, size_t len, answer *out);

/* Whether its body is `body`, byte for byte; a chunked one in one chunk. */
int answer_is(const answer *a, const char *body, size_t len);

#endif
