/* The name of this process, as `ps` and `top` show it.
 *
 * Linux shows the memory that the arguments were passed in. A title is written over it, and over the environment right
 * behind it, whose strings move elsewhere first: a pointer from an earlier getenv() then shows the title.
 *
 * Threads     call it before there is a second one.
 */
#ifndef VV_IO_TITLE_H
#define VV_IO_TITLE_H

#include "core/bytes/span.h"
#include "core/compiler.h"
#include "core/status.h"

/* Names the process; what is too long is cut.
 *
 *   title  for `ps -f`, in place of the arguments
 *   name   for `top`: 15 bytes
 *
 * VV_OK; VV_E_SYSTEM where /proc does not tell where the arguments lie (the name has been set); VV_E_NO_MEMORY. */
VV_NODISCARD vv_status vv_title_set(vv_span title, vv_span name);

#endif
