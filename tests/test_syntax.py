"""Tests of `codec.syntax`: what the encoder says is what the decoder hears, and nothing that breaks a rule passes."""

import dataclasses
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bitstreams.errors import CodecError, FormatError
from bitstreams.symbols import HuffmanDecoder, HuffmanEncoder
from codec.frames import SAMPLINGS, Format
from codec.gop import PYRAMIDS
from codec.layout import Layout
from codec.level_syntax import Levels
from codec.motion_syntax import BACKWARD, BOTH, FORWARD, INTRA, Motion
from codec.syntax import KINDS, Group, code_group
from codec.wavefront import waves
from tests.groups import invent_group, levels_of, random_group, settle

layouts = st.builds(Layout, st.integers(1, 4), st.integers(1, 6), st.integers(0, 2))


def same(ours, theirs):
    """Tell whether two groups are equal in all that they hold."""
    pairs = [*zip(ours.dc, theirs.dc, strict=True), *zip(ours.levels, theirs.levels, strict=True)]
    pairs += [(getattr(ours.motion, f.name), getattr(theirs.motion, f.name)) for f in dataclasses.fields(Motion)]
    return all(one.dtype == other.dtype and np.array_equal(one, other) for one, other in pairs)


def write(layout, levels, group, coder=None):
    coder = coder or HuffmanEncoder(KINDS)
    code_group(coder, layout, levels, group)
    return coder.finish()


def read(data, layout, levels):
    coder = HuffmanDecoder(data, 0, KINDS)
    group = code_group(coder, layout, levels, None)
    coder.finish()
    return group


def quiet_group(layout, frames):
    """Return a group in which nothing moves and no block has levels."""
    blocks = sum(rows * columns for rows, columns in layout.grids)
    motion = Motion.empty(frames, layout.rows * layout.columns)
    motion.direction[...] = FORWARD
    dc = [np.zeros(grid, np.int16) for grid in layout.grids]
    return Group(dc, motion, Levels(*(np.zeros(n, kind) for n, kind in ((blocks, "u1"), (0, "u1"), (0, "i2")))))


class Listener(HuffmanEncoder):
    """An encoder that keeps the calls, checks their contexts, and may record something else than it is told.

    Parameters
    ----------
    kind, place, symbol
        The `place`-th symbol of a kind is recorded as `symbol`.
    """

    def __init__(self, kind="", place=-1, symbol=0):
        super().__init__(KINDS)
        self.calls = {name: [] for name in KINDS}
        self._change = kind, place, symbol

    def code(self, kind, contexts, symbols, owners=None):
        assert symbols.dtype == contexts.dtype == np.uint8
        assert contexts.max(initial=0) < KINDS[kind]
        assert owners.shape == symbols.shape
        changed = symbols.copy()
        name, place, symbol = self._change
        place -= len(self.calls[kind])
        if name == kind and 0 <= place < symbols.size:
            changed[place] = symbol
        self.calls[kind] += symbols.tolist()
        super().code(kind, contexts, changed)
        return symbols


# There and back ---------------------------------------------------------------------------------------------


@given(layouts, st.integers(1, 12), st.sampled_from(PYRAMIDS), st.floats(0, 1), st.integers(0, 10_000))
@settings(max_examples=60)
@example(Layout(1, 1, 0), 1, 1, 1.0, 0)
@example(Layout(3, 5, 2), 17, 16, 1.0, 0)
def test_any_group_comes_back(layout, frames, pyramid, liveliness, seed):
    levels = levels_of(frames, pyramid)
    group = random_group(layout, levels, seed, liveliness=liveliness)
    coder = Listener()
    assert same(code_group(coder, layout, levels, group), group)
    assert same(read(coder.finish(), layout, levels), group)


def test_random_groups_have_everything():
    levels = levels_of(9, 8)
    group = random_group(Layout(4, 6, 1), levels, 1)
    motion = group.motion
    assert set(motion.direction[0].tolist()) == {INTRA, FORWARD}
    assert set(motion.direction[1:].ravel().tolist()) == {INTRA, FORWARD, BACKWARD, BOTH}
    for flags in (motion.split, motion.inherits, motion.pattern == 0, motion.inherits & (motion.pattern == 0)):
        assert 0.05 < flags.mean() < 0.95
    assert {0, 1, 64} <= set(group.levels.counts.tolist())
    assert {0, 63} <= set(group.levels.places.tolist())
    assert (np.abs(group.levels.values).max(), group.levels.values.min()) == (4095, -4095)


