"""Tests of `transformers_np.data`, with files that they make up."""

import gzip
import hashlib
import random
import re
import struct
import tracemalloc
from importlib.resources import files

import numpy as np
import pytest

from bitstreams.errors import CodecError, FormatError, LimitError, TruncatedError, UnsupportedError
from codec.files import write_picture
from tests.damage import spoil, watch
from tests.pictures import make_picture
from transformers_np.data import CIFAR10, augment, batches, load, read_cifar, read_folder, read_idx
from transformers_np.weights import save_npz

RECORD = 3073


def idx(array, kind=8):
    """Return an idx file."""
    header = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def digits(count, seed=0, size=(5, 4)):
    """Return pictures and labels."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, *size), np.uint8), np.arange(count, dtype=np.uint8) % 10


def write_mnist(folder, *, packed=False):
    """Write 7 pictures to learn from and 3 others."""
    for part, count, seed in (("train", 7, 1), ("t10k", 3, 2)):
        for name, array in zip(("images-idx3", "labels-idx1"), digits(count, seed), strict=True):
            data = gzip.compress(idx(array)) if packed else idx(array)
            (folder / f"{part}-{name}-ubyte{'.gz' if packed else ''}").write_bytes(data)


def cifar_file(count, seed):
    """Return records of noise."""
    records = np.random.default_rng(seed).integers(0, 256, (count, RECORD), np.uint8)
    records[:, 0] %= 10
    return records.tobytes()


def write_cifar(folder):
    """Write all files, of 1 to 6 pictures."""
    for number in range(1, 7):
        name = "test_batch" if number == 6 else f"data_batch_{number}"
        (folder / f"{name}.bin").write_bytes(cifar_file(number, number))


def write_pictures(folder, *pictures):
    """Write pictures 0.png, 1.png, and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(pictures):
        write_picture(folder / f"{number}.png", pixels, force=True)


def picture(seed, channels=3, size=(6, 5)):
    return make_picture(*size, channels, seed)


# The digits of the package ----------------------------------------------------------------------------------


def test_digits_of_the_package():
    data = load("digits")
    assert data.classes == tuple("0123456789")
    assert data.train.images.shape == (1437, 1, 8, 8)
    assert data.held_out.images.shape == (360, 1, 8, 8)
    for part in (data.train, data.held_out):
        assert (part.images.dtype, part.labels.dtype) == (np.float32, np.int64)
        assert (part.images.min(), part.images.max()) == (0, 1)
        assert set(np.unique(part.images * 16)) == set(range(17))
        assert part.labels.shape == part.images.shape[:1]
    counts = np.bincount(data.train.labels) + np.bincount(data.held_out.labels)
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # of the test part, says its author
    # Which are held out must never change, or accuracies could not be compared.
    digest = hashlib.sha256((data.held_out.images * 16).astype(np.uint8).tobytes()).hexdigest()
    assert digest[:16] == "e2442f640805bc59"
    together = np.concatenate([data.train.images, data.held_out.images]).reshape(1797, -1)
    asset = files("transformers_np") / "assets/digits.npz"
    with asset.open("rb") as file, np.load(file) as arrays:
        assert sorted(together.tolist()) == sorted((arrays["images"].reshape(1797, -1) / np.float32(16)).tolist())
        assert "Alpaydin" in str(arrays["origin"])
    assert len(asset.read_bytes()) < 60_000


# MNIST ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_mnist(tmp_path, packed):
    write_mnist(tmp_path, packed=packed)
    data = load(f"mnist:{tmp_path}")
    assert data.classes == tuple("0123456789")
    for part, count, seed in ((data.train, 7, 1), (data.held_out, 3, 2)):
        images, labels = digits(count, seed)
        assert np.array_equal(part.images, images[:, None].astype(np.float32) / 255)
        assert part.images.dtype == np.float32
        assert part.labels.tolist() == labels.tolist()
        assert part.labels.dtype == np.int64


def test_mnist_has_a_limit_whatever_its_files_are(tmp_path):
    write_mnist(tmp_path, packed=True)
    for path in tmp_path.glob("train-*"):
        path.unlink()
    many = {"x": np.zeros((90_000, 28, 28), np.uint8), "y": np.zeros(90_000, np.uint8)}
    np.savez_compressed(tmp_path / "mnist_train_first10000.npz", **many)
    with pytest.raises(LimitError, match="are over the limit of 67108864"):
        load(f"mnist:{tmp_path}")


