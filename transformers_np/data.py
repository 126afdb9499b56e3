"""Pictures to learn from: read, held out, dealt out, varied.

A network that is asked about the pictures that it has learned from may just remember them. So a data set has two parts:
one to learn from, and one held out to tell how good it is. `load` reads

    digits      1,797 digits of 8 x 8 pixels; they come with the package
    mnist:DIR   MNIST, 70,000 digits of 28 x 28 pixels (LeCun, Cortes, Burges, 1998)
    cifar:DIR   CIFAR-10, 60,000 photographs of 32 x 32 pixels (Krizhevsky, 2009), in its binary version
    DIR         a folder of pictures of one size

**Digits** are the test part of "Optical Recognition of Handwritten Digits" (Alpaydin, Kaynak, UCI Machine Learning
Repository, 1998; licence CC BY 4.0), which scikit-learn has too: forms filled in by 13 people, as pictures of 32 x 32
black or white pixels, of which the black ones are counted in blocks of 4 x 4, 0 to 16. A fifth is held out here, by the
same people. That is an easier task than the original one, to learn from 30 others.

**idx**, the format of MNIST, is two bytes of 0; the type of samples, 8 for bytes; the number of axes; the size of each
in 4 bytes, the most significant first; and samples. Files may be packed by gzip. **CIFAR-10**'s binary files are
records of 3,073 bytes: the label, and 1,024 samples each of red, green and blue. Its Python version is made of pickles,
which may run any code, and is not read.

In a **folder** each subfolder is a class; pictures without subfolders are all of one class. If subfolders are called
`train` and `val`, or `train` and `test`, those are the parts, each a folder of this kind. If not, a fifth is held out,
the same one every time.

**Augmentation.** A cat further to the left, or in a mirror, is a cat. From each picture others are made that mean the
same, so that a network does not rely on what does not matter (Simard, Steinkraus, Platt, 2003). What that is depends on
the pictures: a digit in a mirror is no digit. All pictures of a batch are varied at once, each in its own way. Shift,
flip and crop are one operation: each row of the result comes from some row of the picture, and likewise each column.
Not so a warp, which also turns and slants pictures, as hands do when they write.
"""

from __future__ import annotations

import errno
import gzip
import math
import operator
import struct
import zlib
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import FormatError, LimitError, TruncatedError, UnsupportedError
from codec.files import PICTURES, read_picture
from transformers_np import ops
from transformers_np.weights import load_npz

__all__ = [
    "CIFAR10",
    "Dataset",
    "Part",
    "augment",
    "batches",
    "load",
    "name_of",
    "normaliser",
    "read_cifar",
    "read_folder",
    "read_idx",
]

Array: TypeAlias = NDArray[np.floating[Any]]
Bytes: TypeAlias = NDArray[np.uint8]

HELD_OUT = 0.2  # of the pictures, where nobody else has chosen
SPLIT_SEED = 0  # the same for all: accuracies on other pictures could not be compared
SIZE_LIMIT = 1 << 26  # samples of a file if not told otherwise; the largest of MNIST has 47 million
PIECE = 1 << 20  # bytes that are read at once
GZIP = b"\x1f\x8b"
UNSIGNED_BYTE = 8  # idx's number for it
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR_SHAPE = (3, 32, 32)
NO_CLASS = "pictures"
MNIST_BEGINNING = "mnist_train_first10000.npz"  # arrays x and y: the first pictures and labels of the training part