@given(layouts, st.integers(1, 9), st.sampled_from(PYRAMIDS), st.integers(0, 10_000))
def test_made_up_symbols_are_read_and_written_alike(layout, frames, pyramid, seed):
    levels = levels_of(frames, pyramid)
    data, group = invent_group(layout, levels, seed)
    if group is None:
        with pytest.raises(FormatError):
            read(data, layout, levels)
    else:
        assert same(read(data, layout, levels), group)


def test_most_made_up_symbols_keep_the_rules():
    groups = [invent_group(Layout(2, 3, 1), levels_of(5, 4), seed)[1] for seed in range(40)]
    assert sum(group is not None for group in groups) > 10


# What is in a group -----------------------------------------------------------------------------------------


@given(layouts, st.integers(1, 3), st.integers(0, 99))
def test_patterns_mark_blocks(layout, frames, seed):
    pattern = np.random.default_rng(seed).integers(0, 64, (frames, layout.rows * layout.columns)).astype(np.uint8)
    planes = layout.coded(pattern)
    assert len(planes) == (3 if layout.chroma else 1)
    for plane, (flags, grid) in enumerate(zip(planes, layout.grids, strict=True)):
        assert flags.shape == (frames, *grid)
        side = grid[0] // layout.rows
        for frame, row, column in np.ndindex(flags.shape):
            bits = pattern[frame, row // side * layout.columns + column // side]
            bit = 2 * (row % 2) + column % 2 if plane == 0 else 3 + plane
            assert flags[frame, row, column] == bool(bits >> bit & 1)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_grids_hold_the_planes(sampling):
    for height, width in ((16, 16), (17, 33), (1, 100)):
        layout = Layout(-(-height // 16), -(-width // 16), SAMPLINGS.index(sampling))
        shapes = Format(width, height, sampling, Fraction(1), Fraction(1)).shapes
        for (rows, columns), (plane_height, plane_width) in zip(layout.grids, shapes, strict=True):
            assert 8 * rows >= plane_height
            assert 8 * columns >= plane_width


def settle_plain(motion, layout, backward):
    """Return predicted vectors, and which macroblocks inherit, one macroblock after another."""
    frames, blocks = motion.direction.shape
    place = {
        int(b): wave.neighbours[:3, i].tolist()
        for wave in waves(layout.rows, layout.columns)
        for i, b in enumerate(wave.blocks)
    }
    predictions, inherits = np.zeros((frames, blocks, 2, 2), int), np.zeros((frames, blocks), bool)
    for frame in range(frames):
        usual = BOTH if backward[frame] else FORWARD
        vectors, direction = np.zeros((blocks + 1, 2, 2), int), np.full(blocks + 1, usual)
        for block in range(blocks):  # raster order: also after the neighbours
            left, above, corner = place[block]
            predicted = np.median(vectors[[left, above, corner]], axis=0).astype(int)
            expected = direction[left] if direction[left] == direction[above] != INTRA else usual
            direction[block] = motion.direction[frame, block]
            inherits[frame, block] = direction[block] == expected and not motion.split[frame, block]
            for reference in (0, 1):
                used = direction[block] >> reference & 1
                vectors[block, reference] = motion.vectors[frame, block, 0, reference] if used else predicted[reference]
                inherits[frame, block] &= np.array_equal(vectors[block, reference], predicted[reference])
            predictions[frame, block] = predicted
    return predictions, inherits


@given(st.integers(1, 4), st.integers(1, 5), st.floats(0, 1), st.integers(0, 999))
def test_what_neighbours_predict(rows, columns, liveliness, seed):
    layout, levels = Layout(rows, columns, 0), levels_of(5, 4)
    motion = random_group(layout, levels, seed, liveliness=liveliness).motion
    before = dataclasses.replace(motion, vectors=motion.vectors.copy(), inherits=~motion.inherits)
    predictions = settle(before, layout, levels > 1)
    expected, inherits = settle_plain(motion, layout, levels > 1)
    assert np.array_equal(predictions, expected)
    assert np.array_equal(before.inherits, inherits)
    assert np.array_equal(before.vectors, motion.vectors)  # settled before


def test_used_vectors_are_left_alone():
    layout, levels = Layout(3, 4, 1), levels_of(9, 8)
    motion = random_group(layout, levels, 3, liveliness=0.9).motion
    rng = np.random.default_rng(0)
    changed = dataclasses.replace(motion, vectors=motion.vectors.copy())
    used = (motion.direction[..., None] >> np.arange(2) & 1).astype(bool)[:, :, None, :, None]
    changed.vectors[...] = np.where(used, motion.vectors, rng.integers(-99, 100, motion.vectors.shape))
    settle(changed, layout, levels > 1)
    assert np.array_equal(changed.vectors, motion.vectors)
    whole = motion.vectors[~motion.split]
    assert (whole == whole[:, :1]).all()


# What it costs ----------------------------------------------------------------------------------------------


def test_nothing_that_moves_takes_one_symbol_for_four_macroblocks():
    layout = Layout(3, 9, 1)
    group = quiet_group(layout, 4)
    settle(group.motion, layout, np.zeros(4, bool))
    coder = Listener()
    code_group(coder, layout, levels_of(5, 1), group)
    assert coder.calls["skip"] == [15] * (4 * 2 * 5)  # macroblocks outside count as skipped
    assert coder.calls["mode"] == coder.calls["vector"] == coder.calls["pattern"] == []


def test_which_flag_is_which():
    layout = Layout(3, 5, 0)
    group = quiet_group(layout, 1)
    settle(group.motion, layout, np.zeros(1, bool))
    group.motion.pattern[0, [0, 8, 14]] = 1  # rows and columns 0 0, 1 3, 2 4
    group = dataclasses.replace(group, levels=group.levels._replace(counts=np.zeros(60 + 3, np.uint8)))
    coder = Listener()
    code_group(coder, layout, levels_of(2, 1), group)
    assert coder.calls["skip"] == [0b0111, 0b1110, 0b1111, 0b1111, 0b1111, 0b0111]
    assert coder.calls["mode"] == [0, 0, 0]
    assert coder.calls["pattern"] == [1, 1, 1]


def test_a_field_of_equal_vectors_is_sent_once():
    layout = Layout(4, 5, 0)
    group = quiet_group(layout, 1)
    group.motion.vectors[...] = [[5, -9], [0, 0]]
    settle(group.motion, layout, np.zeros(1, bool))
    coder = Listener()
    code_group(coder, layout, levels_of(2, 1), group)
    assert coder.calls["mode"] == [1 + FORWARD, *[0] * (len(coder.calls["mode"]) - 1)]
    assert coder.calls["vector"] == [10, 16]  # 5 folded; -9 folded is 17: its plain bits are 01
    assert group.motion.inherits.sum() == 19


def test_an_even_slope_of_dc_levels_is_predicted():
    layout = Layout(3, 4, 0)
    group = quiet_group(layout, 0)
    group.dc[0][...] = np.add.outer(3 * np.arange(6), -2 * np.arange(8))
    coder = Listener()
    code_group(coder, layout, levels_of(1, 1), group)
    along = {0: 0, 1: 3, 2: 6}  # folded: the corner, -2 to the right, 3 down
    counts = np.bincount(coder.calls["dc"])
    assert counts.tolist() == [1 + 5 * 7, 0, 0, 7, 0, 0, 5], along


# What breaks a rule -----------------------------------------------------------------------------------------


LAYOUT, LEVELS = Layout(2, 4, 1), levels_of(5, 2)


def first(kind, found):
    """Return a test of symbols: the place of the first for which `found` is true."""
    group = random_group(LAYOUT, LEVELS, 5)
    coder = Listener()
    code_group(coder, LAYOUT, LEVELS, group)
    return next(place for place, symbol in enumerate(coder.calls[kind]) if found(symbol))


def forged(kind, place, symbol):
    """Write a group with one symbol changed."""
    return write(LAYOUT, LEVELS, random_group(LAYOUT, LEVELS, 5), Listener(kind, place, symbol))


@pytest.mark.parametrize(
    ("kind", "symbol", "message"),
    [
        ("skip", 16, "more than four flags"),
        ("mode", 9, "mode does not exist"),
        ("mode", 255, "mode does not exist"),
        ("mode", 5, "mode does not exist"),  # intra and split
        ("vector", 60, "more than 15 bits"),
        ("part", 60, "more than 15 bits"),
        ("dc", 60, "more than 15 bits"),
        ("pattern", 64, "blocks that do not exist"),
        ("count", 65, "more than 64 levels"),
        ("count", 255, "more than 64 levels"),
        ("level", 0x00, "a size that does not exist"),
        ("level", 0x05, "a size that does not exist"),
        ("level", 0xD0, "a size that does not exist"),
    ],
)
def test_symbols_that_do_not_exist(kind, symbol, message):
    with pytest.raises(FormatError, match=message):
        read(forged(kind, 0, symbol), LAYOUT, LEVELS)


@pytest.mark.parametrize("symbol", [1 + BACKWARD, 1 + BOTH, 5 + BACKWARD, 5 + BOTH])
def test_the_second_reference_of_a_p_frame(symbol):
    layout, levels = Layout(1, 1, 0), levels_of(2, 1)
    group = quiet_group(layout, 1)
    group.motion.vectors[..., 0, :] = 4
    settle(group.motion, layout, np.zeros(1, bool))
    with pytest.raises(FormatError, match="without a second reference"):
        read(write(layout, levels, group, Listener("mode", 0, symbol)), layout, levels)


def test_chroma_of_a_gray_picture():
    layout, levels = Layout(1, 1, 0), levels_of(2, 1)
    group = quiet_group(layout, 1)
    group.motion.pattern[...] = 15
    group = dataclasses.replace(group, levels=group.levels._replace(counts=np.zeros(8, np.uint8)))
    settle(group.motion, layout, np.zeros(1, bool))
    for symbol in (16, 32, 63):
        with pytest.raises(FormatError, match="blocks that do not exist"):
            read(write(layout, levels, group, Listener("pattern", 0, symbol)), layout, levels)


def hand_made(counts, levels, bits=()):
    """Write a gray I frame of four blocks: counts, levels of each step, plain bits (width, value) between them."""
    coder = HuffmanEncoder(KINDS)
    for number in (1, 3):
        coder.code("dc", np.zeros(number, np.uint8), np.zeros(number, np.uint8))
    coder.code("count", np.zeros(4, np.uint8), np.array(counts, np.uint8))
    coder.code("level", np.zeros(len(levels), np.uint8), np.array(levels, np.uint8))
    for width, value in bits:
        coder.bits(np.array([width]), np.array([value]))
    return coder.finish()


@pytest.mark.parametrize(
    ("counts", "levels", "bits"),
    [
        ([1, 0, 0, 0], [0x1F], [(6, 49), (1, 0)]),  # 15 + 49 is one too far
        ([1, 0, 0, 0], [0x1F], [(6, 63), (1, 0)]),
        ([2, 0, 0, 0], [0x1F, 0x10], [(6, 48), (1, 0), (1, 0)]),  # nothing follows place 63
        ([2, 0, 0, 0], [0x1F, 0x11], [(6, 47), (1, 0), (1, 0)]),
    ],
)
def test_a_level_outside_its_block(counts, levels, bits):
    with pytest.raises(FormatError, match="a level leaves its block"):
        read(hand_made(counts, levels, bits), Layout(1, 1, 0), levels_of(1, 1))


def test_the_last_place_of_a_block():
    group = read(hand_made([2, 0, 0, 0], [0x1F, 0x10], [(6, 47), (1, 0), (1, 1)]), Layout(1, 1, 0), levels_of(1, 1))
    assert group.levels.places.tolist() == [62, 63]
    assert group.levels.values.tolist() == [1, -1]


def test_levels_that_are_missing():
    with pytest.raises(FormatError, match="too few symbols of level"):
        read(hand_made([2, 0, 0, 1], [0x10, 0x10]), Layout(1, 1, 0), levels_of(1, 1))


def test_symbols_that_nobody_asks_for():
    data = forged("skip", 0, 15)  # four macroblocks fewer
    with pytest.raises(FormatError):
        read(data, LAYOUT, LEVELS)


@given(st.integers(0, 10_000))
@settings(max_examples=40)
def test_one_changed_symbol_is_another_group_or_an_error(seed):
    rng = np.random.default_rng(seed)
    kind = str(rng.choice([*KINDS]))
    coder = Listener()
    group = random_group(LAYOUT, LEVELS, 5)
    code_group(coder, LAYOUT, LEVELS, group)
    place = int(rng.integers(len(coder.calls[kind])))
    symbol = int(rng.integers(256)) if rng.random() < 0.5 else int(rng.choice(coder.calls[kind]))
    try:
        found = read(forged(kind, place, symbol), LAYOUT, LEVELS)
    except CodecError:
        return
    assert same(found, group) == (symbol == coder.calls[kind][place])


@pytest.mark.parametrize("layout", [Layout(1024, 1024, 2), Layout(1, 4095, 0)], ids=str)
@pytest.mark.parametrize("frames", [1, 2])
def test_a_claim_without_symbols_takes_no_memory(layout, frames):
    data = HuffmanEncoder(KINDS).finish()
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="too few symbols"):
            read(data, layout, levels_of(frames, 1))
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


def test_a_claim_of_more_frames_takes_no_memory():
    layout = Layout(20, 20, 0)
    data = write(layout, levels_of(1, 1), quiet_group(layout, 0))
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="too few symbols of skip"):
            read(data, layout, levels_of(512, 1))
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()
