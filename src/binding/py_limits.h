/* The limits of a Server as Python knows them: by keyword, times in seconds. What they are is in core/server/limits.h.
 */
#ifndef VV_BINDING_PY_LIMITS_H
#define VV_BINDING_PY_LIMITS_H

#include "binding/py_state.h"
#include "core/server/limits.h"

/* The limits that keywords set, the others as usual. 0, or -1 with TypeError for an unknown keyword or a value that is
 * no number, ValueError for one that is out of range. `kwargs` may be NULL. */
int limits_read(PyObject *kwargs, vv_limits *limits);

/* A read-only mapping of keyword to (default, least, most). New reference, or NULL with MemoryError. */
PyObject *limits_table(void);

#endif
