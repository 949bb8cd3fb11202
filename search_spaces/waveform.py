"""Networks from waveforms: the front end is decided like any other part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import keras
import keras_tuner

import search_spaces
from search_spaces.blocks import reshape
from search_spaces.front_end import KINDS, FrontEnd
from search_spaces.network import Node, layer
from search_spaces.space import SearchSpace, Values
from search_spaces.task import Task

__all__ = ["Waveform"]

_LAYER = "front_end_1"  # as `realise` calls the layer behind the input
_UNIT_MS = 5  # of which all frames and steps are multiples
_FRAMES_MS = (25, 40)
_HOPS_MS = (10, 20)
_LONG_HOPS_MS = (20, 40)
_LONG_SECONDS = 3
_BANDS = (20, 40, 64)
_FEW_BANDS = (10,)  # for low sample rates
_COEFFICIENTS = (10, 20)
_FEWEST = 4  # frames

Family = str | type[SearchSpace] | Callable[..., SearchSpace]


class Waveform(SearchSpace):
    """A front end that makes features of recordings, and any space of audio features behind.

    How features are computed (`FrontEnd`) is decided together with the network. Keras models
    take recordings and have the front end inside, as a layer that is a model of stock
    operations without weights. Recordings are mono, all of one length.

    A file can have the front end inside too, in float32 before an int8 network: its Fourier
    transform is an operator that TensorFlow Lite has, on phones, small computers and this
    machine, but TensorFlow Lite Micro and compilers for NPUs have not. There the file takes
    features, which code on the device computes (`FrontEnd.features` is its reference,
    `FrontEnd.settings` its constants), and costs are those of that file.

    | decision                 | values                        | what it sets                 |
    |--------------------------|-------------------------------|------------------------------|
    | `front_end`              | log_mel, mfcc                 | kind of features             |
    | `front_end/bands`        | 20, 40, 64 (that fit)         | mel bands                    |
    | `front_end/frame_ms`     | 25, 40                        | length of a frame            |
    | `front_end/hop_ms`       | 10, 20 (20, 40 from 3 s)      | step from frame to frame     |
    | `front_end/coefficients` | 10, 20                        | kept; of mfcc only           |

    The other decisions are those of the space behind, which is made for the smallest of these
    features, so that whatever it offers fits all of them. A frame is never shorter than a
    step. Of low sample rates, whose spectra have few lines, there are fewer bands.

    Args:
        input_shape: `(samples,)` of one recording, or `(samples, 1)`, as
            `keras.utils.audio_dataset_from_directory` makes them: at least 0.1 s.
        num_classes: Number of classes; short for `task=Classification(num_classes)`.
        task: Any other task that the space behind is for, instead of `num_classes`.
        sample_rate: Samples a second.
        space: The space behind: a name in `search_spaces.SPACES`, a class, or anything that
            makes a space when it is called with `(input_shape, task=task)`. One that is for
            series rather than audio or images reads frames as steps and bands as channels.
        in_graph: Whether files have the front end inside.
        rescaling: `(scale, offset)`, numbers that bring samples to [-1, 1]: `(1 / 32768, 0)`
            of 16 bits. `None` if they are that already.

    Raises:
        ValueError: If recordings are shorter, of several channels, or of a sample rate too
            low for 10 bands; or if the space behind is for no such features or task.

    References:
        Those of `FrontEnd`.
    """

    layouts: ClassVar[tuple[str, ...]] = ("waveform",)

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        sample_rate: int,
        space: Family = "dscnn",
        in_graph: bool = True,
        rescaling: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(input_shape, num_classes, task=task)
        self.sample_rate = int(sample_rate)
        self.in_graph = in_graph
        self._unit = round(self.sample_rate * _UNIT_MS / 1000)
        samples = self._samples()
        seconds = samples / self.sample_rate
        self._hops = _HOPS_MS if seconds < _LONG_SECONDS else _LONG_HOPS_MS
        # What brings samples to [-1, 1] is part of the front end, so that all of it is one
        # layer, and code on a device knows of it.
        self._scale, self._offset = _numbers(rescaling)
        self._bands = tuple(filter(self._fit, _BANDS)) or tuple(filter(self._fit, _FEW_BANDS))
        if not self._bands:
            raise ValueError(
                "The sample rate is too low for mel bands. Received: "
                f"sample_rate={sample_rate}. Pass the signals as series, (length, channels)."
            )
        self._coefficients = [c for c in _COEFFICIENTS if c <= min(self._bands)]
        self.space = self._behind(space)

    def _samples(self) -> int:
        samples, *channels = self.input_shape
        shortest = self._unit * (max(_FRAMES_MS) + (_FEWEST - 1) * max(_HOPS_MS)) // _UNIT_MS
        if channels not in ([], [1]) or self._unit < 1 or samples < shortest:
            raise ValueError(
                f"Waveform needs recordings (samples,) or (samples, 1) of at least {shortest} "
                f"samples at {self.sample_rate} Hz. Received: input_shape={self.input_shape}. "
                "Use longer recordings, and the mean of several channels."
            )
        return samples

    def _fit(self, bands: int) -> bool:
        """Whether spectra of the shortest frames are fine enough for so many bands."""
        try:
            self._made("log_mel", bands, min(_FRAMES_MS), min(self._hops), 0)
        except ValueError:
            return False
        return True

    def _made(
        self, kind: str, bands: int, frame_ms: int, hop_ms: int, coefficients: int
    ) -> FrontEnd:
        return FrontEnd(
            kind,
            self.sample_rate,
            self.input_shape[0],
            frame=self._unit * max(frame_ms, hop_ms) // _UNIT_MS,
            hop=self._unit * hop_ms // _UNIT_MS,
            bands=bands,
            coefficients=coefficients,
            scale=self._scale,
            offset=self._offset,
        )

    def _behind(self, space: Family) -> SearchSpace:
        family: Any = space
        if isinstance(space, str):
            if space not in search_spaces.SPACES:
                raise ValueError(
                    f"There is no space of this name. Received: space={space!r}. Use one of "
                    f"{', '.join(search_spaces.SPACES)}."
                )
            family = getattr(search_spaces, search_spaces.SPACES[space])
        layouts = getattr(family, "layouts", ("audio",))
        self._steps = "audio" not in layouts and "series" in layouts
        if not self._steps and not {"audio", "images"} & set(layouts):
            raise ValueError(
                "Behind a front end there must be a space of audio features, images or "
                f"series. Received: space={space!r}, for {' or '.join(layouts)}. Use "
                '"dscnn", or leave it out.'
            )
        smallest = self._made("log_mel", min(self._bands), max(_FRAMES_MS), max(self._hops), 0)
        width = min(self._coefficients)
        shape = (smallest.frames, width) if self._steps else (smallest.frames, width, 1)
        made: SearchSpace = family(shape, task=self.task)
        return made

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        kind = hp.Choice("front_end", list(KINDS))
        bands = hp.Choice("front_end/bands", list(self._bands), default=self._usual_bands())
        frame_ms = hp.Choice("front_end/frame_ms", list(_FRAMES_MS), default=40)
        hop_ms = hp.Choice("front_end/hop_ms", list(self._hops), default=20)
        coefficients = 0
        with hp.conditional_scope("front_end", ["mfcc"]):
            kept = hp.Choice("front_end/coefficients", self._coefficients)
        if kind == "mfcc":
            coefficients = kept
        made = self._made(kind, bands, frame_ms, hop_ms, coefficients)
        settings = {name: value for name, value in made.arguments().items() if value}
        x = layer("front_end", x, in_graph=self.in_graph, **settings)
        return self.space.body(hp, x if self._steps else reshape(x, (*x.shape, 1)))

    def _usual_bands(self) -> int:
        return 40 if 40 in self._bands else self._bands[0]

    def front_end(self, values: Values) -> FrontEnd:
        """The front end that plain decisions stand for; arguments as of `network`."""
        record = self.network(values, strict=False).layers[1]
        return FrontEnd.of({**dict(record.settings), "samples": self.input_shape[0]})

    @property
    def mixed(self) -> dict[str, str]:
        """Layers that keep float32 in a quantized file, as `tflite_export.convert` takes it.

        In 8 bits a power spectrum, which spans eight powers of ten, is lost.
        """
        return {_LAYER: "float32"} if self.in_graph else {}

    def exported(self, model: keras.Model) -> tuple[keras.Model | None, keras.Model]:
        """What of a model runs before its file, and what the file is made of.

        Args:
            model: Of this space, trained or not.

        Returns:
            `None` and the model where files have the front end inside, else the front end and
            the network behind it: see `split`.
        """
        return (None, model) if self.in_graph else self.split(model)

    @staticmethod
    def split(model: keras.Model) -> tuple[keras.Model, keras.Model]:
        """Take a model apart into its front end and the network behind it.

        Args:
            model: Of this space, trained or not; it stays as it is.

        Returns:
            Two models of stock layers: from recordings to features, and from features to what
            `model` returns. The second has copies of the weights, and is not compiled.

        Raises:
            ValueError: If the model has no front end.
        """
        place = next(_front_ends(model), None)
        if place is None:
            raise ValueError(
                "Only a model of waveforms has a front end. Received: "
                f"model={model.name!r} with the layers "
                f"{[one.name for one in model.layers[:3]]}. Export it as it is."
            )
        # Layers are sorted by depth: all that the next one can read are the features.
        (features, *_) = keras.tree.flatten(model.layers[place + 1].input)
        behind = keras.Model(features, model.output, name=model.name)
        start = keras.Input(features.shape[1:], name="input")
        network = keras.models.clone_model(behind, input_tensors=start)
        network.set_weights(behind.get_weights())
        return model.layers[place], network


def _front_ends(model: keras.Model) -> Iterator[int]:
    for place, one in enumerate(model.layers):
        if isinstance(one, keras.Model) and one.name == _LAYER:
            yield place


def _numbers(rescaling: tuple[Any, Any] | None) -> tuple[float, float]:
    if rescaling is None:
        return 1.0, 0.0
    if any(isinstance(value, (tuple, list)) for value in rescaling):
        raise ValueError(
            "Recordings have one channel, so one scale and one offset. Received: "
            f"rescaling={rescaling}. Pass two numbers."
        )
    return float(rescaling[0]), float(rescaling[1])
