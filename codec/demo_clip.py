"""A clip made from a photograph: a camera moves over it, and something moves before it.

Two scenes, with a cut between. In each the camera glides over the photograph and changes its distance, so that nothing
moves by whole samples, nor everything alike; a disc crosses on a way of its own, covers what is behind it and shows it
again; and there is a sensor's noise. That is what motion search, both directions of prediction, blocks of their own and
new beginnings are for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["make_clip"]

NOISE = 1.5  # standard deviation, in levels
RADIUS = 0.17  # of the disc, in heights of a frame


class View(NamedTuple):
    """What the camera sees of the photograph: the centre and width of it, in heights and widths of the photograph."""

    down: float
    right: float
    width: float


class Scene(NamedTuple):
    """Where the camera and the disc's centre (down, right; in heights and widths of a frame) begin and end."""

    share: float  # of the frames
    mirrored: bool
    view: tuple[View, View]
    disc: tuple[tuple[float, float], tuple[float, float]]


SCENES = (
    Scene(0.6, False, (View(0.42, 0.42, 0.80), View(0.52, 0.60, 0.62)), ((0.30, 0.02), (0.62, 0.50))),
    Scene(0.4, True, (View(0.70, 0.40, 0.45), View(0.55, 0.55, 0.55)), ((0.75, 0.85), (0.45, 0.60))),
)


def make_clip(
    photo: NDArray[np.uint8], frames: int = 48, height: int = 160, width: int = 256
) -> Iterator[NDArray[np.uint8]]:
    """Make the frames of the clip.

    Parameters
    ----------
    photo : (H, W, 3) uint8 array
    frames : int
        At least 2, one for each scene.
    height, width : int
        Of a frame.

    Yields
    ------
    (height, width, 3) uint8 array
        The same in every run.
    """
    rng = np.random.default_rng(0)
    cut = round(SCENES[0].share * frames)
    for scene, length in zip(SCENES, (cut, frames - cut), strict=True):
        ground = photo[:, ::-1] if scene.mirrored else photo
        for time in np.linspace(0, 1, length):
            picture = _draw_disc(_look(ground, _between(scene.view, time), height, width), photo, scene, time)
            yield np.clip(np.rint(picture + rng.normal(0, NOISE, picture.shape)), 0, 255).astype(np.uint8)


def _between(ends: tuple[tuple[float, ...], tuple[float, ...]], time: float) -> NDArray[np.float64]:
    """Return a place on the way from one end to the other; it is left and reached slowly."""
    return np.add(ends[0], np.subtract(ends[1], ends[0]) * time * time * (3 - 2 * time))


def _look(photo: NDArray[np.uint8], view: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Return what the camera sees."""
    down, right, share = view
    scale = share * photo.shape[1] / width  # samples of the photograph to one of the frame
    y = down * photo.shape[0] + scale * (np.arange(height) - (height - 1) / 2)
    x = right * photo.shape[1] + scale * (np.arange(width) - (width - 1) / 2)
    return _sample(photo, y[:, None], x)


def _sample(photo: NDArray[np.uint8], y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate between the four samples around each place, bilinearly; outside is the edge.

    Parameters
    ----------
    photo : (H, W, 3) uint8 array
    y, x : float64 arrays
        In samples; they are broadcast against each other.

    Returns
    -------
    (..., 3) float64 array
    """
    y, x = np.clip(y, 0, photo.shape[0] - 1), np.clip(x, 0, photo.shape[1] - 1)
    top, left = np.floor(y).astype(np.intp), np.floor(x).astype(np.intp)
    bottom, right = np.minimum(top + 1, photo.shape[0] - 1), np.minimum(left + 1, photo.shape[1] - 1)
    lower, further = (y - top)[..., None], (x - left)[..., None]
    above = photo[top, left] * (1 - further) + photo[top, right] * further
    below = photo[bottom, left] * (1 - further) + photo[bottom, right] * further
    return above * (1 - lower) + below * lower


def _draw_disc(
    picture: NDArray[np.float64], photo: NDArray[np.uint8], scene: Scene, time: float
) -> NDArray[np.float64]:
    """Draw the disc: a piece of the photograph with red and blue exchanged, so that it stands out."""
    height, width, _ = picture.shape
    down, right = _between(scene.disc, time) * (height, width)
    y, x = np.arange(height)[:, None] - down, np.arange(width) - right
    radius = RADIUS * height
    covered = np.clip(radius - np.hypot(y, x) + 0.5, 0, 1)[..., None]  # partly at the edge: it moves smoothly
    texture = _sample(photo[..., ::-1], y + 0.6 * photo.shape[0], x + 0.9 * photo.shape[1])
    return picture * (1 - covered) + texture * covered
