"""What a candidate costs before it is trained, on paper and on its device."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import keras
import keras_tuner
import numpy as np

import tflite_export
from edge_devices import flatbuffer
from edge_devices.device import HOST, Device, find
from edge_devices.isolation import Crash
from edge_devices.measurement import program_costs
from edge_devices.program import Operator, Program, Tensor
from kerasnas.oracles.decisions import Values
from search_spaces import costs as on_paper
from search_spaces.reading import read
from search_spaces.space import SearchSpace

__all__ = [
    "Costs",
    "as_device",
    "exceeded",
    "is_supported",
    "of_file",
    "of_model",
    "program_of",
    "tightest",
]

_ON_PAPER = {"params", "macs", "flash", "ram"}
# Any program will do to learn which costs a device has.
_SMALLEST = Program(
    (Tensor((1, 1)), Tensor((1, 1))),
    (Operator("FULLY_CONNECTED", (0,), (1,), weights=(1, 1), bias=True),),
    (0,),
    (1,),
)
_HOST_RUNS = 20  # rounds in which a candidate's latency on this host is measured
# A latency on this host is known to about a tenth.
TOLERANCES = {HOST: {"latency_ms": 1.1}}


class Costs:
    """The costs of candidates: `costs(values)`, for an oracle.

    Parameters, multiply-accumulates, flash and RAM follow from a candidate's description, and
    so do a microcontroller's milliseconds and millijoules. What an NPU's compiler or this
    host says needs a file of the network, which is made of random weights; that takes some
    ten milliseconds to a second and is done only where it is asked for. Milliseconds of this
    host are ratios to a reference model times its time, which is taken once a process, so
    that a search continued in another one may be off from the first by a tenth or more. The
    networks of a foreign `HyperModel` are built and read, or converted if they cannot be.

    Args:
        space: A `SearchSpace`, or any `keras_tuner.HyperModel`.
        device: What the network is to run on, if that matters.
        wanted: Names of the costs that are limited or an objective.
        hyperparameters: For a foreign `HyperModel`: its decisions, when it is called.

    Attributes:
        slow: Whether a call takes longer than some milliseconds.

    Raises:
        ValueError: If a cost is wanted that only a device has, or this device has not.
    """

    def __init__(
        self,
        space: keras_tuner.HyperModel,
        device: Device | None = None,
        wanted: Collection[str] = (),
        hyperparameters: Callable[[], keras_tuner.HyperParameters] | None = None,
    ) -> None:
        self._space = space
        self._device = device
        self._hyperparameters = hyperparameters
        unknown = set(wanted) - _ON_PAPER - _modelled(device)
        self._measure = _measurement(device, unknown)
        self.slow = self._measure is not None or not isinstance(space, SearchSpace)

    def __call__(self, values: Values) -> dict[str, float]:
        """The costs of a candidate by name, in base units."""
        if isinstance(self._space, SearchSpace):
            network = self._space.network(values, strict=False)
            found, program = on_paper.costs(network), on_paper.program(network)
        else:
            found, program = _read(self._build(values))
        if self._device is not None:
            found |= self._device.costs(program)
        if self._measure is not None:
            found |= self._measure(program)
        return found

    def _build(self, values: Values) -> keras.Model:
        declared = self._hyperparameters or keras_tuner.HyperParameters
        hp = declared()
        hp.values = dict(values)
        model = self._space.build(hp)
        if not model.built:
            raise ValueError(
                "The costs of a model are known only when its input shape is. "
                f"Received: {model}, not built. Give it a `keras.Input`."
            )
        return model


def as_device(device: Any) -> Device | None:
    """A device by name, or one that is given already.

    Raises:
        ValueError: If no device has this name.
        TypeError: If it is neither a name nor a device.
    """
    if device is None or isinstance(device, Device):
        return device
    if not isinstance(device, str):
        raise TypeError(
            "A device is a name or an `edge_devices.Device`. Received: "
            f"device={device!r} of type {type(device).__name__}. `kerasnas devices` lists the "
            "names."
        )
    return find(device)


def tightest(*limits: Mapping[str, float]) -> dict[str, float]:
    """Of several sets of limits the smallest bound on each cost."""
    bounds: dict[str, float] = {}
    for some in limits:
        for name, bound in some.items():
            bounds[name] = min(bound, bounds.get(name, math.inf))
    return bounds


def of_model(model: keras.Model, device: Device | None = None) -> dict[str, float]:
    """What a built Keras model costs, by the rules of described networks.

    A model of layers that descriptions know is read. Another is converted, with random
    calibration inputs, and its file is measured; that takes a second or more.

    Raises:
        ValueError: If it can neither be read nor converted.
    """
    found, program = _read(model)
    return found if device is None else found | device.costs(program)


def of_file(
    content: bytes, device: Device | None = None, wanted: Collection[str] = ()
) -> dict[str, float]:
    """What a file costs: `flash`, `ram` and `macs` by what it holds, and what a device says.

    Args:
        content: The bytes of a `.tflite` file.
        device: What it is to run on.
        wanted: Names of the costs that are asked for; more are told where they are at hand.

    Returns:
        Costs by name, in base units.
    """
    if set(wanted) <= {"flash", "params"}:
        return {"flash": float(len(content))}
    program = flatbuffer.read(content)
    found = program_costs(program, len(content))
    if device is not None:
        found |= device.costs(program)
    if measure := _measurement(device, set(wanted) - _ON_PAPER - _modelled(device)):
        found |= measure(content)
    return found


def exceeded(
    content: bytes, limits: Mapping[str, float], device: Device | None = None
) -> dict[str, float]:
    """The limits that a file breaks, with what it costs instead.

    Costs that are only measured are allowed their known error. A file does not tell its
    network's parameters: a limit on them is kept by the description.
    """
    costs = of_file(content, device, limits)
    allowed = TOLERANCES.get("" if device is None else device.name, {})
    # What cannot be told of a file, such as the time of 16-bit kernels, is not kept either.
    told = {name: costs.get(name, math.inf) for name in limits if name != "params"}
    return {
        name: cost
        for name, cost in told.items()
        if not cost <= limits[name] * allowed.get(name, 1.0)
    }


def is_supported(device: Device) -> Callable[[Any], bool]:
    """Whether a device runs a described network: a predicate of networks."""
    return lambda network: not device.unsupported(on_paper.program(network))


def program_of(space: keras_tuner.HyperModel, hp: keras_tuner.HyperParameters) -> Program:
    """The operators that a candidate's int8 file will have."""
    if isinstance(space, SearchSpace):
        return on_paper.program(space.network(hp.values, strict=False))
    return _read(space.build(hp))[1]


