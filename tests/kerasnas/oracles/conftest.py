import pytest

from kerasnas.oracles.regression import one_thread


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Spare small matrices the threads, as the oracle does."""
    with one_thread().limit(limits=1, user_api="blas"):
        yield
