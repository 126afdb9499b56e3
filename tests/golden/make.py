"""Make the golden files, and the hashes of what they decode to.

    python -m tests.golden.make

Until version 1.0 the format may change: run this in the commit that changes it. The files stay as they are when only
the encoder changes, since what they pin is the decoder.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codec import Header, decode_image, encode_image
from codec.baseline import Baseline
from codec.coefficients import encode_levels
from tests.files import encode_in_strips, put_together
from tests.pictures import make_picture

__all__ = ["FOLDER", "HASHES", "extreme_levels", "pixel_hash"]

FOLDER = Path(__file__).parent
HASHES = FOLDER / "pixels.json"


def pixel_hash(pixels: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of a picture's samples, in hexadecimal digits."""
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def golden_files() -> dict[str, bytes]:
    """Return every golden file by its name: each kind of picture, sampling and table, and the corners of the format."""
    noise = np.random.default_rng(1).integers(0, 256, (24, 40, 3), np.uint8)
    return {
        "gray_jpeg": encode_image(make_picture(70, 93, 1), 75, tables="jpeg"),
        "gray_alpha_sloped": encode_image(make_picture(50, 41, 2), 60),
        "rgb_420_odd_sloped": encode_image(make_picture(91, 67), 75),
        "rgb_420_flat": encode_image(make_picture(64, 96), 40, tune="psnr"),
        "rgb_444_jpeg": encode_image(make_picture(61, 80), 90, yuv="444", tables="jpeg"),
        "rgba_420_metadata": encode_image(make_picture(75, 58, 4), 85, icc=b"a profile", exif=b"MM\x00*data"),
        "rgb_400": encode_image(make_picture(33, 35), 50, yuv="400"),
        "rgb_420_strips": encode_in_strips(make_picture(210, 300, seed=2), 64, 70),
        "one_pixel": encode_image(np.array([[[200, 30, 60]]], np.uint8), 100),
        "noise_finest": encode_image(noise, 100, yuv="444", tables="jpeg"),
        "noise_coarsest": encode_image(noise, 0, tune="psnr"),
        "levels_beyond_float32": extreme_levels(),
    }


def extreme_levels() -> bytes:
    """Return a file that no picture gives: the largest levels at the coarsest steps, far outside 8 bits."""
    stages = Baseline(3, True, "sloped", 0)
    header = Header(32, 32, 3, True, 32, "baseline", stages)
    rng = np.random.default_rng(3)
    levels = [rng.integers(-2047, 2048, (*shape, 64)).astype(np.int16) for shape in stages.shapes(32, 32)]
    return put_together([(b"HEAD", header.to_bytes()), (b"STRP", bytes(4) + encode_levels(levels))])


def main() -> None:
    """Write all files and the hashes of their pixels into this folder."""
    for old in FOLDER.glob("*.tjpg"):
        old.unlink()
    hashes = {}
    for name, data in golden_files().items():
        (FOLDER / f"{name}.tjpg").write_bytes(data)
        pixels = decode_image(data)
        hashes[name] = {"shape": "x".join(map(str, pixels.shape)), "sha256": pixel_hash(pixels)}
    HASHES.write_text(json.dumps(hashes, indent=1) + "\n")


if __name__ == "__main__":
    main()
