import dataclasses
import importlib.resources

import pytest

from benchmarks import latency_fit
from benchmarks.latency_networks import NETWORKS, OPERATORS, program
from edge_devices import latency
from edge_devices.latency import BOARDS, CORES, ERRORS, KERNELS, RATES, CycleModel, work
from edge_devices.program import Operator, Program, Tensor
from edge_devices.published import points

# MLPerf Tiny and MCUNet publish these, in millions.
MACS = {
    "ds-cnn": 2.66,
    "resnet-8": 12.5,
    "mobilenet": 7.49,
    "autoencoder": 0.264,
    "mcunet-in0": 6.4,
    "mcunet-in1": 12.8,
    "mcunet-in2": 67.3,
    "mcunet-in3": 81.8,
}


@pytest.fixture(scope="module")
def constants():
    return latency_fit.constants()


@pytest.mark.parametrize("name", MACS)
def test_the_timed_networks_have_the_multiply_accumulates_that_are_published(name):
    network = program(name)
    macs = sum(network.macs(operator) for operator in network.operators)
    assert macs / 1e6 == pytest.approx(MACS[name], rel=6e-3)


class TestPublishedPoints:
    def test_every_point_has_a_source_and_a_network(self):
        for point in points():
            assert point.source
            assert point.network in {**NETWORKS, **OPERATORS}
            assert point.unit in ("ms", "inf/s", "cycles")

    def test_a_figure_becomes_time_and_cycles_whatever_its_unit(self):
        by_unit = {point.unit: point for point in points()}
        assert by_unit["inf/s"].milliseconds == pytest.approx(1e3 / by_unit["inf/s"].figure)
        assert by_unit["ms"].milliseconds == by_unit["ms"].figure
        assert by_unit["cycles"].cycles == pytest.approx(by_unit["cycles"].figure)

    def test_the_file_comes_with_the_package(self):
        file = importlib.resources.files("edge_devices") / "latency_points.csv"
        assert len(file.read_text().splitlines()) == len(points()) + 1


class TestShippedConstants:
    def test_rates_are_those_of_the_fit(self, constants):
        rates = constants[0]
        assert rates.keys() == RATES.keys()
        for key in RATES:
            assert RATES[key] == pytest.approx(rates[key], rel=0.02), key

    def test_speeds_of_boards_and_cores_are_those_of_the_fit(self, constants):
        assert pytest.approx(constants[1], rel=0.02) == BOARDS
        assert pytest.approx(constants[2], rel=0.02) == CORES

    def test_stated_errors_are_those_of_predictions_for_what_was_left_out(self, constants):
        for key, errors in constants[3].items():
            assert ERRORS[key].points == errors.points
            assert ERRORS[key].networks == pytest.approx(errors.networks, abs=0.02)
            if errors.boards is None:
                assert ERRORS[key].boards is None
            else:
                assert ERRORS[key].boards == pytest.approx(errors.boards, abs=0.02)

    def test_the_documentation_tells_the_same_errors(self):
        rows = [row.split("|") for row in latency.__doc__.splitlines() if "| M" in row]
        assert len(rows) == 3
        for row in rows:
            errors = ERRORS[row[1].strip(" `"), row[2].strip(" `")]
            assert int(row[4]) == errors.points
            for cell, pair in ((row[5], errors.networks), (row[6], errors.boards)):
                told = [int(part.strip(" %")) / 100 for part in cell.split(",")]
                assert told == pytest.approx(pair)

    def test_leaving_out_hides_a_network_on_every_board_and_its_operators(self, monkeypatch):
        seen = []
        fit = latency_fit.fit

        def spy(rest, *args):
            seen.append({point.network.split("/")[0] for point in rest})
            return fit(rest, *args)

        monkeypatch.setattr(latency_fit, "fit", spy)
        networks, _ = latency_fit.left_out("tflm", "dsp")
        left = sorted({prediction.point.network for prediction in networks})
        assert "ds-cnn" in left
        for network, rest in zip(sorted({p.network for p in whole()}), seen, strict=False):
            assert network not in rest

    def test_every_core_has_a_speed_and_every_kind_of_work_a_rate(self):
        kinds = {kind for name in {**NETWORKS, **OPERATORS} for kind in work(program(name))}
        for core, kernels in KERNELS.items():
            assert CORES["tflm", core] > 0
            assert kinds <= RATES["tflm", kernels].keys()


def whole():
    return [p for p in latency_fit.of("tflm", "dsp") if p.network in NETWORKS]


