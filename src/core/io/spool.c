#include "core/io/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct vv_spool {
    int fd;
    uint64_t len;
};

enum { COPY_AT_ONCE = 64 * 1024, PATH_BYTES = 4096 };

/* A file that never had a name, or, where the file system cannot do that, one that has lost it. -1: errno tells. */
static int
nameless(const char *directory)
{
    char path[PATH_BYTES];
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    int len = snprintf(path, sizeof path, "%s/vivace-XXXXXX", directory);
    if (len < 0 || (size_t)len >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        (void)unlink(path);
    return fd;
}

char *
vv_spool_directory(void)
{
    const char *directories[] = {getenv("TMPDIR"), getenv("TEMP"), getenv("TMP"), "/tmp", "/var/tmp"};
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
        if (directories[i] == NULL || directories[i][0] == '\0')
            continue;
        int fd = nameless(directories[i]);
        if (fd >= 0) {
            close(fd);
            return strdup(directories[i]);
        }
    }
    return strdup("/tmp");
}

static vv_status
failure(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG ? VV_E_SPOOL_FULL : VV_E_SPOOL;
}

vv_status
vv_spool_new(vv_spool **out, const char *directory)
{
    vv_spool *spool = malloc(sizeof *spool);
    if (spool == NULL)
        return VV_E_NO_MEMORY;
    *spool = (vv_spool){.fd = nameless(directory)};
    if (spool->fd < 0) {
        free(spool);
        return failure(errno);
    }
    *out = spool;
    return VV_OK;
}

void
vv_spool_free(vv_spool *spool)
{
    if (spool != NULL) {
        close(spool->fd);
        free(spool);
    }
}

/* As write(), until all is written. */
static int
write_all(int fd, const uint8_t *at, size_t len)
{
    while (len > 0) {
        ssize_t count = write(fd, at, len);
        if (count < 0 && errno != EINTR)
            return -1;
        if (count > 0) {
            at += count;
            len -= (size_t)count;
        }
    }
    return 0;
}

vv_status
vv_spool_append(vv_spool *spool, vv_span bytes)
{
    if (write_all(spool->fd, bytes.at, bytes.len) < 0)
        return failure(errno);
    spool->len += bytes.len;
    return VV_OK;
}

uint64_t
vv_spool_len(const vv_spool *spool)
{
    return spool->len;
}

vv_status
vv_spool_read(const vv_spool *spool, uint64_t at, void *out, size_t len)
{
    uint8_t *to = out;
    while (len > 0) {
        ssize_t count = pread(spool->fd, to, len, (off_t)at);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0) {
            errno = count == 0 ? EIO : errno; /* somebody else has cut it */
            return VV_E_SYSTEM;
        }
        to += count;
        at += (uint64_t)count;
        len -= (size_t)count;
    }
    return VV_OK;
}

/* By way of our memory: for what copy_file_range() does not do. */
static vv_status
copy_by_hand(const vv_spool *spool, uint64_t at, uint64_t len, int fd)
{
    uint8_t *bytes = malloc(COPY_AT_ONCE);
    vv_status status = bytes != NULL ? VV_OK : VV_E_SYSTEM; /* malloc() has set errno */
    while (status == VV_OK && len > 0) {
        size_t part = len < COPY_AT_ONCE ? (size_t)len : COPY_AT_ONCE;
        status = vv_spool_read(spool, at, bytes, part);
        if (status == VV_OK && write_all(fd, bytes, part) < 0)
            status = VV_E_SYSTEM;
        at += part;
        len -= part;
    }
    int error = errno;
    free(bytes);
    errno = error;
    return status;
}

vv_status
vv_spool_copy(const vv_spool *spool, uint64_t at, uint64_t len, int fd)
{
    while (len > 0) {
        off_t from = (off_t)at;
        ssize_t count = copy_file_range(spool->fd, &from, fd, NULL, len < SIZE_MAX / 2 ? (size_t)len : SIZE_MAX / 2, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return copy_by_hand(spool, at, len, fd);
        at += (uint64_t)count;
        len -= (uint64_t)count;
    }
    return VV_OK;
}
