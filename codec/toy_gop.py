"""A toy codec for video, to be stepped through: I, P and B frames in a hundred lines.

What a video codec does, with nothing that makes one small or fast. For each frame, in the order of coding:

    plan         which decoded frames it is predicted from (`codec.gop.plan_gop`)
    search       for each block, where in each of these it was: all vectors are tried (`codec.motion.full_search`)
    compensate   the blocks found there, put together, are the prediction
    residual     what the prediction leaves: the frame less the prediction
    transform    the residual's DCT, 8 x 8, rounded to whole multiples of a step: the levels
    reconstruct  the prediction, and what the levels say of the residual

Only vectors and levels are sent, so a decoder knows no more than reconstructions. An encoder predicts from these as
well, never from the originals: else both would drift apart, a little more with each frame. Step through a group:

>>> import numpy as np
>>> ground = np.random.default_rng(0).integers(0, 256, (48, 64)).astype(np.uint8)
>>> clip = np.stack([np.roll(ground, (time, time), axis=(0, 1)) for time in range(5)])
>>> for frame in toy_gop(clip, step=24):
...     towards = [tuple(vectors[1, 1].tolist()) for vectors in frame.vectors]
...     print(frame.index, frame.type, frame.references, towards, f"{frame.bits:6,.0f} bits {frame.psnr:.1f} dB")
0 I () [] 10,418 bits 31.4 dB
4 P (0,) [(-4, -4)]  4,923 bits 32.3 dB
2 B (0, 4) [(-2, -2), (2, 2)]  4,690 bits 32.5 dB
1 B (0, 2) [(-1, -1), (1, 1)]  3,757 bits 32.5 dB
3 B (2, 4) [(-1, -1), (1, 1)]  3,789 bits 32.8 dB

The codec itself differs from this in all that makes it good: quarter samples, blocks that are split, skipped, or choose
their references; steps by the frame's level; a filter at the edges of blocks; chroma; bits that are written, not
estimated. `codec.video` is where to begin with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitstreams.entropy import entropy_bits
from codec import blocks, metrics, motion
from codec.dct import dct2, idct2
from codec.gop import plan_gop
from codec.quantize import dequantize, quantize, sloped
from codec.scan import ZIGZAG

__all__ = ["ToyFrame", "toy_gop"]

GRAY = 128  # what a frame is predicted to be if nothing is known
SIDE = 8  # of the blocks that are transformed


@dataclass(frozen=True)
class ToyFrame:
    """A coded frame, and how it came about; R is the number of its references.

    Attributes
    ----------
    index : int
        Place in the clip.
    type : {"I", "P", "B"}
    references : tuple of R ints
        Indices of the frames that it is predicted from.
    vectors : (R, H / size, W / size, 2) int16 array
        For each reference, where each block was in it: (down, right) in samples.
    prediction : (H, W) uint8 array
    residual : (H, W) int16 array
        The frame less the prediction.
    levels : (H / 8, W / 8, 64) int16 array
        What is sent of the residual, in zigzag order.
    reconstruction : (H, W) uint8 array
        What a decoder shows.
    bits : float
        Estimate of what vectors and levels take: their entropy.
    psnr : float
        Of the reconstruction, in dB.
    """

    index: int
    type: str
    references: tuple[int, ...]
    vectors: NDArray[np.int16]
    prediction: NDArray[np.uint8]
    residual: NDArray[np.int16]
    levels: NDArray[np.int16]
    reconstruction: NDArray[np.uint8]
    bits: float
    psnr: float


def toy_gop(
    frames: NDArray[np.uint8], pyramid: int = 4, size: int = 16, reach: int = 7, step: float = 16
) -> Iterator[ToyFrame]:
    """Code a clip as one group of pictures.

    Parameters
    ----------
    frames : (T, H, W) uint8 array
        Luma; H and W are multiples of `size`.
    pyramid : int
        Frames from one I or P frame to the next; 1 is a group without B frames.
    size : {8, 16}
        Side of the blocks that move.
    reach : int
        Longest component of a vector, in samples.
    step : float
        Of the quantiser, the same for all frames and frequencies; at least 1.

    Yields
    ------
    ToyFrame
        In the order of coding, each after those that it refers to.

    Raises
    ------
    ValueError
        If the frames are not whole blocks.
    """
    _, height, width = frames.shape
    if height % size or width % size:
        raise ValueError(f"frames of {width} x {height} samples are not made of whole blocks of {size} x {size}")
    steps = sloped(step, 0)
    decoded: dict[int, NDArray[np.uint8]] = {}
    for plan in plan_gop(len(frames), pyramid):
        frame = frames[plan.index]
        known = [decoded[index] for index in plan.references]  # not the originals, which a decoder does not have
        vectors = np.zeros((len(known), height // size, width // size, 2), np.int16)
        for own, reference in zip(vectors, known, strict=True):
            own[:], _ = motion.full_search(frame, reference, size, reach)
        prediction = _predict(frame.shape, known, vectors, size)
        residual = motion.residual(frame, prediction)
        levels = _transform(residual, steps)
        decoded[plan.index] = np.clip(prediction + np.rint(_restore(levels, steps)), 0, 255).astype(np.uint8)
        quality = metrics.psnr(frame, decoded[plan.index])
        yield ToyFrame(
            plan.index,
            plan.type,
            plan.references,
            vectors,
            prediction,
            residual,
            levels,
            decoded[plan.index],
            _estimate(vectors, levels),
            quality,
        )


def _predict(
    shape: tuple[int, ...], known: list[NDArray[np.uint8]], vectors: NDArray[np.int16], size: int
) -> NDArray[np.uint8]:
    """Move the references' blocks, and take the mean of what they say; a codec chooses for each block which to use."""
    if not known:
        return np.full(shape, GRAY, np.uint8)
    moved = [motion.compensate(reference, own, size) for reference, own in zip(known, vectors, strict=True)]
    return np.rint(np.mean(moved, axis=0)).astype(np.uint8)


def _transform(residual: NDArray[np.int16], steps: NDArray[np.int64]) -> NDArray[np.int16]:
    """Turn a residual (H, W) into levels (H / 8, W / 8, 64)."""
    coefficients = dct2(blocks.raster(blocks.split(residual, SIDE)))
    in_order = coefficients.reshape(*coefficients.shape[:2], -1)[..., ZIGZAG]
    return quantize(in_order.astype(np.float32), steps)


def _restore(levels: NDArray[np.int16], steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Undo `_transform`, but for what rounding has lost."""
    coefficients = np.empty(levels.shape)
    coefficients[..., ZIGZAG] = dequantize(levels, steps)
    samples = idct2(coefficients.reshape(*levels.shape[:2], SIDE, SIDE))
    return blocks.merge(samples[:, :, None, None])


def _estimate(vectors: NDArray[np.int16], levels: NDArray[np.int16]) -> float:
    """Return the bits of a perfect code for vectors, and for the levels of each frequency: they differ too much."""
    return entropy_bits(vectors) + sum(entropy_bits(levels[..., place]) for place in range(SIDE * SIDE))
