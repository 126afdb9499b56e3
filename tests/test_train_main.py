"""Tests of `benchmarks.train_main`: a tiny run gives tables, the same every time, that pictures can be coded with."""

import dataclasses
import sys
from importlib.resources import files

import numpy as np
import pytest

from benchmarks import train_lapping, train_main
from codec import block_sizes, chroma_from_luma, contexts, dc_pyramid
from codec.files import read_picture, write_picture
from codec.main import Main
from codec.trained import KINDS, TUNES, from_arrays, to_arrays, trained
from tests.pictures import make_picture

STEPS = (24,)


@pytest.fixture(scope="module")
def photos():
    """Two crops of the photograph that comes with the package."""
    pixels, _, _ = read_picture((files("codec") / "data/coffee.png").read_bytes(), suffix=".png")
    return [np.ascontiguousarray(pixels[:256, first : first + 256]) for first in (0, 128)]


@pytest.fixture(scope="module")
def small():
    """Make all of it as little as it can be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_lapping, "ROUNDS", 1)
        patch.setattr(train_lapping, "EVALUATIONS", 17)
        patch.setattr(train_main, "LAPPING_STEPS", STEPS)
        patch.setitem(train_main.fit_tables.__kwdefaults__, "steps", STEPS)  # defaults are bound
        patch.setattr(train_main, "TRELLIS_STEPS", STEPS)
        patch.setattr(train_main, "TRELLIS_ROUNDS", 1)
        patch.setattr(train_main, "SAMPLE", 300)
        patch.setattr(train_main, "REWEIGHTINGS", 1)
        yield


@pytest.fixture(scope="module")
def tables(photos, small):
    return train_main.train(photos, seed=1, rounds=2, log=lambda _: None)


def test_rows_of_frequencies_sum_to_4096(tables):
    assert set(tables.planes) == set(KINDS)
    every = [tables.sizes, tables.slopes, *(model.tables for model in tables.planes.values())]
    for of_kind in every:
        assert (of_kind.frequencies.sum(axis=1) == 4096).all()
    assert tables.sizes.frequencies.shape == (block_sizes.CONTEXTS, 2)
    assert tables.slopes.frequencies.shape == (1, chroma_from_luma.SYMBOLS)
    # Whatever an encoder wants to write in a context, it can; and nothing that there is not.
    assert min(tables.sizes.frequencies.min(), tables.slopes.frequencies.min()) > 0
    for model in tables.planes.values():
        dc, ac = np.split(model.tables.frequencies, [dc_pyramid.CONTEXTS])
        assert dc.shape[1] == dc_pyramid.SYMBOLS
        assert dc.min() > 0
        assert len(ac) == 3 * contexts.CONTEXTS
        assert ac[:, : contexts.SYMBOLS].min() > 0
        assert not ac[:, contexts.SYMBOLS :].any()


def test_contexts_of_larger_expectations_have_larger_symbols(tables):
    symbols = np.arange(contexts.SYMBOLS)
    for model in tables.planes.values():
        ac = model.tables.frequencies[dc_pyramid.CONTEXTS :, : contexts.SYMBOLS]
        ac = ac.reshape(-1, contexts.BINS, symbols.size)
        means = ac @ symbols / 4096
        assert (means[:, ::8].argsort(axis=1) == np.arange(means[:, ::8].shape[1])).all()
        assert (ac[:, 0, 0] > 3900).all()


def test_weights_are_whole_multiples_and_not_negative(tables):
    for model in tables.planes.values():
        assert len(model.ac) == contexts.LAST
        assert model.dc.shape == (dc_pyramid.GROUPS, dc_pyramid.FEATURES)
        for part in [model.dc, *(part for of_d in model.ac for part in of_d)]:
            assert np.array_equal(part * 2.0**12, np.rint(part * 2.0**12))
            assert part.min(initial=0) >= 0
        assert min(of_d.constant.min() for of_d in model.ac) >= 2.0**-9
        assert set(model.filters) == set(TUNES)
    # They are fitted, and not what they were.
    assert all(np.count_nonzero(of_d.window) > of_d.window.size // 10 for of_d in tables.planes["Y"].ac[1:6])
    assert all(of_d.beside[..., 2:].any() for of_d in tables.planes["Cr 4:4:4"].ac[:4])


def test_quantisers_of_the_trellis_have_tables_of_their_own(tables):
    for model in tables.planes.values():
        ac = model.tables.frequencies[dc_pyramid.CONTEXTS :].reshape(3, len(contexts.BANDS), contexts.BINS, -1)
        assert not np.array_equal(ac[1], ac[2])
        assert not np.array_equal(ac[0], ac[1])
        assert np.array_equal(ac[0, :, 0], ac[1, :, 0])  # explicit ones, which were not counted
        assert np.array_equal(ac[0, :, 0], ac[2, :, 0])


def test_arrays_there_and_back(tables):
    arrays = to_arrays(dataclasses.replace(tables, origin={"seed": 1}))
    again = to_arrays(from_arrays(arrays))
    assert from_arrays(arrays).origin == {"seed": 1}
    assert set(arrays) == set(again) == set(to_arrays(trained()))
    for name, array in arrays.items():
        assert np.array_equal(array, again[name])
        assert array.dtype == again[name].dtype
        assert name == "origin" or array.shape == to_arrays(trained())[name].shape
    for kind in KINDS:
        one, other = tables.planes[kind], from_arrays(arrays).planes[kind]
        assert np.array_equal(one.dc, other.dc)
        for of_d, of_other in zip(one.ac, other.ac, strict=True):
            assert all(np.array_equal(part, other_part) for part, other_part in zip(of_d, of_other, strict=True))


def test_the_same_seed_gives_the_same_tables(photos, small, tables):
    arrays = to_arrays(tables)
    again = to_arrays(train_main.train(photos, seed=1, rounds=2, log=lambda _: None))
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)


@pytest.mark.parametrize("effort", [3, 5, 9])
@pytest.mark.parametrize("subsampled", [False, True])
def test_pictures_coded_with_them(tables, photos, subsampled, effort):
    found = {}
    pixels = np.ascontiguousarray(photos[0][64:128, 64:192])
    for which in (tables, trained()):
        stages = Main(3, subsampled, 64 * 24, effort=effort, tables=which)
        data, decoded = stages.encode_strip(pixels), np.zeros_like(pixels)
        stages.decode_strip(data, 0, decoded)
        found[which is tables] = len(data), np.square(decoded.astype(float) - pixels).mean()
    assert found[True][1] < 120  # steps of 24: 48 by the steps alone
    assert found[True][0] < 1.5 * found[False][0]


# Photographs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[], [(255, 400), (300, 200), (8, 8)]])
def test_a_folder_without_a_large_photograph(sizes, tmp_path, monkeypatch, capsys):
    for number, size in enumerate(sizes):
        write_picture(tmp_path / f"{number}.png", make_picture(*size))
    write_picture(tmp_path / "gray.png", make_picture(300, 300, 1))
    output = tmp_path / "main.npz"
    monkeypatch.setattr(sys, "argv", ["train_main", str(tmp_path), "-o", str(output)])
    with pytest.raises(SystemExit) as stopped:
        train_main.main()
    assert stopped.value.code == 2
    assert f"none of the {len(sizes)} colour photographs has 256 x 256 pixels" in capsys.readouterr().err
    assert not output.exists()


def test_what_is_left_out_is_not_trained_on(tmp_path, monkeypatch, capsys):
    for name in ("a.png", "b.png", "c.png"):
        write_picture(tmp_path / name, make_picture(40, 40))
    arguments = ["train_main", str(tmp_path), "-o", str(tmp_path / "x.npz"), "--leave-out", "a.png", "c.png"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit):
        train_main.main()
    assert "none of the 1 colour photographs" in capsys.readouterr().err
