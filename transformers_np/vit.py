"""The Vision Transformer (Dosovitskiy et al., "An image is worth 16x16 words", 2020).

    images -> patches -> linear -> [cls | tokens] + positions -> blocks -> norm -> cls -> linear -> logits

A block lets tokens look at each other, then works on each by itself; both are added to what is there, so that the way
from the loss to the first layer is never interrupted (pre-norm):

    x = x + attention(norm1(x))
    x = x + mlp(norm2(x))

Parameters have timm's names (`models/vision_transformer.py`), so that a state_dict of its models is one of this:

    cls_token (1, 1, D)                 pos_embed (1, 1 + N, D)
    patch_embed.proj.weight (D, C, P, P)                            .bias (D,)
    blocks.I.norm1.weight (D,)          .attn.qkv.weight (3 D, D)   .attn.proj.weight (D, D)    and biases
    blocks.I.norm2.weight (D,)          .mlp.fc1.weight (M, D)      .mlp.fc2.weight (D, M)      and biases
    norm.weight (D,)                    head.weight (K, D)          and biases
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from transformers_np import ops
from transformers_np.tokens import patches
from transformers_np.workspace import empty

__all__ = ["BASE", "SMALL", "TINY", "Vit", "block", "block_backward", "init_block", "truncated_normal"]

Array: TypeAlias = NDArray[np.floating[Any]]
Parameters: TypeAlias = dict[str, Array]

CLS_SPREAD = 1e-6


def truncated_normal(rng: np.random.Generator, shape: tuple[int, ...], spread: float) -> NDArray[np.float64]:
    """Draw from a normal distribution without what is beyond two standard deviations."""
    drawn = rng.standard_normal(shape)
    while (beyond := np.abs(drawn) > 2).any():
        drawn[beyond] = rng.standard_normal(np.count_nonzero(beyond))
    return drawn * spread


def init_block(rng: np.random.Generator, width: int, hidden: int, spread: float) -> Parameters:
    """Return the parameters of a block, by their names within it."""
    parameters: Parameters = {}
    shapes = {"attn.qkv": (3 * width, width), "attn.proj": (width, width)}
    shapes |= {"mlp.fc1": (hidden, width), "mlp.fc2": (width, hidden)}
    for name in ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"):
        if name in shapes:
            parameters[f"{name}.weight"] = truncated_normal(rng, shapes[name], spread)
            parameters[f"{name}.bias"] = np.zeros(shapes[name][0])
        else:
            parameters[f"{name}.weight"], parameters[f"{name}.bias"] = np.ones(width), np.zeros(width)
    return parameters


def block(
    x: Array, parameters: Parameters, prefix: str, heads: int, mask: NDArray[np.bool_] | None = None
) -> tuple[Array, tuple[Any, ...]]:
    """Compute a block.

    Parameters
    ----------
    x : (B, N, D) array
    parameters : dict of str to array
    prefix : str
        What the names of the block's parameters begin with.
    heads : int
    mask : bool array that broadcasts to (B, heads, N, N), optional
        Which tokens each token may see.

    Returns
    -------
    y : (B, N, D) array
    cache : tuple
        Its first element is the weights of attention, (B, heads, N, N).
    """

    def of(layer: str) -> tuple[Array, Array]:
        return parameters[f"{prefix}{layer}.weight"], parameters[f"{prefix}{layer}.bias"]

    normal, norm1 = ops.layer_norm(x, *of("norm1"))
    seen, attention = ops.self_attention(normal, *of("attn.qkv"), *of("attn.proj"), heads, mask)
    seen += x
    normal, norm2 = ops.layer_norm(seen, *of("norm2"))
    hidden, fc1 = ops.linear(normal, *of("mlp.fc1"))  # (B, N, M)
    active, gelu = ops.gelu(hidden)
    y, fc2 = ops.linear(active, *of("mlp.fc2"))
    y += seen
    return y, (attention[0], norm1, attention, norm2, fc1, gelu, fc2)


def block_backward(dy: Array, cache: tuple[Any, ...], gradients: Parameters, prefix: str) -> Array:
    """Return dx, and put the parameters' gradients among the others."""
    _, norm1, attention, norm2, fc1, gelu, fc2 = cache

    def put(layer: str, weight: Array, bias: Array) -> None:
        gradients[f"{prefix}{layer}.weight"], gradients[f"{prefix}{layer}.bias"] = weight, bias

    # y = seen + fc2(gelu(fc1(norm2(seen))))
    dactive, *of_fc2 = ops.linear_backward(dy, fc2)
    put("mlp.fc2", *of_fc2)
    dnormal, *of_fc1 = ops.linear_backward(ops.gelu_backward(dactive, gelu), fc1)
    put("mlp.fc1", *of_fc1)
    dseen, *of_norm2 = ops.layer_norm_backward(dnormal, norm2)
    put("norm2", *of_norm2)
    dseen += dy
    # seen = x + attention(norm1(x))
    dnormal, dqkv_w, dqkv_b, dproj_w, dproj_b = ops.self_attention_backward(dseen, attention)
    put("attn.qkv", dqkv_w, dqkv_b)
    put("attn.proj", dproj_w, dproj_b)
    dx, *of_norm1 = ops.layer_norm_backward(dnormal, norm1)
    put("norm1", *of_norm1)
    dx += dseen
    return dx


