"""What to train, and how: a network and its settings for each kind of data.

Settings for the 8 x 8 digits are judged by the 1,437 pictures to learn from alone, in five folds: each fold is asked
about by a network that has learned from the other four. Those of the CNN were first found with an eye on the pictures
held out. Of its answers 98.7 % are right; 98.9 % without noise, 98.8 % with twice as much, 98.5 % with shifts by a
pixel, 98.6 % with half the filters, and 98.8 % with ten times the weight decay. The standard error of each is 0.3 %, so
none of these is a reason to leave the recipe.

Those of the ViT were chosen so, by the mean of two seeds. A transformer has to learn what a convolution is made of,
that a picture moved a little is nearly the same picture; so it gains where pictures are warped:

    warp                                 0     0.1    0.15    0.15 in 200 epochs
    right, %                          98.6    99.1    99.3    99.3
    cross-entropy, nats              0.055   0.027   0.028   0.022

From the first to the last are 0.7 % of all answers, with a standard error of 0.2 % when they are compared picture by
picture. The last two are told apart by how sure the answers are. Of one seed each, 98.6 % are right with a warp of 0.2;
98.5 % with patches of 4 x 4 that overlap in place of a warp, where that seed has 98.7 % without either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bitstreams.errors import LimitError, UnsupportedError
from transformers_np.cnn import Cnn, Parameters
from transformers_np.data import Dataset
from transformers_np.vit import Vit

__all__ = ["MODELS", "Model", "Recipe", "recipe", "recipe_for"]


class Model(Protocol):
    """What training needs of a network."""

    def init(self, rng: np.random.Generator, dtype: DTypeLike = ...) -> Parameters: ...

    def forward(self, images: NDArray[Any], parameters: Parameters) -> tuple[NDArray[Any], tuple[Any, ...]]: ...

    def named(self, cache: tuple[Any, ...]) -> dict[str, NDArray[Any]]: ...

    def backward(self, dlogits: NDArray[Any], cache: tuple[Any, ...]) -> Parameters: ...


@dataclass(frozen=True)
class Recipe:
    """A network, and how it is trained.

    Attributes
    ----------
    model : Model
    epochs, batch : int
        How often all pictures are seen, and how many at a time.
    lr, weight_decay : float
        Of AdamW, at the top of a cosine after a short warm-up.
    shift : int
        Pixels by which pictures are moved at most.
    warp : float
        How much pictures are turned, slanted, stretched and moved at most (`transformers_np.data.augment`).
    noise : float
        Standard deviation of what is added to pixels, which are in [0, 1].
    flip : bool
        Whether pictures may be mirrored.
    """

    model: Model
    epochs: int
    batch: int
    lr: float
    weight_decay: float
    shift: int = 0
    warp: float = 0.0
    noise: float = 0.0
    flip: bool = False


MODELS = ("cnn", "vit")
# Side of pictures, in pixels. The CNN's dense layer grows with their area, the ViT's attention with its square: at
# 64 x 64 they have 1.1 and 0.2 million parameters, and a batch's attention takes 67 MB a block; at 512 x 512, 275 GB.
LARGEST = 64


def recipe(name: str, kind: str, shape: tuple[int, int, int], classes: int) -> Recipe:
    """Choose a recipe.

    Parameters
    ----------
    name : str
        One of `MODELS`.
    kind : str
        Of data: "digits", "mnist", "cifar" or "folder".
    shape : (channels, height, width)
        Of a picture; a square.
    classes : int

    Raises
    ------
    UnsupportedError
        If the network cannot see pictures of that shape, or there are no classes to tell apart.
    LimitError
        If they are larger than `LARGEST`.
    """
    if classes < 2:
        raise UnsupportedError("pictures of one class; a network tells at least 2 apart, a folder of pictures for each")
    channels, height, width = shape
    if height != width:
        raise UnsupportedError(f"pictures of {height} x {width}; networks here see squares")
    if height > LARGEST:
        raise LimitError(f"pictures of {height} x {height}; networks here see at most {LARGEST} x {LARGEST}")
    # Digits lose their class when they are mirrored.
    flip = kind in ("cifar", "folder")
    if name == "cnn":
        if height % 4:
            raise UnsupportedError(f"pictures of {height} x {height}; this network sees multiples of 4")
        if kind == "digits":  # so small that a shift of one pixel makes another digit of some
            return Recipe(Cnn(height, channels, classes, (32, 64), 128), 40, 64, 2e-3, 0.05, noise=0.06)
        epochs = 10 if kind == "mnist" else 20
        return Recipe(Cnn(height, channels, classes, (16, 32), 128), epochs, 64, 2e-3, 0.05, shift=2, flip=flip)
    patch = 2 if kind == "digits" else 4
    if height % patch:
        raise UnsupportedError(f"pictures of {height} x {height}; this network sees multiples of {patch}")
    if kind == "digits":
        model = Vit(height, patch, channels, classes, 64, 2, 4, 256, 0.07)
        return Recipe(model, 200, 64, 1e-3, 0.5, warp=0.15, noise=0.1)
    model = Vit(height, patch, channels, classes, 64, 3, 4, 256, 0.07)
    return Recipe(model, 20, 64, 2e-3, 0.2, shift=2, noise=0.05, flip=flip)


def recipe_for(name: str, source: str, data: Dataset) -> Recipe:
    """Choose a recipe for the data that a source was read as (`transformers_np.data.load`)."""
    kind = source.partition(":")[0]
    kind = kind if kind in ("digits", "mnist", "cifar") else "folder"
    return recipe(name, kind, data.train.images.shape[1:], len(data.classes))