def test_mnist_whose_training_part_is_an_npz_file(tmp_path):
    write_mnist(tmp_path, packed=True)
    x, y = digits(9, 5)
    npz = tmp_path / "mnist_train_first10000.npz"
    save_npz(npz, {"x": x, "y": y})
    assert len(load(f"mnist:{tmp_path}").train.labels) == 7  # the official files come first
    for path in tmp_path.glob("train-*"):
        path.unlink()
    data = load(f"mnist:{tmp_path}")
    assert np.array_equal(data.train.images[:, 0], x.astype(np.float32) / 255)
    assert data.train.labels.tolist() == y.tolist()
    assert len(data.held_out.labels) == 3
    for arrays in ({"x": x}, {"x": x, "y": y.astype(int)}, {"x": x, "y": y, "z": y}):
        save_npz(npz, arrays)
        with pytest.raises(FormatError, match=re.escape(f"{npz}: arrays x and y of uint8")):
            load(f"mnist:{tmp_path}")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (digits(3)[0], np.zeros(4, np.uint8), "pictures of shape (3, 5, 4) and labels of shape (4,)"),
        (digits(3)[0], np.zeros((3, 1), np.uint8), "pictures of shape (3, 5, 4) and labels of shape (3, 1)"),
        (digits(3)[1], digits(3)[1], "pictures of shape (3,) and labels of shape (3,)"),
        (digits(0)[0], digits(0)[1], "pictures of shape (0, 5, 4) and labels of shape (0,)"),
        (digits(3)[0], np.uint8([0, 10, 2]), "a label of 10; 0 to 9"),
    ],
)
def test_files_of_mnist_that_do_not_go_together(tmp_path, images, labels, message):
    write_mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(labels))
    with pytest.raises(FormatError, match=re.escape(f"{tmp_path / 'train-images-idx3-ubyte'}: {message}")):
        load(f"mnist:{tmp_path}")


def test_parts_of_mnist_of_two_sizes(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(digits(3, size=(4, 5))[0]))
    with pytest.raises(FormatError, match=re.escape("pictures of (5, 4) and of (4, 5) pixels")):
        load(f"mnist:{tmp_path}")


def test_files_that_are_missing_are_named(tmp_path):
    for source, name in (("mnist", "train-images-idx3-ubyte"), ("cifar", "data_batch_1.bin")):
        with pytest.raises(FileNotFoundError, match=name):
            load(f"{source}:{tmp_path}")
    with pytest.raises(FileNotFoundError, match="no such folder; known are digits, mnist:DIR, cifar:DIR and DIR"):
        load("imagenet")


@pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 3, 2), (1, 2, 3, 4), (0,), (0, 28, 28)])
def test_idx_files(tmp_path, shape):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    for data in (idx(array), gzip.compress(idx(array))):
        (tmp_path / "x").write_bytes(data)
        found = read_idx(tmp_path / "x")
        assert found.dtype == np.uint8
        assert np.array_equal(found, array)


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_cut_off_at_every_byte(tmp_path, packed):
    data = idx(digits(3)[0])
    data = gzip.compress(data) if packed else data
    for length in range(len(data)):
        (tmp_path / "x").write_bytes(data[:length])
        with pytest.raises(TruncatedError, match=re.escape(str(tmp_path / "x: "))):
            read_idx(tmp_path / "x")
    (tmp_path / "x").write_bytes(data + b"x")
    with pytest.raises(FormatError):
        read_idx(tmp_path / "x")


