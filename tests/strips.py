"""Strips of the main profile: planes and coefficients drawn at random, coded without the stages around them."""

from collections.abc import Sequence
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from codec.block_sizes import grow
from codec.chroma_from_luma import STEEPEST, map_shape
from codec.context_strip import CodedPlane, Plane, StripDecoder, code_plane, code_strip
from codec.contexts import LAST
from codec.main import Main
from codec.strip_encoder import PlaneEncoder, Wanted, encode_plane, join
from codec.trained import trained

__all__ = ["DIAGONAL", "KINDS", "decode", "draw_wanted", "encode", "encode_ahead", "encode_once", "planes_of"]

KINDS = {
    "gray": (1, False),
    "gray and alpha": (2, False),
    "4:2:0": (3, True),
    "4:4:4": (3, False),
    "4:2:0 and alpha": (4, True),
    "4:4:4 and alpha": (4, False),
}
DIAGONAL = np.add.outer(np.arange(8), np.arange(8)).ravel()

Levels = list[NDArray[np.float32]]


def planes_of(kind: str, height: int, width: int) -> list[Plane]:
    """Return the planes of a strip of so many pixels."""
    channels, subsampled = KINDS[kind]
    return Main(channels, subsampled, 1000).planes(height, width)


def draw_wanted(
    kind: str, rows: int, columns: int, seed: int, *, scale: float = 3.0, last: int = LAST, **options: Any
) -> tuple[list[Plane], list[Wanted]]:
    """Draw planes and coefficients for so many squares of 32 x 32: the lower the frequency, the larger.

    Parameters
    ----------
    kind : str
        A key of `KINDS`.
    rows, columns : int
        Squares of 32 x 32 pixels.
    seed : int
    scale : float
        Of coefficients, in steps.
    last : int
        Diagonals after it are all 0.
    options
        Of `Wanted`: weight, optimised, trellis; and sloped, whether chroma has slopes.
    """
    rng = np.random.default_rng(seed)
    options = {"weight": 0.12, "optimised": False, **options}
    sloped = options.pop("sloped", False)
    planes, wanted = planes_of(kind, 32 * rows, 32 * columns), []
    for plane in planes:
        if plane.chroma:
            # As a decoder derives them of luma, but not by its own function.
            sizes = np.maximum(wanted[0].sizes[::2, ::2] // 2, 8) if plane.half else wanted[0].sizes
        else:
            whole, half = rng.random((rows, columns)) < 0.3, rng.random((2 * rows, 2 * columns)) < 0.4
            sizes = np.where(grow(whole, 4), 32, np.where(grow(half, 2), 16, 8)).astype(np.uint8)
        cells = rng.laplace(0, 1, (64, plane.rows, plane.columns)) * (scale / (1 + DIAGONAL**1.5))[:, None, None]
        cells[last < DIAGONAL] = 0
        cells[0] *= 20
        slopes = None
        if sloped and plane.chroma:
            areas = map_shape(8 * plane.rows, 8 * plane.columns)
            slopes = rng.integers(-STEEPEST, STEEPEST + 1, areas).astype(np.int8)
        wanted.append(Wanted(cells.astype(np.float32), sizes, slopes=slopes, **options))
    return planes, wanted


def encode(planes: Sequence[Plane], wanted: Sequence[Wanted]) -> tuple[bytes, list[CodedPlane], Levels]:
    """Code a strip as an encoder does; return its bytes, and what the encoder says that a decoder will have of it."""
    coders: list[PlaneEncoder] = []
    coded: list[CodedPlane] = []
    for plane, of_plane in zip(planes, wanted, strict=True):
        coder, result = encode_plane(plane, of_plane, coded, trained())
        coders.append(coder)
        coded.append(result)
    return _finish(coders, coded)


def encode_ahead(planes: Sequence[Plane], wanted: Sequence[Wanted]) -> tuple[bytes, list[CodedPlane], Levels]:
    """Do the same, but keep the levels of a trellis even where others cost less."""
    with mock.patch.object(PlaneEncoder, "cost", lambda coder, _: 0 if coder.head.trellis else 1):
        return encode(planes, wanted)


def encode_once(
    planes: Sequence[Plane],
    wanted: Sequence[Wanted],
    *,
    explicit: bool = False,
    given: Sequence[NDArray[np.float32]] | None = None,
) -> tuple[bytes, list[CodedPlane], Levels]:
    """Code a strip in a single attempt at each plane, explicit or not, with levels of a trellis that are given."""
    coders: list[PlaneEncoder] = []
    coded: list[CodedPlane] = []
    for number, (plane, of_plane) in enumerate(zip(planes, wanted, strict=True)):
        of_trellis = None if given is None else given[number]
        coders.append(PlaneEncoder(plane, of_plane, trained(), explicit=explicit, given=of_trellis))
        coded.append(code_plane(coders[-1], plane, coded))
    return _finish(coders, coded)


def _finish(coders: Sequence[PlaneEncoder], coded: list[CodedPlane]) -> tuple[bytes, list[CodedPlane], Levels]:
    return join(coders), coded, [coder.decoded(result) for coder, result in zip(coders, coded, strict=True)]


def decode(planes: Sequence[Plane], data: bytes, at: int = 0) -> tuple[list[CodedPlane], Levels]:
    """Decode a strip that begins at a byte, and ends with the data."""
    coder = StripDecoder(data, at, planes, trained())
    coded = code_strip(coder, planes)
    return coded, coder.levels(coded)
