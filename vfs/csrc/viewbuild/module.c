/* rootlay.store._viewbuild: the merge for Python (stable ABI, CPython >= 3.11).
 *
 * Merge()                       a view in the making, without layers
 *   .add(records)               apply one layer: (key, value) bytes pairs of its index, in key order
 *   .finish() -> (int, int)     number the entries; returns how many there are, entry 0 included, and the bytes
 *                               of all keys and values of the LMDB view
 *   .native(chain_id) -> bytes  the native view; chain_id is 32 raw bytes
 *   .records(first, count)      list of (key, value) of the LMDB view, in key order, from entry id `first` on
 * lookup(view, parent, name)    entry id in a native view, 0 when there is none
 * key_hash(parent, name)        the hash of section 5
 *
 * Errors: ValueError (damaged record; the merge is then of no more use), MissingTarget(layer, path, target,
 * reason), OverflowError, MemoryError.
 */
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030b0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "viewbuild.h"

enum stage { ADDING, FINISHED, BROKEN };

struct merge_object {
    PyObject_HEAD
    struct vb_merge merge;
    enum stage stage;
};

struct module_state {
    PyObject *missing_target;
};

static PyObject *raise_missing(PyObject *self, const struct vb_error *e)
{
    struct module_state *state = PyType_GetModuleState(Py_TYPE(self));
    PyObject *args = Py_BuildValue("Iy#y#s", e->layer, e->path, (Py_ssize_t)e->path_len, e->target,
                                   (Py_ssize_t)e->target_len, e->message);
    if (args && state) {
        PyErr_SetObject(state->missing_target, args);
        Py_DECREF(args);
    }
    return NULL;
}

static PyObject *raise_error(struct merge_object *self, int code)
{
    const struct vb_error *e = &self->merge.error;
    self->stage = BROKEN;
    switch (code) {
    case VB_MEMORY: return PyErr_NoMemory();
    case VB_MISSING: return raise_missing((PyObject *)self, e);
    case VB_TOO_BIG: PyErr_SetString(PyExc_OverflowError, e->message); return NULL;
    default:
        return PyErr_Format(PyExc_ValueError, "layer %u, record %llu: %s", e->layer, (unsigned long long)e->record,
                            e->message);
    }
}

static bool in_stage(struct merge_object *self, enum stage wanted)
{
    if (self->stage == wanted)
        return true;
    PyErr_SetString(PyExc_ValueError, self->stage == BROKEN   ? "this merge has failed"
                                      : wanted == FINISHED ? "the merge is not finished"
                                                           : "the merge is finished");
    return false;
}

static PyObject *merge_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_Size(args) || (kwargs && PyDict_Size(kwargs)))
        return PyErr_Format(PyExc_TypeError, "Merge() takes no arguments");
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    struct merge_object *self = (struct merge_object *)alloc(type, 0);
    if (self && vb_init(&self->merge)) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void merge_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    vb_free(&((struct merge_object *)self)->merge);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* Returns 0, or -1 with an exception set. */
static int add_pair(struct merge_object *self, PyObject *pair)
{
    char *key, *value;
    Py_ssize_t key_len, value_len;
    if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2) {
        PyErr_SetString(PyExc_TypeError, "a record is a (key, value) tuple");
        return -1;
    }
    if (PyBytes_AsStringAndSize(PyTuple_GetItem(pair, 0), &key, &key_len) ||
        PyBytes_AsStringAndSize(PyTuple_GetItem(pair, 1), &value, &value_len))
        return -1;
    int code = vb_add(&self->merge, (u8 *)key, (size_t)key_len, (u8 *)value, (size_t)value_len);
    if (code)
        raise_error(self, code);
    return code ? -1 : 0;
}

static PyObject *merge_add(PyObject *object, PyObject *records)
{
    struct merge_object *self = (struct merge_object *)object;
    if (!in_stage(self, ADDING))
        return NULL;
    PyObject *iterator = PyObject_GetIter(records), *pair;
    if (!iterator)
        return NULL;
    self->stage = BROKEN; /* also for whatever runs inside the iterator */
    while ((pair = PyIter_Next(iterator))) {
        int failed = add_pair(self, pair);
        Py_DECREF(pair);
        if (failed)
            break;
    }
    Py_DECREF(iterator);
    if (PyErr_Occurred())
        return NULL;
    int code = vb_apply(&self->merge);
    if (code)
        return raise_error(self, code);
    self->stage = ADDING;
    Py_RETURN_NONE;
}

static PyObject *merge_finish(PyObject *object, PyObject *unused)
{
    (void)unused;
    struct merge_object *self = (struct merge_object *)object;
    if (!in_stage(self, ADDING))
        return NULL;
    int code = vb_number(&self->merge);
    if (code)
        return raise_error(self, code);
    self->stage = FINISHED;
    unsigned long long payload = 0;
    for (u32 id = 1; id < self->merge.entries; id++)
        payload += vb_key_size(&self->merge, id) + vb_value_size(&self->merge, id);
    return Py_BuildValue("IK", self->merge.entries, payload);
}

