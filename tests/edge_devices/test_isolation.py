import ctypes
import math
import operator
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import pytest

from edge_devices import isolation
from edge_devices.isolation import Crash, Worker


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.close()


def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_result_comes_from_another_process(worker):
    assert worker.call(math.hypot, 3.0, 4.0) == 5.0
    assert worker.call(os.getpid) != os.getpid()


def test_many_calls_share_a_process_until_it_has_served_enough():
    worker = Worker(max_calls=3)
    pids = [worker.call(os.getpid) for _ in range(7)]
    assert [pids.index(pid) for pid in pids] == [0, 0, 0, 3, 3, 3, 6]
    worker.close()
    assert not any(exists(pid) for pid in pids)


def test_large_arguments_and_results_pass(worker):
    content = os.urandom(3 << 20)
    assert worker.call(bytes, content) == content


def test_what_it_raises_is_raised_here_with_its_traceback(worker):
    pid = worker.call(os.getpid)
    with pytest.raises(ZeroDivisionError) as raised:
        worker.call(operator.truediv, 1, 0)
    assert "return" not in str(raised.value)
    assert "isolation.py" in raised.value.__notes__[0]
    with pytest.raises(KeyError, match="'b'"):
        worker.call(operator.getitem, {"a": 1}, "b")
    assert worker.call(os.getpid) == pid


def test_a_result_that_cannot_be_sent_is_an_error(worker):
    with pytest.raises(TypeError, match="cannot pickle"):
        worker.call(threading.Lock)


def test_an_exit_is_an_error_like_others(worker):
    with pytest.raises(RuntimeError, match="SystemExit: 2"):
        worker.call(sys.exit, 2)


def test_what_a_call_wrote_can_be_read_by_it(worker):
    code = (
        "import os; from edge_devices import isolation; print('Python'); os.system('echo C')"
    )
    worker.call(exec, code + "; assert isolation.written().split() == ['Python', 'C'], 0")
    worker.call(exec, "from edge_devices import isolation; assert isolation.written() == ''")


def test_a_crash_names_the_signal_and_what_was_done(worker):
    with pytest.raises(Crash, match="A file of 3 bytes was read, and") as raised:
        worker.call(
            ctypes.string_at, 8, doing="A file of 3 bytes was read", advice="Read another."
        )
    assert raised.value.signal == "SIGSEGV"
    assert str(raised.value).endswith("died of SIGSEGV. Read another.")
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.signal) == (str(raised.value), "SIGSEGV")


@pytest.mark.parametrize("name", ["SIGFPE", "SIGABRT", "SIGKILL"])
def test_after_any_crash_the_next_call_works(worker, name):
    first = worker.call(os.getpid)
    with pytest.raises(Crash) as raised:
        worker.call(signal.raise_signal, signal.Signals[name])
    assert raised.value.signal == name
    assert worker.call(os.getpid) != first
    assert not exists(first)


def test_a_process_that_leaves_says_with_which_status(worker):
    with pytest.raises(Crash, match="exit status 3"):
        worker.call(os._exit, 3)


def test_the_last_words_are_kept_and_nothing_is_printed(worker, capfd):
    code = "import os; print('from Python', flush=True); os.system('echo from C >&2')"
    worker.call(exec, code)
    with pytest.raises(Crash, match="Assertion failed") as raised:
        worker.call(exec, "import os; os.write(2, b'Assertion failed'); os.abort()")
    assert raised.value.output == "Assertion failed"
    assert capfd.readouterr() == ("", "")


def test_a_hang_ends_at_the_timeout(worker):
    pid = worker.call(os.getpid)
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"The model ran, and it did not end within 0\.3 s"):
        worker.call(time.sleep, 60, timeout=0.3, doing="The model ran")
    assert time.monotonic() - start < 10
    assert not exists(pid)
    assert worker.call(abs, -2) == 2


def test_a_process_killed_between_calls_is_replaced(worker):
    pid = worker.call(os.getpid)
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
    assert worker.call(os.getpid) != pid


def test_threads_share_it(worker):
    results = {}

    def ask(number):
        results[number] = worker.call(operator.mul, number, 2)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: 2 * number for number in range(8)}


def test_it_reads_nothing_and_loads_no_tensorflow(worker):
    assert worker.call(exec, "import sys; assert sys.stdin.read() == ''") is None
    worker.call(exec, "import sys; assert 'tensorflow' not in sys.modules")


def test_functions_of_the_script_that_runs_are_refused(worker):
    def local():
        pass

    local.__module__ = "__main__"
    with pytest.raises(ValueError, match=r"importable modules.*local of the script"):
        worker.call(local)


def test_a_process_serves_at_least_one_call():
    with pytest.raises(ValueError, match="Received: max_calls=0"):
        Worker(max_calls=0)


SCRIPT = """
import os, sys, time
from edge_devices import isolation
print(isolation.call(os.getpid), flush=True)
if sys.argv[1] == "fork":
    child = os.fork()
    if child == 0:
        other = isolation.call(os.getpid)
        assert other != 0
        print(other, flush=True)
        isolation._shared.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    print(isolation.call(os.getpid), flush=True)
elif sys.argv[1] == "killed":
    os.kill(os.getpid(), 9)
elif sys.argv[1] == "interrupted":
    import signal, threading
    signal.signal(signal.SIGINT, signal.default_int_handler)  # may be ignored by a parent
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        isolation.call(time.sleep, 60)
    except KeyboardInterrupt:
        print(isolation.call(os.getpid), flush=True)
"""


def script(how):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, how],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stderr == ""
    pids = [int(line) for line in done.stdout.split()]
    deadline = time.monotonic() + 10
    while any(map(exists, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(exists, pids))
    return pids


def test_it_ends_with_the_process_that_started_it():
    assert len(script("ends")) == 1


def test_it_ends_when_its_parent_is_killed():
    assert len(script("killed")) == 1


def test_a_forked_child_gets_a_process_of_its_own():
    first, childs, still = script("fork")
    assert first == still != childs


def test_an_interrupted_call_leaves_no_answer_behind():
    first, second = script("interrupted")
    assert first != second


def test_the_shared_process_is_one_for_all():
    assert isolation.call(os.getpid) == isolation.call(os.getpid)
