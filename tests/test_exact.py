"""Files and pixels are the same, bit by bit, whichever kernels and however many threads do the arithmetic.

OpenBLAS chooses its kernels by the CPU; an environment variable chooses others. Each runs in a process of its own: this
module is also the program that they run.
"""

import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codec import decode_image, encode_image
from tests import clips
from tests.golden.make import CLIP_HASHES, FOLDER, HASHES, clip_hash, pixel_hash
from tests.pictures import make_picture

KERNELS = ["Prescott", "Nehalem", "Sandybridge", "Haswell", "SkylakeX"]  # oldest first
SETTINGS = {
    **{name: {"OPENBLAS_CORETYPE": name, "OPENBLAS_NUM_THREADS": "1"} for name in KERNELS},
    "1 thread": {"OPENBLAS_NUM_THREADS": "1"},
    "2 threads": {"OPENBLAS_NUM_THREADS": "2"},
    # NumPy's own loops: with AVX-512 its logarithms are rounded otherwise. Names are those of older and newer releases.
    "no AVX-512": {"NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512_SKX X86_V4 AVX512_ICL AVX512_SPR"},
}


def report(folder):
    """Return hashes of decoded golden files, of larger pictures and clips, of their pixels, and of a control.

    Files of the main profile and of tokens are in a folder: their encoders choose in floats, only decoders are exact.
    """
    golden = {path.name: pixel_hash(decode_image(path.read_bytes())) for path in FOLDER.glob("*.tjpg")}
    golden |= {path.name: clip_hash(clips.decode(path.read_bytes())) for path in FOLDER.glob("*.tvid")}
    files, pixels = {}, {}
    pixels |= {path.name: pixel_hash(decode_image(path.read_bytes())) for path in Path(folder).iterdir()}
    restored = {"tables": "flat", "effort": 2}
    for options in ({"tables": "jpeg", "yuv": "444"}, {"tables": "flat"}, {"tables": "sloped"}, restored):
        data = encode_image(make_picture(300, 420, 4), 80, profile="baseline", **options)
        files[str(options)] = hashlib.sha256(data).hexdigest()
        pixels[str(options)] = pixel_hash(decode_image(data))
    for kind, options in (("moving", {"yuv": "444"}), ("jumps", {"quality": 95, "scene_cut": False})):
        data = clips.encode(clips.make_clip(9, 80, 96, kind), **options)
        files[kind] = hashlib.sha256(data).hexdigest()
        pixels[kind] = clip_hash(clips.decode(data))
    rng = np.random.default_rng(0)
    left, right = rng.random((3000, 64), np.float32), rng.random((64, 64), np.float32)
    control = hashlib.sha256(left @ right).hexdigest()  # sums of rounded products: these do depend on the kernel
    return {"golden": golden, "files": files, "pixels": pixels, "control": control}


def report_under(settings, folder):
    """Return the report of a process with such settings, or None if the CPU has no such instructions."""
    child = subprocess.run(
        [sys.executable, "-m", "tests.test_exact", folder],
        cwd=Path(__file__).parents[1],
        env={**os.environ, **settings},
        capture_output=True,
        check=False,
    )
    if child.returncode == -signal.SIGILL:
        return None
    assert child.returncode == 0, child.stderr.decode()
    return json.loads(child.stdout)


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("main")
    tokens = {"quality": 60, "profile": "tokens"}
    for options in ({"quality": 30}, {"quality": 95, "yuv": "444"}, {"quality": 75, "without": ("lapping",)}, tokens):
        (folder / str(options)).write_bytes(encode_image(make_picture(200, 300, 4), **options))
    found = {name: report_under(settings, folder) for name, settings in SETTINGS.items()}
    return {name: content for name, content in found.items() if content}


def test_different_kernels_ran(reports):
    assert {"1 thread", "2 threads"} <= set(reports)
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]
    if "openblas" in blas and platform.machine() in ("x86_64", "AMD64"):
        assert len({content["control"] for content in reports.values()}) >= 2


def test_golden_files_decode_alike(reports):
    expected = {f"{name}.tjpg": entry["sha256"] for name, entry in json.loads(HASHES.read_text()).items()}
    expected |= {f"{name}.tvid": entry["sha256"] for name, entry in json.loads(CLIP_HASHES.read_text()).items()}
    for name, content in reports.items():
        assert content["golden"] == expected, name


@pytest.mark.parametrize("what", ["files", "pixels"])
def test_larger_pictures_are_encoded_and_decoded_alike(reports, what):
    assert len(reports["1 thread"][what]) == {"files": 6, "pixels": 10}[what]
    for name, content in reports.items():
        assert content[what] == reports["1 thread"][what], name


if __name__ == "__main__":
    print(json.dumps(report(sys.argv[1])))
