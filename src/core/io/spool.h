/* Bytes that are too many for memory: a file without a name in the directory for temporary files. The kernel takes it
 * back when it is closed, however the process ends.
 *
 * Ownership   vv_spool_new() / vv_spool_free().
 * Threads     one writes; once it is written, any number may read at once.
 * Cost        an append is one write(), as a rule into the page cache; it may wait for the disk.
 */
#ifndef VV_IO_SPOOL_H
#define VV_IO_SPOOL_H

#include "core/bytes/span.h"
#include "core/compiler.h"
#include "core/status.h"

typedef struct vv_spool vv_spool;

/* The directory for temporary files: the first that can be written to of $TMPDIR, $TEMP, $TMP, /tmp and /var/tmp, as
 * Python's tempfile has it; /tmp where there is none. To be asked once: another thread may change the environment. The
 * caller frees it; NULL when memory is out. */
char *vv_spool_directory(void);

/* VV_OK, VV_E_NO_MEMORY, VV_E_SPOOL_FULL (no room), or VV_E_SPOOL (no descriptor, no directory ...; errno tells). */
VV_NODISCARD vv_status vv_spool_new(vv_spool **out, const char *directory);
void vv_spool_free(vv_spool *spool); /* NULL is fine */

/* Writes at the end. VV_OK, VV_E_SPOOL_FULL, or VV_E_SPOOL (errno tells). */
VV_NODISCARD vv_status vv_spool_append(vv_spool *spool, vv_span bytes);

uint64_t vv_spool_len(const vv_spool *spool);

/* Reads `len` bytes from `at` on, all of which have been written. VV_OK or VV_E_SYSTEM (errno tells). */
VV_NODISCARD vv_status vv_spool_read(const vv_spool *spool, uint64_t at, void *out, size_t len);

/* Copies them to where another descriptor stands, within the kernel where it can. VV_OK or VV_E_SYSTEM (errno tells).
 */
VV_NODISCARD vv_status vv_spool_copy(const vv_spool *spool, uint64_t at, uint64_t len, int fd);

#endif
