"""Files of parameters: .npz, safetensors, and checkpoints to go on from.

Parameters are a dict from names to arrays, and so are these files. PyTorch's own (.pt, .pth) are pickles, which may run
any code, and are not read here. Two formats hold arrays and nothing else:

**.npz** (NumPy) is a ZIP archive with a .npy file for each array: a magic number, type and shape as text, samples.

**safetensors** (https://github.com/huggingface/safetensors) is what most published weights come in:

    length      8 bytes     of the header, unsigned, the least significant byte first
    header      JSON        {"head.bias": {"dtype": "F32", "shape": [10], "data_offsets": [0, 40]}, ...}
    data                    samples, least significant byte first, in C order

Offsets count from where the data begins, and arrays fill all of it without a gap or an overlap. The header may end in
spaces, and may have strings to say about the file under `__metadata__`. BF16 is the upper half of a float32, which has
the same exponents: with 16 zero bits it is widened to one, exactly.

What a file says of itself is checked against what is there before memory is taken for it: no file takes much more than
its bytes. Only a .npz file may be packed: it takes what it unpacks to, which has a limit.

**Names.** Weights of others fit if names and shapes do. `load_state_dict` compares them all, and reports all that is
wrong at once. Where others have other names for the same arrays, a function translates: a name to ours, or to None for
what is not needed.

**Checkpoints.** Training that was stopped goes on as if it had not been, to the bit, if nothing is lost of parameters,
of the optimiser's state, and of where the generator of random numbers is. A checkpoint is a .npz file with arrays
`parameters/NAME` and `optimiser/NAME`, and `checkpoint`, the bytes of a JSON text with the rest. Like all files here it
is written whole or not at all (`codec.files.atomic_open`): whoever stops the program keeps the checkpoint before.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import CodecError, FormatError, LimitError, TruncatedError, UnsupportedError
from codec.files import atomic_open

__all__ = [
    "Checkpoint",
    "from_timm",
    "from_torchvision",
    "load_checkpoint",
    "load_npz",
    "load_safetensors",
    "load_state_dict",
    "save_checkpoint",
    "save_npz",
    "save_safetensors",
]

Arrays: TypeAlias = dict[str, NDArray[Any]]
Rename: TypeAlias = Callable[[str], str | None]

SIZE_LIMIT = 1 << 32  # bytes to which a .npz file may unpack if not told otherwise; ViT-B has 346 million
HEADER_LIMIT = 1 << 24  # bytes of a safetensors header if not told otherwise: enough for 100,000 arrays
PIECE = 1 << 20  # bytes that are unpacked at once
AXES = 64  # that an array of NumPy may have


# .npz -------------------------------------------------------------------------------------------------------


def save_npz(path: str | Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays of numbers or booleans to a .npz file, not packed; a file of that name is replaced.

    Raises
    ------
    UnsupportedError
        If an array is of another type.
    OSError
        If the file cannot be written.
    """
    for name, array in arrays.items():
        _check_type(name, array.dtype)
    with atomic_open(path, force=True) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def load_npz(path: str | Path, *, size_limit: int = SIZE_LIMIT) -> Arrays:
    """Read arrays of numbers or booleans from a .npz file, packed or not.

    Parameters
    ----------
    path : str or Path
    size_limit : int
        Bytes to which all arrays together may unpack.

    Returns
    -------
    dict of str to array

    Raises
    ------
    FormatError
        If it is no .npz file, is damaged, or was cut off, since the directory of a ZIP archive is at its end.
    TruncatedError
        If an array has fewer bytes than its shape says.
    UnsupportedError
        If it has something else: objects, which are pickles, records, text.
    LimitError
        If it is larger than `size_limit`.
    OSError
        If it cannot be read.
    """
    with _naming(path), open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
                total = sum(entry.file_size for entry in entries)
                if total > size_limit:
                    raise LimitError(f"{total} bytes are over the limit of {size_limit}; raise it with size_limit=")
                if sum(entry.compress_size for entry in entries) > _size(file):
                    raise TruncatedError("arrays have more bytes than the file")
                return _unique((_name_of(entry), _read_npy(archive, entry)) for entry in entries)
        except (CodecError, MemoryError):
            raise
        except Exception as error:  # damage shows in all kinds: BadZipFile, zlib.error, ValueError, OSError, ...
            raise FormatError(f"damaged, or not a .npz file: {error}") from error


HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
METHODS = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1032}  # NumPy's; to how many bytes one may unpack (zlib's FAQ)


def _name_of(entry: zipfile.ZipInfo) -> str:
    """Return the name of an array."""
    if not entry.filename.endswith(".npy"):
        raise FormatError(f"{entry.filename!r} is in it; names that end in .npy are allowed")
    return entry.filename.removesuffix(".npy")


def _read_npy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    """Read an array."""
    name = _name_of(entry)
    if entry.compress_type not in METHODS:
        raise UnsupportedError(f"{name}: packed by method {entry.compress_type} of ZIP; {tuple(METHODS)} are read")
    if entry.file_size > METHODS[entry.compress_type] * entry.compress_size:
        raise TruncatedError(f"{name}: {entry.compress_size} bytes, which cannot unpack to {entry.file_size}")
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        if version not in HEADERS:
            raise UnsupportedError(f"{name}: .npy version {version}; 1.0 and 2.0 are read")
        try:
            shape, by_columns, dtype = HEADERS[version](file)
        except MemoryError as error:  # Python's parser has no other word for nesting that is too deep
            raise FormatError(f"{name}: a header that cannot be read") from error
        _check_type(name, dtype)
        size = math.prod(shape) * dtype.itemsize
        left = entry.file_size - file.tell()
        if size != left:
            kind = TruncatedError if size > left else FormatError
            raise kind(f"{name}: {dtype} of shape {shape} is {size} bytes; there are {left}")
        samples = np.empty(size, np.uint8)
        for begin in range(0, size, PIECE):  # all at once would be there twice; and read() would unpack what is beyond
            piece = file.read(min(PIECE, size - begin))
            if len(piece) < min(PIECE, size - begin):
                raise TruncatedError(f"{name}: the file ends while it is read")
            samples[begin : begin + PIECE] = np.frombuffer(piece, np.uint8)
    return _native(samples.view(dtype)).reshape(shape, order="F" if by_columns else "C")


def _check_type(name: str, dtype: np.dtype[Any]) -> None:
    """Refuse all but numbers and booleans."""
    if dtype.kind not in "biuf":
        raise UnsupportedError(f"{name}: {dtype}; booleans, integers and floats are allowed")


def _native(array: NDArray[Any]) -> NDArray[Any]:
    """Put the bytes of an array into the order of this machine, in place."""
    if not array.dtype.isnative:
        array.byteswap(inplace=True)
    native: NDArray[Any] = array.view(array.dtype.newbyteorder("="))
    return native


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dict of pairs; a name that comes twice is refused."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise FormatError(f"{name!r} is in it twice")
        found[name] = value
    return found