SAMPLES = idx(np.zeros((2, 3), np.uint8))
IDX = {
    "other_start": (b"\x89PNG\r\n", FormatError, "not an idx file: it begins with 89 50 4e 47"),
    "floats": (idx(np.zeros(2, ">f4"), 13), UnsupportedError, "samples of type 13 in 1 axes; type 8"),
    "no_axes": (b"\0\0\x08\0x", UnsupportedError, "samples of type 8 in 0 axes"),
    "many_axes": (b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"x", UnsupportedError, "samples of type 8 in 255 axes"),
    "no_sizes": (b"\0\0\x08\3" + bytes(11), TruncatedError, "it ends in the sizes of axes"),
    "too_few": (SAMPLES[:-1], TruncatedError, "it says 6 samples; there are 5"),
    "too_many": (SAMPLES + b"x", FormatError, "it says 6 samples; there are more"),
    "huge": (b"\0\0\x08\1\3\xff\xff\xff" + bytes(9), TruncatedError, "it says 67108863 samples; there are 9"),
    "over_the_limit": (
        b"\0\0\x08\2\0\1\0\0\0\0\4\1",
        LimitError,
        "(65536, 1025) samples are over the limit of 67108864",
    ),
    "empty_but_huge": (b"\0\0\x08\3" + bytes(4) + b"\xff" * 8, LimitError, "raise it with size_limit="),
    "packed_huge": (gzip.compress(b"\0\0\x08\1\3\xff\xff\xff" + bytes(9)), TruncatedError, "there are 9"),
    "bomb": (gzip.compress(b"\0\0\x08\1\0\0\0\2" + bytes(1 << 25)), FormatError, "it says 2 samples; there are more"),
    "no_gzip": (b"\x1f\x8bx" + bytes(30), FormatError, "damaged: Unknown compression method"),
    "bad_deflate": (gzip.compress(SAMPLES)[:10] + b"\xff" * 30, FormatError, "damaged"),
    "bad_checksum": (gzip.compress(SAMPLES)[:-8] + bytes(8), FormatError, "damaged: CRC check failed"),
}


@pytest.mark.parametrize("defect", IDX)
def test_defects_of_idx_files(defect, tmp_path):
    data, kind, message = IDX[defect]
    path = tmp_path / defect
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(kind, match=re.escape(f"{path}: ") + ".*" + re.escape(message)) as caught:
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()
    assert caught.type is kind


def test_the_limit_of_idx_files_may_be_chosen(tmp_path):
    (tmp_path / "x").write_bytes(SAMPLES)
    with pytest.raises(LimitError, match="over the limit of 5; raise it with size_limit="):
        read_idx(tmp_path / "x", size_limit=5)
    assert read_idx(tmp_path / "x", size_limit=6).shape == (2, 3)


@pytest.mark.parametrize("packed", [False, True])
def test_spoilt_idx_files_raise_errors_of_the_tree(packed, tmp_path):
    rng, path = random.Random(packed), tmp_path / "x"
    data = gzip.compress(idx(digits(9)[0])) if packed else idx(digits(9)[0])
    tracemalloc.start()
    try:
        failures = set()
        for _ in range(300):
            path.write_bytes(spoil(rng, data))
            failures.add(watch("idx", lambda: read_idx(path))[1])
    finally:
        tracemalloc.stop()
    assert {"FormatError", "TruncatedError"} <= failures


# CIFAR-10 ---------------------------------------------------------------------------------------------------


def test_cifar(tmp_path):
    write_cifar(tmp_path)
    data = load(f"cifar:{tmp_path}")
    assert data.classes == CIFAR10
    assert data.train.images.shape == (15, 3, 32, 32)
    assert data.held_out.images.shape == (6, 3, 32, 32)
    record = np.frombuffer(cifar_file(2, 2), np.uint8)[RECORD:]  # the second of the second file: the third of all
    assert data.train.labels[2] == record[0]
    assert data.train.images[2, 0, 0, :2].tolist() == (record[1:3] / np.float32(255)).tolist()
    assert data.train.images[2, 1, 5, 7] == record[1 + 1024 + 5 * 32 + 7] / np.float32(255)
    assert data.held_out.images[0, 2, 31, 31] == np.frombuffer(cifar_file(6, 6), np.uint8)[RECORD - 1] / np.float32(255)
    assert data.train.images.dtype == np.float32
    assert data.train.labels.dtype == np.int64


def test_defects_of_cifar_files(tmp_path):
    path = tmp_path / "x.bin"
    for length in (0, 1, RECORD - 1, RECORD + 1, 2 * RECORD - 1):
        path.write_bytes(cifar_file(2, 0)[:length])
        with pytest.raises(TruncatedError, match=re.escape(f"{path}: {length} bytes; multiples of 3073")):
            read_cifar(path)
    path.write_bytes(cifar_file(1, 0) + b"\x0a" + bytes(RECORD - 1))
    with pytest.raises(FormatError, match="a label of 10; 0 to 9"):
        read_cifar(path)


