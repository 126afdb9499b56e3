"""Tests of `transformers_np.weights`; `tests/golden/torch_safetensors.py` had files written by the reference."""

import io
import json
import os
import random
import re
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bitstreams.errors import CodecError, FormatError, LimitError, TruncatedError, UnsupportedError
from tests.damage import spoil, watch
from tests.golden.torch_safetensors import ALL_TYPES
from transformers_np.optim import AdamW, flatten
from transformers_np.weights import (
    from_timm,
    from_torchvision,
    load_checkpoint,
    load_npz,
    load_safetensors,
    load_state_dict,
    save_checkpoint,
    save_npz,
    save_safetensors,
)

GOLDEN = Path(__file__).parent / "golden"
ALL_TYPES_FILE = GOLDEN / "all_types.safetensors"

ARRAYS = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3) / 3,
    "a.bias": np.arange(3, dtype=np.float64) / 3,
    "by columns": np.arange(6, dtype=np.int64).reshape(2, 3).T,
    "steps": np.arange(10, dtype=np.int32)[::2],
    "half": np.float16([0.1, -65504]),
    "bytes": np.uint8([0, 255]),
    "flags": np.array([True, False]),
    "scalar": np.array(7, np.int64),
    "empty": np.zeros((3, 0), np.float32),
    "backwards": np.array([1, 2], ">f4"),
}


def same(found, expected):
    """Whether names, shapes, types and all bits are the same, and arrays can be written to."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        native = array.astype(array.dtype.newbyteorder("="))
        assert found[name].dtype == native.dtype, name
        assert found[name].dtype.isnative
        assert found[name].shape == native.shape, name
        assert found[name].tobytes() == native.tobytes(), name
        assert found[name].flags.writeable
    return True


def safetensors(entries, data=b"", length=None):
    """Return a file with a header that may be anything."""
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(begin, end, shape, dtype="U8"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def npy(array=None, **header):
    """Return a .npy file, of an array or with a header that may be anything and 8 bytes."""
    stream = io.BytesIO()
    if array is not None:
        np.lib.format.write_array(stream, array)
    else:
        values = {"descr": "<f4", "fortran_order": False, "shape": (2,)} | header
        np.lib.format.write_array_header_1_0(stream, values)
        stream.write(bytes(8))
    return stream.getvalue()


def npz(files, method=zipfile.ZIP_STORED):
    """Return a ZIP archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return stream.getvalue()


# In and out -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("save", "load"), [(save_npz, load_npz), (save_safetensors, load_safetensors)])
def test_what_is_saved_is_loaded(save, load, tmp_path):
    path = tmp_path / "weights"
    for arrays in (ARRAYS, {}, {"scalar": np.array(1.5)}):  # over the one before
        save(path, arrays)
        assert same(load(str(path)), arrays)
    assert os.listdir(tmp_path) == ["weights"]


def test_numpy_reads_and_writes_the_same_npz(tmp_path):
    save_npz(tmp_path / "ours.npz", ARRAYS)
    with np.load(tmp_path / "ours.npz") as arrays:
        for name, array in ARRAYS.items():
            assert np.array_equal(arrays[name], array)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "theirs.npz", **ARRAYS)
        assert same(load_npz(tmp_path / "theirs.npz"), ARRAYS)


