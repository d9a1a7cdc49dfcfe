/*
 * Builds the PyPI package zkpython (of Python 2's days) for Python 3: its one C file is included as it comes, but for the
 * lengths of strings, which whoever compiles this has made Py_ssize_t. BINDING is that file.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define PyString_FromString PyUnicode_FromString
#define PyString_AsString (char *)PyUnicode_AsUTF8
#define PyInt_AsLong PyLong_AsLong
/* Headers of today have one text, ZOO_VERSION. */
#define ZOO_MAJOR_VERSION 3
#define ZOO_MINOR_VERSION 8
#define ZOO_PATCH_VERSION 0
/* Python 3's files are not FILEs: none is taken. */
#define PyFile_Check(object) 0
#define PyFile_AsFile(object) NULL
#undef PyEval_InitThreads
#define PyEval_InitThreads() ((void)0)

static PyObject *made;
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "zookeeper", NULL, -1, NULL, NULL, NULL, NULL, NULL};

static PyObject *make(PyMethodDef *methods)
{
    definition.m_methods = methods;
    return made = PyModule_Create(&definition);
}
#define Py_InitModule(name, methods) make(methods)

#pragma push_macro("PyMODINIT_FUNC")
#undef PyMODINIT_FUNC
#define PyMODINIT_FUNC static void
#include BINDING
#pragma pop_macro("PyMODINIT_FUNC")

PyMODINIT_FUNC PyInit_zookeeper(void)
{
    initzookeeper();
    return made;
}