def test_pickles_are_not_opened(tmp_path):
    (tmp_path / "data_batch_1").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(
        UnsupportedError, match="data_batch_1: a pickle, which may run any code; get the binary version"
    ):
        load(f"cifar:{tmp_path}")
    write_cifar(tmp_path)
    assert len(load(f"cifar:{tmp_path}").train.labels) == 15


# Folders ----------------------------------------------------------------------------------------------------


def test_subfolders_are_classes(tmp_path):
    write_pictures(tmp_path / "dog", *[picture(seed) for seed in range(4)])
    write_pictures(tmp_path / "cat", *[picture(seed) for seed in range(4, 10)])
    (tmp_path / "cat" / "notes.txt").write_text("not a picture")
    (tmp_path / "cat" / ".hidden.png").write_text("not a picture")
    (tmp_path / ".thumbnails").mkdir()
    data = load(str(tmp_path))
    assert data.classes == ("cat", "dog")
    assert data.train.images.shape == (8, 3, 6, 5)
    assert data.held_out.images.shape == (2, 3, 6, 5)
    expected = {(picture(seed).tobytes(), int(seed < 4)) for seed in range(10)}
    for part in data[:2]:
        pixels = np.round(part.images * 255).astype(np.uint8).transpose(0, 2, 3, 1)
        for image, label in zip(pixels, part.labels, strict=True):
            expected.remove((image.tobytes(), int(label)))
    assert not expected
    again = load(str(tmp_path))
    assert np.array_equal(again.held_out.images, data.held_out.images)


def test_a_flat_folder_is_one_class(tmp_path):
    write_pictures(tmp_path, picture(0), picture(1))
    data = load(str(tmp_path))
    assert data.classes == ("pictures",)
    assert (len(data.train.labels), len(data.held_out.labels)) == (1, 1)
    assert not data.train.labels.any()


@pytest.mark.parametrize("name", ["val", "test"])
def test_parts_may_be_subfolders(tmp_path, name):
    for part, of, count in (("train", "a", 1), ("train", "b", 2), ("train", "c", 1), (name, "b", 1), (name, "c", 3)):
        write_pictures(tmp_path / part / of, *[picture(0)] * count)
    data = load(str(tmp_path))
    assert data.classes == ("a", "b", "c")
    assert data.train.labels.tolist() == [0, 1, 1, 2]
    assert data.held_out.labels.tolist() == [1, 2, 2, 2]
    write_pictures(tmp_path / name / "d", picture(0))
    with pytest.raises(FormatError, match=f"{name}: classes that .*train does not have: d"):
        load(str(tmp_path))


def test_classes_may_be_called_like_parts(tmp_path):
    for name in ("test", "exam"):
        write_pictures(tmp_path / name, *[picture(0)] * 3)
    data = load(str(tmp_path))
    assert data.classes == ("exam", "test")
    assert len(data.train.labels) + len(data.held_out.labels) == 6


def test_flat_parts(tmp_path):
    write_pictures(tmp_path / "train", *[picture(0)] * 3)
    write_pictures(tmp_path / "val", picture(1))
    data = load(str(tmp_path))
    assert (len(data.train.labels), len(data.held_out.labels), data.classes) == (3, 1, ("pictures",))
    write_pictures(tmp_path / "val", picture(1, 1))
    with pytest.raises(UnsupportedError, match=re.escape("val: pictures of shape (1, 6, 5); (3, 6, 5) is allowed")):
        load(str(tmp_path))


def test_gray_pictures_among_colours(tmp_path):
    write_pictures(tmp_path, picture(0, 1), picture(1, 3))
    images, names = read_folder(tmp_path)
    assert images.shape == (2, 3, 6, 5)
    assert all(np.array_equal(images[0, channel], picture(0, 1)) for channel in range(3))
    assert np.array_equal(images[1].transpose(1, 2, 0), picture(1, 3))
    assert names == ["pictures"] * 2
    (tmp_path / "1.png").unlink()
    assert read_folder(tmp_path)[0].shape == (1, 1, 6, 5)