class Part(NamedTuple):
    """Pictures and what they show.

    Attributes
    ----------
    images : (B, C, H, W) float32 array
        From 0 to 1.
    labels : (B,) int64 array
        Numbers of classes.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


class Dataset(NamedTuple):
    """Pictures to learn from, others to be asked about, and the names of classes."""

    train: Part
    held_out: Part
    classes: tuple[str, ...]


def load(source: str) -> Dataset:
    """Read a data set.

    Parameters
    ----------
    source : str
        `digits`, `mnist:DIR`, `cifar:DIR` or DIR; a folder that is called digits is `./digits`. Files have their usual
        names. MNIST's may be packed (.gz), and in place of those of the training part there may be
        `mnist_train_first10000.npz`, with arrays x and y.

    Returns
    -------
    Dataset
        In the order of the files. Both parts have pictures.

    Raises
    ------
    FormatError, TruncatedError, UnsupportedError, LimitError
        If a file is not what it should be; the message begins with its name.
    OSError
        If a file is missing, or cannot be read.
    """
    kind, colon, folder = source.partition(":")
    if source == "digits":
        return _load_digits()
    if colon and kind in ("mnist", "cifar"):
        return (_load_mnist if kind == "mnist" else _load_cifar)(Path(folder))
    return _load_folder(Path(source))


def name_of(source: str) -> str:
    """Return what a data set is called: digits, mnist, cifar, or as its folder, wherever that may be."""
    kind, colon, _ = source.partition(":")
    return kind if colon and kind in ("mnist", "cifar") else Path(source).resolve().name


def _part(images: Bytes, labels: NDArray[Any], most: int = 255) -> Part:
    """Return pictures with `most` scaled to 1."""
    scaled = images.astype(np.float32)
    scaled /= most
    return Part(scaled, labels.astype(np.int64))


def normaliser(train: Part) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Return what gives pictures the mean 0 and the variance 1 that those to learn from then have together.

    If those are all the same, there is nothing to learn, perhaps not even a variance: that is an UnsupportedError.
    """
    if (train.images == train.images[0]).all():
        raise UnsupportedError(f"no two of the {len(train.images)} pictures to learn from differ")
    mean, deviation = train.images.mean(), train.images.std()
    return lambda images: (images - mean) / deviation


def _hold_out(part: Part, classes: tuple[str, ...]) -> Dataset:
    """Hold a fifth out."""
    count = len(part.labels)
    out = np.zeros(count, bool)
    out[np.random.default_rng(SPLIT_SEED).permutation(count)[: math.ceil(count * HELD_OUT)]] = True
    return Dataset(Part(part.images[~out], part.labels[~out]), Part(part.images[out], part.labels[out]), classes)


def _load_digits() -> Dataset:
    with (files("transformers_np") / "assets/digits.npz").open("rb") as file, np.load(file) as arrays:
        part = _part(arrays["images"][:, None], arrays["labels"], most=16)
    return _hold_out(part, tuple("0123456789"))


# MNIST ------------------------------------------------------------------------------------------------------


def read_idx(path: str | Path, *, size_limit: int = SIZE_LIMIT) -> Bytes:
    """Read an idx file of bytes, packed by gzip or not.

    Parameters
    ----------
    path : str or Path
    size_limit : int
        Samples that it may have.

    Returns
    -------
    uint8 array
        Of 1 to 4 axes.

    Raises
    ------
    FormatError
        If it is no idx file, is damaged, or goes on after the last sample.
    TruncatedError
        If it ends too early.
    UnsupportedError
        If samples are no bytes, or have more axes.
    LimitError
        If it says that it has more samples than `size_limit`.
    OSError
        If it cannot be read.
    """
    with open(path, "rb") as file:
        packed = file.read(len(GZIP)) == GZIP
        file.seek(0)
        if not packed:
            return _read_idx(file, path, size_limit)
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read_idx(unpacked, path, size_limit)
        except EOFError as error:
            raise TruncatedError(f"{path}: cut off: {error}") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise FormatError(f"{path}: damaged: {error}") from error


def _read_idx(file: IO[bytes] | gzip.GzipFile, path: str | Path, size_limit: int) -> Bytes:
    """Read an idx file that may be packed; what it says is not believed before it is there."""
    start = file.read(4)
    if len(start) < 4:
        raise TruncatedError(f"{path}: {len(start)} bytes; an idx file has at least 4")
    if start[:2] != b"\0\0":
        raise FormatError(f"{path}: not an idx file: it begins with {start.hex(' ')}")
    kind, axes = start[2:]
    if kind != UNSIGNED_BYTE or not 1 <= axes <= 4:
        raise UnsupportedError(f"{path}: samples of type {kind} in {axes} axes; type {UNSIGNED_BYTE} in 1 to 4 is read")
    sizes = file.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise TruncatedError(f"{path}: it ends in the sizes of axes")
    shape = struct.unpack(f">{axes}I", sizes)
    if math.prod(max(side, 1) for side in shape) > size_limit:  # NumPy refuses huge sides even beside a side of 0
        raise LimitError(f"{path}: {shape} samples are over the limit of {size_limit}; raise it with size_limit=")
    size = math.prod(shape)
    samples = bytearray()
    while len(samples) < size:
        piece = file.read(min(PIECE, size - len(samples)))
        if not piece:
            raise TruncatedError(f"{path}: it says {size} samples; there are {len(samples)}")
        samples += piece
    if file.read(1):
        raise FormatError(f"{path}: it says {size} samples; there are more")
    return np.frombuffer(samples, np.uint8).reshape(shape)


