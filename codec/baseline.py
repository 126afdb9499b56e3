"""The baseline profile: JPEG's stages, laid out for whole arrays.

    encode   pixels -> blocks -> luma and chroma -> DCT -> levels -> bytes
    decode   bytes -> levels -> inverse DCT [-> restoration] -> luma and chroma -> pixels

A strip is a band of macroblock rows that is coded on its own (`codec.image`). Its planes come in groups of the same
kind: luma alone, Cb and Cr together, alpha alone. Alpha is a plane like luma, with steps of its own.

At the second of two efforts luma is restored by a small network (`codec.restoration`), in each strip that is closer to
the original with it. That takes 8 to 9 % off the bits for the same PSNR of luma, and a picture then takes 20 times as
long to encode, 25 times to decode (11 to 38 times, the more the lower the rate). Speed is what this profile is for, and
`codec.main` makes smaller files in less: so it is not the default.

The parameters in a file's header are 4 bytes: the number of the table of steps in `TABLES`, the quality in 1/100
(2 bytes), and a byte that is 1 if strips may be restored, or else 0. If it is 1, each strip begins with a byte of its
own: 1 if its luma is restored, or else 0.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import CodecError, FormatError, TruncatedError
from codec import blocks, color, dct, quantize, restoration
from codec.coefficients import Coded, Shape, decode_levels, encode_levels
from codec.stages import Stages

__all__ = ["FAST", "RESTORED", "Baseline", "Group"]

TABLES = ("jpeg", "flat", "sloped")  # numbers in the header
TUNES = {"psnr": "flat", "ms-ssim": "sloped"}  # which table is best by which measure
PARAMETERS = struct.Struct(">BHB")
FAST, RESTORED = 1, 2  # efforts
BAND = 1 << 16  # pixels transformed at a time, so that their planes stay in a level-2 cache


class Group(NamedTuple):
    """Planes that are transformed, quantised and coded alike.

    Attributes
    ----------
    planes : tuple of str
        Names: ("Y",), ("Cb", "Cr") or ("A",).
    size : int
        Side of the block of pixels behind 64 coefficients: 8, or 16 for chroma at half resolution.
    steps : (64,) int64 array
        Quantiser steps in 1/16, in zigzag order.
    """

    planes: tuple[str, ...]
    size: int
    steps: NDArray[np.int64]


@dataclass(frozen=True)
class Baseline:
    """The stages for one kind of picture at one quality.

    Attributes
    ----------
    channels : int
        1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
    subsampled : bool
        Whether chroma has half the resolution (4:2:0).
    tables : str
        A key of `quantize.TABLES`.
    quality : float
        In [0, 100], in steps of 0.01.
    deadzone : float
        See `quantize.Table`; a file does not tell it, and a decoder does without.
    restored : bool
        Whether strips say if they are restored.
    """

    STAGES: ClassVar[Stages] = {
        "tables": "JPEG's own steps, those of Annex K",
        "deadzone": "plain rounding to the nearest level",
        "restoration": "no restoration, as at effort 1",
    }
    TUNES: ClassVar[Mapping[str, str]] = TUNES
    STRIP: ClassVar[int] = 1 << 19  # enough lanes for the entropy decoder, and little enough to lose
    PIXELS_A_BYTE: ClassVar[int] = 64 * 4  # a block takes two bits, a code word for DC and one for the end of its AC

    channels: int
    subsampled: bool
    tables: str
    quality: float
    deadzone: float = field(default=0.0, compare=False)
    restored: bool = False

    @classmethod
    def choose(
        cls,
        channels: int,
        subsampled: bool,
        quality: float,
        tune: str,
        *,
        tables: str | None = None,
        effort: int | None = None,
        without: Collection[str] = (),
    ) -> Baseline:
        """Choose the stages for an encoder: `tables` overrides what `tune` would choose, `without` leaves some out."""
        if tune not in TUNES:
            raise CodecError(f"unknown tune {tune!r}; known are {', '.join(TUNES)}")
        if effort not in (None, FAST, RESTORED):
            raise CodecError(
                f"effort {effort}; the baseline profile knows {FAST}, fast, and {RESTORED}, with restoration"
            )
        if tables is not None and tables not in TABLES:
            raise CodecError(f"unknown tables {tables!r}; known are {', '.join(TABLES)}")
        chosen = tables or TUNES[tune]
        deadzone = 0.0 if "deadzone" in without else quantize.TABLES[chosen].deadzone
        if "tables" in without:
            chosen = "jpeg"
        # Rounded as the header will say it: encoder and decoder must take the same steps.
        restored = effort == RESTORED and "restoration" not in without
        return cls(channels, subsampled, chosen, round(100 * quality) / 100, deadzone, restored)

    @classmethod
    def from_bytes(cls, parameters: bytes, channels: int, subsampled: bool) -> Baseline:
        """Read the parameters in a file's header, or raise FormatError."""
        if len(parameters) != PARAMETERS.size:
            raise FormatError(f"{len(parameters)} bytes of parameters; the baseline profile has {PARAMETERS.size}")
        table, hundredths, restored = PARAMETERS.unpack(parameters)
        if table >= len(TABLES) or hundredths > 10_000 or restored > 1:
            raise FormatError(
                f"table {table} at quality {hundredths / 100}, restoration {restored}: not in the baseline profile"
            )
        return cls(channels, subsampled, TABLES[table], hundredths / 100, restored=bool(restored))

    def to_bytes(self) -> bytes:
        """Write the parameters for a file's header."""
        return PARAMETERS.pack(TABLES.index(self.tables), round(100 * self.quality), self.restored)

    @property
    def macroblock(self) -> int:
        """Side of a macroblock in pixels: strips are multiples of it."""
        return 16 if self.subsampled else 8

    @cached_property
    def groups(self) -> list[Group]:
        """The groups of planes, in the order of the file."""
        luma, chroma = quantize.scale(quantize.TABLES[self.tables], self.quality)
        groups = [Group(("Y",), 8, luma)]
        if self.channels >= 3:
            groups.append(Group(("Cb", "Cr"), self.macroblock, chroma))
        if self.channels in (2, 4):
            groups.append(Group(("A",), 8, _alpha_steps(self.quality)))
        return groups

    @cached_property
    def inverses(self) -> list[dct.Inverse]:
        """The inverse transform of each group: chroma in levels, luma and alpha as `color.add_luma` wants them."""
        units = [1 if group.planes == ("Cb", "Cr") else color.LUMA_UNIT for group in self.groups]
        return [_inverse(tuple(group.steps.tolist()), unit) for group, unit in zip(self.groups, units, strict=True)]

    def shapes(self, height: int, width: int) -> list[Shape]:
        """Return the shape of each group of levels, without the 64, in a strip of so many pixels."""
        return [(len(group.planes), height // group.size, width // group.size) for group in self.groups]

    def encode_strip(self, pixels: NDArray[np.uint8]) -> bytes:
        """Code a strip.

        Parameters
        ----------
        pixels : (H, W, channels) uint8 array
            H and W are multiples of a macroblock's side.

        Returns
        -------
        bytes
        """
        levels = self.forward(pixels)
        decision = bytes([self._helps(pixels, levels[0][0])]) if self.restored else b""
        return decision + encode_levels(levels)

    def forward(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.int16]]:
        """Transform and quantise a strip to its groups of levels, (planes, rows, columns, 64) each."""
        levels = [np.empty((*shape, 64), np.int16) for shape in self.shapes(*pixels.shape[:2])]
        for first, last in self._bands(*pixels.shape[:2]):
            cut = blocks.split(pixels[first:last], 8, self.macroblock // 8)  # in the order of macroblocks
            for group, planes, of_group in zip(self.groups, _to_planes(cut, self.channels), levels, strict=True):
                inside = self.macroblock // group.size  # blocks along a macroblock's side
                for plane, out in zip(planes, of_group, strict=True):
                    coefficients = dct.forward(plane.reshape(-1, group.size**2))
                    quantized = quantize.quantize(coefficients, group.steps, self.deadzone)
                    out[first // group.size : last // group.size] = blocks.raster(
                        quantized.reshape(*cut.shape[:2], inside, inside, 64)
                    )
        return levels

    def decode_strip(self, data: bytes, at: int, pixels: NDArray[np.uint8]) -> None:
        """Decode a strip.

        Parameters
        ----------
        data : bytes
            What holds the strip; it ends with it.
        at : int
            Index of its first byte.
        pixels : (H, W, channels) uint8 array
            Where to; H and W are multiples of a macroblock's side.

        Raises
        ------
        FormatError, TruncatedError
            Whatever the bytes are.
        """
        self.reconstruct(*self.read_strip(data, at, *pixels.shape[:2]), pixels)

    def read_strip(self, data: bytes, at: int, height: int, width: int) -> tuple[bool, list[Coded]]:
        """Decode whether a strip is restored, and its levels, group by group."""
        restored = False
        if self.restored:
            if at >= len(data):
                raise TruncatedError("a strip without any bytes")
            if data[at] > 1:
                raise FormatError(f"a strip's restoration is {data[at]}, neither 0 nor 1")
            restored, at = bool(data[at]), at + 1
        return restored, decode_levels(data, at, self.shapes(height, width))

    def reconstruct(self, restored: bool, groups: list[Coded], pixels: NDArray[np.uint8]) -> None:
        """Turn the levels of a strip into pixels."""
        height, width, _ = pixels.shape
        whole = self.restore(groups[0].levels(0))[1] if restored else None
        halves = np.empty((3, height // 2, width // 2), np.int16) if self.subsampled else None
        if halves is not None:  # first of all, since to double them a band needs its neighbours
            for first, last in self._bands(height // 2, width // 2):
                halves[:, first:last] = self._chroma_offsets(groups[1], first, last)
        for first, last in self._bands(height, width):
            band, offsets = pixels[first:last], None
            if halves is not None:
                offsets = color.upsample(halves, first // 2, last // 2)
            elif self.channels >= 3:
                offsets = 16 * self._chroma_offsets(groups[1], first, last)  # what upsampling multiplies by
            luma = self.inverses[0](groups[0].levels(0, first // 8, last // 8)) if whole is None else whole[first:last]
            color.add_luma(luma, offsets, band[..., : 3 if self.channels >= 3 else 1])
            if self.channels in (2, 4):
                alpha = self.inverses[-1](groups[-1].levels(0, first // 8, last // 8))
                color.add_luma(alpha, None, band[..., -1:])

    def restore(self, levels: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Reconstruct luma with restoration.

        Parameters
        ----------
        levels : (rows, columns, 64) float32 array
            Luma's, whole numbers, in zigzag order.

        Returns
        -------
        plain, restored : (8 * rows, 8 * columns) float32 arrays
            Without restoration and with it, centred on 0, in 1/32.
        """
        inverse, steps = self.inverses[0], self.groups[0].steps
        plain = np.empty((8 * levels.shape[0], 8 * levels.shape[1]), np.float32)
        for first, last in self._bands(*plain.shape):
            plain[first:last] = inverse(levels[first // 8 : last // 8])
        corrections = restoration.restore(plain, levels, steps)
        restored = np.empty_like(plain)
        for first, last in self._bands(*plain.shape):
            moved = inverse(corrections[first // 8 : last // 8])
            moved *= np.float32(1 / restoration.CORRECTION_UNIT)
            np.add(plain[first:last], moved, out=restored[first:last])
        return plain, restored

    def _helps(self, pixels: NDArray[np.uint8], levels: NDArray[np.int16]) -> bool:
        """Tell whether restoration brings luma closer to the original."""
        ((wanted, *_), *_) = _to_planes(pixels, self.channels)
        wanted *= np.float32(color.LUMA_UNIT)
        # Sums of squares of whole numbers, exact in float64: the same decision on every machine.
        errors = [np.rint(luma).astype(np.float64) - wanted for luma in self.restore(levels.astype(np.float32))]
        plain, restored = (np.vdot(error, error) for error in errors)
        return bool(restored < plain)

    def _chroma_offsets(self, chroma: Coded, first: int, last: int) -> NDArray[np.int16]:
        """Return what chroma adds to luma in some rows of its samples."""
        cb, cr = (self.inverses[1](chroma.levels(plane, first // 8, last // 8)) for plane in (0, 1))
        return color.chroma_offsets(cb, cr)

    def _bands(self, height: int, width: int) -> Iterator[tuple[int, int]]:
        """Cut a strip into bands of rows."""
        rows = max(1, BAND // (width * self.macroblock)) * self.macroblock
        for first in range(0, height, rows):
            yield first, min(first + rows, height)


@lru_cache(maxsize=64)
def _inverse(steps: tuple[int, ...], unit: int) -> dct.Inverse:
    """Return the inverse transform for steps; files of one quality share it."""
    return dct.Inverse(np.array(steps, np.int64), unit)


def _alpha_steps(quality: float) -> NDArray[np.int64]:
    """Return the steps of alpha: 8, 4, 2 or 1.

    Errors of alpha are seen as fringes around a cut-out, so its steps are finer than luma's. Powers of two up to 8
    divide the DC of an opaque block (8 * 127) and of a transparent one (8 * -128): both come back without any error.
    """
    step = 8 if quality < 50 else 4 if quality < 80 else 2 if quality < 95 else 1
    return np.full(64, step * quantize.UNIT, np.int64)


def _to_planes(cut: NDArray[np.uint8], channels: int) -> list[list[NDArray[np.float32]]]:
    """Separate the channels of blocks into planes centred on 0, group by group."""
    planes = []
    if channels >= 3:
        y, cb, cr = color.rgb_to_ycbcr(cut[..., :3])
        planes += [[y], [cb, cr]]
    else:
        planes.append([cut[..., 0].astype(np.float32) - color.CENTRE])
    if channels in (2, 4):
        planes.append([cut[..., -1].astype(np.float32) - color.CENTRE])
    return planes