def test_what_folders_may_not_have(tmp_path):
    with pytest.raises(FormatError, match="no pictures in it"):
        load(str(tmp_path))
    write_pictures(tmp_path, picture(0))
    with pytest.raises(FormatError, match="one picture; at least 2"):
        load(str(tmp_path))
    write_pictures(tmp_path, picture(0), picture(1, size=(5, 6)))
    with pytest.raises(UnsupportedError, match=re.escape("1.png: (5, 6) pixels; (6, 5) is allowed")):
        load(str(tmp_path))
    for channels in (2, 4):
        write_picture(tmp_path / "1.png", picture(0, channels), force=True)
        with pytest.raises(UnsupportedError, match=re.escape("1.png: it has transparency")):
            load(str(tmp_path))
    (tmp_path / "1.png").write_bytes((tmp_path / "0.png").read_bytes()[:50])
    with pytest.raises(CodecError, match=re.escape("1.png: damaged")):
        load(str(tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnsupportedError, match="pictures beside subfolders, which are classes; 0"):
        load(str(tmp_path))
    for path in tmp_path.glob("*.png"):
        path.unlink()
    with pytest.raises(FormatError, match="empty: no pictures in it"):
        load(str(tmp_path))


# Batches ----------------------------------------------------------------------------------------------------


def test_batches_are_of_one_size_and_shuffled():
    epochs = [list(batches(23, 5, np.random.default_rng(seed))) for seed in (0, 0, 1)]
    for epoch in epochs:
        assert [len(batch) for batch in epoch] == [5, 5, 5, 5]
        dealt = np.concatenate(epoch)
        assert len(set(dealt.tolist())) == 20
        assert (dealt.min() >= 0, dealt.max() < 23) == (True, True)
        assert dealt.dtype == np.int64
    assert np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[0], epochs[2])
    (whole,) = batches(4, 5, np.random.default_rng(0))
    assert sorted(whole.tolist()) == [0, 1, 2, 3]
    assert len(list(batches(10, 5, np.random.default_rng(0)))) == 2


# Augmentation -----------------------------------------------------------------------------------------------


def numbered(count=64, channels=2, size=(6, 7), dtype=np.float32):
    """Return pictures all of whose samples differ, and are integers."""
    return np.arange(count * channels * size[0] * size[1], dtype=dtype).reshape(count, channels, *size)


def moved(image, down, right, mirrored):
    """Return a picture shifted, with its edges repeated, then mirrored or not: sample by sample."""
    _, height, width = image.shape
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    found = image[:, rows][:, :, columns]
    return found[:, :, ::-1] if mirrored else found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shift", "flip"), [(0, False), (2, False), (0, True), (2, True)])
