/* Where log lines go: a descriptor or a file that is written to without ever waiting for whoever reads it.
 *
 * A pipe or a terminal is opened once more through /proc, so that not to wait is our own affair and none of the other
 * holders' of the descriptor; where that is not possible, the kernel is asked before each write. A regular file takes
 * bytes at once. A file that was opened by path is followed: when the path names another file (logrotate), that one is
 * opened.
 *
 * Several processes may write to one pipe: lines are written in pieces that the kernel takes whole or not at all
 * (PIPE_BUF), so that none is torn by another's, unless it alone is longer. Files that are appended to need no such
 * care.
 *
 * Ownership   vv_sink_open_...() / vv_sink_close(). The caller's descriptor stays the caller's, and must stay open.
 * Threads     none.
 * Cost        one system call a write (two where the kernel is asked before).
 */
#ifndef VV_IO_SINK_H
#define VV_IO_SINK_H

#include "core/bytes/span.h"
#include "core/compiler.h"
#include "core/status.h"

typedef enum vv_sink_kind {
    VV_SINK_CLOSED,
    VV_SINK_FILE,      /* write() comes back at once                        */
    VV_SINK_UNBLOCKED, /* a description of our own that does not block      */
    VV_SINK_SOCKET,    /* each call says that it does not wait              */
    VV_SINK_GUARDED,   /* shared, and may block: asked before each write    */
} vv_sink_kind;

typedef struct vv_sink {
    int fd;
    int owned; /* fd is ours to close */
    int kind;  /* vv_sink_kind */
    int is_pipe;
    char *path;       /* owned; NULL: a descriptor */
    uint64_t file[2]; /* what the path named when it was opened */
} vv_sink;

/* VV_OK, VV_E_NO_MEMORY or VV_E_SYSTEM (errno tells). `sink` is written always. */
VV_NODISCARD vv_status vv_sink_open_fd(vv_sink *sink, int fd);
/* Appends; makes the file (mode 0640, less the umask) if there is none. */
VV_NODISCARD vv_status vv_sink_open_path(vv_sink *sink, const char *path);
void vv_sink_close(vv_sink *sink);

/* Opens the path again if it names another file now. A failure leaves all as it was. */
void vv_sink_follow(vv_sink *sink);

/* Writes what can be written at once of some lines.
 *
 *   written   written always: how many bytes are gone.
 *
 * VV_OK: all of them. VV_AGAIN: the rest would have to wait. VV_E_SYSTEM: it failed (errno tells: ENOSPC, EPIPE ...).
 */
VV_NODISCARD vv_status vv_sink_write(const vv_sink *sink, vv_span bytes, size_t *written);

/* Waits until there may be room, at most so long. */
void vv_sink_wait(const vv_sink *sink, int timeout_ms);

#endif
