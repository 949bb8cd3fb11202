"""How the packages hang together."""

import ast
import pathlib
import subprocess
import sys

import pytest

import edge_devices
import kerasnas
import search_spaces
import tflite_export

ROOT = pathlib.Path(__file__).parent.parent
MAY_IMPORT = {
    "edge_devices": set(),
    "search_spaces": {"edge_devices"},
    "tflite_export": {"edge_devices"},
    "kerasnas": {"edge_devices", "search_spaces", "tflite_export"},
}
MAY_USE_PRIVATE_NAMES = {
    "kerasnas/tuner.py",
    "kerasnas/oracles/_oracle.py",
    "kerasnas/testing.py",  # drives an oracle as a tuner would
}


def imported_packages(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_downwards(package):
    forbidden = MAY_IMPORT.keys() - MAY_IMPORT[package] - {package}
    paths = list((ROOT / package).rglob("*.py"))
    assert paths
    for path in paths:
        assert not set(imported_packages(path)) & forbidden, path


@pytest.mark.parametrize("package", [edge_devices, kerasnas, search_spaces, tflite_export])
def test_every_public_name_exists(package):
    for name in package.__all__:
        assert getattr(package, name) is not None, name


def test_the_table_of_contents_lists_every_public_name():
    for name in set(kerasnas.__all__) - {"SearchResult"}:
        assert f"`{name}`" in kerasnas.__doc__, name


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        kerasnas.serach  # noqa: B018


def test_importing_is_quick_because_tensorflow_waits():
    code = (
        "import sys, kerasnas, search_spaces, tflite_export; "
        "print([m for m in ('tensorflow', 'keras', 'sklearn', 'rich') if m in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert loaded.stdout.strip() == "[]"


def test_tensorflow_starts_quietly():
    started = subprocess.run(
        [sys.executable, "-c", "import kerasnas; kerasnas.Tuner"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert started.stdout + started.stderr == ""


def test_private_names_of_keras_tuner_stay_in_two_files():
    private = {
        "_set_project_dir",
        "_populate_initial_space",
        "_configure_tensorboard_dir",
        "_retry_queue",
        "_tried_so_far",
        "_get_tuner_fname",
        "_save_trial",
        "_display",
    }
    for path in (ROOT / "kerasnas").rglob("*.py"):
        names = {n.attr for n in ast.walk(ast.parse(path.read_text())) if hasattr(n, "attr")}
        if str(path.relative_to(ROOT)) not in MAY_USE_PRIVATE_NAMES:
            assert not names & private, path


def test_the_table_of_contents_of_spaces_lists_every_module_and_space():
    contents = search_spaces.__doc__
    modules = [path.name for path in (ROOT / "search_spaces").glob("[a-z]*.py")]
    spaces = [module for module in modules if f"`{module}`" not in contents]
    homes = {f"{search_spaces._HOME[name]}.py" for name in search_spaces.SPACES.values()}
    assert set(spaces) == homes
    for name, space in search_spaces.SPACES.items():
        assert f"`{space}`" in contents
        assert f'`"{name}"`' in contents


@pytest.mark.parametrize("name", search_spaces.SPACES)
def test_every_space_takes_the_layouts_that_it_says(name):
    space = getattr(search_spaces, search_spaces.SPACES[name])
    shapes = {"images": (32, 32, 3), "audio": (49, 40, 1), "series": (29, 12), "table": (9,)}
    for layout in space.layouts:
        if layout in shapes:
            made = space(shapes[layout], 3)
            assert made.network(made.default()).output_shape[-1] >= 3