def _size(file: BufferedReader) -> int:
    """Return the bytes of a file."""
    return os.fstat(file.fileno()).st_size


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Put the name of a file before errors of the tree."""
    try:
        yield
    except CodecError as error:
        raise type(error)(f"{path}: {error}") from error


# safetensors ------------------------------------------------------------------------------------------------

BF16, BOOL = "BF16", "BOOL"
# How samples lie in the file. They are written in this order of types, which is that of the reference implementation:
# wide ones first, so that all are aligned.
TYPES: dict[str, np.dtype[Any]] = {
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "I32": np.dtype("<i4"),
    BF16: np.dtype("<u2"),
    "F16": np.dtype("<f2"),
    "U8": np.dtype("u1"),
    BOOL: np.dtype("u1"),
}
CODES = {dtype.newbyteorder("="): code for code, dtype in TYPES.items() if code not in (BF16, BOOL)}
CODES[np.dtype(np.bool_)] = BOOL
LENGTH = struct.Struct("<Q")
METADATA = "__metadata__"
ENTRY = ("dtype", "shape", "data_offsets")
LARGEST = np.iinfo(np.intp).max // 8  # samples of an array, sides of 0 not counted


class Entry(NamedTuple):
    """What a header says of an array."""

    name: str
    code: str
    shape: tuple[int, ...]
    begin: int
    end: int


def save_safetensors(path: str | Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to a safetensors file; a file of that name is replaced.

    Parameters
    ----------
    path : str or Path
    arrays : mapping of str to array
        Of float64, float32, float16, int64, int32, uint8 or bool.

    Raises
    ------
    UnsupportedError
        If an array is of another type, or called `__metadata__`.
    OSError
        If the file cannot be written.
    """
    codes = {}
    for name, array in arrays.items():
        code = CODES.get(array.dtype.newbyteorder("="))
        if code is None:
            raise UnsupportedError(f"{name}: {array.dtype}; {', '.join(map(str, CODES))} are allowed")
        codes[name] = code
    if METADATA in arrays:
        raise UnsupportedError(f"an array is called {METADATA}, which the format has for another use")
    order = list(TYPES)
    names = sorted(arrays, key=lambda name: (order.index(codes[name]), name))
    header: dict[str, Any] = {}
    begin = 0
    for name in names:
        end = begin + arrays[name].nbytes
        header[name] = {"dtype": codes[name], "shape": arrays[name].shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with atomic_open(path, force=True) as file:
        file.write(LENGTH.pack(len(text)) + text)
        for name in names:
            file.write(np.ascontiguousarray(arrays[name]).astype(TYPES[codes[name]], copy=False).tobytes())


def load_safetensors(path: str | Path, *, header_limit: int = HEADER_LIMIT) -> Arrays:
    """Read the arrays of a safetensors file.

    Parameters
    ----------
    path : str or Path
    header_limit : int
        Bytes that the header may have.

    Returns
    -------
    dict of str to array
        In the order of their samples; float32 for BF16.

    Raises
    ------
    FormatError
        If it is no such file, or breaks a rule of the format.
    TruncatedError
        If it ends too early.
    UnsupportedError
        If samples are of another type than BF16 and those of `save_safetensors`.
    LimitError
        If the header is larger than `header_limit`.
    OSError
        If it cannot be read.
    """
    with _naming(path), open(path, "rb") as file:
        start = file.read(LENGTH.size)
        if len(start) < LENGTH.size:
            raise TruncatedError(f"{len(start)} bytes; a safetensors file has at least {LENGTH.size}")
        (length,) = LENGTH.unpack(start)
        room = _size(file) - LENGTH.size
        if length > room:
            raise TruncatedError(
                f"cut off, or not a safetensors file: a header of {length} bytes, and {room} are there"
            )
        if length > header_limit:
            raise LimitError(
                f"a header of {length} bytes is over the limit of {header_limit}; raise it with header_limit="
            )
        entries = _parse_header(file.read(length), room - length)
        return {entry.name: _read_samples(file, entry) for entry in entries}


def _parse_header(text: bytes, room: int) -> list[Entry]:
    """Return what a header says, in the order of the data, which has `room` bytes."""
    if not text.startswith(b"{"):
        raise FormatError("not a safetensors file: its header does not begin with {")
    try:
        header: dict[str, Any] = json.loads(text.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"the header is not as it should be: {error}") from error
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise FormatError(f"{METADATA} is not made of strings")
    entries = sorted((_parse_entry(name, value) for name, value in header.items()), key=lambda entry: entry[-2:])
    at = 0
    for entry in entries:
        if entry.begin != at:
            raise FormatError(f"{entry.name} begins at {entry.begin}; {at} is allowed, where the one before ends")
        at = entry.end
    if at != room:
        kind = TruncatedError if at > room else FormatError
        raise kind(f"arrays have {at} bytes; there are {room}")
    return entries


def _parse_entry(name: str, value: Any) -> Entry:
    """Return what a header says of an array."""
    if not isinstance(value, dict) or value.keys() != set(ENTRY):
        raise FormatError(f"{name}: there is something else than {', '.join(ENTRY)}")
    code, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not _are_sizes(shape) or len(shape) > AXES or not _are_sizes(offsets) or len(offsets) != 2:
        raise FormatError(f"{name}: shape or offsets are not at most {AXES}, and just 2, whole numbers from 0")
    if not isinstance(code, str) or code not in TYPES:
        raise UnsupportedError(f"{name}: type {code}; {', '.join(TYPES)} are read")
    begin, end = offsets
    size = math.prod(shape) * TYPES[code].itemsize
    if size != end - begin:
        raise FormatError(f"{name}: {code} of shape {shape} is {size} bytes; it has those from {begin} to {end}")
    if math.prod(filter(None, shape)) > LARGEST:  # even if another side is 0
        raise FormatError(f"{name}: shape {shape} is beyond what arrays can have")
    return Entry(name, code, tuple(shape), begin, end)


def _are_sizes(numbers: Any) -> bool:
    """Whether they are whole numbers from 0; True is none."""
    return isinstance(numbers, list) and all(type(number) is int and number >= 0 for number in numbers)


def _read_samples(file: BufferedReader, entry: Entry) -> NDArray[Any]:
    """Read an array from where the file is."""
    array = np.empty(entry.shape, TYPES[entry.code])
    if file.readinto(array.reshape(-1).view(np.uint8).data) != array.nbytes:
        raise TruncatedError(f"{entry.name}: the file ends while it is read")
    if entry.code == BF16:
        widened: NDArray[np.float32] = (array.astype(np.uint32) << 16).view(np.float32)
        return widened
    if entry.code == BOOL:
        if (array > 1).any():
            raise FormatError(f"{entry.name}: a boolean of {array.max()}; 0 and 1 are allowed")
        return array.view(np.bool_)
    return _native(array)


# Names ------------------------------------------------------------------------------------------------------


def load_state_dict(
    parameters: Mapping[str, NDArray[Any]], state: Mapping[str, NDArray[Any]], rename: Rename | None = None
) -> None:
    """Copy arrays into parameters, if all of them fit; or else change nothing.

    To load all but the head of a model, leave it out on both sides: give only the parameters without it, and have
    `rename` drop it.

    Parameters
    ----------
    parameters : mapping of str to array
        Written to in place, so that a vector of them follows (`transformers_np.optim.flatten`). The state of an
        optimiser is loaded likewise.
    state : mapping of str to array
        Floats may be of another width, and are then rounded.
    rename : callable, optional
        Given a name in the state, ours, or None to leave the array out.

    Raises
    ------
    ValueError
        If names are missing, extra or there twice, or shapes or types differ; it lists all of them.
    """
    found: dict[str, NDArray[Any]] = {}
    twice = []
    for theirs, array in state.items():
        name = theirs if rename is None else rename(theirs)
        if name is None:
            continue
        if name in found:
            twice.append(name)
        found[name] = array
    shared = [(name, parameters[name], found[name]) for name in parameters if name in found]
    problems = {
        "missing": [name for name in parameters if name not in found],
        "extra": [name for name in found if name not in parameters],
        "twice": twice,
        "of another shape": [
            f"{n} {has.shape} for {wants.shape}" for n, wants, has in shared if has.shape != wants.shape
        ],
        "of another type": [
            f"{n} {has.dtype} for {wants.dtype}"
            for n, wants, has in shared
            if not np.can_cast(has.dtype, wants.dtype, "same_kind")
        ],
    }
    if any(problems.values()):
        listed = "; ".join(f"{problem}: {', '.join(names)}" for problem, names in problems.items() if names)
        raise ValueError(f"these parameters do not fit: {listed}")
    for _, parameter, array in shared:
        parameter[...] = array


def from_timm(name: str) -> str:
    """Translate timm's names of a ViT: they are ours, but for the prefix of a model trained on several GPUs."""
    return name.removeprefix("module.")


# `torchvision/models/vision_transformer.py`; `linear_1` and `linear_2` were 0 and 3 up to version 0.12.
TORCHVISION = {
    r"^class_token$": "cls_token",
    r"^conv_proj\.": "patch_embed.proj.",
    r"^encoder\.pos_embedding$": "pos_embed",
    r"^encoder\.layers\.encoder_layer_": "blocks.",
    r"\.ln_([12])\.": r".norm\1.",
    r"\.self_attention\.in_proj_": ".attn.qkv.",
    r"\.self_attention\.out_proj\.": ".attn.proj.",
    r"\.mlp\.(linear_1|0)\.": ".mlp.fc1.",
    r"\.mlp\.(linear_2|3)\.": ".mlp.fc2.",
    r"^encoder\.ln\.": "norm.",
    r"^heads\.head\.": "head.",
}


def from_torchvision(name: str) -> str:
    """Translate torchvision's names of a ViT, which packs queries, keys and values as timm does."""
    for theirs, ours in TORCHVISION.items():
        name = re.sub(theirs, ours, name)
    return name


# Checkpoints ------------------------------------------------------------------------------------------------

CHECKPOINT, VERSION = "checkpoint", 1
PARAMETERS, OPTIMISER = "parameters/", "optimiser/"


class Checkpoint(NamedTuple):
    """What training needs to go on.

    Attributes
    ----------
    parameters, optimiser_state : dict of str to array
    rng : np.random.Generator
        In the state in which it was saved.
    extra : dict
    """

    parameters: Arrays
    optimiser_state: Arrays
    rng: np.random.Generator
    extra: dict[str, Any]


def save_checkpoint(
    path: str | Path,
    parameters: Mapping[str, NDArray[Any]],
    optimiser_state: Mapping[str, NDArray[Any]],
    rng: np.random.Generator,
    extra: Mapping[str, Any],
) -> None:
    """Write a checkpoint; one of that name is replaced, at the end.

    Parameters
    ----------
    path : str or Path
    parameters, optimiser_state : mapping of str to array
        Numbers and booleans.
    rng : np.random.Generator
        Of `np.random.default_rng`. What it draws is saved; what it would `spawn` is not.
    extra : mapping of str to numbers, strings, lists and dicts
        What else there is to know, such as the step. It is kept as JSON: floats to the bit, tuples as lists.

    Raises
    ------
    ValueError
        If the generator is of another kind, or an array of another type.
    TypeError
        If JSON has no place for what is in `extra`.
    OSError
        If the file cannot be written.
    """
    state = rng.bit_generator.state
    if not isinstance(rng.bit_generator, np.random.PCG64):
        raise ValueError(f"a generator with {state['bit_generator']}; PCG64 is allowed, that of np.random.default_rng")
    text = json.dumps({"version": VERSION, "rng": state, "extra": dict(extra)})
    arrays = {PARAMETERS + name: array for name, array in parameters.items()}
    arrays |= {OPTIMISER + name: array for name, array in optimiser_state.items()}
    arrays[CHECKPOINT] = np.frombuffer(text.encode(), np.uint8)
    save_npz(path, arrays)


def load_checkpoint(path: str | Path, *, size_limit: int = SIZE_LIMIT) -> Checkpoint:
    """Read a checkpoint.

    Parameters and errors are those of `load_npz`, with a FormatError also for a .npz file that is no checkpoint, and an
    UnsupportedError for one of another version.
    """
    arrays = load_npz(path, size_limit=size_limit)
    with _naming(path):
        text = arrays.pop(CHECKPOINT, None)
        if text is None or text.dtype != np.uint8:
            raise FormatError("no checkpoint: it has no array of that name")
        try:
            rest = json.loads(text.tobytes())
            version = rest["version"]
            if version != VERSION:
                raise UnsupportedError(f"a checkpoint of version {version}; version {VERSION} is read")
            generator, extra = _generator(rest["rng"]), dict(rest["extra"])
        except CodecError:
            raise
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise FormatError(f"a damaged checkpoint: {error}") from error
        parameters, optimiser_state = _under(PARAMETERS, arrays), _under(OPTIMISER, arrays)
        if len(parameters) + len(optimiser_state) != len(arrays):
            raise FormatError("no checkpoint: it has other arrays than parameters and an optimiser's state")
        return Checkpoint(parameters, optimiser_state, generator, extra)


def _generator(state: Any) -> np.random.Generator:
    """Return a generator in a state."""
    bits = np.random.PCG64()
    bits.state = state
    if bits.state != state:  # numbers that are too large lose bits
        raise FormatError("a damaged checkpoint: no state of PCG64")
    return np.random.Generator(bits)


def _under(prefix: str, arrays: Arrays) -> Arrays:
    """Return the arrays with a prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