@dataclass(frozen=True)
class Vit:
    """The shape of a model.

    Attributes
    ----------
    size, patch : int
        Side of pictures and of patches; the one is a multiple of the other.
    channels, classes : int
    width, depth, heads : int
        D, number of blocks, heads of each.
    hidden : int
        Width of the layer within a block, usually 4 D.
    spread : float
        Standard deviation of weights at the start: 0.02 in published models, some hundred wide. Narrow ones learn
        faster with more.
    """

    size: int
    patch: int
    channels: int
    classes: int
    width: int
    depth: int
    heads: int
    hidden: int
    spread: float = 0.02

    @property
    def tokens(self) -> int:
        """Number of patches, N."""
        return (self.size // self.patch) ** 2

    def init(self, rng: np.random.Generator, dtype: DTypeLike = np.float32) -> Parameters:
        """Draw parameters as the paper's authors do: weights from a truncated normal, biases 0."""
        width = self.width
        parameters: Parameters = {
            "cls_token": rng.standard_normal((1, 1, width)) * CLS_SPREAD,
            "pos_embed": truncated_normal(rng, (1, 1 + self.tokens, width), self.spread),
            "patch_embed.proj.weight": truncated_normal(
                rng, (width, self.channels, self.patch, self.patch), self.spread
            ),
            "patch_embed.proj.bias": np.zeros(width),
        }
        for number in range(self.depth):
            of_block = init_block(rng, width, self.hidden, self.spread)
            parameters |= {f"blocks.{number}.{name}": value for name, value in of_block.items()}
        parameters |= {
            "norm.weight": np.ones(width),
            "norm.bias": np.zeros(width),
            "head.weight": truncated_normal(rng, (self.classes, width), self.spread),
            "head.bias": np.zeros(self.classes),
        }
        return {name: np.ascontiguousarray(value, dtype) for name, value in parameters.items()}

    def tokens_of(self, images: Array, parameters: Parameters) -> tuple[Array, tuple[Any, ...]]:
        """Turn pictures into what the first block sees: (B, C, H, W) to (B, 1 + N, D)."""
        weight = parameters["patch_embed.proj.weight"].reshape(self.width, -1)  # a convolution without overlap
        embedded, cache = ops.linear(patches(images, self.patch), weight, parameters["patch_embed.proj.bias"])
        x = empty((len(images), 1 + self.tokens, self.width), images.dtype)
        x[:, :1] = parameters["cls_token"]
        x[:, 1:] = embedded
        x += parameters["pos_embed"]
        return x, cache

    def forward(self, images: Array, parameters: Parameters) -> tuple[Array, tuple[Any, ...]]:
        """Compute logits.

        Parameters
        ----------
        images : (B, channels, size, size) array
        parameters : dict of str to array

        Returns
        -------
        logits : (B, classes) array
        cache : tuple
            `named` tells what is in it.
        """
        if images.shape[1:] != (self.channels, self.size, self.size):
            raise ValueError(f"pictures of {images.shape[1:]}; this model sees {(self.channels, self.size, self.size)}")
        x, embedding = self.tokens_of(images, parameters)
        logits, cache = self.classify(x, parameters)
        return logits, (embedding, *cache)

    def classify(self, x: Array, parameters: Parameters, first: int = 0) -> tuple[Array, tuple[Any, ...]]:
        """Compute logits of tokens, the class token and any others, by the blocks from `first` on.

        (B, N, D) to (B, classes): a block does not ask how many tokens there are, nor where they are from.
        """
        of_blocks, outputs = [], [x]
        for number in range(first, self.depth):
            x, cache = block(x, parameters, f"blocks.{number}.", self.heads)
            of_blocks.append(cache)
            outputs.append(x)
        normal, norm = ops.layer_norm(x, parameters["norm.weight"], parameters["norm.bias"])
        logits, head = ops.linear(normal[:, 0], parameters["head.weight"], parameters["head.bias"])
        return logits, (of_blocks, norm, head, outputs, normal)

    def named(self, cache: tuple[Any, ...]) -> dict[str, Array]:
        """Return what lies between pictures and logits, by name, in the order in which it is computed.

        `embedding` and `blocks.I` are tokens (B, 1 + N, D), `blocks.I.attn` weights of attention (B, heads, 1 + N,
        1 + N), `norm` the tokens at the end, and `grid` the same without the class token, (B, D, rows, columns), for
        tasks that want a picture.
        """
        _, of_blocks, _, _, outputs, normal = cache
        side = self.size // self.patch
        found = {"embedding": outputs[0]}
        for number, (of_block, output) in enumerate(zip(of_blocks, outputs[1:], strict=True)):
            found[f"blocks.{number}.attn"], found[f"blocks.{number}"] = of_block[0], output
        found["norm"] = normal
        found["grid"] = normal[:, 1:].swapaxes(1, 2).reshape(len(normal), self.width, side, side)
        return found

    def backward(self, dlogits: Array, cache: tuple[Any, ...]) -> Parameters:
        """Return the gradients of all parameters, given those of the logits."""
        embedding, of_blocks, norm, head, _, normal = cache
        gradients: Parameters = {}
        dcls, gradients["head.weight"], dbias = ops.linear_backward(dlogits, head)
        gradients["head.bias"] = dbias
        dnormal = empty(normal.shape, dlogits.dtype)
        dnormal[:, 0], dnormal[:, 1:] = dcls, 0
        dx, gradients["norm.weight"], gradients["norm.bias"] = ops.layer_norm_backward(dnormal, norm)
        for number in range(self.depth - 1, -1, -1):
            dx = block_backward(dx, of_blocks[number], gradients, f"blocks.{number}.")
        gradients["pos_embed"] = dx.sum(axis=0, keepdims=True)
        gradients["cls_token"] = gradients["pos_embed"][:, :1].copy()
        dembedded = empty((len(dx), self.tokens, self.width), dx.dtype)
        dembedded[...] = dx[:, 1:]
        dweight, dbias = ops.linear_backward_first(dembedded, embedding)
        shape = (self.width, self.channels, self.patch, self.patch)
        gradients["patch_embed.proj.weight"], gradients["patch_embed.proj.bias"] = dweight.reshape(shape), dbias
        return gradients


# The published ones, for 224 x 224 pixels and 1000 classes: 5,717,416, 22,050,664 and 86,567,656 parameters.
TINY = Vit(224, 16, 3, 1000, 192, 12, 3, 768)
SMALL = Vit(224, 16, 3, 1000, 384, 12, 6, 1536)
BASE = Vit(224, 16, 3, 1000, 768, 12, 12, 3072)
