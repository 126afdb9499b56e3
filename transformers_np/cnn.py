"""Convolutional networks: one that is as plain as can be, one with a residual block, and what they look at.

    Cnn      images -> conv, relu, pool -> conv, relu, pool -> dense, relu -> dense -> logits
    Resnet   images -> conv, norm, relu -> residual block -> mean over places -> dense -> logits

A convolution sees small neighbourhoods, the same way everywhere; pooling makes the picture smaller, so that the next
one sees more of it (LeCun et al., "Gradient-based learning applied to document recognition", 1998). A residual block
adds what two convolutions find to what was there (He et al., "Deep residual learning for image recognition", 2015): the
gradient goes through the sum as it is, however many blocks there are.

Parameters have the names that the same layers would have in PyTorch: `conv1.weight` is (F, C, 3, 3), `fc1.weight` is
(hidden, F H W).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bitstreams.errors import UnsupportedError
from transformers_np import ops

__all__ = ["Cnn", "Resnet", "class_activation_map", "grad_cam", "residual_block", "residual_block_backward", "saliency"]

Array: TypeAlias = NDArray[np.floating[Any]]
Parameters: TypeAlias = dict[str, Array]

KERNEL = 3


def _he(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    """Draw weights whose outputs vary as much as their inputs, given that relu halves them (He et al., 2015)."""
    return rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))


def _as(parameters: Parameters, dtype: DTypeLike) -> Parameters:
    return {name: np.ascontiguousarray(value, dtype) for name, value in parameters.items()}


@dataclass(frozen=True)
class Cnn:
    """The shape of a plain network.

    Attributes
    ----------
    size : int
        Side of pictures; at an odd size, pooling leaves out the last row and column.
    channels, classes : int
    filters : sequence of int
        Of each convolution, 3 x 3, each followed by pooling of 2 x 2.
    hidden : int
        Width of the dense layer before the last.
    """

    size: int
    channels: int
    classes: int
    filters: Sequence[int] = (32, 64)
    hidden: int = 128

    @property
    def features(self) -> int:
        """What the dense layers see."""
        return self.filters[-1] * (self.size // 2 ** len(self.filters)) ** 2

    def init(self, rng: np.random.Generator, dtype: DTypeLike = np.float32) -> Parameters:
        """Draw parameters."""
        parameters: Parameters = {}
        before = self.channels
        for number, filters in enumerate(self.filters, 1):
            parameters[f"conv{number}.weight"] = _he(rng, filters, before, KERNEL, KERNEL)
            parameters[f"conv{number}.bias"] = np.zeros(filters)
            before = filters
        parameters["fc1.weight"] = _he(rng, self.hidden, self.features)
        parameters["fc1.bias"] = np.zeros(self.hidden)
        parameters["fc2.weight"] = _he(rng, self.classes, self.hidden) * 0.1  # no class is likelier at the start
        parameters["fc2.bias"] = np.zeros(self.classes)
        return _as(parameters, dtype)

    def forward(self, images: Array, parameters: Parameters) -> tuple[Array, tuple[Any, ...]]:
        """Compute logits: (B, channels, size, size) to (B, classes)."""
        if images.shape[1:] != (self.channels, self.size, self.size):
            raise ValueError(f"pictures of {images.shape[1:]}; this model sees {(self.channels, self.size, self.size)}")
        x, of_convolutions, maps = images, [], []
        for number in range(1, len(self.filters) + 1):
            x, conv = ops.conv2d(x, parameters[f"conv{number}.weight"], parameters[f"conv{number}.bias"], padding=1)
            # The largest of what is above 0 is what is above 0 of the largest, and four times less work.
            x, pool = ops.max_pool2d(x, 2)
            x, relu = ops.relu(x)
            of_convolutions.append((conv, pool, relu))
            maps.append(x)
        hidden, fc1 = ops.linear(x.reshape(len(x), -1), parameters["fc1.weight"], parameters["fc1.bias"])
        active, relu = ops.relu(hidden)
        logits, fc2 = ops.linear(active, parameters["fc2.weight"], parameters["fc2.bias"])
        return logits, (of_convolutions, fc1, relu, fc2, maps, active)

    def named(self, cache: tuple[Any, ...]) -> dict[str, Array]:
        """Return what layers make, after relu: the maps `conv1`, `conv2`, ..., (B, F, H, W), and `fc1`, (B, hidden)."""
        *_, maps, active = cache
        return {**{f"conv{number}": of_conv for number, of_conv in enumerate(maps, 1)}, "fc1": active}

    def backward(self, dlogits: Array, cache: tuple[Any, ...], named: dict[str, Array] | None = None) -> Parameters:
        """Return the gradients of all parameters; put those of the maps of `named`, and of `images`, into a dict."""
        of_convolutions, fc1, relu, fc2, maps, _ = cache
        gradients: Parameters = {}
        dactive, gradients["fc2.weight"], dbias = ops.linear_backward(dlogits, fc2)
        gradients["fc2.bias"] = dbias
        dx, gradients["fc1.weight"], dbias = ops.linear_backward(ops.relu_backward(dactive, relu), fc1)
        gradients["fc1.bias"] = dbias
        dx = dx.reshape(maps[-1].shape)
        for number, (conv, pool, of_relu) in reversed(list(enumerate(of_convolutions, 1))):
            if named is not None:
                named[f"conv{number}"] = dx
            dx = ops.max_pool2d_backward(ops.relu_backward(dx, of_relu), pool)
            if number == 1 and named is None:
                dweight, dbias = ops.conv2d_backward_first(dx, conv)
            else:
                dx, dweight, dbias = ops.conv2d_backward(dx, conv)
            gradients[f"conv{number}.weight"], gradients[f"conv{number}.bias"] = dweight, dbias
        if named is not None:
            named["images"] = dx
        return gradients


# A residual network -----------------------------------------------------------------------------------------


def residual_block(
    x: Array, parameters: Parameters, prefix: str, running: Parameters, *, training: bool
) -> tuple[Array, tuple[Any, ...]]:
    """Compute relu(x + norm(conv(relu(norm(conv(x)))))).

    Parameters
    ----------
    x : (B, F, H, W) array
    parameters : dict of str to array
        `conv1.weight`, `bn1.weight`, `bn1.bias`, and the same with 2, after the prefix. Convolutions have no bias: the
        normalisation would take it away again.
    prefix : str
    running : dict of str to array
        `bn1.running_mean`, `bn1.running_var`, and the same with 2, after the prefix; changed in place when training.
    training : bool
        Whether to normalise by this batch.
    """

    def norm(x: Array, layer: str) -> tuple[Array, tuple[Any, ...]]:
        of_layer = running[f"{prefix}{layer}.running_mean"], running[f"{prefix}{layer}.running_var"]
        weight, bias = parameters[f"{prefix}{layer}.weight"], parameters[f"{prefix}{layer}.bias"]
        return ops.batch_norm(x, weight, bias, of_layer, training=training)

    h, conv1 = ops.conv2d(x, parameters[f"{prefix}conv1.weight"], padding=1)
    h, norm1 = norm(h, "bn1")
    h, relu1 = ops.relu(h)
    h, conv2 = ops.conv2d(h, parameters[f"{prefix}conv2.weight"], padding=1)
    h, norm2 = norm(h, "bn2")
    y, relu2 = ops.relu(x + h)
    return y, (conv1, norm1, relu1, conv2, norm2, relu2)


def residual_block_backward(dy: Array, cache: tuple[Any, ...], gradients: Parameters, prefix: str) -> Array:
    """Return dx, and put the parameters' gradients among the others."""
    conv1, norm1, relu1, conv2, norm2, relu2 = cache
    dsum = ops.relu_backward(dy, relu2)  # goes to both: what was there, and what was found
    dh, gradients[f"{prefix}bn2.weight"], gradients[f"{prefix}bn2.bias"] = ops.batch_norm_backward(dsum, norm2)
    dh, gradients[f"{prefix}conv2.weight"], _ = ops.conv2d_backward(dh, conv2)
    dh = ops.relu_backward(dh, relu1)
    dh, gradients[f"{prefix}bn1.weight"], gradients[f"{prefix}bn1.bias"] = ops.batch_norm_backward(dh, norm1)
    dh, gradients[f"{prefix}conv1.weight"], _ = ops.conv2d_backward(dh, conv1)
    return dsum + dh