static PyObject *merge_native(PyObject *object, PyObject *chain_id)
{
    struct merge_object *self = (struct merge_object *)object;
    char *chain;
    Py_ssize_t chain_len;
    if (!in_stage(self, FINISHED) || PyBytes_AsStringAndSize(chain_id, &chain, &chain_len))
        return NULL;
    if (chain_len != 32)
        return PyErr_Format(PyExc_ValueError, "a chain ID has 32 bytes");
    u64 size = vb_native_size(&self->merge);
    if (size > PY_SSIZE_T_MAX)
        return PyErr_NoMemory();
    PyObject *out = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (out)
        vb_native(&self->merge, (const u8 *)chain, (u8 *)PyBytes_AsString(out));
    return out;
}

static PyObject *one_record(const struct vb_merge *m, u32 id)
{
    PyObject *key = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)vb_key_size(m, id));
    PyObject *value = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)vb_value_size(m, id));
    PyObject *pair = NULL;
    if (key && value) {
        vb_key(m, id, (u8 *)PyBytes_AsString(key));
        vb_value(m, id, (u8 *)PyBytes_AsString(value));
        pair = PyTuple_Pack(2, key, value);
    }
    Py_XDECREF(key);
    Py_XDECREF(value);
    return pair;
}

static PyObject *merge_records(PyObject *object, PyObject *args)
{
    struct merge_object *self = (struct merge_object *)object;
    unsigned int first, count;
    if (!in_stage(self, FINISHED) || !PyArg_ParseTuple(args, "II:records", &first, &count))
        return NULL;
    u32 entries = self->merge.entries;
    first = first < 1 ? 1 : first > entries ? entries : first;
    count = count > entries - first ? entries - first : count;
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (u32 i = 0; list && i < count; i++) {
        PyObject *pair = one_record(&self->merge, first + i);
        if (!pair || PyList_SetItem(list, (Py_ssize_t)i, pair)) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

static PyMethodDef merge_methods[] = {
    {"add", merge_add, METH_O, "Apply one layer: its (key, value) records in key order."},
    {"finish", merge_finish, METH_NOARGS, "Number the entries; returns their number, entry 0 included, and the LMDB view's bytes."},
    {"native", merge_native, METH_O, "The native view, for a chain ID of 32 raw bytes."},
    {"records", merge_records, METH_VARARGS, "Records of the LMDB view from entry id `first` on."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot merge_slots[] = {
    {Py_tp_doc, "A view in the making: layer indexes merged, base layer first."},
    {Py_tp_new, merge_new},
    {Py_tp_dealloc, merge_dealloc},
    {Py_tp_methods, merge_methods},
    {0, NULL},
};

static PyType_Spec merge_spec = {
    .name = "rootlay.store._viewbuild.Merge",
    .basicsize = sizeof(struct merge_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = merge_slots,
};

static PyObject *module_lookup(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer view, name;
    unsigned int parent;
    if (!PyArg_ParseTuple(args, "y*Iy*:lookup", &view, &parent, &name))
        return NULL;
    i64 id = vb_lookup(view.buf, (size_t)view.len, parent, name.buf, (size_t)name.len);
    PyBuffer_Release(&view);
    PyBuffer_Release(&name);
    if (id < 0)
        return PyErr_Format(PyExc_ValueError, "not a native view");
    return PyLong_FromLongLong(id);
}

static PyObject *module_key_hash(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer name;
    unsigned int parent;
    if (!PyArg_ParseTuple(args, "Iy*:key_hash", &parent, &name))
        return NULL;
    u64 hash = vb_hash(parent, name.buf, (size_t)name.len);
    PyBuffer_Release(&name);
    return PyLong_FromUnsignedLongLong(hash);
}

static PyMethodDef module_methods[] = {
    {"lookup", module_lookup, METH_VARARGS, "Entry id of a name in a native view, 0 when there is none."},
    {"key_hash", module_key_hash, METH_VARARGS, "The native view's 64-bit hash of (parent, name)."},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module)
{
    struct module_state *state = PyModule_GetState(module);
    PyObject *type = PyType_FromModuleAndSpec(module, &merge_spec, NULL);
    if (!type || PyModule_AddObjectRef(module, "Merge", type)) {
        Py_XDECREF(type);
        return -1;
    }
    Py_DECREF(type);
    state->missing_target = PyErr_NewException("rootlay.store._viewbuild.MissingTarget", PyExc_LookupError, NULL);
    return state->missing_target ? PyModule_AddObjectRef(module, "MissingTarget", state->missing_target) : -1;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct module_state *state = PyModule_GetState(module);
    Py_VISIT(state->missing_target);
    return 0;
}

static int module_clear(PyObject *module)
{
    struct module_state *state = PyModule_GetState(module);
    Py_CLEAR(state->missing_target);
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "rootlay.store._viewbuild",
    .m_doc = "Merging layer indexes and writing the native view.",
    .m_size = sizeof(struct module_state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__viewbuild(void)
{
    return PyModuleDef_Init(&module_def);
}
