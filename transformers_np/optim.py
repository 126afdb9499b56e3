"""Optimisers: how parameters follow their gradients.

A gradient g says which way the loss rises; a step goes the other way. For parameters p and a learning rate lr,

    SGD       b = momentum b + g + decay p                  where the last steps went, and still go
              p = p - lr b

    Adam      m = beta1 m + (1 - beta1) g                   the mean of the last gradients
              v = beta2 v + (1 - beta2) g g                 the mean of their squares
              p = p - lr m' / (sqrt(v') + eps)              m' = m / (1 - beta1**t), v' = v / (1 - beta2**t)

    AdamW     p = p - lr decay p, then as Adam

**SGD** (Robbins, Monro, 1951) with momentum (Polyak, 1964) rolls down the loss like a ball. One learning rate has to do
for all parameters. In **Adam** (Kingma, Ba, 2014) each has its own: m' / sqrt(v') is near 1 or -1 where gradients agree
and near 0 where they do not, whatever their size. m and v start at 0; after t steps they have 1 - beta**t of their
weight, which is divided out. **Weight decay** pulls parameters towards 0, so that they grow only where the loss gains
by it. In SGD it is a part of the gradient. Adam would divide it by sqrt(v') too, and pull least where gradients are
largest; **AdamW** (Loshchilov, Hutter, 2017) keeps it out of there.

Not every parameter decays (`decays`). Half of a weight matrix has half of its effect. But a bias, the scale of a norm
and the vector of a position say where something is, and 0 is no better a place than others.

**One vector.** A network has hundreds of arrays, many of them small, and each call of NumPy costs a microsecond before
it does anything. So all parameters lie in one vector, with views of it under their names, and so do gradients. A step
is a dozen operations on whole vectors, in place:

    vector, parameters = flatten(model.init(rng))
    gradient, views = flatten(parameters)                   the same layout, to be overwritten
    optimiser = AdamW(vector, parameters)
    for step in range(steps):
        ...
        gather(model.backward(dlogits, cache), views)
        norm = clip_gradients(gradient, 1.0)
        optimiser.step(gradient, cosine(step, steps, 1e-3, warmup))

Measured with 800,000 float32 parameters on one thread: 2.4 ms for a step of AdamW. PyTorch, with the parameters in 50
arrays, takes 5.5 ms in its default form and 1.1 ms in its fused one.

Numbers are PyTorch's (`torch.optim`); `tests/test_optim.py` compares. Learning rates and the like are made Python's
floats, which leave float32 what it is; NumPy's own would have it computed in float64.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["SGD", "Adam", "AdamW", "Optimiser", "clip_gradients", "cosine", "decays", "flatten", "gather"]

Array: TypeAlias = NDArray[np.floating[Any]]
Decays: TypeAlias = Callable[[str, Array], bool]

MARGIN = 1e-6  # PyTorch's, so that a norm of 0 divides nothing by 0


# One vector -------------------------------------------------------------------------------------------------


def flatten(arrays: Mapping[str, Array]) -> tuple[Array, dict[str, Array]]:
    """Copy arrays into one vector.

    Parameters
    ----------
    arrays : mapping of str to array
        At least one; all float32 or all float64.

    Returns
    -------
    vector : (N,) array
        One after another, in the order of the mapping.
    views : dict of str to array
        The parts of the vector, in the shapes of the arrays: what changes in the one changes in the other.
    """
    types = {array.dtype for array in arrays.values()}
    if types not in ({np.dtype(np.float32)}, {np.dtype(np.float64)}):
        found = ", ".join(sorted(map(str, types))) or "nothing"
        raise ValueError(f"arrays of {found}; float32 or float64 is allowed, one for all")
    vector = np.concatenate([array.reshape(-1) for array in arrays.values()])
    return vector, _views(vector, arrays)


def gather(arrays: Mapping[str, Array], views: Mapping[str, Array]) -> None:
    """Copy arrays into views with the same names and shapes: gradients, wherever they are, into their vector."""
    if arrays.keys() != views.keys():
        raise ValueError(f"one side only has {', '.join(sorted(arrays.keys() ^ views.keys()))}")
    for name, view in views.items():
        if arrays[name].shape != view.shape:  # or it might be broadcast
            raise ValueError(f"{name} has the shape {arrays[name].shape}; {view.shape} is allowed")
        view[...] = arrays[name]


def _views(vector: Array, like: Mapping[str, Array]) -> dict[str, Array]:
    """Return the parts of a vector, in the shapes of arrays."""
    views, begin = {}, 0
    for name, array in like.items():
        views[name] = vector[begin : begin + array.size].reshape(array.shape)
        begin += array.size
    return views


# Optimisers -------------------------------------------------------------------------------------------------


def decays(name: str, parameter: Array) -> bool:
    """Whether a parameter decays: those of 2 or more axes do, but for positions and single tokens.

    So it is in the code of ViT, MAE and Swin, whose names these are: `pos_embed` and `relative_position_bias_table` are
    positions, `cls_token` and `mask_token` are tokens.
    """
    words = re.split(r"[._]", name)
    return parameter.ndim >= 2 and words[-1] != "token" and not {"pos", "position"} & set(words)


class Optimiser(ABC):
    """What optimisers have in common.

    Parameters
    ----------
    vector : (N,) array
        All parameters. Steps change it in place.
    parameters : mapping of str to array
        What is where in it, as `flatten` returns it.
    weight_decay : float
        At least 0.
    decays : callable
        Given a name and its parameter, whether that decays.

    Attributes
    ----------
    state : dict of str to array
        All that a step depends on besides parameters, gradient and learning rate, under PyTorch's names with those of
        the parameters: `exp_avg.head.weight`. A checkpoint has a copy of it; to go on from there, copy that into these
        arrays, as `transformers_np.weights.load_state_dict` does.
    """

    moments: ClassVar[tuple[str, ...]]  # names of state vectors: a number for each parameter, 0 at the start

    def __init__(self, vector: Array, parameters: Mapping[str, Array], weight_decay: float, decays: Decays) -> None:
        sizes = [array.size for array in parameters.values()]
        if vector.shape != (sum(sizes),):
            raise ValueError(f"a vector of shape {vector.shape}; {(sum(sizes),)} is allowed, what parameters add up to")
        self.vector = vector
        self.weight_decay = _not_negative(weight_decay=weight_decay)
        self._decaying = _runs(sizes, [decays(name, array) for name, array in parameters.items()])
        self._moments = [np.zeros_like(vector) for _ in self.moments]
        self._temporary = np.empty_like(vector)
        self.state: dict[str, NDArray[Any]] = {
            f"{moment}.{name}": view
            for moment, of_all in zip(self.moments, self._moments, strict=True)
            for name, view in _views(of_all, parameters).items()
        }

    @abstractmethod
    def step(self, gradient: Array, lr: float) -> None:
        """Take a step.

        Parameters
        ----------
        gradient : (N,) array
            Laid out as the parameters are, and of their type. It is left as it is.
        lr : float
            Learning rate, at least 0.
        """

    def _check(self, gradient: Array) -> None:
        """Refuse what is no gradient of these parameters."""
        shape, dtype = self.vector.shape, self.vector.dtype
        if gradient.shape != shape or gradient.dtype != dtype:
            raise ValueError(
                f"the gradient is {gradient.dtype} of shape {gradient.shape}; {dtype} of shape {shape} is allowed"
            )


class SGD(Optimiser):
    """Stochastic gradient descent; with a momentum of 0 without memory."""

    moments = ("momentum_buffer",)

    def __init__(
        self,
        vector: Array,
        parameters: Mapping[str, Array],
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        decays: Decays = decays,
    ) -> None:
        super().__init__(vector, parameters, weight_decay, decays)
        self.momentum = _share(momentum=momentum)

    def step(self, gradient: Array, lr: float) -> None:
        self._check(gradient)
        lr = _not_negative(lr=lr)
        p, (b,), temporary = self.vector, self._moments, self._temporary
        b *= self.momentum
        b += gradient
        for run in self._decaying:
            np.multiply(p[run], self.weight_decay, out=temporary[run])
            b[run] += temporary[run]
        np.multiply(b, lr, out=temporary)
        p -= temporary


class AdamW(Optimiser):
    """Adam with weight decay of its own."""

    moments = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        vector: Array,
        parameters: Mapping[str, Array],
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        decays: Decays = decays,
    ) -> None:
        super().__init__(vector, parameters, weight_decay, decays)
        self.betas = _share(beta1=betas[0]), _share(beta2=betas[1])
        self.eps = _not_negative(eps=eps)
        self.state["step"] = np.zeros((), np.int64)

    def step(self, gradient: Array, lr: float) -> None:
        self._check(gradient)
        lr = _not_negative(lr=lr)
        p, (m, v), temporary, (beta1, beta2) = self.vector, self._moments, self._temporary, self.betas
        self.state["step"] += 1
        t = int(self.state["step"])
        for run in self._decaying:
            p[run] *= 1 - lr * self.weight_decay
        np.subtract(gradient, m, out=temporary)  # m += (1 - beta1) (g - m)
        temporary *= 1 - beta1
        m += temporary
        np.multiply(gradient, gradient, out=temporary)  # v = beta2 v + (1 - beta2) g g
        temporary *= 1 - beta2
        v *= beta2
        v += temporary
        # With s = sqrt(1 - beta2**t), m' / (sqrt(v) / s + eps) is s m' / (sqrt(v) + s eps): one operation less.
        s = math.sqrt(1 - beta2**t)
        np.sqrt(v, out=temporary)
        temporary += s * self.eps
        np.divide(m, temporary, out=temporary)
        temporary *= lr * s / (1 - beta1**t)
        p -= temporary


class Adam(AdamW):
    """Adam as it was published: AdamW without weight decay."""

    def __init__(
        self,
        vector: Array,
        parameters: Mapping[str, Array],
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(vector, parameters, betas, eps, weight_decay=0.0)


def _runs(sizes: Sequence[int], wanted: Sequence[bool]) -> list[slice]:
    """Return where in a vector the wanted arrays are; neighbours are one slice."""
    runs: list[slice] = []
    begin = 0
    for size, wants in zip(sizes, wanted, strict=True):
        if wants and runs and runs[-1].stop == begin:
            runs[-1] = slice(runs[-1].start, begin + size)
        elif wants:
            runs.append(slice(begin, begin + size))
        begin += size
    return runs


def _not_negative(**numbers: float) -> float:
    """Return a number as Python's float, if it is allowed."""
    ((name, number),) = numbers.items()
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} is {number}; finite numbers from 0 are allowed")
    return float(number)


