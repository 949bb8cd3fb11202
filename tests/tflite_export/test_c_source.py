import re
import shutil
import subprocess

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

import tflite_export
from edge_devices import tflm
from edge_devices.flatbuffer import read
from edge_devices.memory import memory
from edge_devices.program import Operator, Program, Tensor
from edge_devices.tflm import OPERATORS
from tflite_export import c_source as module
from tflite_export.c_source import c_array, resolver_methods

# What the real header declares of each operator, and nothing of TensorFlow behind it.
STUB = """
#pragma once
enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
#define TF_LITE_ENSURE_STATUS(a) \\
  do { const TfLiteStatus s = (a); if (s != kTfLiteOk) return s; } while (0)
namespace tflite {
template <unsigned int N>
class MicroMutableOpResolver {
 public:
  const char* added[N];
  unsigned int count = 0;
  TfLiteStatus Add(const char* name) {
    if (count >= N) return kTfLiteError;
    added[count++] = name;
    return kTfLiteOk;
  }
METHODS
};
}  // namespace tflite
"""

MAIN = """
#include <cstdint>
#include <cstdio>
#include <cstring>
#include "NAME.h"
alignas(16) static std::uint8_t arena[kCAMELArenaSize];
int main(int, char** argv) {
  CAMELOpResolver resolver;
  if (RegisterCAMELOps(resolver) != kTfLiteOk) return 1;
  for (unsigned int i = 0; i < resolver.count; ++i) std::printf("%s\\n", resolver.added[i]);
  std::FILE* file = std::fopen(argv[1], "rb");
  static unsigned char expected[kCAMELSize + 1];
  if (std::fread(expected, 1, kCAMELSize + 1, file) != kCAMELSize) return 2;
  if (std::memcmp(expected, g_NAME, kCAMELSize)) return 3;
  if (reinterpret_cast<std::uintptr_t>(g_NAME) % 16) return 4;
  std::printf("%zu %.9g %d\\n", sizeof(arena), kCAMELInputScale, kCAMELInputZeroPoint);
  for (const char* label : kCAMELLabels) std::printf("%s\\n", label);
  return 0;
}
"""


def methods():
    return sorted(module._method(op) for op in OPERATORS)


