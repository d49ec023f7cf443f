/* A Selector as asyncio knows it: register, unregister, modify, get_key, get_map (selectors.BaseSelector). */
#ifndef VV_BINDING_PY_DESCRIPTORS_H
#define VV_BINDING_PY_DESCRIPTORS_H

#include "binding/py_selector.h"

/* Methods of Selector. */
PyObject *selector_register(PyObject *object, PyObject *args, PyObject *kwargs);
PyObject *selector_unregister(PyObject *object, PyObject *fileobj);
PyObject *selector_modify(PyObject *object, PyObject *args, PyObject *kwargs);
PyObject *selector_get_key(PyObject *object, PyObject *fileobj);
PyObject *selector_get_map(PyObject *object, PyObject *unused);

/* Whether the selector is open; else RuntimeError is set. */
int selector_is_open(selector_object *self);

/* vv_loop_events.on_ready: puts the descriptor's key on the list that select() gives. */
void selector_on_ready(void *selector, int fd, unsigned events);

/* What get_map() gives. New reference, or NULL with MemoryError. */
PyObject *selector_new_map(selector_object *self);
void selector_drop_map(selector_object *self);

#endif
