"""The native libraries kept quiet: their chatter would drown a search's own progress."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator

__all__ = ["silence"]


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Discard warnings, log records, what is printed, and what native code writes.

    The converter writes from C++, past `sys.stderr`, so the file descriptors 1 and 2
    themselves are pointed at the null device. They belong to the whole process: what other
    threads print meanwhile is lost too. `sys.stderr` stays the object it is, because log
    handlers that are made meanwhile, as TensorFlow's are, hold on to it.
    """
    with contextlib.ExitStack() as stack:
        null = stack.enter_context(open(os.devnull, "w"))
        stack.enter_context(contextlib.redirect_stdout(null))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.WARNING)
        for descriptor in (1, 2):
            saved = os.dup(descriptor)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, descriptor)
            os.dup2(null.fileno(), descriptor)
        yield