def _modelled(device: Device | None) -> set[str]:
    """The costs of which a device has a model."""
    known = set() if device is None else set(device.costs(_SMALLEST))
    return known if device is None or device.npu is None else known - _compiled_names(device)


def _measurement(
    device: Device | None, names: set[str]
) -> Callable[[Program | bytes], dict[str, float]] | None:
    """What measures costs of a program or of a file that no model of the device tells."""
    if not names:
        return None
    if device is not None and device.npu is not None and names <= _compiled_names(device):
        return functools.partial(_compiled, device)
    if device is not None and device.name == HOST and names <= {"latency_ms"}:
        return _on_this_host
    where = "no device is given" if device is None else f"device={device.name!r} has none"
    raise ValueError(
        f"Only some devices have these costs. Received: {', '.join(sorted(names))}, where "
        f"{where}. Pass a `device` that has them (`kerasnas devices` lists them), or limit "
        "`macs` instead."
    )


def _compiled(device: Device, network: Program | bytes) -> dict[str, float]:
    from edge_devices.npu import npu

    assert device.npu is not None
    try:
        return device.npu_costs(npu(_content(network), device.npu))
    except (Crash, TimeoutError, ValueError):
        # What the compiler refuses, or does not survive, has no place on the NPU.
        return dict.fromkeys(_compiled_names(device), math.inf)


def _compiled_names(device: Device) -> set[str]:
    return {"npu_cycles", "latency_ms"} | ({"energy_mj"} if device.power else set())


def _on_this_host(network: Program | bytes) -> dict[str, float]:
    from edge_devices import host

    return {"latency_ms": host.latency(_content(network), rounds=_HOST_RUNS).ms}


def _content(network: Program | bytes) -> bytes:
    if isinstance(network, bytes):
        return network
    from edge_devices import synthesis

    return synthesis.file(network)


def _read(model: keras.Model) -> tuple[dict[str, float], Program]:
    try:
        network = read(model)
    except ValueError:
        content = _untrained(model)
        program = flatbuffer.read(content)
        params = {"params": float(model.count_params())}
        return params | program_costs(program, len(content)), program
    return on_paper.costs(network), on_paper.program(network)


def _untrained(model: keras.Model) -> bytes:
    shape = tuple(model.inputs[0].shape[1:])
    samples = np.random.default_rng(0).random((4, *shape), dtype=np.float32)
    return bytes(tflite_export.convert(model, "int8", samples))
