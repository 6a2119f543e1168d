"""Reading `.onnx` files without a runtime: everything that onnxruntime would read is found."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from zoo.artifact import onnx_file
from zoo.artifact.hashed_files import StoredFiles
from zoo.artifact.manifest import FileEntry
from zoo.artifact.onnx_file import read_model_file
from zoo.errors import CorruptFile
from zoo.system.files import sha256


def varint(number: int) -> bytes:
    *high, low = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*(byte | 0x80 for byte in high), low])


def external(location: str) -> TensorProto:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value=location)
    return weight


def model(location: str) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["y"])],
        "graph",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        [external(location)],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])


def with_graph_after(tag: bytes, *, size: bytes | None = None) -> bytes:
    """The bytes of a model whose graph follows `tag`, and `size` in place of its own."""
    proto = model("secret.bin")
    graph = proto.graph.SerializeToString()
    proto.ClearField("graph")
    return proto.SerializeToString() + tag + (size or varint(len(graph))) + graph


GRAPH = 7 << 3 | 2


def test_the_files_that_weights_lie_in_are_found():
    assert read_model_file(with_graph_after(varint(GRAPH)), "it").locations == {"secret.bin"}


MALFORMED = {
    "a tag of 33 bits, which C++ cuts to 32": varint(1 << 32 | GRAPH),
    "a tag of 6 bytes": bytes([GRAPH | 0x80, 0x80, 0x80, 0x80, 0x80, 0]),
    "field 0": varint(0 << 3 | 2),
    "a group": varint(7 << 3 | 3),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_tags_that_parsers_read_differently_are_refused(what):
    with pytest.raises(CorruptFile, match="it is not an ONNX model"):
        read_model_file(with_graph_after(MALFORMED[what]), "it")


def test_a_length_of_more_than_5_bytes_is_refused():
    data = with_graph_after(varint(GRAPH))
    read_model_file(data + varint(2 << 3 | 2) + bytes([1]) + b"a", "it")
    with pytest.raises(CorruptFile, match="it is not an ONNX model"):
        read_model_file(data + varint(2 << 3 | 2) + bytes([0x81, 0x80, 0x80, 0x80, 0x80, 0]) + b"a", "it")


def test_a_file_that_onnxruntime_takes_for_its_own_format_is_refused():
    """It looks for these letters before it parses anything."""
    producer = b"..ORTM" + bytes(26)
    data = varint(2 << 3 | 2) + varint(len(producer)) + producer + with_graph_after(varint(GRAPH))
    assert data[4:8] == b"ORTM"
    with pytest.raises(CorruptFile, match="it is not an ONNX model"):
        read_model_file(data, "it")


@pytest.mark.parametrize(
    "around", [lambda fields: fields, lambda fields: varint(14 << 3 | 2) + varint(len(fields)) + fields]
)
def test_fields_without_end_are_refused(monkeypatch, around):
    """At its top or in its metadata: a file of gigabytes would take hours."""
    monkeypatch.setattr(onnx_file, "MAX_FIELDS", 100)
    number = varint(5 << 3) + bytes([1])
    assert read_model_file(around(50 * number) + with_graph_after(varint(GRAPH)), "it").fields < 100
    with pytest.raises(CorruptFile, match="has more than 100 fields"):
        read_model_file(around(200 * number) + with_graph_after(varint(GRAPH)), "it")


def test_texts_without_end_are_refused(monkeypatch):
    monkeypatch.setattr(onnx_file, "MAX_TEXT", 100)
    for length, fine in ((100, True), (101, False)):
        data = varint(6 << 3 | 2) + varint(length) + length * b"a" + with_graph_after(varint(GRAPH))
        if fine:
            assert read_model_file(data, "it").description == length * "a"
        else:
            with pytest.raises(CorruptFile, match="it is not an ONNX model"):
                read_model_file(data, "it")


class OneFile:
    """As much of a manifest as reading its files takes."""

    def __init__(self, data: bytes) -> None:
        self.files = {"sample.onnx": FileEntry(sha256(data), len(data))}
        self.methods = {"sample": type("Entry", (), {"file": "sample.onnx"})}


def test_an_artifact_s_file_without_operators_is_refused(tmp_path):
    data = helper.make_model(helper.make_graph([], "graph", [], [])).SerializeToString()
    (tmp_path / "sample.onnx").write_bytes(data)
    with pytest.raises(CorruptFile, match="has no operators"):
        StoredFiles(tmp_path, OneFile(data))


KINDS = {
    "ModelProto": "MODEL",
    "GraphProto": "GRAPH",
    "NodeProto": "NODE",
    "AttributeProto": "ATTRIBUTE",
    "TensorProto": "TENSOR",
    "SparseTensorProto": "SPARSE",
    "FunctionProto": "FUNCTION",
    "TrainingInfoProto": "TRAINING",
}


def leads_to_tensors(message, around=()) -> bool:
    if message == TensorProto.DESCRIPTOR:
        return True
    inside = {field.message_type for field in message.fields if field.message_type} - {*around}
    return any(leads_to_tensors(found, (*around, message)) for found in inside)


@pytest.mark.parametrize("name", KINDS)
def test_every_field_of_onnx_that_leads_to_weights_is_looked_into(name):
    """A new version of onnx may have more of them."""
    message = getattr(onnx, name).DESCRIPTOR
    expected = {
        field.number: KINDS[field.message_type.name]
        for field in message.fields
        if field.message_type and leads_to_tensors(field.message_type)
    }
    kinds = {getattr(onnx_file, kind): kind for kind in KINDS.values()}
    inside = onnx_file.INSIDE[getattr(onnx_file, KINDS[name])]
    assert {number: kinds[kind] for number, kind in inside.items() if kind in kinds} == expected