@dataclass(frozen=True)
class Resnet:
    """The shape of a small residual network, which ends with a mean over places: see `class_activation_map`.

    Attributes
    ----------
    channels, classes : int
    filters : int
        Of every convolution.
    blocks : int
        Residual blocks.
    """

    channels: int
    classes: int
    filters: int = 16
    blocks: int = 1

    def init(self, rng: np.random.Generator, dtype: DTypeLike = np.float32) -> tuple[Parameters, Parameters]:
        """Draw parameters; return them, and the running means and variances."""
        filters = self.filters
        parameters: Parameters = {"conv.weight": _he(rng, filters, self.channels, KERNEL, KERNEL)}
        parameters["conv.bias"] = np.zeros(filters)
        running: Parameters = {}
        for number in range(self.blocks):
            for layer in (1, 2):
                parameters[f"blocks.{number}.conv{layer}.weight"] = _he(rng, filters, filters, KERNEL, KERNEL)
                parameters[f"blocks.{number}.bn{layer}.weight"] = np.ones(filters)
                parameters[f"blocks.{number}.bn{layer}.bias"] = np.zeros(filters)
                running[f"blocks.{number}.bn{layer}.running_mean"] = np.zeros(filters)
                running[f"blocks.{number}.bn{layer}.running_var"] = np.ones(filters)
        parameters["head.weight"] = _he(rng, self.classes, filters) * 0.1
        parameters["head.bias"] = np.zeros(self.classes)
        return _as(parameters, dtype), _as(running, dtype)

    def forward(
        self, images: Array, parameters: Parameters, running: Parameters, *, training: bool
    ) -> tuple[Array, tuple[Any, ...]]:
        """Compute logits, (B, channels, H, W) to (B, classes); the cache ends with the last maps, (B, F, H, W)."""
        x, conv = ops.conv2d(images, parameters["conv.weight"], parameters["conv.bias"], padding=1)
        x, relu = ops.relu(x)
        of_blocks = []
        for number in range(self.blocks):
            x, cache = residual_block(x, parameters, f"blocks.{number}.", running, training=training)
            of_blocks.append(cache)
        logits, head = ops.linear(x.mean(axis=(2, 3)), parameters["head.weight"], parameters["head.bias"])
        return logits, (conv, relu, of_blocks, head, x)

    def backward(self, dlogits: Array, cache: tuple[Any, ...]) -> Parameters:
        """Return the gradients of all parameters."""
        conv, relu, of_blocks, head, maps = cache
        gradients: Parameters = {}
        dmean, gradients["head.weight"], dbias = ops.linear_backward(dlogits, head)
        gradients["head.bias"] = dbias
        dx: Array = np.broadcast_to((dmean / np.prod(maps.shape[2:], dtype=dmean.dtype))[..., None, None], maps.shape)
        for number in range(self.blocks - 1, -1, -1):
            dx = residual_block_backward(dx, of_blocks[number], gradients, f"blocks.{number}.")
        _, gradients["conv.weight"], dbias = ops.conv2d_backward(ops.relu_backward(dx, relu), conv)
        gradients["conv.bias"] = dbias
        return gradients


