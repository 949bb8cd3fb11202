import itertools

import numpy as np
import pytest

from edge_devices import synthesis
from edge_devices.memory import memory, plan
from edge_devices.program import Operator, Program, Tensor


def overlaps(sizes, first, last, offsets):
    return [
        (i, j)
        for i in range(len(sizes))
        for j in range(i)
        if first[i] <= last[j]
        and first[j] <= last[i]
        and offsets[i] < offsets[j] + sizes[j]
        and offsets[j] < offsets[i] + sizes[i]
    ]


class TestPlan:
    def test_offsets_are_those_of_the_planners_own_test(self):
        # greedy_memory_planner_test.cc in tensorflow/tflite-micro, TestGreedyMedium.
        offsets = plan([10, 20, 30, 40, 50], [0, 1, 2, 3, 0], [1, 2, 3, 4, 1], alignment=1)
        assert offsets == [50, 70, 40, 0, 0]

    def test_of_two_of_a_size_the_later_lies_first(self):
        assert plan([16, 16], [0, 0], [1, 1]) == [16, 0]

    def test_buffers_start_where_kernels_want_them(self):
        assert plan([100, 3, 5], [0, 0, 0], [1, 1, 1]) == [0, 128, 112]

    def test_what_lives_at_the_same_time_never_overlaps(self):
        rng = np.random.default_rng(0)
        for _ in range(50):
            sizes = rng.integers(1, 300, 40).tolist()
            first = rng.integers(0, 30, 40)
            last = (first + rng.integers(0, 6, 40)).tolist()
            offsets = plan(sizes, first.tolist(), last)
            assert not overlaps(sizes, first, last, offsets)

    def test_what_does_not_live_at_the_same_time_shares(self):
        assert plan([64] * 5, [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]) == [0] * 5


def chain(*shapes):
    """1x1 convolutions one after another."""
    operators = [
        Operator("CONV_2D", (i,), (i + 1,), (after[-1], 1, 1, before[-1]), bias=True)
        for i, (before, after) in enumerate(itertools.pairwise(shapes))
    ]
    tensors = tuple(Tensor((1, *shape)) for shape in shapes)
    return Program(tensors, tuple(operators), (0,), (len(shapes) - 1,))


def varied():
    """Operators that keep, or ask for, memory of their own."""
    shapes = [(12, 10, 4), (12, 10, 8), (6, 5, 8), (6, 5, 8), (6, 5, 8), (1, 1, 8), (6, 5, 8)]
    shapes += [(240,), (10,), (10,)]
    operators = (
        Operator("CONV_2D", (0,), (1,), (8, 3, 3, 4), bias=True, window=(3, 3)),
        Operator("MAX_POOL_2D", (1,), (2,), window=(2, 2), stride=(2, 2)),
        Operator("DEPTHWISE_CONV_2D", (2,), (3,), (1, 3, 3, 8), bias=True, window=(3, 3)),
        Operator("HARD_SWISH", (3,), (4,)),
        Operator("MEAN", (4,), (5,), (2,), weight_dtype="int32"),
        Operator("MUL", (4, 5), (6,)),
        Operator("RESHAPE", (6,), (7,), (2,), weight_dtype="int32"),
        Operator("FULLY_CONNECTED", (7,), (8,), (10, 240), bias=True),
        Operator("SOFTMAX", (8,), (9,)),
    )
    return Program(tuple(Tensor((1, *s)) for s in shapes), operators, (0,), (9,))


class TestMemory:
    def test_input_and_output_of_the_widest_step_are_there_at_once(self):
        needed = memory(chain((8, 8, 4), (8, 8, 16), (8, 8, 2)))
        assert needed.activations == 8 * 8 * (4 + 16)

    def test_what_a_sum_still_needs_is_kept(self):
        program = chain((8, 8, 4), (8, 8, 4), (8, 8, 16), (8, 8, 4))
        total = Operator("ADD", (1, 3), (4,))
        residual = Program(
            (*program.tensors, Tensor((1, 8, 8, 4))), (*program.operators, total), (0,), (4,)
        )
        assert memory(residual).activations == 8 * 8 * (4 + 16 + 4)
        assert memory(program).activations == 8 * 8 * (4 + 16)

    def test_averages_are_summed_in_four_bytes_a_channel(self):
        mean = Operator("MEAN", (0,), (1,), (2,), weight_dtype="int32")
        program = Program((Tensor((1, 4, 4, 64)), Tensor((1, 64))), (mean,), (0,), (1,))
        # And the two index buffers, of 16 bytes each.
        assert memory(program).activations == 4 * 4 * 64 + 64 + 4 * 64 + 2 * 16

    def test_wider_types_take_more(self):
        narrow = chain((8, 8, 4), (8, 8, 16))
        wide = narrow._replace(
            tensors=tuple(t._replace(dtype="int16") for t in narrow.tensors)
        )
        assert memory(wide).activations == 2 * memory(narrow).activations

    def test_a_channel_keeps_its_multiplier_and_shift(self):
        few, many = (memory(chain((4, 4, 8), (4, 4, n))).persistent for n in (16, 32))
        assert many - few == 16 * 2 * 4

    def test_pointers_of_microcontrollers_take_less(self):
        program = varied()
        narrow, wide = memory(program), memory(program, pointer_bytes=8)
        assert narrow.activations == wide.activations
        assert 0.5 * wide.persistent < narrow.persistent < wide.persistent
        assert narrow.total == narrow.activations + narrow.persistent

    @pytest.mark.parametrize("program", [chain((8, 8, 4), (8, 8, 16), (8, 8, 2)), varied()])
    def test_it_is_what_tensorflow_lite_micro_reports(self, program):
        pytest.importorskip("tflite_micro", reason="needs the extra micro")
        from edge_devices.tflm import arena

        ours, theirs = memory(program, pointer_bytes=8), arena(synthesis.file(program))
        assert ours.activations == theirs.activations
        assert ours.persistent == pytest.approx(theirs.persistent, rel=0.02)

    def test_weights_of_four_bits_are_unpacked_to_run(self):
        program = chain((8, 8, 4), (8, 8, 16))
        narrow = program.operators[0]._replace(weight_dtype="int4")
        four = program._replace(operators=(narrow,))
        assert memory(four).activations - memory(program).activations == 4 * 16

    def test_fast_kernels_rearrange_the_image_in_scratch_buffers(self):
        conv = Operator("CONV_2D", (0,), (1,), (8, 3, 3, 8), bias=True, window=(3, 3))
        program = Program((Tensor((1, 8, 8, 8)), Tensor((1, 8, 8, 8))), (conv,), (0,), (1,))
        fast = memory(program, kernels="cmsis_nn")
        # arm_convolve_s8_get_buffer_size: 2 columns of 3 * 3 * 8 values of 2 bytes.
        assert fast.activations - memory(program).activations == 2 * 72 * 2
        assert memory(chain((8, 8, 4), (8, 8, 16)), kernels="cmsis_nn") == memory(
            chain((8, 8, 4), (8, 8, 16))
        )

    @pytest.mark.parametrize("wrong", [{"pointer_bytes": 2}, {"kernels": "esp_nn"}])
    def test_unknown_machines_are_refused(self, wrong):
        with pytest.raises(ValueError, match="Pointers have 4 or 8 bytes"):
            memory(varied(), **wrong)
