"""The token profile: blocks as the tokens of small networks, which predict, and correct, what is sent.

    encode   pixels -> planes -> 8 x 8 DCT -> four passes: predict, transform, code what was missed -> bytes
    decode   bytes -> four passes: add to the prediction what was missed -> correct -> inverse DCT -> filter -> pixels

Luma has plain blocks of 8 x 8, no larger ones and no filters before the transform. What makes up for them is learned,
each part in a file of its own:

    transformers_np.token_network      predicts a block from those around it, and later corrects it
    transformers_np.token_contexts     passes, and how large levels are likely to be
    transformers_np.token_transforms   what predictions miss, in the transform that each block chooses
    transformers_np.token_strip        the walk through all that
    transformers_np.token_model        what was learned (`benchmarks.train_tokens`)

DC, chroma, alpha, the entropy coder and the loop filter are those of the main profile, and without all that is learned
so is luma: the control that this profile is measured against has the same strips as the main profile has with small
blocks and without filters (a test says so).

A strip begins with a byte: 1 if the network corrects luma, 2 if the loop filter is on, or their sum; the rest is as in
`codec.context_strip`, but for what `transformers_np.token_strip` tells about signs. The parameters in a file's header
are 3 bytes: the step in 1/64 (2 bytes); and 0 if luma is coded as in the main profile, or 1, and 2 more if passes are
predicted, and 4 more if blocks choose transforms, and 8 more for each pass that is not sent.

Measured on 12 pictures of Kodak, BD-rate by Y-PSNR, tuned for it, against controls that have tables of their own
(`python -m benchmarks.token_controls`): -14.0 % at 4:2:0 where the control has no filter, -10.5 % where it has the main
profile's loop filter, -8.4 % where neither has one. Of luma alone it is 1.2 % less each time: with equal steps luma is
coded finer here than in the control, so that at the same quality chroma is coarser. Against the main profile: +0.9 %.

Single stages (`tcodec rd --ablate`): without prediction it takes 5.5 % more, without transforms 1.0 %, restoration
1.3 %, the loop filter 4.9 %, RDOQ 5.9 %; in the order and with the contexts of the main profile, which leaves out
prediction and transforms as well, 9.6 %. To leave out passes only pays below 0.02 bits a pixel (`benchmarks.imagined`).
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitstreams.errors import CodecError, FormatError, TruncatedError
from codec import lapped, loop_filter
from codec.block_choice import activity
from codec.context_strip import CodedPlane, Plane, code_plane, code_strip, to_cells
from codec.main import FINEST, Main, step_at
from codec.main import TUNES as MAIN_TUNES
from codec.main import WEIGHT as PLAIN_WEIGHT
from codec.scan import ZIGZAG
from codec.stages import Stages
from codec.strip_encoder import PlaneEncoder, encode_plane, join
from transformers_np.token_contexts import PASSES
from transformers_np.token_model import Learned, learned
from transformers_np.token_network import FRACTION
from transformers_np.token_strip import WEIGHT, Blocks, TokenDecoder, Uses, code_tokens, encode_tokens, to_samples

__all__ = ["FILTERED", "RESTORED", "Tokens"]

PARAMETERS = struct.Struct(">HB")
IN_PASSES, PREDICTED, SWITCHED = 1, 2, 4  # flags in the header
HIDDEN = 8  # what the number of passes that are not sent is multiplied by there
UNSENT = {"last-pass": 1, "last-two-passes": 2, "last-three-passes": 3}
RESTORED, FILTERED = 1, 2  # in a strip


Reader = TypeVar("Reader", bound=TokenDecoder)


class DecodedStrip(NamedTuple):
    """What a strip holds.

    Attributes
    ----------
    flags : int
        `RESTORED`, `FILTERED`, or their sum.
    coded : list of CodedPlane
        Of all planes.
    blocks : Blocks
        Luma's.
    others : list of (64, rows, columns) float32 arrays
        Levels of the other planes.
    """

    flags: int
    coded: list[CodedPlane]
    blocks: Blocks
    others: list[NDArray[np.float32]]


@dataclass(frozen=True)
class Tokens:
    """The stages for one kind of picture at one quality."""

    STAGES: ClassVar[Stages] = {
        "passes": "the main profile's order and contexts, without prediction and transforms",
        "prediction": "passes of which nothing is predicted",
        "transforms": "the cosine transform for every block",
        "restoration": "coefficients as they were decoded",
        "loop-filter": "samples as the transform leaves them",
        "rdoq": "rounding with a deadzone",
        "last-pass": "a quarter of the tokens as they are imagined",
        "last-two-passes": "half of them",
        "last-three-passes": "three quarters of them",
    }
    TUNES: ClassVar[Mapping[str, float]] = {name: tune.adaptation for name, tune in MAIN_TUNES.items()}
    STRIP: ClassVar[int] = Main.STRIP
    PIXELS_A_BYTE: ClassVar[int] = Main.PIXELS_A_BYTE

    channels: int
    subsampled: bool
    step: int
    flags: int = IN_PASSES | PREDICTED | SWITCHED
    tune: str = field(default="psnr", compare=False)
    without: Collection[str] = field(default=(), compare=False)
    tables: Learned = field(default_factory=learned, compare=False, repr=False)

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
    ) -> Tokens:
        """Choose the stages for an encoder."""
        if tune not in cls.TUNES:
            raise CodecError(f"unknown tune {tune!r}; known are {', '.join(cls.TUNES)}")
        if tables is not None:
            raise CodecError("the token profile has no choice of tables; it goes by --tune")
        if effort is not None:
            raise CodecError("the token profile knows only one effort")
        named = {IN_PASSES: "passes", PREDICTED: "prediction", SWITCHED: "transforms"}
        flags = 0 if "passes" in without else sum(flag for flag, name in named.items() if name not in without)
        if flags:
            flags += HIDDEN * max((hidden for name, hidden in UNSENT.items() if name in without), default=0)
        return cls(channels, subsampled, step_at(quality), flags, tune, without)

    @classmethod
    def from_bytes(cls, parameters: bytes, channels: int, subsampled: bool) -> Tokens:
        """Read the parameters in a file's header, or raise FormatError."""
        if len(parameters) != PARAMETERS.size:
            raise FormatError(f"{len(parameters)} bytes of parameters; the token profile has {PARAMETERS.size}")
        step, flags = PARAMETERS.unpack(parameters)
        if step < FINEST or flags >= HIDDEN * PASSES or (flags and not flags & IN_PASSES):
            raise FormatError(f"step {step}, flags {flags} are not in the token profile")
        return cls(channels, subsampled, step, flags)

    def to_bytes(self) -> bytes:
        """Write the parameters for a file's header."""
        return PARAMETERS.pack(self.step, self.flags)

    @cached_property
    def main(self) -> Main:
        """What codes chroma and alpha: the main profile, with blocks of 8 x 8, without filters of any kind."""
        without = {"large-blocks", "lapping", "chroma-from-luma", "loop-filter", *(set(self.without) & {"rdoq"})}
        return Main(self.channels, self.subsampled, self.step, "psnr", False, without=without, tables=self.tables.plain)

    @property
    def sent(self) -> int:
        """How many passes are sent, 1 to 4."""
        return PASSES - self.flags // HIDDEN

    @property
    def _uses(self) -> Uses:
        return Uses(bool(self.flags & PREDICTED), bool(self.flags & SWITCHED), self.sent)

    @property
    def macroblock(self) -> int:
        """Side of what strips are multiples of, that of the main profile."""
        return self.main.macroblock

    def planes(self, height: int, width: int) -> list[Plane]:
        """Return the planes of a strip of so many pixels."""
        planes = self.main.planes(height, width)
        if self.flags:
            planes[0] = planes[0]._replace(model=self.tables.luma)
        return planes

    def encode_strip(self, pixels: NDArray[np.uint8]) -> bytes:
        """Code a strip: (H, W, channels) uint8, both sides multiples of 32."""
        planes, samples = self.planes(*pixels.shape[:2]), self.main.samples(pixels)
        coders: list[PlaneEncoder] = []
        coded: list[CodedPlane] = []
        for number, (plane, of_plane, steps) in enumerate(zip(planes, samples, self.main.steps, strict=True)):
            wanted, _ = self.main.want(plane, of_plane, steps, coded, np.zeros((0, 0), np.float32))
            by_networks = bool(self.flags) and not number
            weight = WEIGHT if by_networks else PLAIN_WEIGHT
            weights = weight * activity(wanted.cells, wanted.sizes) ** self.TUNES[self.tune]
            wanted = wanted._replace(weight=weights)
            if by_networks:
                coder, result = encode_tokens(
                    plane, wanted, self.tables.model, self.tables.plain, self.step, self._uses
                )
                coders.append(coder)
                coded.append(result.coded)
                blocks = result.finish(coder.late())
            else:
                plain, of_coder = encode_plane(plane, wanted, coded, self.tables.plain)
                coders.append(plain)
                coded.append(of_coder)
                if not number:
                    blocks = self._blocks(plain.decoded(of_coder))
        return bytes([self.choose_finish(blocks, samples[0])]) + join(coders)

    def _blocks(self, cells: NDArray[np.float32]) -> Blocks:
        """Return the blocks of levels that were not predicted: (64, rows, columns)."""
        blocks = Blocks(cells[0].astype(np.int32), self.step)
        blocks.put_all(np.float32(FRACTION) * cells[ZIGZAG[1:]])
        return blocks

    def choose_finish(self, blocks: Blocks, samples: NDArray[np.float32]) -> int:
        """Return which of `RESTORED` and `FILTERED` bring blocks closer to the samples that were wanted."""
        wanted = lapped.SAMPLE_UNIT * samples
        best, least = 0, float(np.square(self.finish(blocks, 0) - wanted).sum(dtype=np.float64))
        for flag, name in ((RESTORED, "restoration"), (FILTERED, "loop-filter")):
            if name not in self.without:
                error = float(np.square(self.finish(blocks, best | flag) - wanted).sum(dtype=np.float64))
                if error < least:
                    best, least = best | flag, error
        return best

    def finish(self, blocks: Blocks, flags: int) -> NDArray[np.float32]:
        """Turn blocks into samples in 1/8, with what the flags of a strip say."""
        model = self.tables.model
        samples = to_samples(blocks.restored(model.restoration) if flags & RESTORED else blocks.coefficients, self.step)
        return loop_filter.apply(samples, self.step, self.tables.luma.filters["psnr"]) if flags & FILTERED else samples

    def decode_strip(self, data: bytes, at: int, pixels: NDArray[np.uint8]) -> None:
        """Decode a strip; parameters and errors are those of `codec.main.Main.decode_strip`."""
        planes = self.planes(*pixels.shape[:2])
        strip, _ = self.read_strip(data, at, planes, TokenDecoder)
        samples = [self.finish(strip.blocks, strip.flags)]
        for each, levels, steps in zip(strip.coded[1:], strip.others, self.main.steps[1:], strict=True):
            samples.append(self.main.restore(each, levels, steps, None))
        self.main.to_pixels(samples, pixels)

    def read_strip(
        self, data: bytes, at: int, planes: Sequence[Plane], reader: type[Reader]
    ) -> tuple[DecodedStrip, Reader]:
        """Read a strip of such planes: what it holds, and what has read it."""
        if at >= len(data):
            raise TruncatedError("the strip is empty")
        if data[at] > RESTORED | FILTERED:
            raise FormatError(f"flags {data[at]:#b} of a strip")
        coder = reader(data, at + 1, planes, self.tables.plain)
        if self.flags:
            tokens = code_tokens(coder, planes[0], self.tables.model, self.step, self._uses)
            coded = [tokens.coded]
            for plane in planes[1:]:
                coded.append(code_plane(coder, plane, coded))
            late, *signed = coder.signed([tokens.late, *(each.magnitudes for each in coded[1:])], [None] * len(coded))
            blocks = tokens.finish(late)
            others = [to_cells(each.dc, of_plane) for each, of_plane in zip(coded[1:], signed, strict=True)]
        else:
            coded = code_strip(coder, planes)
            first, *others = coder.levels(coded)
            blocks = self._blocks(first)
        return DecodedStrip(data[at], coded, blocks, others), coder
