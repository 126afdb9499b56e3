"""A page with everything that a sweep has found, in one file that needs no other and no network.

`assets/page.html` is the frame, `page.css` and `page.js` what it looks like and what it does; the curves are drawn by
plotly.js, which comes with the package plotly. What is shown is the document of `results.json`, embedded as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from string import Template
from typing import Any

from benchmarks.curves import Comparison
from benchmarks.distortion import SIMILARITIES
from benchmarks.plots import DASHES, styles

__all__ = ["page"]

PLOTLY_DASHES = ("solid", "dash", "dot", "dashdot")  # what plotly calls `DASHES`


def page(document: Mapping[str, Any], comparisons: Sequence[Comparison], crops: Mapping[str, Any], title: str) -> str:
    """Return the page.

    Parameters
    ----------
    document : mapping
        As in `results.json` (`benchmarks.results`).
    comparisons : sequence of Comparison
        What it was made of.
    crops : mapping
        By the names of sources: "original", "width", "height", "bpp", and "pictures": for each codec "picture", "bpp"
        and "caption" (`benchmarks.crops`).
    title : str

    Returns
    -------
    str
        HTML.
    """
    from plotly.offline import get_plotlyjs  # noqa: PLC0415  four megabytes

    data = {
        "document": document,
        "crops": crops,
        "styles": {
            each.kind: {name: style._asdict() for name, style in styles(each.codecs).items()} for each in comparisons
        },
        "dashes": dict(zip(DASHES, PLOTLY_DASHES, strict=True)),
        "similarities": SIMILARITIES,
    }
    assets = resources.files("benchmarks") / "assets"
    return Template((assets / "page.html").read_text()).substitute(
        title=escape(title),
        style=(assets / "page.css").read_text(),
        data=json.dumps(data).replace("<", "\\u003c"),  # or a name could end the element that it stands in
        plotly=get_plotlyjs(),
        script=(assets / "page.js").read_text(),
    )
