"""Native code that may crash or hang, run where it can do no harm: in a process of its own."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
import weakref
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.connection import Pipe as open_pipe
from typing import IO, Any, TypeVar

__all__ = ["Crash", "Worker", "call", "written"]

Result = TypeVar("Result")

_START_TIMEOUT = 120.0  # seconds; a busy machine may take long to import NumPy
_END_TIMEOUT = 10.0
_MAIN = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from edge_devices import isolation; isolation._serve()"
)


class Crash(RuntimeError):
    """The process that ran a call died during it.

    Attributes:
        signal: What killed it, e.g. `"SIGSEGV"`, or `"exit status 3"` if it ended by itself.
        output: The last that it wrote to standard output and error.
    """

    def __init__(self, message: str, signal: str = "", output: str = "") -> None:
        super().__init__(message)
        self.signal, self.output = signal, output

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.signal, self.output)


class Worker:
    """A process that calls functions for this one, and may die of it.

    Starting a process and importing what it needs takes a third of a second and more, a call
    often a hundredth. So one process serves many calls. It is started by the first one,
    replaced when it has died, hangs, or has served `max_calls`, and ended with this process.
    It is a fresh interpreter, not a copy of this one: it holds no TensorFlow, no locks and no
    open files, and what it prints is not seen. The main module is not run again in it.

    Calls from several threads wait for each other. After a fork parent and child have a
    process each.

    Args:
        max_calls: Calls after which the process is replaced, to give back what native code
            leaks. More saves starts, less saves memory.
    """

    def __init__(self, max_calls: int = 500) -> None:
        if max_calls < 1:
            raise ValueError(
                f"A process must serve at least one call. Received: max_calls={max_calls}. "
                "Use 1 for a fresh process each time."
            )
        self.max_calls = max_calls
        self._lock = threading.Lock()
        self._process: _Process | None = None
        _workers.add(self)

    def call(
        self,
        function: Callable[..., Result],
        *args: Any,
        timeout: float = 120.0,
        doing: str = "A native library was called",
        advice: str = "",
    ) -> Result:
        """Call a function in the other process and return its result.

        Args:
            function: A function at the top level of an importable module, not of the script
                that runs.
            *args: Its arguments, sent by `pickle` like the result.
            timeout: Seconds until the process is killed. They do not count its start.
            doing: What is done to what, for messages: `"Vela compiled a file of 90 KB"`.
            advice: What to do if it crashes or hangs, for messages.

        Returns:
            What the function returns.

        Raises:
            Crash: If the process dies, with the signal's name.
            TimeoutError: If there is no result in time.
            Exception: What the function itself raises, with its traceback as a note.
        """
        if function.__module__ == "__main__":
            raise ValueError(
                "Only functions of importable modules can be called in another process. "
                f"Received: {function.__qualname__} of the script that runs. Move it to a "
                "module."
            )
        request = pickle.dumps((function, args, timeout))
        with self._lock:
            process = self._ready()
            try:
                reply = process.ask(request, timeout, doing, advice)
            except BaseException:
                # Dead, hanging, or interrupted with an answer still to come.
                self._process = None
                process.stop()
                raise
            process.served += 1
            if process.served >= self.max_calls:
                self._process = None
                process.stop()
        result, error = pickle.loads(reply)
        if error is not None:
            raise error
        answer: Result = result
        return answer

    def close(self) -> None:
        """End the process; the next call starts another one."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                process.stop()

    def _ready(self) -> _Process:
        process = self._process
        if process is not None and process.alive():
            return process
        if process is not None:
            process.stop()
        self._process = _Process()
        return self._process

    def _forget(self) -> None:
        """In a forked child: leave the parent's process alone."""
        self._lock = threading.Lock()
        if self._process is not None:
            self._process.disown()
            self._process = None