@pytest.mark.parametrize("name", ["model", "sweet_tooth"])
def test_it_compiles_and_holds_the_file(content, tmp_path, name):
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++ to compile the array")
    labels = ["crème", 'a "quoted\\7" one', "??/"]
    array = c_array(content, name, labels=labels)
    stub = tmp_path / "tensorflow" / "lite" / "micro"
    stub.mkdir(parents=True)
    declared = [f'  TfLiteStatus {m}() {{ return Add("{m}"); }}' for m in methods()]
    (stub / "micro_mutable_op_resolver.h").write_text(
        STUB.replace("METHODS", "\n".join(declared))
    )
    (tmp_path / f"{name}.h").write_text(array.header)
    (tmp_path / f"{name}.cc").write_text(array.source)
    camel = "".join(part.capitalize() for part in name.split("_"))
    (tmp_path / "main.cc").write_text(MAIN.replace("NAME", name).replace("CAMEL", camel))
    (tmp_path / "model.tflite").write_bytes(content)
    flags = ["-std=c++14", "-Wall", "-Wextra", "-Werror", "-I."]
    command = [compiler, *flags, "main.cc", f"{name}.cc", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    ran = subprocess.run(
        ["./main", "model.tflite"], cwd=tmp_path, check=True, capture_output=True
    )
    *added, numbers, one, two, three = ran.stdout.decode().splitlines()
    assert added == list(array.methods)
    graph = schema.Model.GetRootAs(content).Subgraphs(0)
    quantized = graph.Tensors(graph.Inputs(0)).Quantization()
    scale, zero_point = quantized.Scale(0), quantized.ZeroPoint(0)
    arena, told, zero = numbers.split()
    assert (int(arena), int(zero)) == (array.arena, zero_point)
    assert float(told) == pytest.approx(scale, rel=1e-8)
    assert [one, two, three] == labels


def test_exactly_the_files_operators_are_registered(content):
    array = c_array(content)
    codes = schema.Model.GetRootAs(content)
    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    used = {
        names[codes.OperatorCodes(i).BuiltinCode()] for i in range(codes.OperatorCodesLength())
    }
    spelt = {
        "CONV_2D": "AddConv2D",
        "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
        "ADD": "AddAdd",
    }
    spelt |= {"MEAN": "AddMean", "MUL": "AddMul", "FULLY_CONNECTED": "AddFullyConnected"}
    spelt |= {"HARD_SWISH": "AddHardSwish", "RESHAPE": "AddReshape"}
    assert used <= spelt.keys()
    assert set(array.methods) == {spelt[name] for name in used}
    assert f"MicroMutableOpResolver<{len(used)}>" in array.header
    assert re.findall(r"resolver\.(\w+)\(\)", array.header) == list(array.methods)


def test_the_arena_is_what_the_planner_needs_and_a_margin(content):
    least = memory(read(content), kernels="cmsis_nn").total
    assert least > memory(read(content)).total
    assert 0 <= c_array(content).arena - least * 1.1 < 16
    assert c_array(content, margin=0.5).arena >= 1.5 * least
    assert c_array(content).arena % 16 == 0


def test_the_operators_are_those_the_runtime_has():
    micro = pytest.importorskip("tflite_micro", reason="needs the extra 'micro'")
    library = micro.runtime._runtime.__spec__.origin
    with open(library, "rb") as file:
        symbols = set(re.findall(rb"Register_([A-Z0-9_]+)E", file.read()))
    registered = {symbol.decode() for symbol in symbols}
    builtin = {name for name, code in vars(schema.BuiltinOperator).items() if code != 32}
    assert OPERATORS == registered & builtin


@pytest.mark.parametrize(
    ("op", "method"),
    [
        ("CONV_2D", "AddConv2D"),
        ("L2_POOL_2D", "AddL2Pool2D"),
        ("RELU6", "AddRelu6"),
        ("PADV2", "AddPadV2"),
        ("SELECT_V2", "AddSelectV2"),
        ("SPACE_TO_BATCH_ND", "AddSpaceToBatchNd"),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", "AddUnidirectionalSequenceLSTM"),
        ("CUMSUM", "AddCumSum"),
        ("BATCH_MATMUL", "AddBatchMatMul"),
        ("RESIZE_NEAREST_NEIGHBOR", "AddResizeNearestNeighbor"),
    ],
)
def test_methods_are_spelt_as_in_the_resolver(op, method):
    program = Program((Tensor((1, 2)),), (Operator(op, (0,), (0,)),), (0,), (0,))
    assert resolver_methods(program) == (method,)


def test_operators_that_the_runtime_lacks_are_named():
    operators = tuple(Operator(op, (0,), (0,)) for op in ("GELU", "ADD", "RFFT2D"))
    with pytest.raises(ValueError, match=r"no kernel.*GELU, RFFT2D"):
        resolver_methods(Program((Tensor((1, 2)),), operators, (0,), (0,)))


@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_small_weights_in_float_are_refused(dtype):
    operator = Operator("FULLY_CONNECTED", (0,), (0,), (2, 2), weight_dtype=dtype)
    program = Program((Tensor((1, 2), "float32"),), (operator,), (0,), (0,))
    with pytest.raises(ValueError, match="FULLY_CONNECTED with such weights"):
        resolver_methods(program)


def test_float_networks_are_written_without_scales(content):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    graph = model.subgraphs[0]
    for index in (*graph.inputs, *graph.outputs):
        graph.tensors[index].quantization = None
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    header = c_array(bytes(builder.Output())).header
    assert "Scale" not in header
    assert "// Input: int8 of shape (1, 8, 8, 1).\n" in header


@pytest.mark.parametrize(
    "quantization", ["float32", "float16", "dynamic", "int8", "int16x8", "int4"]
)
def test_there_is_an_array_exactly_where_the_runtime_runs_the_file(model, x, quantization):
    pytest.importorskip("tflite_micro", reason="needs the extra 'micro'")
    content = tflite_export.convert(
        model, quantization, x if quantization.startswith("int") else None
    )
    refused = tflm.refusal(content) is not None
    if refused:
        with pytest.raises(ValueError, match="TensorFlow Lite Micro"):
            c_array(content)
    else:
        assert c_array(content).methods
    assert refused is (quantization in ("float16", "dynamic"))


@pytest.mark.parametrize("name", ["Model", "3d", "a-b", "_a", ""])
def test_names_that_c_does_not_know_are_refused(content, name):
    with pytest.raises(ValueError, match="lower case words"):
        c_array(content, name)