def test_npz_files_are_the_same_bytes_every_time(tmp_path, monkeypatch):
    save_npz(tmp_path / "a", ARRAYS)
    monkeypatch.setattr("time.time", lambda: 2e9)
    save_npz(tmp_path / "b", ARRAYS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_failure_leaves_the_file_before(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    for save, load, owner in (
        (save_npz, load_npz, np.lib.format),
        (save_safetensors, load_safetensors, np),
    ):
        save(path, {"a": np.ones(2)})
        with monkeypatch.context() as patch:
            patch.setattr(
                owner, "write_array" if owner is np.lib.format else "ascontiguousarray", lambda *_, **__: 1 / 0
            )
            with pytest.raises(ZeroDivisionError):
                save(path, {"a": np.zeros(2)})
        assert same(load(path), {"a": np.ones(2)})
    assert os.listdir(tmp_path) == ["weights"]


# safetensors ------------------------------------------------------------------------------------------------


def test_safetensors_of_the_reference_implementation(tmp_path):
    arrays = load_safetensors(ALL_TYPES_FILE)
    assert same(arrays, ALL_TYPES)
    save_safetensors(tmp_path / "again", ALL_TYPES)
    assert (tmp_path / "again").read_bytes() == ALL_TYPES_FILE.read_bytes()


def test_bf16_is_widened_exactly():
    arrays = load_safetensors(GOLDEN / "bf16.safetensors")
    assert arrays["bf16"].dtype == np.float32
    assert arrays["bf16"].tobytes() == arrays["widened"].tobytes()  # by PyTorch; infinities, NaN, -0 and subnormals
    assert arrays["bf16"][:4].tolist() == [0.10009765625, -2.5, 0.333984375, 0]


def test_types_that_are_not_read_are_named():
    with pytest.raises(UnsupportedError, match=re.escape("int8.safetensors: int8: type I8; I64, F64, F32")):
        load_safetensors(GOLDEN / "int8.safetensors")


def test_truncation_at_every_byte(tmp_path):
    path = tmp_path / "cut"
    for source in (ALL_TYPES_FILE, GOLDEN / "bf16.safetensors"):
        data = source.read_bytes()
        for length in range(len(data)):
            path.write_bytes(data[:length])
            with pytest.raises(TruncatedError, match="cut"):
                load_safetensors(path)
        path.write_bytes(data + b"\0")
        with pytest.raises(FormatError):
            load_safetensors(path)
    for save, load in ((save_npz, load_npz), (lambda p, a: save_checkpoint(p, a, {}, RNG, {}), load_checkpoint)):
        save(path, {"a": np.ones(3)})
        data = path.read_bytes()
        for length in range(len(data)):
            path.write_bytes(data[:length])
            with pytest.raises(CodecError, match="cut"):
                load(path)


RNG = np.random.default_rng(0)
A, B = tensor(0, 4, [4]), tensor(4, 8, [2, 2])
HOSTILE = {
    "no_length": (b"1234567", TruncatedError, "7 bytes; a safetensors file has at least 8"),
    "header_beyond_the_file": (safetensors({}, length=3), TruncatedError, "a header of 3 bytes, and 2 are there"),
    "huge_header": (safetensors({}, length=2**64 - 1), TruncatedError, "a header of 18446744073709551615 bytes"),
    "no_object": (safetensors([]), FormatError, "does not begin with {"),
    "spaces_first": (safetensors(b" {}"), FormatError, "does not begin with {"),
    "no_json": (safetensors(b"{]"), FormatError, "the header is not as it should be"),
    "no_utf8": (safetensors(b'{"\xff": 1}'), FormatError, "the header is not as it should be"),
    "deep": (safetensors(b'{"a":' + b"[" * 100_000), FormatError, "the header is not as it should be"),
    "huge_number": (safetensors(b'{"a":' + b"9" * 5000 + b"}"), FormatError, "the header is not as it should be"),
    "name_twice": (safetensors(b'{"a": 1, "a": 2}'), FormatError, "'a' is in it twice"),
    "metadata_of_numbers": (
        safetensors({"__metadata__": {"a": 1}}),
        FormatError,
        "__metadata__ is not made of strings",
    ),
    "metadata_of_nothing": (safetensors({"__metadata__": []}), FormatError, "__metadata__ is not made of strings"),
    "no_entry": (safetensors({"a": 1}), FormatError, "a: there is something else than"),
    "missing_key": (safetensors({"a": {"dtype": "U8", "shape": []}}), FormatError, "a: there is something else than"),
    "further_key": (safetensors({"a": A | {"x": 1}}, bytes(4)), FormatError, "a: there is something else than"),
    "unknown_type": (safetensors({"a": A | {"dtype": "F7"}}, bytes(4)), UnsupportedError, "a: type F7; I64"),
    "type_of_a_list": (safetensors({"a": A | {"dtype": []}}, bytes(4)), UnsupportedError, "a: type []; I64"),
    "shape_of_a_number": (safetensors({"a": tensor(0, 4, 4)}, bytes(4)), FormatError, "a: shape or offsets"),
    "negative_shape": (safetensors({"a": tensor(0, 4, [-2, -2])}, bytes(4)), FormatError, "a: shape or offsets"),
    "shape_of_floats": (safetensors({"a": tensor(0, 4, [4.0])}, bytes(4)), FormatError, "a: shape or offsets"),
    "shape_of_true": (safetensors({"a": tensor(0, 1, [True])}, bytes(1)), FormatError, "a: shape or offsets"),
    "too_many_axes": (safetensors({"a": tensor(0, 1, [1] * 65)}, bytes(1)), FormatError, "a: shape or offsets"),
    "many_huge_sides": (safetensors({"a": tensor(0, 0, [2**60] * 99_999)}), FormatError, "a: shape or offsets"),
    "three_offsets": (
        safetensors({"a": A | {"data_offsets": [0, 4, 4]}}, bytes(4)),
        FormatError,
        "a: shape or offsets",
    ),
    "negative_offset": (safetensors({"a": tensor(-4, 0, [4])}, bytes(4)), FormatError, "a: shape or offsets"),
    "backwards": (safetensors({"a": tensor(4, 0, [4])}, bytes(4)), FormatError, "a: U8 of shape [4] is 4 bytes"),
    "wrong_shape": (safetensors({"a": tensor(0, 4, [5])}, bytes(4)), FormatError, "a: U8 of shape [5] is 5 bytes"),
    "wrong_type": (safetensors({"a": tensor(0, 4, [4], "F16")}, bytes(4)), FormatError, "a: F16 of shape [4] is 8"),
    "overlap": (safetensors({"a": A, "b": tensor(3, 7, [4])}, bytes(7)), FormatError, "b begins at 3; 4 is allowed"),
    "same_place": (safetensors({"a": A, "b": A}, bytes(4)), FormatError, "b begins at 0; 4 is allowed"),
    "gap": (safetensors({"a": A, "b": tensor(5, 9, [4])}, bytes(9)), FormatError, "b begins at 5; 4 is allowed"),
    "late": (safetensors({"a": tensor(1, 5, [4])}, bytes(5)), FormatError, "a begins at 1; 0 is allowed"),
    "beyond": (safetensors({"a": A, "b": B}, bytes(7)), TruncatedError, "arrays have 8 bytes; there are 7"),
    "further_bytes": (safetensors({"a": A, "b": B}, bytes(9)), FormatError, "arrays have 8 bytes; there are 9"),
    "huge": (safetensors({"a": tensor(0, 2**50, [2**50])}, bytes(4)), TruncatedError, "arrays have 1125899906842624"),
    "wraps": (safetensors({"a": tensor(0, 0, [2**32, 2**32])}), FormatError, "is 18446744073709551616 bytes"),
    "empty_but_huge": (safetensors({"a": tensor(0, 0, [0, 2**62])}), FormatError, "is beyond what arrays can have"),
    "neither_true_nor_false": (safetensors({"a": tensor(0, 1, [1], "BOOL")}, b"\2"), FormatError, "a boolean of 2;"),
}


@pytest.mark.parametrize("defect", HOSTILE)
def test_hostile_headers_are_refused_before_memory_is_taken(defect, tmp_path):
    data, kind, message = HOSTILE[defect]
    path = tmp_path / f"{defect}.safetensors"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(kind, match=re.escape(f"{defect}.safetensors: ") + ".*" + re.escape(message)) as caught:
            load_safetensors(path)
        assert tracemalloc.get_traced_memory()[1] < 30 * len(data) + 200_000
    finally:
        tracemalloc.stop()
    assert caught.type is kind


def test_headers_have_a_limit_that_may_be_raised(tmp_path):
    path = tmp_path / "long"
    text = b"{}" + b" " * 998
    path.write_bytes(safetensors(text))
    with pytest.raises(
        LimitError, match=re.escape("a header of 1000 bytes is over the limit of 999; raise it with header_")
    ):
        load_safetensors(path, header_limit=999)
    assert load_safetensors(path, header_limit=1000) == {}
    path.write_bytes(safetensors(b"{}" + b" " * (1 << 24)))
    with pytest.raises(LimitError):
        load_safetensors(path)


# .npz -------------------------------------------------------------------------------------------------------


def lying(data, offset, number, marks=(b"PK\3\4", b"PK\1\2")):
    """Change a 4-byte number in the headers of a ZIP archive's first file: of itself, and in the directory."""
    data = bytearray(data)
    for mark, shift in zip(marks, (0, 2), strict=True):
        at = data.index(mark) + offset + shift
        data[at : at + 4] = number.to_bytes(4, "little")
    return bytes(data)


ONE = npz([("a.npy", npy(np.ones(2)))])
LARGER = npy(np.ones(2000))  # than what is read at once
CLAIM = npy(shape=(1 << 28,))  # a gigabyte, of which 8 bytes are there
PACKED, UNPACKED = 18, 22  # where sizes are in the header of a file (PKWARE's APPNOTE, 4.3.7)
DEFECTS = {
    "no_zip": (b"not a ZIP archive", FormatError, "not a .npz file: File is not a zip file"),
    "nothing": (b"", FormatError, "not a .npz file"),
    "no_npy": (npz([("a.txt", b"")]), FormatError, "'a.txt' is in it"),
    "name_twice": (
        npz([("a.npy", npy(np.ones(2))), ("b.npy", npy(np.ones(2)))]).replace(b"b.npy", b"a.npy"),
        FormatError,
        "'a' is in it twice",
    ),
    "no_magic": (npz([("a.npy", b"NUMPY" * 4)]), FormatError, "damaged"),
    "version_3": (npz([("a.npy", b"\x93NUMPY\3\0" + bytes(9))]), UnsupportedError, "a: .npy version (3, 0); 1.0"),
    "pickle": (npz([("a.npy", npy(descr="|O"))]), UnsupportedError, "a: object; booleans"),
    "records": (npz([("a.npy", npy(descr=[("x", "<f4")]))]), UnsupportedError, "a: [('x', '<f4')]; booleans"),
    "text": (npz([("a.npy", npy(descr="<U2"))]), UnsupportedError, "a: <U2; booleans"),
    "complex": (npz([("a.npy", npy(descr="<c8"))]), UnsupportedError, "a: complex64; booleans"),
    "huge": (npz([("a.npy", npy(shape=(2**40,)))]), TruncatedError, "shape (1099511627776,) is 4398046511104 bytes"),
    "too_short": (
        npz([("a.npy", npy(shape=(3,)))]),
        TruncatedError,
        "a: float32 of shape (3,) is 12 bytes; there are 8",
    ),
    "too_long": (npz([("a.npy", npy(shape=(1,)))]), FormatError, "a: float32 of shape (1,) is 4 bytes; there are 8"),
    "wraps": (npz([("a.npy", npy(shape=(2**32, 2**32)))]), TruncatedError, "is 73786976294838206464 bytes"),
    "negative": (npz([("a.npy", npy(shape=(-1, -2)))]), FormatError, "damaged"),
    "code": (
        npz([("a.npy", b"\x93NUMPY\1\0\x30\x23" + b"-" * 9007 + b"1")]),
        FormatError,
        "a: a header that cannot be read",
    ),
    "checksum": (ONE.replace(b"\xf0\x3f", b"\xf0\x40"), FormatError, "Bad CRC-32"),
    "other_packing": (npz([("a.npy", npy())], zipfile.ZIP_BZIP2), UnsupportedError, "a: packed by method 12 of ZIP"),
    "claims_to_be_packed_large": (lying(ONE, PACKED, 2**31), TruncatedError, "arrays have more bytes than the file"),
    "claims_to_unpack_to_much": (
        lying(npz([("a.npy", CLAIM)], zipfile.ZIP_DEFLATED), UNPACKED, len(CLAIM) - 8 + (1 << 30)),
        TruncatedError,
        "which cannot unpack to 1073741",
    ),
    "bomb": (
        lying(npz([("a.npy", LARGER + bytes(1 << 25))], zipfile.ZIP_DEFLATED), UNPACKED, len(LARGER)),
        FormatError,
        "Bad CRC-32",
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_defects_of_npz_files(defect, tmp_path):
    data, kind, message = DEFECTS[defect]
    path = tmp_path / f"{defect}.npz"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(kind, match=re.escape(f"{defect}.npz: ") + ".*" + re.escape(message)) as caught:
            load_npz(path)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    assert caught.type is kind


def test_how_large_arrays_unpack_has_a_limit(tmp_path):
    path = tmp_path / "large.npz"
    np.savez_compressed(path, a=np.zeros(10_000), b=np.zeros(10_000))
    size = 2 * (80_000 + 128)
    with pytest.raises(LimitError, match=f"{size} bytes are over the limit of {size - 1}; raise it with size_limit="):
        load_npz(path, size_limit=size - 1)
    assert load_npz(path, size_limit=size)["b"].shape == (10_000,)
    save_checkpoint(path, {"a": np.zeros(100)}, {}, RNG, {})
    with pytest.raises(LimitError):
        load_checkpoint(path, size_limit=800)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "u1"])
def test_an_array_is_in_memory_once_while_it_is_read(dtype, tmp_path):
    array = np.zeros(1 << 22, dtype)
    array[-3:] = 1, 2, 3
    np.savez_compressed(tmp_path / "large.npz", a=array)
    tracemalloc.start()
    try:
        read = load_npz(tmp_path / "large.npz")["a"]
        assert tracemalloc.get_traced_memory()[1] < array.nbytes + 4_000_000
    finally:
        tracemalloc.stop()
    assert read.dtype == array.dtype.newbyteorder("=")
    assert np.array_equal(read, array)


def test_missing_files_are_not_damaged_ones(tmp_path):
    for load in (load_npz, load_safetensors, load_checkpoint):
        with pytest.raises(FileNotFoundError):
            load(tmp_path / "none")


@pytest.mark.parametrize("kind", ["npz", "safetensors", "checkpoint"])
def test_spoilt_files_raise_errors_of_the_tree(kind, tmp_path):
    path = tmp_path / f"spoilt.{kind}"
    rng = random.Random(kind)
    load = {"npz": load_npz, "safetensors": load_safetensors, "checkpoint": load_checkpoint}[kind]
    if kind == "safetensors":
        save_safetensors(path, ARRAYS)
    elif kind == "npz":
        np.savez_compressed(path, **ARRAYS)
    else:
        save_checkpoint(path, {"a": np.ones(3)}, {"b": np.ones(2)}, RNG, {"step": 3})
    data = path.read_bytes()
    tracemalloc.start()
    try:
        failures = set()
        for _ in range(300):
            path.write_bytes(spoil(rng, data))
            failures.add(watch(kind, lambda: load(path))[1])
    finally:
        tracemalloc.stop()
    assert "FormatError" in failures


# Names ------------------------------------------------------------------------------------------------------


def test_a_state_is_copied_into_parameters():
    vector, parameters = flatten({"a": np.zeros((2, 2), np.float32), "b": np.zeros(2, np.float32)})
    load_state_dict(parameters, {"b": np.array([5.0, 6]), "a": np.float16([[1, 2], [3, 4]])})
    assert vector.tolist() == [1, 2, 3, 4, 5, 6]
    assert vector.dtype == np.float32


def test_all_that_does_not_fit_is_reported_and_nothing_is_changed():
    parameters = {name: np.zeros(2) for name in ("a", "b", "c", "d", "e", "f")}
    state = {
        "a": np.ones(3),
        "b": np.ones((2, 1)),
        "c": np.ones(2),
        "d": np.ones(2, complex),
        "x": np.ones(2),
        "y": np.ones(2),
        "C": np.ones(2),
    }
    with pytest.raises(ValueError) as caught:
        load_state_dict(parameters, state, str.lower)
    assert str(caught.value) == (
        "these parameters do not fit: missing: e, f; extra: x, y; twice: c; "
        "of another shape: a (3,) for (2,), b (2, 1) for (2,); of another type: d complex128 for float64"
    )
    assert not any(array.any() for array in parameters.values())
    with pytest.raises(ValueError, match="of another type: step float64 for int64"):
        load_state_dict({"step": np.zeros((), np.int64)}, {"step": np.zeros(())})


def test_names_are_translated_and_dropped():
    parameters = {"a": np.zeros(2), "b": np.zeros(2)}
    load_state_dict(
        parameters, {"x.a": np.ones(2), "x.b": np.full(2, 2.0), "y": np.ones(3)}, {"x.a": "b", "x.b": "a"}.get
    )
    assert parameters["a"].tolist() == [2, 2]
    assert parameters["b"].tolist() == [1, 1]


def vit_names(depth):
    """Return timm's names of a ViT."""
    layers = ["norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"]
    of_blocks = [f"blocks.{number}.{layer}" for number in range(depth) for layer in layers]
    all_layers = ["patch_embed.proj", *of_blocks, "norm", "head"]
    return {"cls_token", "pos_embed"} | {f"{layer}.{kind}" for layer in all_layers for kind in ("weight", "bias")}


def test_names_of_timm():
    for name in vit_names(12):
        assert from_timm(name) == from_timm(f"module.{name}") == name


@pytest.mark.parametrize("mlp", [("0", "3"), ("linear_1", "linear_2")])
def test_names_of_torchvision(mlp):
    of_block = ["ln_1.weight", "ln_1.bias", "self_attention.in_proj_weight", "self_attention.in_proj_bias"]
    of_block += ["self_attention.out_proj.weight", "self_attention.out_proj.bias", "ln_2.weight", "ln_2.bias"]
    of_block += [f"mlp.{layer}.{kind}" for layer in mlp for kind in ("weight", "bias")]
    theirs = ["class_token", "conv_proj.weight", "conv_proj.bias", "encoder.pos_embedding"]
    theirs += [f"encoder.layers.encoder_layer_{number}.{name}" for number in range(11) for name in of_block]
    theirs += ["encoder.ln.weight", "encoder.ln.bias", "heads.head.weight", "heads.head.bias"]
    ours = [from_torchvision(name) for name in theirs]
    assert len(ours) == len(set(ours))
    assert set(ours) == vit_names(11)
    assert from_torchvision("encoder.layers.encoder_layer_3.self_attention.in_proj_bias") == "blocks.3.attn.qkv.bias"
    assert from_torchvision("encoder.layers.encoder_layer_10.mlp.3.weight") == "blocks.10.mlp.fc2.weight"
    assert from_torchvision("heads.pre_logits.weight") == "heads.pre_logits.weight"  # to be reported


# Checkpoints ------------------------------------------------------------------------------------------------


def train(steps, path, resume=False):
    """Fit a random target with random batches, and save; or go on from there."""
    rng = np.random.default_rng(3)
    vector, parameters = flatten({"a": np.zeros((4, 2), np.float32), "b": np.zeros(2, np.float32)})
    optimiser = AdamW(vector, parameters)
    losses = []
    if resume:
        checkpoint = load_checkpoint(path)
        load_state_dict(parameters, checkpoint.parameters)
        load_state_dict(optimiser.state, checkpoint.optimiser_state)
        rng, losses = checkpoint.rng, checkpoint.extra["losses"]
    for _ in range(len(losses), steps):
        rng.integers(3, dtype=np.int32)  # leaves half of 64 bits for the next time
        error = vector - rng.standard_normal(10, dtype=np.float32)
        losses.append(float(np.mean(error * error)))
        optimiser.step(error, 0.01)
    save_checkpoint(path, parameters, optimiser.state, rng, {"losses": losses, "best": (1, None)})
    return losses, vector


def test_to_go_on_from_a_checkpoint_is_never_to_have_stopped(tmp_path):
    losses, vector = train(20, tmp_path / "through")
    train(7, tmp_path / "stopped")
    assert load_checkpoint(tmp_path / "stopped").extra["best"] == [1, None]
    again, resumed = train(20, tmp_path / "stopped", resume=True)
    assert again == losses
    assert np.array_equal(resumed, vector)
    assert (tmp_path / "stopped").read_bytes() == (tmp_path / "through").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["stopped", "through"]


def test_the_generator_goes_on(tmp_path):
    rng = np.random.default_rng(5)
    rng.integers(9, size=3, dtype=np.int32)  # an odd number of halves
    save_checkpoint(tmp_path / "c", {}, {}, rng, {})
    again = load_checkpoint(tmp_path / "c").rng
    assert again.bit_generator.state == rng.bit_generator.state
    assert (
        again.integers(2**31, size=5, dtype=np.int32).tolist() == rng.integers(2**31, size=5, dtype=np.int32).tolist()
    )
    assert again.random(5).tolist() == rng.random(5).tolist()


def checkpoint(**changes):
    """Return the arrays of a checkpoint, something in its JSON changed."""
    rest = {"version": 1, "rng": RNG.bit_generator.state, "extra": {}} | changes
    return {"checkpoint": np.frombuffer(json.dumps(rest).encode(), np.uint8)}


STATE = RNG.bit_generator.state


@pytest.mark.parametrize(
    ("arrays", "kind", "message"),
    [
        ({}, FormatError, "no checkpoint: it has no array of that name"),
        ({"checkpoint": np.zeros(3)}, FormatError, "no checkpoint: it has no array of that name"),
        ({"checkpoint": np.zeros(3, np.uint8)}, FormatError, "a damaged checkpoint"),
        ({"checkpoint": np.frombuffer(b"[" * 99_999, np.uint8)}, FormatError, "a damaged checkpoint"),
        ({"checkpoint": np.frombuffer(b"[]", np.uint8)}, FormatError, "a damaged checkpoint"),
        ({"checkpoint": np.frombuffer(b"{}", np.uint8)}, FormatError, "a damaged checkpoint"),
        (checkpoint(version=2), UnsupportedError, "a checkpoint of version 2; version 1 is read"),
        (checkpoint(extra=3), FormatError, "a damaged checkpoint"),
        (checkpoint(rng=None), FormatError, "a damaged checkpoint"),
        (checkpoint(rng=STATE | {"bit_generator": "MT19937"}), FormatError, "a damaged checkpoint"),
        (checkpoint(rng=STATE | {"state": {"state": 2**128, "inc": 1}}), FormatError, "a damaged checkpoint"),
        (checkpoint(rng=STATE | {"state": {"state": -1, "inc": 1}}), FormatError, "a damaged checkpoint"),
        (checkpoint(rng=STATE | {"uinteger": 2**32}), FormatError, "a damaged checkpoint"),
        (checkpoint(rng=STATE | {"has_uint32": 0.5}), FormatError, "a damaged checkpoint"),
        (checkpoint() | {"x": np.zeros(1)}, FormatError, "no checkpoint: it has other arrays"),
    ],
)
def test_what_is_no_checkpoint(arrays, kind, message, tmp_path):
    save_npz(tmp_path / "c", arrays)
    with pytest.raises(kind, match=re.escape(str(tmp_path / "c") + ": " + message)) as caught:
        load_checkpoint(tmp_path / "c")
    assert caught.type is kind


# What is not saved ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("save", "kind", "message"),
    [
        (lambda path: save_npz(path, {"a": np.array([None])}), UnsupportedError, "a: object; booleans, integers"),
        (lambda path: save_npz(path, {"a": np.array(["x"])}), UnsupportedError, "a: <U1; booleans, integers"),
        (lambda path: save_safetensors(path, {"a": np.int16([1])}), UnsupportedError, "a: int16; int64, float64"),
        (lambda path: save_safetensors(path, {"__metadata__": np.ones(1)}), UnsupportedError, "another use"),
        (
            lambda path: save_checkpoint(path, {}, {}, np.random.Generator(np.random.MT19937(0)), {}),
            ValueError,
            "a generator with MT19937; PCG64 is allowed",
        ),
        (lambda path: save_checkpoint(path, {}, {}, RNG, {"a": np.float32(1)}), TypeError, "float32 is not JSON"),
    ],
)
def test_what_is_not_saved(save, kind, message, tmp_path):
    with pytest.raises(kind, match=re.escape(message)):
        save(tmp_path / "x")
    assert not os.listdir(tmp_path)
