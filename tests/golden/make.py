"""Make the golden files, pictures and clips, and the hashes of what they decode to.

    python -m tests.golden.make

Until version 1.0 the format may change: run this in the commit that changes it. The files stay as they are when only
the encoder changes, since what they pin is the decoder.
"""

import hashlib
import itertools
import json
import struct
from collections.abc import Iterable
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codec import Header, decode_image, encode_image
from codec.baseline import Baseline
from codec.coefficients import encode_levels
from codec.frames import Format, Planes
from codec.main import Main
from codec.video import GROUP_FIXED
from codec.video import Header as VideoHeader
from tests import clips
from tests.files import encode_in_strips, invent_strip, put_together
from tests.groups import invent_group, levels_of
from tests.pictures import make_picture

__all__ = ["CLIP_HASHES", "FOLDER", "HASHES", "clip_hash", "extreme_levels", "pixel_hash"]

FOLDER = Path(__file__).parent
HASHES = FOLDER / "pixels.json"
CLIP_HASHES = FOLDER / "clips.json"


def pixel_hash(pixels: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of a picture's samples, in hexadecimal digits."""
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def golden_files() -> dict[str, bytes]:
    """Return every golden file by its name: each kind of picture, sampling and table, and the corners of the format."""
    noise = np.random.default_rng(1).integers(0, 256, (24, 40, 3), np.uint8)
    baseline = partial(encode_image, profile="baseline")
    return {
        "gray_jpeg": baseline(make_picture(70, 93, 1), 75, tables="jpeg"),
        "gray_alpha_sloped": baseline(make_picture(50, 41, 2), 60),
        "rgb_420_odd_sloped": baseline(make_picture(91, 67), 75),
        "rgb_420_flat": baseline(make_picture(64, 96), 40, tune="psnr"),
        "rgb_444_jpeg": baseline(make_picture(61, 80), 90, yuv="444", tables="jpeg"),
        "rgba_420_metadata": baseline(make_picture(75, 58, 4), 85, icc=b"a profile", exif=b"MM\x00*data"),
        "rgb_400": baseline(make_picture(33, 35), 50, yuv="400"),
        "rgb_420_strips": encode_in_strips(make_picture(210, 300, seed=2), 64, 70, profile="baseline"),
        "one_pixel": baseline(np.array([[[200, 30, 60]]], np.uint8), 100),
        "noise_finest": baseline(noise, 100, yuv="444", tables="jpeg"),
        "noise_coarsest": baseline(noise, 0, tune="psnr"),
        "rgb_420_restored_strips": encode_in_strips(make_picture(90, 75), 32, 30, profile="baseline", effort=2),
        "gray_jpeg_restored": baseline(make_picture(50, 61, 1), 20, tables="jpeg", effort=2),
        "levels_beyond_float32": extreme_levels(),
        "levels_beyond_float32_restored": extreme_levels(restored=True),
        "main_gray": encode_image(make_picture(70, 93, 1), 75),
        "main_gray_alpha_psnr": encode_image(make_picture(50, 41, 2), 60, tune="psnr"),
        "main_rgb_420_odd": encode_image(make_picture(91, 67), 75),
        "main_rgb_444_psnr": encode_image(make_picture(61, 80), 90, yuv="444", tune="psnr"),
        "main_rgba_420_strips": encode_in_strips(make_picture(150, 120, 4), 64, 50),
        "main_rgb_420_trellis": encode_image(make_picture(64, 96), 97, effort=9),
        "main_gray_explicit": encode_image(star(), 75),
        "main_without_lapping": encode_image(make_picture(64, 96), 30, without={"lapping"}),
        "main_one_pixel": encode_image(np.array([[[200, 30, 60]]], np.uint8), 100),
        "main_noise_finest": encode_image(noise, 100, yuv="444"),
        "main_noise_coarsest": encode_image(noise, 0),
        "main_made_up_levels": made_up_levels(),
        "tokens_rgb_420_odd": encode_image(make_picture(91, 67), 60, profile="tokens"),
        "tokens_gray_alpha_strips": encode_in_strips(make_picture(80, 61, 2), 32, 90, profile="tokens"),
        "tokens_rgb_420_half_sent": encode_image(
            make_picture(64, 96), 70, profile="tokens", without={"last-two-passes"}
        ),
    }


def star() -> NDArray[np.uint8]:
    """Return a picture of which nothing would be left if levels were implied to be 0."""
    sky = np.full((96, 96), 30, np.uint8)
    sky[37, 58] = 225
    return sky


def extreme_levels(*, restored: bool = False) -> bytes:
    """Return a file that no picture gives: the largest levels at the coarsest steps, far outside 8 bits."""
    stages = Baseline(3, True, "sloped", 0, restored=restored)
    header = Header(32, 32, 3, True, 32, "baseline", stages)
    rng = np.random.default_rng(3)
    levels = [rng.integers(-2047, 2048, (*shape, 64)).astype(np.int16) for shape in stages.shapes(32, 32)]
    return put_together([(b"HEAD", header.to_bytes()), (b"STRP", bytes(4) + b"\1" * restored + encode_levels(levels))])


def made_up_levels() -> bytes:
    """Return a file of the main profile that no picture gives: blocks and levels of any size, at the coarsest step."""
    stages = Main(4, True, 65_535, "ms-ssim")
    header = Header(96, 64, 4, True, 64, "main", stages)
    return put_together([(b"HEAD", header.to_bytes()), (b"STRP", bytes(4) + invent_strip(stages, 64, 96, 5))])


def clip_hash(frames: Iterable[tuple[Planes, int]]) -> str:
    """Return the SHA-256 of a clip's samples and timestamps, in hexadecimal digits."""
    digest = hashlib.sha256()
    for planes, time in frames:
        digest.update(struct.pack(">Q", time))
        for plane in planes:
            digest.update(repr(plane.shape).encode() + plane.tobytes())
    return digest.hexdigest()


def golden_clips() -> dict[str, bytes]:
    """Return every golden clip by its name: each sampling and pyramid, kinds of motion, the corners of the format."""
    make, encode = clips.make_clip, clips.encode
    uneven = zip(
        ((p,) for p in make(7, 26, 34, "moving", 1)), itertools.accumulate([9, 1, 1, 500, 2, 2**30, 7]), strict=True
    )
    limited = Format(34, 26, "400", Fraction(30_000, 1001), Fraction(1, 90_000))
    high = Format(30, 22, "444", Fraction(24), Fraction(1, 24), full_range=False, matrix="bt709")
    planes = [tuple(p[..., i] for i in (1, 2, 0)) for p in make(4, 22, 30)]
    return {
        "moving_420": encode(make(12, 40, 56), keyframe=10, quality=70),
        "odd_420_pyramid_16": encode(make(18, 33, 47, seed=2), keyframe=18, pyramid=16, quality=40),
        "jumps_444_pyramid_2": encode(make(5, 24, 40, "jumps"), yuv="444", pyramid=2, scene_cut=False, quality=85),
        "planes_444_limited_709": encode(planes, format=high, pyramid=4),
        "gray_timed_limited": encode(uneven, format=limited, keyframe=4, scene_cut=False),
        "cut_without_b": encode(make(8, 32, 48, "cut"), pyramid=1),
        "fade_400_every_frame_alone": encode(make(4, 24, 24, "fade"), yuv="400", keyframe=1),
        "one_pixel": encode(make(3, 1, 1)),
        "one_frame": encode(make(1, 20, 20)),
        "noise_finest": encode(make(3, 16, 24, "noise"), quality=100, scene_cut=False),
        "noise_coarsest": encode(make(3, 16, 24, "noise"), quality=0, scene_cut=False),
        "without_cascade": encode(make(6, 32, 48), quality=30, without={"cascade"}),
        "without_deblocking": encode(make(6, 32, 48), quality=30, without={"deblocking"}),
        "made_up_symbols": made_up_clip(),
    }


def made_up_clip() -> bytes:
    """Return a clip that no encoder writes: vectors far outside, splits everywhere, levels of any size."""
    chunks = clips.take_apart(clips.encode(clips.make_clip(9, 40, 48), pyramid=4))
    header = VideoHeader.from_bytes(chunks[0][1])
    made_up = (invent_group(header.layout, levels_of(9, header.pyramid), seed) for seed in itertools.count())
    symbols = next(data for data, group in made_up if group)
    group = b"GRUP", chunks[1][1][: GROUP_FIXED.size] + symbols
    return clips.put_together([chunks[0], group, clips.index_of([chunks[0], group])])


def main() -> None:
    """Write all files and the hashes of their pixels into this folder."""
    for old in [*FOLDER.glob("*.tjpg"), *FOLDER.glob("*.tvid")]:
        old.unlink()
    hashes = {}
    for name, data in golden_files().items():
        (FOLDER / f"{name}.tjpg").write_bytes(data)
        pixels = decode_image(data)
        hashes[name] = {"shape": "x".join(map(str, pixels.shape)), "sha256": pixel_hash(pixels)}
    HASHES.write_text(json.dumps(hashes, indent=1) + "\n")
    hashes = {}
    for name, data in golden_clips().items():
        (FOLDER / f"{name}.tvid").write_bytes(data)
        frames = clips.decode(data)
        shapes = ["x".join(map(str, plane.shape)) for plane in frames[0][0]]
        hashes[name] = {"frames": len(frames), "planes": shapes, "sha256": clip_hash(frames)}
    CLIP_HASHES.write_text(json.dumps(hashes, indent=1) + "\n")


if __name__ == "__main__":
    main()
