import re

import numpy as np
from PIL import Image

import codec
from codec.program import main


def test_the_demo_writes_what_it_says(tmp_path, capsys):
    assert main(["demo", "-o", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    names = {path.name for path in tmp_path.iterdir()}
    assert {"rd.png", "stages.png"} < names
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
    for name in ("rd.png", "stages.png"):
        assert np.asarray(Image.open(tmp_path / name)).std() > 10  # something is drawn