# What a network looks at ------------------------------------------------------------------------------------


def saliency(model: Cnn, images: Array, parameters: Parameters, classes: NDArray[np.integer]) -> Array:
    """Return how much each pixel matters to the score of a class (Simonyan, Vedaldi, Zisserman, 2013).

    Parameters
    ----------
    model : Cnn
    images : (B, C, H, W) array
    parameters : dict of str to array
    classes : (B,) integer array

    Returns
    -------
    (B, H, W) array
        The largest magnitude of the score's gradient over channels.
    """
    _, named = _gradients_of_scores(model, images, parameters, classes)
    return np.abs(named["images"]).max(axis=1)


def grad_cam(
    model: Cnn, images: Array, parameters: Parameters, classes: NDArray[np.integer], layer: str = "conv2"
) -> Array:
    """Return where the maps of a layer speak for a class (Selvaraju et al., "Grad-CAM", 2016).

    Each map is weighted by the mean of the score's gradient over it; what speaks against the class is cut off.
    Parameters are those of `saliency`; the result is (B, H, W), of the layer's resolution. A layer that the model does
    not have, or that makes no maps, is an UnsupportedError.
    """
    cache, named = _gradients_of_scores(model, images, parameters, classes)
    of_layers = {name: array for name, array in model.named(cache).items() if array.ndim == 4}
    if layer not in of_layers:
        raise UnsupportedError(f"no layer {layer} of maps; this model has {', '.join(of_layers)}")
    maps, gradient = of_layers[layer], named[layer]
    return np.maximum((gradient.mean(axis=(2, 3), keepdims=True) * maps).sum(axis=1), 0)


def _gradients_of_scores(
    model: Cnn, images: Array, parameters: Parameters, classes: NDArray[np.integer]
) -> tuple[tuple[Any, ...], dict[str, Array]]:
    """Return the cache of a forward pass, and the gradients of one logit of each picture with respect to all maps."""
    if classes.shape != images.shape[:1]:
        raise ValueError(f"pictures {images.shape}, classes {classes.shape} do not go together")
    logits, cache = model.forward(images, parameters)
    dlogits = np.zeros_like(logits)
    dlogits[np.arange(len(classes)), classes] = 1
    named: dict[str, Array] = {}
    model.backward(dlogits, cache, named)
    return cache, named


def class_activation_map(maps: Array, head_weight: Array, classes: NDArray[np.integer]) -> Array:
    """Return what each place adds to the score of a class, where a mean over places and a dense layer come last.

    The mean and the layer may change places, so the score is the mean of a picture of scores (Zhou et al., "Learning
    deep features for discriminative localization", 2015).

    Parameters
    ----------
    maps : (B, F, H, W) array
        What the mean is taken of.
    head_weight : (K, F) array
    classes : (B,) integer array

    Returns
    -------
    (B, H, W) array
        Its mean is the logit, less the bias.
    """
    if maps.ndim != 4 or head_weight.shape[1:] != maps.shape[1:2] or classes.shape != maps.shape[:1]:
        raise ValueError(f"maps {maps.shape}, weights {head_weight.shape}, classes {classes.shape} do not go together")
    weights = head_weight[classes]  # (B, F)
    return (weights[:, None] @ maps.reshape(*maps.shape[:2], -1)).reshape(len(maps), *maps.shape[2:])