def _share(**numbers: float) -> float:
    """Return a number as Python's float, if it is allowed."""
    ((name, number),) = numbers.items()
    if not 0 <= number < 1:
        raise ValueError(f"{name} is {number}; numbers from 0 to below 1 are allowed")
    return float(number)


# What goes with them ----------------------------------------------------------------------------------------


def clip_gradients(gradient: Array, limit: float) -> float:
    """Make a gradient shorter if it is too long, in place (Pascanu, Mikolov, Bengio, 2013).

    It keeps its direction: one bad batch does not throw parameters far away.

    Parameters
    ----------
    gradient : (N,) array
        Of all parameters together.
    limit : float
        The norm that is allowed, more than 0.

    Returns
    -------
    float
        The norm as it was. If it is not finite, nothing has been changed, since there is no direction to keep: to be
        asked with `math.isfinite` before a step. In float32 that begins at 2**64.
    """
    if not limit > 0:
        raise ValueError(f"limit is {limit}; numbers above 0 are allowed")
    with np.errstate(over="ignore"):
        norm = math.sqrt(np.dot(gradient, gradient))
    if math.isfinite(norm) and norm + MARGIN > limit:
        gradient *= float(limit) / (norm + MARGIN)
    return norm


def cosine(step: int, steps: int, base: float, warmup: int) -> float:
    """Return the learning rate of a step: up along a line, down along a cosine (Loshchilov, Hutter, 2016).

    Adam's first steps are as long as any, with means of only a few gradients; that is what the warm-up is for.

    Parameters
    ----------
    step : int
        From 0 to `steps`.
    steps : int
        Of the whole training.
    base : float
        The largest rate.
    warmup : int
        Steps until it is reached, less than `steps`: they have base / warmup, 2 base / warmup, ..., base.

    Returns
    -------
    float
        `base` again at step `warmup`, half of it midway from there to `steps`, and 0 at `steps`, which is one after the
        last.
    """
    if not 0 <= step <= steps:
        raise ValueError(f"step is {step}; 0 to {steps} is allowed")
    if not 0 <= warmup < steps:
        raise ValueError(f"warmup is {warmup}; 0 to below {steps} is allowed")
    if step < warmup:
        return base * (step + 1) / warmup
    return base * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
