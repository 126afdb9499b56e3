"""Groups of pictures: which frame is coded how, after which, and how finely.

A group is closed: it begins with an I frame, and refers to nothing outside, so that it can be decoded alone. Every
`pyramid`-th frame after that is a P frame, predicted from the one before it. Between two of them B frames are predicted
from both sides, the middle one first, then the middles of the halves, and so on:

    display   0  1  2  3  4  5  6  7  8           level 0   I
    type      I  B  B  B  B  B  B  B  P                 1   P
    level     0  4  3  4  2  4  3  4  1                 2   B, the middle between two I or P
    coded     1  5  4  6  3  8  7  9  2                 3, 4   B, the middles of the halves

A frame that others are predicted from is worth more bits than one that nothing depends on: each level is quantised
more coarsely than the one before (`CASCADE`). Half of the frames are in the last level.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

__all__ = ["CASCADE", "PYRAMIDS", "FramePlan", "last_uses", "plan_gop"]

PYRAMIDS = (1, 2, 4, 8, 16)  # frames from one I or P frame to the next; 1 is a group without B frames
CASCADE = (80, 115, 145, 165, 190, 200)  # quantiser steps of each level, in percent of those of a still image


@dataclass(frozen=True)
class FramePlan:
    """How a frame is coded.

    Attributes
    ----------
    index : int
        Place in the group, in the order of display.
    type : {"I", "P", "B"}
    references : tuple of int
        Indices of the frames that it is predicted from: none, the one before, or one on each side.
    level : int
        Place in the pyramid: 0 I, 1 P, 2 and more B.
    """

    index: int
    type: str
    references: tuple[int, ...]
    level: int


def plan_gop(frames: int, pyramid: int) -> list[FramePlan]:
    """Return how the frames of a group are coded, in the order of coding.

    Parameters
    ----------
    frames : int
        Number of frames in the group, at least 1.
    pyramid : int
        Frames from one I or P frame to the next, one of `PYRAMIDS`; the last step is shorter if need be.

    Returns
    -------
    list of FramePlan
        Each frame once, after those that it refers to.
    """
    plans = [FramePlan(0, "I", (), 0)]

    def between(first: int, last: int, level: int) -> None:
        middle = (first + last) // 2
        if middle > first:
            plans.append(FramePlan(middle, "B", (first, last), level))
            between(first, middle, level + 1)
            between(middle, last, level + 1)

    anchor = 0
    while anchor < frames - 1:
        following = min(anchor + pyramid, frames - 1)
        plans.append(FramePlan(following, "P", (anchor,), 1))
        between(anchor, following, 2)
        anchor = following
    return plans


def last_uses(plans: list[FramePlan]) -> list[list[int]]:
    """Return, for each step of coding, which of the frames used or made in it no later step refers to."""
    left = Counter(reference for plan in plans for reference in plan.references)
    done = []
    for plan in plans:
        left.subtract(plan.references)
        done.append([index for index in {plan.index, *plan.references} if not left[index]])
    return done