class TestCycleModel:
    @pytest.mark.parametrize("point", whole(), ids=lambda p: f"{p.network}-{p.board}")
    def test_it_is_near_the_timings_it_was_fitted_to(self, point):
        model = CycleModel(point.core, point.clock_hz, board=point.board)
        assert model.milliseconds(program(point.network)) == pytest.approx(
            point.milliseconds, rel=0.16
        )

    def test_a_network_timed_on_an_esp32_follows_from_timings_of_kernels_alone(self):
        kernels = [p for p in latency_fit.of("tflm", "esp-nn") if p.network != "person"]
        fit = latency_fit.fit(
            kernels, latency_fit.prior("tflm", "esp-nn"), "ESP32-S3-DevKitC-1"
        )
        person = next(p for p in latency_fit.of("tflm", "esp-nn") if p.network == "person")
        assert fit.cycles(person) == pytest.approx(person.cycles, rel=0.1)

    def test_time_is_inversely_proportional_to_the_clock(self):
        slow, fast = (
            CycleModel("cortex-m4", hz).milliseconds(program("ds-cnn")) for hz in (60e6, 120e6)
        )
        assert slow == pytest.approx(2 * fast)

    def test_another_runtime_is_another_model(self):
        network = program("resnet-8")
        board = {"clock_hz": 120e6, "board": "NUCLEO-L4R5ZI"}
        tflm = CycleModel("cortex-m4", **board).milliseconds(network)
        cube = CycleModel("cortex-m4", **board, runtime="x-cube-ai").milliseconds(network)
        assert cube < 0.75 * tflm

    def test_a_board_that_was_timed_has_its_own_speed(self):
        mean = CycleModel("cortex-m4", 120e6)
        assert CycleModel("cortex-m4", 120e6, board="NUCLEO-L4R5ZI").speed == 1.0
        assert mean.speed == CORES["tflm", "cortex-m4"] != 1.0
        assert CycleModel("cortex-m4", 120e6, board="some other board").speed == mean.speed

    def test_the_error_is_part_of_its_description(self):
        said = str(CycleModel("cortex-m4", 120e6))
        median, worst = ERRORS["tflm", "dsp"].networks
        assert f"{median:.0%} in the median and {worst:.0%} at most" in said
        assert "not fitted to" in said

    def test_other_types_than_int8_have_no_price(self):
        network = program("ds-cnn")
        wide = network._replace(
            tensors=tuple(t._replace(dtype="int16") for t in network.tensors)
        )
        assert CycleModel("cortex-m4", 120e6).milliseconds(wide) is None

    def test_float_at_the_borders_of_an_int8_program_does_not_matter(self):
        tensors = (Tensor((1, 8), "float32"), Tensor((1, 8)), Tensor((1, 2)))
        operators = (
            Operator("QUANTIZE", (0,), (1,)),
            Operator("FULLY_CONNECTED", (1,), (2,), (2, 8), True),
        )
        framed = Program(tensors, operators, (0,), (2,))
        assert CycleModel("cortex-m4", 120e6).milliseconds(framed) > 0

    def test_an_unknown_core_is_refused_with_those_there_are(self):
        with pytest.raises(ValueError, match=r"core='cortex-m44'\. Did you mean 'cortex-m4'"):
            CycleModel("cortex-m44", 1e6)

    def test_an_unknown_runtime_is_refused_with_those_there_are(self):
        with pytest.raises(ValueError, match=r"runtime='tflite'.*Known: 'tflm', 'x-cube-ai'"):
            CycleModel("cortex-m4", 1e6, "tflite")

    def test_a_runtime_that_was_not_timed_on_a_core_is_refused(self):
        with pytest.raises(
            ValueError, match=r"runtime 'x-cube-ai' are published for this core"
        ):
            CycleModel("esp32-s3", 1e6, "x-cube-ai")


class TestWork:
    def test_each_operator_type_is_counted_as_its_own_kind(self):
        counted = work(program("ds-cnn"))
        assert counted["conv"] == 125 * 40 * 64
        assert counted["patch"] == 125 * 40
        assert counted["pointwise"] == 4 * 125 * 64 * 64
        assert counted["depthwise"] == 4 * 125 * 64 * 9
        assert counted["dense"] == 64 * 12
        assert counted["outputs"] == 5 * 8000 + 12
        assert counted["depthwise_output"] == 4 * 8000
        assert counted["pool"] == 8000
        assert counted["softmax"] == 12
        assert counted["operators"] == 13
        assert "other" not in counted

    def test_products_in_attention_cost_what_dense_layers_do(self):
        shapes = (1, 2, 10, 3), (1, 2, 3, 8), (1, 2, 10, 8)
        operator = Operator("BATCH_MATMUL", (0, 1), (2,))
        program = Program(tuple(map(Tensor, shapes)), (operator,), (0, 1), (2,))
        assert work(program) == {"operators": 1, "dense": 480, "outputs": 160}

    def test_tokens_that_are_looked_up_are_copied(self):
        tensors = (Tensor((1, 6), "int32"), Tensor((1, 6, 4)))
        operator = Operator("GATHER", (0,), (1,), (1000, 4))
        program = Program(tensors, (operator,), (0,), (1,))
        assert work(program) == {"operators": 1, "copy": 24}
        assert CycleModel("cortex-m4", 80e6).milliseconds(program) < 0.1

    def test_a_mean_is_paid_by_its_inputs_and_a_reshape_as_an_operator_only(self):
        assert work(program("mean/32x32x16")) == {"operators": 1, "reduce": 16384}
        assert work(program("ds-cnn/reshape")) == {"operators": 1}

    def test_an_operator_nobody_timed_is_paid_by_its_outputs(self):
        tensors = (Tensor((1, 10)), Tensor((1, 10)))
        custom = Program(tensors, (Operator("CUSTOM", (0,), (1,)),), (0,), (1,))
        assert work(custom) == {"operators": 1, "other": 10}

    def test_more_of_anything_never_takes_less_time(self):
        for name in OPERATORS:
            one = program(name)
            twice = one._replace(operators=one.operators * 2)
            for core in KERNELS:
                model = CycleModel(core, 1e8)
                assert 0 < model.milliseconds(one) < model.milliseconds(twice)


def test_models_are_values():
    model = CycleModel("cortex-m4", 120e6)
    assert model == CycleModel("cortex-m4", 120e6)
    assert dataclasses.replace(model, clock_hz=60e6).speed == model.speed
    assert isinstance(model, latency.LatencyModel)