def _load_mnist(folder: Path) -> Dataset:
    beginning = folder / MNIST_BEGINNING
    if _idx_path(folder, "train", "images").exists() or not beginning.exists():
        train = _mnist_part(folder, "train")
    else:
        arrays = load_npz(beginning, size_limit=SIZE_LIMIT)
        if arrays.keys() != {"x", "y"} or any(array.dtype != np.uint8 for array in arrays.values()):
            raise FormatError(f"{beginning}: arrays x and y of uint8 are allowed, and nothing else")
        train = _digits(arrays["x"], arrays["y"], beginning)
    held_out = _mnist_part(folder, "t10k")
    if train.images.shape[1:] != held_out.images.shape[1:]:
        raise FormatError(f"{folder}: pictures of {train.images.shape[2:]} and of {held_out.images.shape[2:]} pixels")
    return Dataset(train, held_out, tuple("0123456789"))


def _idx_path(folder: Path, part: str, what: str) -> Path:
    """Return the path of a file of MNIST, that of the packed one if there is no other."""
    plain = folder / f"{part}-{what}-idx{3 if what == 'images' else 1}-ubyte"
    packed = plain.with_name(f"{plain.name}.gz")
    return plain if plain.exists() or not packed.exists() else packed


def _mnist_part(folder: Path, part: str) -> Part:
    path = _idx_path(folder, part, "images")
    return _digits(read_idx(path), read_idx(_idx_path(folder, part, "labels")), path)


def _digits(images: NDArray[Any], labels: NDArray[Any], path: Path) -> Part:
    """Return digits, if they can be: (B, H, W) and (B,)."""
    if images.ndim != 3 or labels.shape != images.shape[:1] or not images.size:
        raise FormatError(f"{path}: pictures of shape {images.shape} and labels of shape {labels.shape}")
    if labels.max() > 9:
        raise FormatError(f"{path}: a label of {labels.max()}; 0 to 9 are allowed")
    return _part(images[:, None], labels)


# CIFAR-10 ---------------------------------------------------------------------------------------------------


def read_cifar(path: str | Path) -> tuple[Bytes, Bytes]:
    """Read a binary file of CIFAR-10.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    images : (B, 3, 32, 32) uint8 array
        Red, green and blue. There is at least one.
    labels : (B,) uint8 array
        From 0 to 9, for `CIFAR10`.

    Raises
    ------
    TruncatedError
        If it does not end with a record.
    FormatError
        If it has a label above 9; files of CIFAR-100 have.
    OSError
        If it cannot be read.
    """
    samples = np.fromfile(path, np.uint8)
    record = 1 + math.prod(CIFAR_SHAPE)
    if not samples.size or samples.size % record:
        raise TruncatedError(f"{path}: {samples.size} bytes; multiples of {record} are allowed")
    records = samples.reshape(-1, record)
    labels = records[:, 0]
    if labels.max() >= len(CIFAR10):
        raise FormatError(f"{path}: a label of {labels.max()}; 0 to {len(CIFAR10) - 1} are allowed")
    return records[:, 1:].reshape(-1, *CIFAR_SHAPE), labels


def _load_cifar(folder: Path) -> Dataset:
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    for name in names:
        if (folder / name).exists() and not (folder / f"{name}.bin").exists():
            raise UnsupportedError(
                f"{folder / name}: a pickle, which may run any code; get the binary version, cifar-10-binary.tar.gz"
            )
    *train, held_out = [read_cifar(folder / f"{name}.bin") for name in names]
    images, labels = (np.concatenate(arrays) for arrays in zip(*train, strict=True))
    return Dataset(_part(images, labels), _part(*held_out), CIFAR10)


# Folders ----------------------------------------------------------------------------------------------------


