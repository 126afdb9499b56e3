import re
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

import codec
from codec.clips import open_clip
from codec.commands import demo_video
from codec.demo_clip import make_clip
from codec.frames import from_rgb
from codec.gop import FramePlan
from codec.group_decoder import Decoded
from codec.layout import Layout
from codec.metrics import psnr
from codec.motion_syntax import BACKWARD, BOTH, FORWARD, INTRA
from codec.program import main
from codec.reconstruct import Prediction
from codec.scenes import is_cut
from codec.video_reader import TracedFrame


@pytest.fixture
def short_clip(monkeypatch):
    """Let the demo make a clip of 24 frames, 14 in the first scene."""
    monkeypatch.setattr(demo_video, "FRAMES", 24)
    monkeypatch.setattr(demo_video, "QUALITIES", (30, 60))


def test_the_demo_writes_what_it_says(tmp_path, capsys, short_clip):
    assert main(["demo", "-o", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    names = {path.name for path in tmp_path.iterdir()}
    assert {"rd.png", "stages.png", "clip.tvid", "clip.mp4", "motion.png"} < names
    assert str(tmp_path) in out
    for quality in (10, 30, 50, 75, 90):
        data = (tmp_path / f"coffee-q{quality}.tjpg").read_bytes()
        assert np.array_equal(codec.decode_image(data), np.asarray(Image.open(tmp_path / f"coffee-q{quality}.png")))
        row = re.search(rf"^ +{quality} +([\d,]+) +([\d.]+) +([\d.]+)", out, re.MULTILINE)
        assert int(row[1].replace(",", "")) == len(data)
        assert float(row[2]) == round(8 * len(data) / (384 * 256), 2)
    savings = [float(share) for share in re.findall(r"([-+][\d.]+)%$", out, re.MULTILINE)]
    assert len(savings) == 5
    assert max(savings) < -15  # beside JPEG at the same PSNR
    _check_clip(tmp_path, out[out.index("A clip made of it") :])
    for name in ("rd.png", "stages.png", "motion.png"):
        assert np.asarray(Image.open(tmp_path / name)).std() > 10  # something is drawn


def _check_clip(folder, out):
    """Check the video's tables against the file itself, and the clip anew."""
    size = (folder / "clip.tvid").stat().st_size
    photo = np.asarray(Image.open("codec/data/coffee.png"))
    clip = [from_rgb(frame, full_range=False)[0] for frame in make_clip(photo, 24)]
    with codec.open_video(folder / "clip.tvid") as video:
        assert video.shape == (24, 160, 256, 3)
        psnrs = [psnr(frame, planes[0]) for frame, (planes, _) in zip(clip, video.planes(), strict=True)]
        infos = list(video.info())
    row = re.search(r"^ +60 +([\d,]+) +([\d.]+) +([\d.]+) +([\d.]+)", out, re.MULTILINE)
    assert int(row[1].replace(",", "")) == size
    assert float(row[2]) == round(8 * size / (24 / 25) / 1000, 1)
    assert float(row[3]) == round(8 * size / (24 * 160 * 256), 3)
    assert float(row[4]) == round(np.mean(psnrs), 2)
    shares = 0.0
    for kind in "IPB":
        own = [info for info in infos if info.type == kind]
        count, mean, share, quality = re.search(
            rf"^ +{kind} +(\d+) +([\d,]+) +([\d.]+)% +([\d.]+)$", out, re.M
        ).groups()
        assert int(count) == len(own) > 0
        assert int(mean.replace(",", "")) == round(sum(info.bytes for info in own) / len(own))
        assert float(quality) == round(np.mean([psnrs[info.index] for info in own]), 2)
        shares += float(share)
    assert 95 < shares < 100  # header and index are no frame's
    with open_clip(folder / "clip.mp4") as other:
        assert (other.format.width, other.format.height, other.format.rate) == (256, 160, 25)
        assert len(list(other)) == 24


def test_the_clip_has_one_cut_and_is_the_same_in_every_run():
    photo = np.asarray(Image.open("codec/data/coffee.png"))
    clip = list(make_clip(photo, 20, 80, 128))
    luma = [from_rgb(frame)[0] for frame in clip]
    assert [time for time in range(1, 20) if is_cut(luma[time - 1], luma[time])] == [12]
    assert all(np.array_equal(a, b) for a, b in zip(clip, make_clip(photo, 20, 80, 128), strict=True))
    assert {frame.shape for frame in clip} == {(80, 128, 3)}
    assert not any(np.array_equal(a, b) for a, b in pairwise(clip))


def test_the_camera_sees_what_it_is_said_to():
    y, x = np.mgrid[:200, :250]
    places = np.stack([y, x, x], axis=-1).astype(np.uint8)  # a photograph of its own coordinates
    first = next(make_clip(places, 10, 160, 256))
    rows, columns = first[:, 200, 0].astype(int), first[150, :, 1].astype(int)  # where there is no disc
    step = 0.8 * 250 / 256  # the camera sees 0.8 of the width
    assert np.abs(rows - (0.42 * 200 + step * (np.arange(160) - 79.5))).mean() < 2  # there is noise
    assert np.abs(columns - (0.42 * 250 + step * (np.arange(256) - 127.5))).mean() < 2
    assert abs((rows - (0.42 * 200 + step * (np.arange(160) - 79.5))).mean()) < 0.4
    assert abs((columns - (0.42 * 250 + step * (np.arange(256) - 127.5))).mean()) < 0.4


def test_modes_and_arrows_are_those_of_the_frame():
    layout = Layout(1, 5, 0)
    vectors = np.zeros((5, 4, 2, 2), np.int16)
    vectors[1, :, 1] = [(4, 8), (12, 16), (20, 24), (-28, 32)]
    vectors[3, 0] = (-4, 6), (2, -40)
    vectors[4] = 99  # not used
    direction = np.array([FORWARD, BACKWARD, FORWARD, BOTH, INTRA], np.uint8)
    split, inherits = np.arange(5) == 1, np.array([True, False, True, False, False])
    coded = np.zeros((2, 10), bool)
    coded[1, 4] = True  # in the third macroblock
    plan = FramePlan(1, "B", (0, 2), 2)
    decoded = Decoded(plan, [], [], Prediction(direction, vectors), inherits, split, [coded], {})
    modes = demo_video._modes(TracedFrame(1, decoded, (), (), ()), layout)
    assert modes.tolist() == [demo_video.SKIPPED, BACKWARD, demo_video.INHERITED, BOTH, INTRA]
    forward, backward = (demo_video._arrows(decoded, layout, reference).T.tolist() for reference in (0, 1))
    assert forward == [[7.5, 7.5, 0, 0], [39.5, 7.5, 0, 0], [55.5, 7.5, 1.5, -1]]
    assert backward == [
        [19.5, 3.5, 2, 1],
        [27.5, 3.5, 4, 3],
        [19.5, 11.5, 6, 5],
        [27.5, 11.5, 8, -7],
        [55.5, 7.5, -10, 0.5],
    ]