class _Process:
    """One started process and the socket to talk to it."""

    def __init__(self) -> None:
        self.served = 0
        self._output: IO[bytes] = tempfile.TemporaryFile()
        self._connection, theirs = open_pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _MAIN, json.dumps(sys.path)],
                stdin=theirs.fileno(),
                stdout=self._output,
                stderr=self._output,
                env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
                # Ctrl-C in the terminal is for this process, which then ends the other.
                start_new_session=True,
            )
        # Also when this object is forgotten, and when the interpreter exits.
        self._finalizer = weakref.finalize(
            self, _stop, self._process, self._connection, self._output
        )
        try:
            self._receive(_START_TIMEOUT, "A process was started", "")
        except BaseException:
            self.stop()
            raise

    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: bytes, timeout: float, doing: str, advice: str) -> bytes:
        self._output.seek(0)
        self._output.truncate()
        # If the process has died meanwhile, receiving says how.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._connection.send_bytes(request)
        return self._receive(timeout, doing, advice)

    def _receive(self, timeout: float, doing: str, advice: str) -> bytes:
        try:
            if self._connection.poll(timeout):
                return self._connection.recv_bytes()
        except (EOFError, ConnectionResetError):
            output = self._written()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_TIMEOUT)
            self.stop()  # should it have closed the socket only
            died_of = _described(self._process.returncode)
            heard = f" Its last words: {output!r}." if output else ""
            raise Crash(
                f"{doing}, and that process died of {died_of}.{heard} {advice}".strip(),
                died_of,
                output,
            ) from None
        raise TimeoutError(
            f"{doing}, and it did not end within {timeout:g} s. {advice}".strip()
        )

    def _written(self) -> str:
        self._output.seek(0)
        text = self._output.read().decode(errors="replace").strip()
        return text[-500:]

    def stop(self) -> None:
        """Kill the process, which has nothing to lose, and wait until it is gone."""
        self._finalizer()

    def disown(self) -> None:
        self._finalizer.detach()
        self._connection.close()
        self._output.close()
        # It is no child of this process, so `subprocess` must not look after it.
        self._process.returncode = 0


def _stop(process: subprocess.Popen[bytes], connection: Connection, output: IO[bytes]) -> None:
    process.kill()
    process.wait()
    connection.close()
    output.close()


def _described(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def _serve() -> None:
    """What the other process does: calls until the socket closes."""
    # The socket came as standard input. Libraries must find nothing there.
    connection = Connection(os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    connection.send_bytes(b"ready")
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            request = connection.recv_bytes()
            connection.send_bytes(_answer(request))


def _answer(request: bytes) -> bytes:
    try:
        function, args, timeout = pickle.loads(request)
        # Should the parent be killed while this hangs, nobody else would end it.
        signal.alarm(int(timeout) + 10)
        try:
            result = function(*args)
        finally:
            signal.alarm(0)
        return pickle.dumps((result, None))
    except BaseException as error:
        note = "In another process:\n" + traceback.format_exc()
        error.add_note(note)
        try:
            answer = pickle.dumps((None, error))
            # Some exceptions can be written but not read; others would end the reader.
            if isinstance(pickle.loads(answer)[1], Exception):
                return answer
        except Exception:
            pass
        plain = RuntimeError(f"{type(error).__name__}: {error}")
        plain.add_note(note)
        return pickle.dumps((None, plain))


def written() -> str:
    """What the current call has written to standard output and error, native code included.

    Only for functions that run in a `Worker`, whose output is a file.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)
    return os.pread(2, os.fstat(2).st_size, 0).decode(errors="replace")


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()
_shared = Worker()


def call(
    function: Callable[..., Result],
    *args: Any,
    timeout: float = 120.0,
    doing: str = "A native library was called",
    advice: str = "",
) -> Result:
    """Call a function in a process that all such calls share; see `Worker.call`."""
    return _shared.call(function, *args, timeout=timeout, doing=doing, advice=advice)


def _after_fork() -> None:
    for worker in list(_workers):
        worker._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
