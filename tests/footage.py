"""Small clips in memory for tests of the benchmarks, and codecs whose results are easy to predict."""

import os
import zlib
from fractions import Fraction

import numpy as np

from benchmarks.codecs import PictureCodec, VideoCodec
from benchmarks.sources import Footage
from codec.frames import Format

__all__ = ["RATE", "Broken", "Coarse", "CoarsePicture", "Exiting", "equal", "make_footage", "noise", "write_y4m"]

RATE = Fraction(30000, 1001)


def make_footage(height, width, count, sampling="420"):
    """Waves that drift, at all levels from 0 to 255; frames are odd pictures of their own beyond 32."""
    footage = Footage(Format(width, height, sampling, RATE, 1 / RATE), [])
    for time in range(count):
        planes = []
        for number, (rows, columns) in enumerate(footage.format.shapes):
            y, x = np.mgrid[:rows, :columns] * (height / rows)
            wave = np.cos((x * 0.2 + y * (0.1 + 0.05 * number)) + 0.3 * time + number)
            planes.append(np.clip(127.5 + 140 * wave, 0, 255).astype(np.uint8))
        footage.frames.append(tuple(planes))
    return footage


def noise(height, width, count):
    """Frames that no other frame predicts."""
    rng = np.random.default_rng(0)
    footage = make_footage(height, width, 0)
    footage.frames.extend(
        tuple(rng.integers(0, 256, shape, np.uint8) for shape in footage.format.shapes) for _ in range(count)
    )
    return footage


def write_y4m(path, footage):
    """Write a clip to a file."""
    form = footage.format
    space = {"400": "mono", "420": "420jpeg"}[form.sampling]
    frames = (b"FRAME\n" + b"".join(plane.tobytes() for plane in planes) for planes in footage.frames)
    rate = f"{form.rate.numerator}:{form.rate.denominator}"
    header = f"YUV4MPEG2 W{form.width} H{form.height} F{rate} Ip A1:1 C{space}\n"
    path.write_bytes(header.encode() + b"".join(frames))
    return path


def equal(frames, others):
    """Tell whether two clips are equal in every sample."""
    return len(frames) == len(others) and all(
        len(a) == len(b) and all(map(np.array_equal, a, b)) for a, b in zip(frames, others, strict=True)
    )


class Coarse(VideoCodec):
    """A codec that divides all samples by the quality; its streams are so many times longer."""

    name = "coarse"
    ladder = (16, 9, 5, 2)

    def __init__(self, name="coarse", times=1):
        self.name, self.times = name, times

    def version(self):
        return "1"

    def encode(self, frames, quality):
        self.shapes = frames.format.shapes
        samples = b"".join((plane // int(quality)).tobytes() for planes in frames.frames for plane in planes)
        data = bytes([int(quality)]) + zlib.compress(samples)
        return (len(data).to_bytes(4, "big") + data) * self.times

    def decode(self, data):
        size = int.from_bytes(data[:4], "big")
        quality, samples = data[4], np.frombuffer(zlib.decompress(data[5 : 4 + size]), np.uint8).astype(int)
        frames, start = [], 0
        while start < len(samples):
            planes = []
            for rows, columns in self.shapes:
                plane = samples[start : start + rows * columns].reshape(rows, columns)
                planes.append(np.minimum(plane * quality + quality // 2, 255).astype(np.uint8))
                start += rows * columns
            frames.append(tuple(planes))
        return frames


class CoarsePicture(PictureCodec):
    """The same for pictures."""

    name = "coarse-picture"
    ladder = (32, 16, 8, 4)

    def __init__(self, name="coarse-picture", times=1):
        self.name, self.times = name, times

    def version(self):
        return "1"

    def encode(self, frames, quality):
        self.shape = frames.shape
        return (bytes([int(quality)]) + zlib.compress((frames // int(quality)).tobytes())) * self.times

    def decode(self, data):
        samples = np.frombuffer(zlib.decompressobj().decompress(data[1:]), np.uint8).reshape(self.shape)
        return np.minimum(samples.astype(int) * data[0] + data[0] // 2, 255).astype(np.uint8)


class Broken(CoarsePicture):
    """A codec that fails on pictures 80 pixels wide, with an error that does not survive the way between processes."""

    name = "broken"

    def __init__(self):
        super().__init__("broken")

    def encode(self, frames, quality):
        if frames.shape[1] == 80:
            raise UnpicklableError("a library", "a code")
        return super().encode(frames, quality)


class UnpicklableError(Exception):
    """An error that takes two arguments and passes on one: pickle cannot make it again."""

    def __init__(self, library, code):
        super().__init__(f"{library} said {code}")


class Exiting(CoarsePicture):
    """A codec whose process dies at one quality of pictures 80 pixels wide, as by a crash in a library."""

    name = "exiting"

    def __init__(self):
        super().__init__("exiting")

    def encode(self, frames, quality):
        if frames.shape[1] == 80 and quality == 16:
            os._exit(139)
        return super().encode(frames, quality)
