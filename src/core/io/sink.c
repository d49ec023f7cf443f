#include "core/io/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int
open_again(int fd)
{
    char name[32];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    return open(name, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

vv_status
vv_sink_open_fd(vv_sink *sink, int fd)
{
    struct stat stat;
    *sink = (vv_sink){.fd = -1};
    if (fstat(fd, &stat) < 0)
        return VV_E_SYSTEM;
    sink->fd = fd;
    sink->is_pipe = S_ISFIFO(stat.st_mode);
    if (S_ISREG(stat.st_mode)) {
        sink->kind = VV_SINK_FILE; /* not opened again: the offset is shared with other writers */
    } else if (S_ISSOCK(stat.st_mode)) {
        sink->kind = VV_SINK_SOCKET;
    } else {
        int own = open_again(fd);
        sink->kind = own >= 0 ? VV_SINK_UNBLOCKED : VV_SINK_GUARDED;
        sink->fd = own >= 0 ? own : fd;
        sink->owned = own >= 0;
    }
    return VV_OK;
}

static vv_status
open_path(vv_sink *sink)
{
    struct stat stat;
    int fd = open(sink->path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);
    if (fd < 0)
        return VV_E_SYSTEM;
    if (fstat(fd, &stat) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return VV_E_SYSTEM;
    }
    if (sink->owned)
        close(sink->fd);
    sink->fd = fd;
    sink->owned = 1;
    sink->kind = S_ISREG(stat.st_mode) ? VV_SINK_FILE : VV_SINK_UNBLOCKED;
    sink->is_pipe = S_ISFIFO(stat.st_mode);
    sink->file[0] = (uint64_t)stat.st_dev;
    sink->file[1] = (uint64_t)stat.st_ino;
    return VV_OK;
}

vv_status
vv_sink_open_path(vv_sink *sink, const char *path)
{
    *sink = (vv_sink){.fd = -1, .path = strdup(path)};
    if (sink->path == NULL)
        return VV_E_NO_MEMORY;
    vv_status status = open_path(sink);
    if (status != VV_OK) {
        int error = errno;
        vv_sink_close(sink);
        errno = error;
    }
    return status;
}

void
vv_sink_close(vv_sink *sink)
{
    if (sink->owned)
        close(sink->fd);
    free(sink->path);
    *sink = (vv_sink){.fd = -1};
}

void
vv_sink_follow(vv_sink *sink)
{
    struct stat now;
    if (sink->path == NULL || sink->kind != VV_SINK_FILE)
        return;
    if (stat(sink->path, &now) == 0 && (uint64_t)now.st_dev == sink->file[0] && (uint64_t)now.st_ino == sink->file[1])
        return;
    (void)!open_path(sink);
}

void
vv_sink_wait(const vv_sink *sink, int timeout_ms)
{
    struct pollfd what = {.fd = sink->fd, .events = POLLOUT};
    (void)!poll(&what, 1, timeout_ms);
}

/* As many whole lines as a pipe takes in one piece; a longer line alone. */
static vv_span
piece_for_pipe(vv_span lines)
{
    if (lines.len <= PIPE_BUF)
        return lines;
    const uint8_t *end = memrchr(lines.at, '\n', PIPE_BUF);
    if (end == NULL)
        end = memchr(lines.at + PIPE_BUF, '\n', lines.len - PIPE_BUF);
    return end != NULL ? vv_span_of(lines.at, (size_t)(end - lines.at) + 1) : lines;
}

static ssize_t
write_once(const vv_sink *sink, vv_span bytes)
{
    struct pollfd what = {.fd = sink->fd, .events = POLLOUT};
    switch ((vv_sink_kind)sink->kind) {
    case VV_SINK_SOCKET:
        return send(sink->fd, bytes.at, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    case VV_SINK_GUARDED:
        /* A pipe that is ready takes this much without blocking (pipe(7)). */
        if (poll(&what, 1, 0) <= 0) {
            errno = EAGAIN;
            return -1;
        }
        return write(sink->fd, bytes.at, bytes.len < PIPE_BUF ? bytes.len : PIPE_BUF);
    case VV_SINK_FILE:
    case VV_SINK_UNBLOCKED:
        return write(sink->fd, bytes.at, bytes.len);
    case VV_SINK_CLOSED:
        break;
    }
    errno = EBADF;
    return -1;
}

vv_status
vv_sink_write(const vv_sink *sink, vv_span bytes, size_t *written)
{
    *written = 0;
    while (*written < bytes.len) {
        vv_span rest = vv_span_of(bytes.at + *written, bytes.len - *written);
        ssize_t count = write_once(sink, sink->is_pipe ? piece_for_pipe(rest) : rest);
        if (count > 0)
            *written += (size_t)count;
        else if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return VV_AGAIN;
        else if (count < 0 && errno != EINTR)
            return VV_E_SYSTEM;
        else if (count == 0) {
            errno = EIO;
            return VV_E_SYSTEM;
        }
    }
    return VV_OK;
}