def test_pictures_are_shifted_and_flipped(shift, flip, dtype):
    images = numbered(count=300, dtype=dtype)
    kept = images.copy()
    found = augment(images, np.random.default_rng(0), shift=shift, flip=flip)
    assert np.array_equal(images, kept)
    assert not np.shares_memory(found, images)
    assert found.dtype == dtype
    seen = set()
    for image, result in zip(images, found, strict=True):
        ways = [
            (down, right, mirrored)
            for down in range(-shift, shift + 1)
            for right in range(-shift, shift + 1)
            for mirrored in ([False, True] if flip else [False])
            if np.array_equal(moved(image, down, right, mirrored), result)
        ]
        assert len(ways) == 1
        seen |= set(ways)
    assert len(seen) == (2 * shift + 1) ** 2 * (2 if flip else 1)  # each way, for some picture


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_crops_are_scaled_parts(dtype):
    # Each picture is a plane a r + b c: what is cut out of it and scaled is one again, in which samples lie closer.
    rows, columns = np.mgrid[:20, :30].astype(dtype)
    images = np.stack([rows, columns, 100 * rows + columns])[None].repeat(200, axis=0)
    found = augment(images, np.random.default_rng(0), crop=0.4)
    assert found.dtype == dtype
    assert found.shape == images.shape
    inner = found[:, :, 2:-2, 2:-2].astype(np.float64)  # beyond the centres of the outermost pixels is the edge
    down, across = np.diff(inner[:, 0], axis=1), np.diff(inner[:, 1], axis=2)
    left = down[:, :1, :1]
    assert np.allclose(down, left, atol=1e-5)
    assert np.allclose(across, left, atol=1e-5)  # as much in both directions
    assert np.allclose(inner[:, 2], 100 * inner[:, 0] + inner[:, 1], rtol=1e-5)
    assert 0.6 <= left.min() < 0.62
    assert 0.98 < left.max() <= 1 + 1e-6
    # Anywhere in the picture, and never beyond it.
    first = (found[:, 0, 10, 0] + 0.5 - 10.5 * left[:, 0, 0]) / (20 * (1 - left[:, 0, 0]))
    wide = left[:, 0, 0] < 0.9
    assert (-1e-3 < first[wide].min() < 0.05, 0.95 < first[wide].max() < 1.001) == (True, True)
    assert (found[:, :2].min() >= 0, found[:, 0].max() <= 19, found[:, 1].max() <= 29) == (True, True, True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_warps_are_affine_maps(dtype):
    # Each picture shows where its samples are: what is seen through a map is the map.
    down, across = np.meshgrid(*((2 * np.arange(n) + 1) / n - 1 for n in (20, 30)), indexing="ij")
    images = np.stack([across, down]).astype(dtype)[None].repeat(300, axis=0)
    kept = images.copy()
    found = augment(images, np.random.default_rng(0), warp=0.2)
    assert np.array_equal(images, kept)
    assert found.dtype == dtype
    assert found.shape == images.shape
    inner = (abs(across) < 0.5) & (abs(down) < 0.5)  # farther out they may be from beyond the edge
    places = np.stack([across[inner], down[inner], np.ones(inner.sum())], axis=1)
    seen = found[:, :, inner].reshape(600, -1).T
    maps, *_ = np.linalg.lstsq(places, seen, rcond=None)
    assert np.allclose(places @ maps, seen, rtol=0, atol=1e-6)
    numbers = maps.T.reshape(300, 6) - np.eye(2, 3).reshape(6)
    assert np.allclose(numbers.min(axis=0), -0.2, rtol=0, atol=0.01)
    assert np.allclose(numbers.max(axis=0), 0.2, rtol=0, atol=0.01)
    assert abs(numbers).max() < 0.2 + 1e-6
    assert abs(np.corrcoef(numbers.T) - np.eye(6)).max() < 0.2  # each on its own


def test_beyond_the_edge_of_a_warped_picture_is_the_edge():
    images = numbered(count=100)
    found = augment(images, np.random.default_rng(0), warp=0.5)
    least, most = images.min(axis=(2, 3), keepdims=True), images.max(axis=(2, 3), keepdims=True)
    assert (found >= least - 1e-3).all()  # 0 from anywhere would be far below
    assert (found <= most + 1e-3).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise(dtype):
    images = np.full((50, 1, 20, 20), 0.5, dtype)
    found = augment(images, np.random.default_rng(0), noise=np.float64(0.4))
    assert found.dtype == dtype
    error = found - 0.5
    assert abs(error.mean()) < 0.02
    assert abs(error.std() - 0.4) < 0.02
    assert error.max() > 1  # nothing is clipped
    assert np.array_equal(found, augment(images, np.random.default_rng(0), noise=0.4))  # NumPy's number or Python's
    alone = augment(np.zeros_like(images), np.random.default_rng(0), noise=1)
    assert np.array_equal(alone, alone.astype(np.float32)) == (dtype == np.float32)  # as fine as the type
    assert (images == 0.5).all()


def test_the_generator_decides_alone():
    images = numbered()
    options = {"shift": 1, "flip": True, "crop": 0.2, "warp": 0.1, "noise": 0.1}
    first, again, other = (augment(images, np.random.default_rng(seed), **options) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: augment(np.zeros((2, 3, 4)), rng), "images are float64 of shape (2, 3, 4); float32"),
        (lambda rng: augment(np.zeros((1, 2, 3, 4), np.uint8), rng), "images are uint8 of shape (1, 2, 3, 4); float32"),
        (lambda rng: augment(numbered(), rng, shift=-1), "shift is -1; at least 0"),
        (lambda rng: augment(numbered(), rng, crop=1), "crop is 1; 0 to below 1"),
        (lambda rng: augment(numbered(), rng, crop=-0.1), "crop is -0.1; 0 to below 1"),
        (lambda rng: augment(numbered(), rng, warp=-0.1), "warp is -0.1; finite numbers from 0"),
        (lambda rng: augment(numbered(), rng, noise=float("nan")), "noise is nan; finite numbers from 0"),
        (lambda rng: batches(0, 5, rng), "count is 0; at least 1"),
        (lambda rng: batches(5, 0, rng), "size is 0; at least 1"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call(np.random.default_rng(0))
