"""The main profile: what makes a file half as large as JPEG's.

    encode   pixels -> planes -> sizes of blocks -> lapped transform -> levels -> bytes
    decode   bytes -> levels -> inverse transform -> loop filter -> pixels

It has the baseline's stages, each in a form that takes more work and fewer bits, and each in a file of its own:

    codec.lapped           blocks of 8, 16 and 32 pixels, with trained filters across their edges
    codec.block_sizes      the tree of sizes; `codec.block_choice` decides which is worth what
    codec.chroma_from_luma what luma tells about chroma
    codec.rdoq             levels that are worth their bits
    codec.trellis          levels in between, for encoders with time
    codec.dc_pyramid       DC levels from coarse to fine
    codec.contexts         all other levels, by how large they are expected to be
    bitstreams.rans        the entropy coder for all that
    codec.loop_filter      what quantisation left is smoothed away

What they have learned from photographs comes with the package (`codec.trained`).

A strip begins with a byte whose bits tell which planes are filtered, the first plane's the lowest; the rest is
described in `codec.context_strip`. The parameters in a file's header are 4 bytes: the step of luma's DC in 1/64
(2 bytes), the number of the tune in `TUNES`, and a byte that is 1 if nothing is filtered across the edges of blocks, or
else 0.

A decoder's result is the same on every machine. An encoder's choices are made in floats, so that its bytes may differ
from machine to machine where two choices are nearly as good.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import CodecError, FormatError, TruncatedError
from codec import chroma_from_luma, color, lapped, loop_filter
from codec.block_choice import activity, choose_by_coding, choose_sizes, guess_cost
from codec.context_strip import CodedPlane, Plane, StripDecoder, code_strip, sizes_of_chroma
from codec.lapped import Steps
from codec.stages import Stages
from codec.strip_encoder import PlaneEncoder, Wanted, encode_plane, join
from codec.trained import Trained, trained

__all__ = ["DEFAULT_EFFORT", "EFFORTS", "TUNES", "WEIGHT", "Main", "Tune", "step_at"]

Reader = TypeVar("Reader", bound=StripDecoder)

DEFAULT_EFFORT = 5
EFFORTS = range(1, 10)
# From which effort on an encoder chooses levels by what they cost; tries large blocks; tries whether a filter helps;
# tries what luma tells about chroma; asks the coder itself what sizes of blocks cost. Filters not tried are on.
OPTIMISES, TRIES_SIZES, TRIES_FILTERS, TRIES_LUMA, CODES_SIZES = 2, 3, 4, 5, 6
TRELLIS_ATTEMPTS = {7: 1, 8: 2, 9: 4}  # at levels that look ahead; each finds less than the one before


class Tune(NamedTuple):
    """What makes pictures good by one measure.

    Attributes
    ----------
    slope : float
        By how much steps grow with frequency (`codec.lapped.Steps`).
    half, full : (float, float)
        Steps of Cb and Cr, in luma's, at half resolution and at full.
    adaptation : float
        How much less a level is worth where there is more to see anyway: the power of a block's activity that lambda
        grows with (`codec.block_choice.activity`).
    """

    slope: float
    half: tuple[float, float]
    full: tuple[float, float]
    adaptation: float


# Chosen on photographs that are in no benchmark of this project. Cr counts for a little less than Cb, since an error of
# it is spread over more of R, G and B.
TUNES = {
    "psnr": Tune(0.0, (0.8, 0.9), (1.18, 1.34), 0.0),
    "ms-ssim": Tune(0.15, (1.0, 1.12), (1.4, 1.6), 0.4),
}
NAMES = tuple(TUNES)  # numbers in the header
PARAMETERS = struct.Struct(">HBB")
STEP_50 = 24  # luma's step at quality 50: at 75 a picture is about as good as JPEG's
FINEST, COARSEST = lapped.COEFFICIENT_UNIT, 65_535  # steps in 1/64
ALPHA_STEP = 4 * lapped.COEFFICIENT_UNIT  # the coarsest step of alpha; flat areas come back without any error
WEIGHT = 0.12  # lambda of `codec.rdoq`, in squared steps a bit
UNLAPPED = 1


class EncodedPlane(NamedTuple):
    """A plane as an encoder leaves it.

    Attributes
    ----------
    coder : PlaneEncoder
        What is written of it.
    coded : CodedPlane
        What a decoder will read.
    decoded : (8 * rows, 8 * columns) float32 array or None
        Its samples in 1/8, before the loop filter; None at efforts that decide nothing by them.
    filtered : bool
        Whether there is one.
    """

    coder: PlaneEncoder
    coded: CodedPlane
    decoded: NDArray[np.float32] | None
    filtered: bool


@dataclass(frozen=True)
class Main:
    """The stages for one kind of picture at one quality.

    Attributes
    ----------
    channels : int
        1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
    subsampled : bool
        Whether chroma has half the resolution (4:2:0).
    step : int
        Step of luma's DC, in 1/64.
    tune : str
        A key of `TUNES`.
    lapped : bool
        Whether there are filters across the edges of blocks.
    effort : int
        How hard an encoder tries: 1 to 9.
    without : collection of str
        Stages that an encoder leaves out.
    tables : Trained
        What comes with the package, or what training has come to.
    """

    STAGES: ClassVar[Stages] = {
        "large-blocks": "blocks of 8 x 8 only",
        "lapping": "no filter across the edges of blocks",
        "chroma-from-luma": "chroma by itself",
        "rdoq": "rounding with a deadzone",
        "loop-filter": "samples as the transform leaves them",
    }
    TUNES: ClassVar[Mapping[str, Tune]] = TUNES
    STRIP: ClassVar[int] = 1 << 20  # enough lanes for the entropy decoder, and little enough to lose
    PIXELS_A_BYTE: ClassVar[int] = 1 << 18  # a strip has at most 2**22 pixels, and takes at least 16 bytes

    channels: int
    subsampled: bool
    step: int
    tune: str = "psnr"
    lapped: bool = True
    effort: int = field(default=DEFAULT_EFFORT, compare=False)
    without: Collection[str] = field(default=(), compare=False)
    tables: Trained = field(default_factory=trained, compare=False, repr=False)

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
    ) -> Main:
        """Choose the stages for an encoder."""
        if tune not in TUNES:
            raise CodecError(f"unknown tune {tune!r}; known are {', '.join(TUNES)}")
        if tables is not None:
            raise CodecError("the main profile has no choice of tables; it goes by --tune")
        effort = DEFAULT_EFFORT if effort is None else effort
        if effort not in EFFORTS:
            raise CodecError(f"effort {effort} is outside {EFFORTS[0]} to {EFFORTS[-1]}")
        return cls(channels, subsampled, step_at(quality), tune, "lapping" not in without, effort, without)

    @classmethod
    def from_bytes(cls, parameters: bytes, channels: int, subsampled: bool) -> Main:
        """Read the parameters in a file's header, or raise FormatError."""
        if len(parameters) != PARAMETERS.size:
            raise FormatError(f"{len(parameters)} bytes of parameters; the main profile has {PARAMETERS.size}")
        step, tune, flags = PARAMETERS.unpack(parameters)
        if step < FINEST or tune >= len(NAMES) or flags > UNLAPPED:
            raise FormatError(f"step {step}, tune {tune}, flags {flags} are not in the main profile")
        return cls(channels, subsampled, step, NAMES[tune], not flags)

    def to_bytes(self) -> bytes:
        """Write the parameters for a file's header."""
        return PARAMETERS.pack(self.step, NAMES.index(self.tune), UNLAPPED * (not self.lapped))

    @property
    def names(self) -> Sequence[str]:
        """Names of its planes."""
        return ("Y", "Cb", "Cr")[: 3 if self.channels >= 3 else 1] + ("A",) * (self.channels in (2, 4))

    @property
    def macroblock(self) -> int:
        """Side of what strips are multiples of: a large block."""
        return lapped.SIZES[-1]

    @cached_property
    def steps(self) -> list[Steps]:
        """Quantiser steps of each plane."""
        tune = TUNES[self.tune]
        lapping = self.tables.lapping if self.lapped else lapped.no_lapping()
        steps = [Steps(self.step, lapping, tune.slope)]
        if self.channels >= 3:
            for ratio in tune.half if self.subsampled else tune.full:
                steps.append(Steps(max(FINEST, round(self.step * ratio)), lapping, tune.slope))
        if self.channels in (2, 4):
            steps.append(Steps(min(self.step, ALPHA_STEP), lapping))
        return steps

    def planes(self, height: int, width: int) -> list[Plane]:
        """Return the planes of a strip of so many pixels: luma, Cb and Cr, alpha, those that it has."""
        models, rows, columns = self.tables.planes, height // 8, width // 8
        planes = [Plane(models["Y"], rows, columns)]
        if self.channels >= 3:
            half = 1 + self.subsampled
            for name in ("Cb 4:2:0", "Cr 4:2:0") if self.subsampled else ("Cb 4:4:4", "Cr 4:4:4"):
                planes.append(Plane(models[name], rows // half, columns // half, chroma=True, half=self.subsampled))
        if self.channels in (2, 4):
            planes.append(Plane(models["Y"], rows, columns))
        return planes

    def encode_strip(self, pixels: NDArray[np.uint8]) -> bytes:
        """Code a strip: (H, W, channels) uint8, both sides multiples of 32."""
        encoded = list(self.encode_planes(self.planes(*pixels.shape[:2]), self.samples(pixels)))
        filters = sum(plane.filtered << i for i, plane in enumerate(encoded))
        return bytes([filters]) + join([plane.coder for plane in encoded])

    def encode_planes(
        self, planes: Sequence[Plane], samples: Sequence[NDArray[np.float32]], *, always: bool = False
    ) -> Iterator[EncodedPlane]:
        """Code the planes of a strip, one after another: each goes by what a decoder has of those before.

        A trellis, at efforts that have one, is used if it costs less, or `always`.
        """
        coded: list[CodedPlane] = []
        luma = np.zeros((0, 0), np.float32)  # at chroma's resolution
        for number, (plane, of_plane, steps) in enumerate(zip(planes, samples, self.steps, strict=True)):
            wanted, along = self.want(plane, of_plane, steps, coded, luma)
            coder, result = encode_plane(plane, wanted, coded, self.tables, always=always)
            coded.append(result)
            filtered, decoded = "loop-filter" not in self.without, None
            if self.effort >= TRIES_FILTERS:
                decoded = self.restore(result, coder.decoded(result), steps, along)
                filtered, final = self._choose_filter(plane, of_plane, decoded, steps)
                if not number:
                    luma = chroma_from_luma.halve(final) if self.subsampled else final
            yield EncodedPlane(coder, result, decoded, filtered)

    def samples(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Turn pixels into planes, centred on 0."""
        if self.channels >= 3:
            y, cb, cr = color.luma_chroma(pixels[..., :3])
            planes = [y, *(color.halve(plane) if self.subsampled else plane for plane in (cb, cr))]
        else:
            planes = [pixels[..., 0] - color.CENTRE]
        if self.channels in (2, 4):
            planes.append(pixels[..., -1] - color.CENTRE)
        return planes

    def want(
        self,
        plane: Plane,
        samples: NDArray[np.float32],
        steps: Steps,
        coded: Sequence[CodedPlane],
        luma: NDArray[np.float32],
    ) -> tuple[Wanted, NDArray[np.float32] | None]:
        """Decide on sizes, prediction and transform of a plane.

        Parameters
        ----------
        plane : Plane
        samples : (8 * rows, 8 * columns) float32 array
            Centred on 0.
        steps : Steps
        coded : sequence of CodedPlane
            The planes before.
        luma : float32 array
            For chroma: luma as a decoder has it, at chroma's resolution and in 1/8.

        Returns
        -------
        wanted : Wanted
        along : (8 * rows, 8 * columns) float32 array or None
            What luma tells, in 1/8; it is not in `wanted`.
        """
        sizes = sizes_of_chroma(plane, coded) if plane.chroma else self.decide_sizes(plane, samples, steps)
        cells, slopes, along = lapped.forward(samples, sizes, steps), None, None
        if plane.chroma and self.effort >= TRIES_LUMA and "chroma-from-luma" not in self.without:
            step = lapped.SAMPLE_UNIT * steps.step / lapped.COEFFICIENT_UNIT
            slopes = chroma_from_luma.fit(luma, lapped.SAMPLE_UNIT * samples, step)
            along = chroma_from_luma.predict(luma, slopes)
            rest = lapped.forward(samples - along / np.float32(lapped.SAMPLE_UNIT), sizes, steps)
            if guess_cost(rest, WEIGHT).sum() < guess_cost(cells, WEIGHT).sum():
                cells = rest
            else:
                slopes = along = None
        weight = WEIGHT * activity(cells, sizes) ** TUNES[self.tune].adaptation
        optimised = self.effort >= OPTIMISES and "rdoq" not in self.without
        trellis = TRELLIS_ATTEMPTS.get(self.effort, 0) if optimised else 0
        return Wanted(cells, sizes, weight, optimised, trellis, slopes), along

    def decide_sizes(self, plane: Plane, samples: NDArray[np.float32], steps: Steps) -> NDArray[np.uint8]:
        """Decide on the sizes of blocks of luma or alpha: (rows, columns)."""
        if self.effort < TRIES_SIZES or "large-blocks" in self.without:
            return np.full((plane.rows, plane.columns), lapped.SIZES[0], np.uint8)
        if self.effort < CODES_SIZES:
            return choose_sizes(samples, steps, WEIGHT)
        return choose_by_coding(plane, samples, steps, WEIGHT, self.tables)

    def _choose_filter(
        self, plane: Plane, wanted: NDArray[np.float32], decoded: NDArray[np.float32], steps: Steps
    ) -> tuple[bool, NDArray[np.float32]]:
        """Return whether a plane is better with the loop filter, and the better one."""
        if "loop-filter" in self.without:
            return False, decoded
        filtered = loop_filter.apply(decoded, steps.step, plane.model.filters[self.tune])
        errors = [np.square(result - lapped.SAMPLE_UNIT * wanted).sum() for result in (decoded, filtered)]
        return (True, filtered) if errors[1] < errors[0] else (False, decoded)

    def restore(
        self,
        coded: CodedPlane,
        levels: NDArray[np.float32],
        steps: Steps,
        along: NDArray[np.float32] | None,
    ) -> NDArray[np.float32]:
        """Turn levels into samples in 1/8, and add what luma tells, if it does."""
        samples = lapped.inverse(levels, coded.sizes, steps, coded.last)
        if along is not None:
            samples += along
        return samples

    def decode_strip(self, data: bytes, at: int, pixels: NDArray[np.uint8]) -> None:
        """Decode a strip.

        Parameters
        ----------
        data : bytes
            What holds the strip; it ends with it.
        at : int
            Index of its first byte.
        pixels : (H, W, channels) uint8 array
            Where to; H and W are multiples of 32.

        Raises
        ------
        FormatError, TruncatedError
            Whatever the bytes are.
        """
        planes = self.planes(*pixels.shape[:2])
        filters, coded, coder = self.read_strip(data, at, planes, StripDecoder)
        every = self.reconstruct(planes, filters, coded, coder.levels(coded))
        self.to_pixels([samples[-1] for samples in every], pixels)

    def read_strip(
        self, data: bytes, at: int, planes: Sequence[Plane], reader: type[Reader]
    ) -> tuple[int, list[CodedPlane], Reader]:
        """Read a strip of such planes: which are filtered, what is coded of each, and what has read them."""
        if at >= len(data):
            raise TruncatedError("the strip is empty")
        filters = data[at]
        if filters >> len(planes):
            raise FormatError(f"filters {filters:#b} for {len(planes)} planes")
        coder = reader(data, at + 1, planes, self.tables)
        return filters, code_strip(coder, planes), coder

    def reconstruct(
        self,
        planes: Sequence[Plane],
        filters: int,
        coded: Sequence[CodedPlane],
        levels: Sequence[NDArray[np.float32]],
    ) -> list[list[NDArray[np.float32]]]:
        """Return the samples of each plane in 1/8: as the transform leaves them, then filtered, if they are."""
        samples: list[list[NDArray[np.float32]]] = []
        luma: NDArray[np.float32] | None = None  # at chroma's resolution
        every = zip(planes, coded, levels, self.steps, strict=True)
        for i, (plane, of_plane, of_levels, steps) in enumerate(every):
            along = None
            if of_plane.slopes is not None:
                if luma is None:
                    luma = chroma_from_luma.halve(samples[0][-1]) if plane.half else samples[0][-1]
                along = chroma_from_luma.predict(luma, of_plane.slopes)
            samples.append([self.restore(of_plane, of_levels, steps, along)])
            if filters >> i & 1:
                samples[i].append(loop_filter.apply(samples[i][0], steps.step, plane.model.filters[self.tune]))
        return samples

    def to_pixels(self, samples: Sequence[NDArray[np.float32]], pixels: NDArray[np.uint8]) -> None:
        """Turn planes in 1/8 into pixels."""
        unit = np.float32(color.LUMA_UNIT / lapped.SAMPLE_UNIT)
        offsets = None
        if self.channels >= 3:
            offsets = color.chroma_offsets(*(plane / np.float32(lapped.SAMPLE_UNIT) for plane in samples[1:3]))
            offsets = color.upsample(offsets) if self.subsampled else 16 * offsets  # what upsampling multiplies by
        color.add_luma(samples[0] * unit, offsets, pixels[..., : 3 if self.channels >= 3 else 1])
        if self.channels in (2, 4):
            color.add_luma(samples[-1] * unit, None, pixels[..., -1:])


def step_at(quality: float) -> int:
    """Return luma's step at a quality, on JPEG's scale (`codec.quantize.scale`), in 1/64."""
    hundredths = max(100, round(100 * quality))
    percent = 50_000_000 // hundredths if hundredths < 5000 else 20_000 - 2 * hundredths  # in 1/100
    step = (STEP_50 * lapped.COEFFICIENT_UNIT * percent + 5000) // 10_000
    return min(max(step, FINEST), COARSEST)
