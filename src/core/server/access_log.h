/* The access log: one line for every answer, gathered in memory and written once a turn.
 *
 * What is logged   every request that was answered, when its answer is handed over, with the time since its head was
 *                  complete; what the engine refused, with as much as is known of it; and with status 499 a request
 *                  whose client had gone before the answer.
 * Ownership        a server owns its log.
 * Threads          none.
 * Cost             off: nothing; the request's `how` carries a bit, and an answer for which no bit is set takes the way
 *                  that it takes anyway. On: two looks at the clock and one line of text a request, one write a turn; a
 *                  copy of what the line needs for an answer that is put off.
 *
 * Nobody is waited for. While the reader is slow lines are kept, up to VV_ACCESS_KEEP_BYTES; then they are dropped and
 * counted, and the first line that goes through again says how many were lost and why.
 */
#ifndef VV_SERVER_ACCESS_LOG_H
#define VV_SERVER_ACCESS_LOG_H

#include "core/compiler.h"
#include "core/http1/request.h"
#include "core/http1/write.h"
#include "core/server/access_line.h"
#include "core/server/server.h"

enum {
    VV_ACCESS_KEEP_BYTES = 1024 * 1024, /* of lines that wait                                  */
    VV_ACCESS_BATCH_BYTES = 64 * 1024,  /* written before the turn has ended                   */
    VV_ACCESS_RETRY_MS = 50,            /* between two attempts on a reader that takes nothing */
    VV_ACCESS_LAST_MS = 500,            /* that the reader has for the last lines of a server  */
};

typedef struct vv_access_options {
    vv_access_style style;
    int fd;           /* where lines go; borrowed                           */
    const char *path; /* or a file, appended to and followed; NULL: the fd  */
    /* Or a callee, called once a turn with whole lines; NULL: the fd or the file. */
    void (*take)(void *self, vv_span lines);
    void *self;
} vv_access_options;

/* Logs every request from now on. Once per server, before it listens. VV_OK, VV_E_NO_MEMORY, VV_E_SYSTEM (errno tells).
 */
VV_NODISCARD vv_status vv_server_log_access(vv_server *server, const vv_access_options *options);

/* Ends it: the last lines have VV_ACCESS_LAST_MS. How many lines were lost that the log itself does not tell of. */
uint64_t vv_server_end_access_log(vv_server *server);

/* ---- within core/server ------------------------------------------------------------------------------------------ */

typedef struct vv_access_log vv_access_log;

/* A request is about to be answered: at once, or held. `req` is borrowed until then. */
void vv_access_begin(vv_conn *conn, const vv_http1_request *req);
/* One that was refused before its head was understood: `bytes` is what came of it. */
void vv_access_begin_raw(vv_conn *conn, vv_span bytes);
void vv_access_refused(vv_conn *conn, vv_status why);
/* The answer to it. NULL: there is nobody left to be answered. */
void vv_access_answer(vv_conn *conn, const vv_reply *reply, unsigned how);

/* Keeps what the line of a held request needs; NULL when memory is out: its line is then lost. */
vv_access *vv_access_keep(vv_conn *conn);
/* The answer of a held request, as above; frees what was kept. */
void vv_access_answer_kept(vv_conn *conn, vv_access *kept, const vv_reply *reply, unsigned how);

/* Writes what has been gathered. */
void vv_access_flush(vv_access_log *log);
/* Milliseconds until lines that are left over are tried again; -1: there are none. */
int vv_access_next_ms(const vv_access_log *log);
void vv_access_log_free(vv_access_log *log); /* NULL is fine */

#endif
