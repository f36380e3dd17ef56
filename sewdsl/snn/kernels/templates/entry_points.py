"""Compiler options of functions that Python calls."""

outer = {
    "error_model": "numpy",
    "nogil": True,
    "cache": CACHE,  # noqa: F821 -- set by compile_cache
    "no_cpython_wrapper": False,
    "no_cfunc_wrapper": False,
}
