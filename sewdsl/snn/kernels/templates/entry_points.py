"""Compiler options of functions that Python calls."""

outer = {
    # Division by zero gives infinity or NaN, as in PyTorch, and no exception.
    "error_model": "numpy",
    # Kernels run on several threads.
    "nogil": True,
    "cache": CACHE,  # noqa: F821 -- set by compile_cache
    "no_cpython_wrapper": False,
    "no_cfunc_wrapper": False,
}
