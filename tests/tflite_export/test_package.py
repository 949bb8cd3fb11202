import importlib
import pkgutil
import subprocess
import sys

import pytest

import tflite_export


def test_importing_the_package_loads_neither_tensorflow_nor_keras():
    code = (
        "import sys, tflite_export; dir(tflite_export); "
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", tflite_export.__all__)
def test_every_public_name_is_there_and_listed_by_its_module(name):
    value = getattr(tflite_export, name)
    assert name in importlib.import_module(value.__module__).__all__


def test_no_module_hides_a_public_name():
    modules = {module.name for module in pkgutil.iter_modules(tflite_export.__path__)}
    assert not modules & set(tflite_export.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="exprot"):
        tflite_export.exprot  # noqa: B018


def test_the_table_of_contents_lists_every_module():
    for module in pkgutil.iter_modules(tflite_export.__path__):
        assert f"`{module.name}.py`" in tflite_export.__doc__
