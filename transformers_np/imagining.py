"""Tokens that were not sent, imagined by the masked autoencoder: another way to see a file of the profile `tokens`.

A file can leave out its last passes (`transformers_np.token_profile`). A decoder fills them in with the networks that
would have predicted them, in whole numbers, the same on every machine. The masked autoencoder of `tcodec mask` looks
at more than the blocks next to a token; but it calculates with floats, whose last bits depend on the machine, and takes
two seconds for a megapixel. So it is no part of the format: `imagine` looks at what was decoded, and nothing is decoded
by what it finds.

`python -m benchmarks.imagined` measures what either is worth: where half of the tokens are sent, the networks make more
of it below 0.025 bits a pixel, the autoencoder above; where it is a quarter, the autoencoder does, by up to 0.5 dB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import codec
from bitstreams.errors import UnsupportedError
from codec import blocks
from codec.contexts import PHASES
from codec.image import Header
from transformers_np.inpainting import SIDE
from transformers_np.inpainting_training import load_inpainter
from transformers_np.mask_report import fill_in, from_planes, to_planes
from transformers_np.token_profile import Tokens

__all__ = ["imagine", "unsent_tokens"]


def unsent_tokens(header: Header) -> NDArray[np.bool_]:
    """Return which tokens of 8 x 8 were not sent, (rows, columns); the last ones may reach beyond the picture.

    Raises
    ------
    UnsupportedError
        If the file is of another profile.
    """
    if not isinstance(header.stages, Tokens):
        raise UnsupportedError(f"all of a file of profile {header.profile!r} is sent")
    unsent = np.zeros((-(-header.height // SIDE), -(-header.width // SIDE)), bool)
    for down, right in PHASES[header.stages.sent :]:
        unsent[down::2, right::2] = True
    return unsent


def imagine(data: bytes) -> NDArray[np.uint8]:
    """Decode a file, and have the tokens that were not sent imagined by the masked autoencoder.

    Parameters
    ----------
    data : bytes
        A `.tjpg` file of the profile `tokens`, gray or RGB.

    Returns
    -------
    (H, W) or (H, W, 3) uint8 array

    Raises
    ------
    CodecError
        UnsupportedError if the file has alpha, or is of another profile; or as of `codec.decode_image`.
    """
    header = codec.read_header(data)
    unsent = unsent_tokens(header)
    if header.channels in (2, 4):
        raise UnsupportedError("a picture with alpha; only gray and RGB are imagined")
    decoded = codec.decode_image(data)
    if not unsent.any():
        return decoded
    model, parameters, _ = load_inpainter()
    luma, _, *chroma = fill_in(to_planes(blocks.pad(decoded, SIDE)), unsent, model, parameters)
    return from_planes([luma, *chroma])[: header.height, : header.width]