def read_folder(folder: str | Path) -> tuple[Bytes, list[str]]:
    """Read the pictures in a folder, in the order of their names.

    Parameters
    ----------
    folder : str or Path
        Of pictures, or of subfolders with pictures. What begins with a dot is left alone, and what is no picture by its
        extension.

    Returns
    -------
    images : (B, C, H, W) uint8 array
        Gray, or RGB if one of them is; there is at least one.
    names : list of str
        The class of each: its subfolder, or `pictures` if there are none.

    Raises
    ------
    UnsupportedError
        If pictures cannot be read, are of several sizes, have transparency, or are beside subfolders.
    FormatError
        If there are none, in the folder or a subfolder.
    OSError
        If something cannot be read.
    """
    folder = Path(folder)
    subfolders, pictures = _listed(folder)
    if subfolders and pictures:
        raise UnsupportedError(
            f"{folder}: pictures beside subfolders, which are classes; {pictures[0].name} is of none"
        )
    found: list[Bytes] = []
    names: list[str] = []
    for subfolder in subfolders or [folder]:
        _, paths = _listed(subfolder)
        if not paths:
            raise FormatError(f"{subfolder}: no pictures in it")
        for path in paths:
            pixels = read_picture(path).pixels
            if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
                raise UnsupportedError(f"{path}: it has transparency; put it on a background first")
            if found and pixels.shape[:2] != found[0].shape[1:]:
                raise UnsupportedError(
                    f"{path}: {pixels.shape[:2]} pixels; {found[0].shape[1:]} is allowed, the size of the first"
                )
            found.append(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))  # (C, H, W)
            names.append(subfolder.name if subfolders else NO_CLASS)
    channels = max(map(len, found))
    return np.stack([np.broadcast_to(picture, (channels, *picture.shape[1:])) for picture in found]), names


