import doctest

import numpy as np
import pytest

from codec import dct, metrics, motion, toy_gop
from codec.gop import plan_gop

HEIGHT, WIDTH = 32, 48


def noise(seed=0, height=HEIGHT, width=WIDTH):
    return np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)


def moving_square(frames, middle, brighter=0):
    """A textured square before flat gray: it moves by (3, 2) a frame, and is at (16, 16) in the frame `middle`."""
    clip = np.full((frames, 48, 64), 100, np.uint8)
    texture = noise(height=16, width=16) // 2 + 40
    for time in range(frames):
        top, left = 16 + 3 * (time - middle), 16 + 2 * (time - middle)
        clip[time, top : top + 16, left : left + 16] = texture + brighter * time
    return clip


def test_the_example_is_true():
    tried = doctest.testmod(toy_gop)
    assert tried.attempted > 3
    assert tried.failed == 0


@pytest.mark.parametrize(("frames", "pyramid"), [(1, 4), (7, 4), (6, 1), (9, 8)])
def test_the_order_is_that_of_the_codec(frames, pyramid):
    clip = np.stack([noise(time) for time in range(frames)])
    coded = list(toy_gop.toy_gop(clip, pyramid, reach=1))
    plans = plan_gop(frames, pyramid)
    assert [(frame.index, frame.type, frame.references) for frame in coded] == [
        (plan.index, plan.type, plan.references) for plan in plans
    ]
    assert [len(frame.vectors) for frame in coded] == [{"I": 0, "P": 1, "B": 2}[plan.type] for plan in plans]


@pytest.mark.parametrize("size", [8, 16])
def test_a_decoder_that_has_only_vectors_and_levels_does_not_drift(size):
    step = 40  # coarse: reconstructions are far from the originals
    clip = np.stack([np.roll(noise(), time, axis=1) for time in range(9)])
    shown = {}
    for frame in toy_gop.toy_gop(clip, size=size, reach=4, step=step):
        moved = [
            motion.compensate(shown[index], own, size).astype(float)
            for index, own in zip(frame.references, frame.vectors, strict=True)
        ]
        picture = np.rint(sum(moved) / len(moved)) if moved else np.full((HEIGHT, WIDTH), 128.0)
        for row, column in np.ndindex(HEIGHT // 8, WIDTH // 8):
            block = np.zeros(64)
            block[toy_gop.ZIGZAG] = frame.levels[row, column] * float(step)
            picture[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += np.rint(dct.idct2(block.reshape(8, 8)))
        shown[frame.index] = np.clip(picture, 0, 255).astype(np.uint8)
        assert np.array_equal(shown[frame.index], frame.reconstruction)
        assert frame.psnr == metrics.psnr(clip[frame.index], shown[frame.index])
        assert frame.psnr < 40


def test_a_square_that_moves_is_found_exactly():
    clip = moving_square(5, middle=4)
    _, coded, *_ = toy_gop.toy_gop(clip, pyramid=4, reach=12, step=1)
    assert (coded.index, coded.type) == (4, "P")
    assert coded.vectors[0, 1, 1].tolist() == [-12, -8]
    assert np.abs(coded.residual[16:32, 16:32]).max() <= 2  # no more than the first frame has lost
    assert np.abs(clip[4].astype(int) - clip[0])[16:32, 16:32].max() > 50  # without motion


def test_b_frames_take_the_mean_of_both_sides():
    clip = moving_square(5, middle=2, brighter=10)  # so that each side alone is wrong by 20
    coded = {frame.index: frame for frame in toy_gop.toy_gop(clip, pyramid=4, step=1)}
    assert coded[2].references == (0, 4)
    assert coded[2].vectors[:, 1, 1].tolist() == [[-6, -4], [6, 4]]
    assert np.abs(coded[2].residual[16:32, 16:32]).max() <= 2


def test_a_still_clip_costs_nothing_after_its_first_frame():
    rng = np.random.default_rng(0)
    levels = rng.integers(-2, 3, (HEIGHT // 8, 1, WIDTH // 8, 1, 8, 8))
    picture = dct.idct2(16 * levels)[:, 0, :, 0].swapaxes(1, 2).reshape(HEIGHT, WIDTH)  # coefficients amid their steps
    picture = np.clip(128 + picture + rng.integers(-2, 3, picture.shape), 0, 255).astype(np.uint8)
    first, *others = toy_gop.toy_gop(np.stack([picture] * 6), size=8, reach=2)
    assert first.bits > 1000
    assert all(frame.residual.any() for frame in others)  # but less than half a step
    assert [frame.bits for frame in others] == [0] * 5


def test_finer_steps_cost_more_and_lose_less():
    clip = np.stack([noise(time) for time in range(3)])
    coarse, fine = (list(toy_gop.toy_gop(clip, step=step)) for step in (32, 8))
    assert all(a.bits < b.bits and a.psnr < b.psnr - 9 for a, b in zip(coarse, fine, strict=True))


@pytest.mark.parametrize(("height", "width"), [(24, 48), (32, 40)])
def test_frames_are_whole_blocks(height, width):
    with pytest.raises(ValueError, match=f"{width} x {height} samples"):
        next(toy_gop.toy_gop(np.zeros((1, height, width), np.uint8)))
