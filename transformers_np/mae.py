"""The masked autoencoder (He et al., "Masked autoencoders are scalable vision learners", 2021).

    images -> patches + positions -> [cls | visible ones] -> blocks -> norm                     the encoder
           -> linear -> [cls | all, with one vector for whatever is hidden] + positions
           -> narrow blocks -> norm -> linear -> the pixels of each patch                       the decoder

The encoder is a Vision Transformer (`transformers_np.vit`) that sees a quarter of the patches, and so costs little more
than a quarter. What it makes of them has to be enough for a light decoder to draw the rest. The loss is the mean square
error of hidden patches only; what was visible could just be copied.

Names and layouts of parameters are those of the official `models_mae.py`, so its state_dict is loaded as it is:

    cls_token (1, 1, D)             mask_token (1, 1, E)            pos_embed (1, 1 + N, D)    decoder_pos_embed (.., E)
    patch_embed.proj.* (D, C, P, P)         blocks.I.*              norm.* (D,)
    decoder_embed.* (E, D)                  decoder_blocks.I.*      decoder_norm.* (E,)        decoder_pred.* (P P C, E)

`blocks` are those of `transformers_np.vit`. Positions are waves that stay as they are (`FIXED`). The one trap: within
a patch, what goes in is ordered (channel, row, column), as a convolution has it, and what comes out (row, column,
channel), as `patchify`.

**Losses.** With `normalise_patches` each patch is to be told up to its brightness and contrast only, which made better
features in the paper. Written in the codec's DCT, that drops the DC coefficient and scales the others to unit energy.
The DCT is a rotation, so the plain error is the same sum over coefficients as over pixels. `dct_loss` weights each
coefficient by 1 / q**2, where q is its quantiser step: the error in steps, which is what the codec's tables hold the
eye to notice. At quality 50, JPEG's tables weight DC 38 times as much as the highest frequency. (Losses on
frequencies: Xie et al., "Masked frequency modeling", 2022.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from codec.dct import forward_matrix
from codec.quantize import TABLES, UNIT, scale
from transformers_np import ops
from transformers_np.tokens import mae_positions, patches
from transformers_np.vit import block, block_backward, init_block

__all__ = [
    "BASE",
    "FIXED",
    "Mae",
    "dct_loss",
    "dct_loss_backward",
    "normalise_patches",
    "patchify",
    "pixel_loss",
    "pixel_loss_backward",
    "quantiser_weights",
    "unpatchify",
]

Array: TypeAlias = NDArray[np.floating[Any]]
Cache: TypeAlias = tuple[Any, ...]
Parameters: TypeAlias = dict[str, Array]

FIXED = ("pos_embed", "decoder_pos_embed")
TOKEN_SPREAD = 0.02
EPS = 1e-6
SIDE = 8  # of the codec's blocks


# Patches as they are predicted ------------------------------------------------------------------------------


def patchify(images: Array, patch: int) -> Array:
    """Cut pictures into patches, ordered by (row, column, channel): (B, C, H, W) to (B, N, patch * patch * C)."""
    cut = patches(images, patch)
    batch, count, _ = cut.shape
    return np.ascontiguousarray(cut.reshape(batch, count, images.shape[1], -1).swapaxes(2, 3)).reshape(cut.shape)


def unpatchify(tokens: Array, patch: int, height: int, width: int) -> Array:
    """Put together again what `patchify` cut: (B, N, patch * patch * C) to (B, C, height, width)."""
    batch, down, across = len(tokens), height // patch, width // patch
    if tokens.shape[1] != down * across or tokens.shape[2] % (patch * patch):
        raise ValueError(f"tokens {tokens.shape} are no patches of {patch} x {patch} of pictures of {height} x {width}")
    cut = tokens.reshape(batch, down, across, patch, patch, -1)
    return np.ascontiguousarray(cut.transpose(0, 5, 1, 3, 2, 4)).reshape(batch, -1, height, width)


def normalise_patches(target: Array) -> Array:
    """Give each patch mean 0 and variance 1, with the unbiased variance, as the official code does."""
    mean, variance = target.mean(axis=-1, keepdims=True), target.var(axis=-1, keepdims=True, ddof=1)
    return (target - mean) / np.sqrt(variance + EPS)


# Losses -----------------------------------------------------------------------------------------------------


def _shares(hidden: NDArray[np.bool_], prediction: Array) -> Array:
    """Return what the square of each number counts: (B, N, 1)."""
    if hidden.shape != prediction.shape[:2] or not hidden.any():
        raise ValueError(f"mask {hidden.shape} hides {hidden.sum()} patches of {prediction.shape[:2]}")
    return (hidden / (hidden.sum() * prediction.shape[2])).astype(prediction.dtype)[..., None]


def pixel_loss(prediction: Array, target: Array, hidden: NDArray[np.bool_]) -> tuple[float, Cache]:
    """Return the mean square error of hidden patches.

    Parameters
    ----------
    prediction, target : (B, N, P * P * C) arrays
    hidden : (B, N) bool array
        At least one patch is.

    Returns
    -------
    loss : float
    cache : tuple
    """
    shares, difference = _shares(hidden, prediction), prediction - target
    return float((difference * difference * shares).sum()), (difference, shares)


def pixel_loss_backward(cache: Cache) -> Array:
    """Return the gradient of the prediction."""
    difference, shares = cache
    return 2 * difference * shares


def quantiser_weights(quality: float, table: str = "jpeg", *, chroma: bool = False) -> NDArray[np.float64]:
    """Return 1 / q**2 for `dct_loss`.

    Parameters
    ----------
    quality : float
        Of the codec, in [0, 100].
    table : str
        One of `codec.quantize.TABLES`.
    chroma : bool
        Whether its steps for chroma are meant.

    Returns
    -------
    (64,) float64 array
        In zigzag order, for pixels from 0 to 255.
    """
    return (scale(TABLES[table], quality)[int(chroma)] / UNIT) ** -2.0


def dct_loss(
    prediction: Array, target: Array, hidden: NDArray[np.bool_], channels: int, weights: Array
) -> tuple[float, Cache]:
    """Return the mean over hidden patches of squared errors of DCT coefficients, each times its weight.

    Parameters
    ----------
    prediction, target : (B, N, P * P * C) arrays
        As `patchify` has them; P is a multiple of 8, and patches are made of the codec's blocks of 8 x 8.
    hidden : (B, N) bool array
        At least one patch is.
    channels : int
        C.
    weights : (64,) array
        In zigzag order; ones give `pixel_loss`, up to the 2**-13 that the codec's transform is rounded to.

    Returns
    -------
    loss : float
    cache : tuple
    """
    shares, difference = _shares(hidden, prediction), prediction - target
    coefficients = _blocks(difference, channels) @ forward_matrix(SIDE).astype(difference.dtype)
    weighted = coefficients * weights.astype(difference.dtype)
    # Blocks of a patch count alike, so each coefficient counts what each pixel of its patch does.
    of_patches = (coefficients * weighted).reshape(*difference.shape[:2], -1)
    return float((of_patches * shares).sum()), (weighted, shares, channels)


def dct_loss_backward(cache: Cache) -> Array:
    """Return the gradient of the prediction."""
    weighted, shares, channels = cache
    return 2 * _from_blocks(weighted @ forward_matrix(SIDE).astype(weighted.dtype).T, channels) * shares


def _blocks(tokens: Array, channels: int) -> Array:
    """Cut patches into the codec's blocks: (B, N, P * P * C) to (B, N, P / 8 * P / 8 * C, 64)."""
    side = round((tokens.shape[2] / channels) ** 0.5)
    if side % SIDE or side * side * channels != tokens.shape[2]:
        raise ValueError(f"patches of {tokens.shape[2]} numbers in {channels} channels are not made of blocks of 8 x 8")
    cut = tokens.reshape(*tokens.shape[:2], side // SIDE, SIDE, side // SIDE, SIDE, channels)
    return np.ascontiguousarray(cut.transpose(0, 1, 2, 4, 6, 3, 5)).reshape(*tokens.shape[:2], -1, SIDE * SIDE)


def _from_blocks(blocks: Array, channels: int) -> Array:
    """Undo `_blocks`."""
    batch, count, number, _ = blocks.shape
    side = round((number / channels) ** 0.5)
    cut = blocks.reshape(batch, count, side, side, channels, SIDE, SIDE)
    return np.ascontiguousarray(cut.transpose(0, 1, 2, 5, 3, 6, 4)).reshape(batch, count, -1)


# The model --------------------------------------------------------------------------------------------------


def _xavier(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.float64]:
    """Draw a matrix that keeps variances in both directions (Glorot, Bengio, 2010)."""
    most = (6 / (rows + columns)) ** 0.5
    return rng.uniform(-most, most, (rows, columns))


@dataclass(frozen=True)
class Mae:
    """The shape of a model.

    Attributes
    ----------
    size, patch : int
        Side of pictures and of patches; the one is a multiple of the other.
    channels : int
    width, depth, heads : int
        Of the encoder: D, number of blocks, heads of each.
    decoder_width, decoder_depth, decoder_heads : int
        Of the decoder: E, and so on.
    expansion : int
        Width of the layer within a block, in widths of the block.
    """

    size: int
    patch: int
    channels: int
    width: int
    depth: int
    heads: int
    decoder_width: int
    decoder_depth: int
    decoder_heads: int
    expansion: int = 4

    @property
    def tokens(self) -> int:
        """Number of patches, N."""
        return (self.size // self.patch) ** 2

    def init(self, rng: np.random.Generator, dtype: DTypeLike = np.float32) -> Parameters:
        """Draw parameters as the official code does: linear layers by Glorot and Bengio, tokens from N(0, 0.02)."""
        width, narrow, side = self.width, self.decoder_width, self.size // self.patch
        samples = self.patch * self.patch * self.channels
        projection = _xavier(rng, width, samples).reshape(width, self.channels, self.patch, self.patch)
        parameters: Parameters = {
            "cls_token": rng.standard_normal((1, 1, width)) * TOKEN_SPREAD,
            "pos_embed": mae_positions(side, side, width)[None],
            "mask_token": rng.standard_normal((1, 1, narrow)) * TOKEN_SPREAD,
            "decoder_pos_embed": mae_positions(side, side, narrow)[None],
            "patch_embed.proj.weight": projection,
            "patch_embed.proj.bias": np.zeros(width),
            "decoder_embed.weight": _xavier(rng, narrow, width),
            "decoder_embed.bias": np.zeros(narrow),
            "decoder_pred.weight": _xavier(rng, samples, narrow),
            "decoder_pred.bias": np.zeros(samples),
        }
        for prefix, of, depth in (("", width, self.depth), ("decoder_", narrow, self.decoder_depth)):
            parameters |= {f"{prefix}norm.weight": np.ones(of), f"{prefix}norm.bias": np.zeros(of)}
            for number in range(depth):
                for name, value in init_block(rng, of, self.expansion * of, TOKEN_SPREAD).items():
                    drawn = _xavier(rng, *value.shape) if value.ndim == 2 else value
                    parameters[f"{prefix}blocks.{number}.{name}"] = drawn
        return {name: np.ascontiguousarray(value, dtype) for name, value in parameters.items()}

    def hidden(self, noise: Array, ratio: float) -> NDArray[np.bool_]:
        """Return the masks that the official code makes of noise: its lowest numbers are visible, (B, N) to (B, N)."""
        keep = int(self.tokens * (1 - ratio))
        mask = np.ones(noise.shape, bool)
        np.put_along_axis(mask, np.argsort(noise, axis=1, kind="stable")[:, :keep], False, axis=1)
        return mask

    def encode(self, images: Array, parameters: Parameters, hidden: NDArray[np.bool_]) -> tuple[Array, Cache]:
        """Make tokens of what is visible: (B, C, H, W) to (B, 1 + visible, D)."""
        batch = len(images)
        visible = np.nonzero(~hidden)  # pictures and patches, in order
        seen = patches(images, self.patch)[visible].reshape(batch, -1, self.channels * self.patch**2)
        weight = parameters["patch_embed.proj.weight"].reshape(self.width, -1)
        embedded, embedding = ops.linear(seen, weight, parameters["patch_embed.proj.bias"])
        positions = parameters["pos_embed"][0]
        x = np.empty((batch, 1 + seen.shape[1], self.width), images.dtype)
        x[:, :1] = parameters["cls_token"] + positions[0]
        x[:, 1:] = embedded
        x[:, 1:] += positions[1:][visible[1]].reshape(batch, -1, self.width)
        return self._blocks(x, parameters, "", self.depth, self.heads, (embedding, visible))

    def decode(self, latent: Array, parameters: Parameters, hidden: NDArray[np.bool_]) -> tuple[Array, Cache]:
        """Make a token for every patch: (B, 1 + visible, D) to (B, 1 + N, E)."""
        embedded, embedding = ops.linear(latent, parameters["decoder_embed.weight"], parameters["decoder_embed.bias"])
        x = np.empty((len(latent), 1 + self.tokens, self.decoder_width), latent.dtype)
        x[:, 0] = embedded[:, 0]
        x[:, 1:][hidden] = parameters["mask_token"][0, 0]
        x[:, 1:][~hidden] = embedded[:, 1:].reshape(-1, self.decoder_width)
        x += parameters["decoder_pos_embed"]
        return self._blocks(x, parameters, "decoder_", self.decoder_depth, self.decoder_heads, (embedding, hidden))

    def _blocks(
        self, x: Array, parameters: Parameters, prefix: str, depth: int, heads: int, before: Cache
    ) -> tuple[Array, Cache]:
        """Compute the blocks and the norm of one half."""
        of_blocks = []
        for number in range(depth):
            x, cache = block(x, parameters, f"{prefix}blocks.{number}.", heads)
            of_blocks.append(cache)
        y, norm = ops.layer_norm(x, parameters[f"{prefix}norm.weight"], parameters[f"{prefix}norm.bias"])
        return y, (before, of_blocks, norm)

    def forward(self, images: Array, parameters: Parameters, hidden: NDArray[np.bool_]) -> tuple[Array, Cache]:
        """Predict all patches from those that are visible.

        Parameters
        ----------
        images : (B, channels, size, size) array
        parameters : dict of str to array
        hidden : (B, N) bool array
            The same number in each picture.

        Returns
        -------
        prediction : (B, N, patch * patch * channels) array
            As `patchify` has them.
        cache : tuple
            `named` tells what is in it.
        """
        if images.shape[1:] != (self.channels, self.size, self.size):
            raise ValueError(f"pictures of {images.shape[1:]}; this model sees {(self.channels, self.size, self.size)}")
        counts = hidden.sum(axis=1) if hidden.shape == (len(images), self.tokens) else np.zeros(0)
        if not len(counts) or (counts != counts[0]).any():
            raise ValueError(f"mask {hidden.shape} for {(len(images), self.tokens)} patches; each hides as many")
        latent, encoder = self.encode(images, parameters, hidden)
        tokens, decoder = self.decode(latent, parameters, hidden)
        weight, bias = parameters["decoder_pred.weight"], parameters["decoder_pred.bias"]
        prediction, head = ops.linear(tokens[:, 1:], weight, bias)
        return prediction, (encoder, decoder, head, latent)

    def named(self, cache: Cache) -> dict[str, Array]:
        """Return what lies between pictures and prediction, by name.

        `latent` is what the encoder made, (B, 1 + visible, D); `blocks.I.attn` and `decoder_blocks.I.attn` are weights
        of attention, (B, heads, 1 + visible, 1 + visible) and (B, heads, 1 + N, 1 + N).
        """
        encoder, decoder, _, latent = cache
        found = {"latent": latent}
        for prefix, (_, of_blocks, _) in (("", encoder), ("decoder_", decoder)):
            found |= {f"{prefix}blocks.{number}.attn": of_block[0] for number, of_block in enumerate(of_blocks)}
        return found

    def backward(self, dprediction: Array, cache: Cache) -> Parameters:
        """Return the gradients of all parameters but positions, given those of the prediction."""
        encoder, decoder, head, _ = cache
        gradients: Parameters = {}

        def put(layer: str, weight: Array, bias: Array) -> None:
            gradients[f"{layer}.weight"], gradients[f"{layer}.bias"] = weight, bias

        dpatches, *of_head = ops.linear_backward(dprediction, head)
        put("decoder_pred", *of_head)
        dtokens = np.zeros((len(dpatches), 1 + self.tokens, self.decoder_width), dpatches.dtype)
        dtokens[:, 1:] = dpatches
        dx = self._blocks_backward(dtokens, decoder, gradients, "decoder_")
        (embedding, hidden), _, _ = decoder
        gradients["mask_token"] = dx[:, 1:][hidden].sum(axis=0)[None, None]
        seen = dx[:, 1:][~hidden].reshape(len(dx), -1, self.decoder_width)
        dlatent, *of_embedding = ops.linear_backward(np.concatenate([dx[:, :1], seen], axis=1), embedding)
        put("decoder_embed", *of_embedding)
        dx = self._blocks_backward(dlatent, encoder, gradients, "")
        (embedding, _), _, _ = encoder
        gradients["cls_token"] = dx[:, :1].sum(axis=0, keepdims=True)
        dweight, dbias = ops.linear_backward_first(np.ascontiguousarray(dx[:, 1:]), embedding)
        put("patch_embed.proj", dweight.reshape(self.width, self.channels, self.patch, self.patch), dbias)
        return gradients

    def _blocks_backward(self, dy: Array, cache: Cache, gradients: Parameters, prefix: str) -> Array:
        _, of_blocks, norm = cache
        dx, *of_norm = ops.layer_norm_backward(dy, norm)
        gradients[f"{prefix}norm.weight"], gradients[f"{prefix}norm.bias"] = of_norm
        for number in range(len(of_blocks) - 1, -1, -1):
            dx = block_backward(dx, of_blocks[number], gradients, f"{prefix}blocks.{number}.")
        return dx


# `mae_vit_base_patch16`, for 224 x 224 pixels.
BASE = Mae(224, 16, 3, 768, 12, 12, 512, 8, 16)