def _listed(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the subfolders and the pictures in a folder."""
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return (
        [path for path in paths if path.is_dir()],
        [path for path in paths if path.is_file() and path.suffix.lower() in PICTURES],
    )


def _load_folder(folder: Path) -> Dataset:
    if not folder.is_dir():
        advice = "no such folder; known are digits, mnist:DIR, cifar:DIR and DIR"
        raise FileNotFoundError(errno.ENOENT, advice, str(folder))
    train = folder / "train"
    held_out = next((folder / name for name in ("val", "test") if (folder / name).is_dir()), None)
    if held_out is None or not train.is_dir():
        images, names = read_folder(folder)
        if len(names) < 2:
            raise FormatError(f"{folder}: one picture; at least 2 are allowed, one of them to be held out")
        classes = tuple(sorted(set(names)))
        return _hold_out(_labelled(images, names, classes), classes)
    images, names = read_folder(train)
    others, their_names = read_folder(held_out)
    classes = tuple(sorted(set(names)))
    if unknown := sorted(set(their_names) - set(classes)):
        raise FormatError(f"{held_out}: classes that {train} does not have: {', '.join(unknown)}")
    if images.shape[1:] != others.shape[1:]:
        raise UnsupportedError(f"{held_out}: pictures of shape {others.shape[1:]}; {images.shape[1:]} is allowed")
    return Dataset(_labelled(images, names, classes), _labelled(others, their_names, classes), classes)


def _labelled(images: Bytes, names: list[str], classes: tuple[str, ...]) -> Part:
    return _part(images, np.array([classes.index(name) for name in names]))


# To train with ----------------------------------------------------------------------------------------------


def batches(count: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Deal out an epoch: all pictures in a random order, some at a time.

    All batches are of one size, which spares the memory of a step (`transformers_np.workspace`) and batch norm much
    trouble. Pictures that are left over are not dealt out; they are others in each epoch. To measure accuracy is
    another matter, since there all pictures count: use slices.

    Parameters
    ----------
    count : int
        Pictures, at least 1.
    size : int
        Of a batch, at least 1. If there are fewer pictures, they are one batch.
    rng : np.random.Generator

    Returns
    -------
    iterator of (size,) int64 arrays
        Indices of pictures.
    """
    _at_least(1, count=count, size=size)
    order = rng.permutation(count)
    size = min(size, count)
    return (order[begin : begin + size] for begin in range(0, count - size + 1, size))


def augment(
    images: Array,
    rng: np.random.Generator,
    shift: int = 0,
    flip: bool = False,
    crop: float = 0.0,
    warp: float = 0.0,
    noise: float = 0.0,
) -> Array:
    """Vary pictures, each in its own way. What is beyond an edge is as the edge.

    Parameters
    ----------
    images : (B, C, H, W) array
        float32 or float64, of any range. It is left as it is.
    rng : np.random.Generator
    shift : int
        Pixels that they move at most, up or down and to the left or right, each number as likely.
    flip : bool
        Whether half of them are mirrored, left to right.
    crop : float
        The share of their sides that is cut off at most, from 0 to below 1; what is left, anywhere in the picture, is
        scaled to its size, bilinearly (Szegedy et al., 2015).
    warp : float
        How far they are turned, slanted, stretched and moved at most, at least 0: a sample comes from A p + b in place
        of p, where places (across, down) are from -1 to 1, and each of the six numbers of A and b is within `warp` of
        that of the identity, any of these as likely. Between samples it is bilinear.
    noise : float
        Standard deviation of what is added to each sample, at least 0. Nothing is clipped.

    Returns
    -------
    (B, C, H, W) array
        Of the type of the images.
    """
    if images.ndim != 4 or images.dtype not in (np.float32, np.float64):
        raise ValueError(f"images are {images.dtype} of shape {images.shape}; float32 or float64 of 4 axes is allowed")
    _at_least(0, shift=shift)
    if not 0 <= crop < 1:
        raise ValueError(f"crop is {crop}; 0 to below 1 is allowed")
    for name, number in (("warp", warp), ("noise", noise)):
        if not 0 <= number < math.inf:
            raise ValueError(f"{name} is {number}; finite numbers from 0 are allowed")
    batch, _, height, width = images.shape
    left = 1 - crop * rng.random((batch, 1))  # of each side
    for axis, side in ((2, height), (3, width)):
        places: NDArray[Any] = np.arange(side) + rng.integers(-shift, shift + 1, (batch, 1))  # (B, side)
        if flip and axis == 3:
            places = np.where(rng.random((batch, 1)) < 0.5, places[:, ::-1], places)
        if crop:
            begin = rng.random((batch, 1)) * (1 - left) * side
            places = begin + (places + 0.5) * left - 0.5  # pixels are at the centres of squares
        images = _resample(images, places, axis)
    if warp:
        images = _warp(images, rng, warp)
    if noise:
        images += float(noise) * rng.standard_normal(images.shape, dtype=images.dtype)
    return images


def _resample(images: Array, places: NDArray[Any], axis: int) -> Array:
    """Return pictures with rows or columns from other places, (B, side), between two of them if that is no integer."""
    last = images.shape[axis] - 1
    places = places.clip(0, last)[:, None, :, None].swapaxes(2, axis)  # (B, 1, side, 1) or (B, 1, 1, side)
    first = places.astype(np.intp)
    # `take` is over twice as fast as `take_along_axis`; it wants to know where each sample lies.
    step = images.shape[3] if axis == 2 else 1
    at = np.arange(images.size).reshape(images.shape).take([0], axis) + first * step  # (B, C, H, W)
    samples = images.reshape(-1)
    here = samples.take(at)
    if places.dtype.kind == "i":
        return here
    at += step * (first < last)
    after = samples.take(at)
    after -= here
    after *= (places - first).astype(images.dtype)
    after += here
    return after


def _warp(images: Array, rng: np.random.Generator, most: float) -> Array:
    """Return pictures seen through affine maps, each through its own."""
    batch, _, height, width = images.shape
    maps = np.eye(2, 3) + rng.uniform(-most, most, (batch, 2, 3))  # (A | b)
    last_row, last_column = 1 - 1 / height, 1 - 1 / width  # the middles of the outermost samples are here
    down, across = np.meshgrid(
        np.linspace(-last_row, last_row, height), np.linspace(-last_column, last_column, width), indexing="ij"
    )
    places = np.stack([across, down, np.ones_like(down)], axis=-1)  # (H, W, 3)
    grid = (places @ maps[:, None].swapaxes(2, 3)).clip((-last_column, -last_row), (last_column, last_row))
    warped, _ = ops.grid_sample(images, grid)  # (B, H, W, 2) places
    return warped


def _at_least(least: int, **numbers: int) -> None:
    """Refuse numbers that are too small."""
    for name, number in numbers.items():
        if operator.index(number) < least:
            raise ValueError(f"{name} is {number}; at least {least} is allowed")
