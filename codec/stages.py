"""Optional stages: parts of a profile that can be left out, one at a time, to see what each is worth.

Every profile says which of its stages are optional, and in a sentence what stands in the place of one that is left
out. An encoder is told which with `without`:

    codec.encode_image(pixels, without={"deadzone"})
    codec.encode_video(frames, "clip.tvid", without={"sub-pel", "split"})

They are found: by `codec.image.optional_stages`, for a profile from another package too, and in `codec.video.STAGES`.
So `tcodec rd --ablate` measures a new stage as soon as it is named there, and a test asks of each that it matters.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bitstreams.errors import CodecError

__all__ = ["Stages", "check_without"]

Stages = Mapping[str, str]  # name: what there is without it


def check_without(without: Collection[str], stages: Stages) -> frozenset[str]:
    """Return which stages are left out, or raise CodecError if one of them is not optional or not known."""
    names = frozenset([without] if isinstance(without, str) else without)
    if not names <= set(stages):
        unknown = ", ".join(sorted(names - set(stages)))
        raise CodecError(f"no optional stage is called {unknown}; there are {', '.join(stages)}")
    return names
