"""What all runs of training have in common: a step that may go wrong, and a checkpoint to go on from.

    gradients -> clipped, or refused if they are no numbers -> a step of AdamW              `Run.follow`
    parameters, the optimiser's state, the generator, progress -> a file -> the same run    `Run.save`, `Run.resume`
    steps, a checkpoint after every `EVERY` of them                                         `SteppedRun.advance`

A step that would make parameters of what is no number is not taken, so no checkpoint ever holds such parameters.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from bitstreams.errors import CodecError, FormatError
from transformers_np.cnn import Parameters
from transformers_np.optim import AdamW, clip_gradients, flatten, gather
from transformers_np.weights import load_checkpoint, load_state_dict, save_checkpoint
from transformers_np.workspace import Workspace

__all__ = ["CHECKPOINT", "DivergedError", "Run", "SteppedRun", "first_bad"]

EVERY = 500  # steps between checkpoints
CLIP = 1.0  # norm of a step's gradient at most
CHECKPOINT = "checkpoint.npz"


class DivergedError(CodecError):
    """The loss or a gradient is no number any more."""


class Run(ABC):
    """What changes from step to step.

    Parameters
    ----------
    settings : list of numbers and strings
        What a run must have in common with a checkpoint to go on from it: recipe, seed, what is learned from.
    rng : np.random.Generator
        For all that is still to be drawn.
    trained : dict of str to array
        Parameters that steps change.
    fixed : dict of str to array, optional
        Others of the network.
    optimiser
        Options of AdamW.
    """

    progress: ClassVar[Mapping[str, type]]  # attributes that go along in a checkpoint: int, float, or list of floats

    def __init__(
        self,
        settings: list[Any],
        rng: np.random.Generator,
        trained: Parameters,
        fixed: Parameters | None = None,
        **optimiser: Any,
    ) -> None:
        self.settings, self.rng = settings, rng
        self.vector, views = flatten(trained)
        self.parameters: Parameters = {**views, **(fixed or {})}
        self.gradient, self.gradients = flatten(views)
        self.optimiser = AdamW(self.vector, views, **optimiser)
        self._workspace = Workspace()

    @contextmanager
    def stepping(self) -> Iterator[None]:
        """Have a step take the memory of the one before; NumPy need not warn of what is not finite, an error here."""
        with self._workspace, np.errstate(all="ignore"):
            yield

    def follow(self, gradients: Parameters, step: int, lr: float) -> None:
        """Take a step against gradients, clipped; or raise DivergedError, and change nothing, if that cannot be."""
        gather(gradients, self.gradients)
        if not math.isfinite(clip_gradients(self.gradient, CLIP)):
            raise DivergedError(f"step {step}: {_what_is_wrong(self.gradients)}")
        self.optimiser.step(self.gradient, lr)

    def save(self, path: Path) -> None:
        """Write all that it takes to go on."""
        extra = {"settings": self.settings, **{name: getattr(self, name) for name in self.progress}}
        save_checkpoint(path, self.parameters, self.optimiser.state, self.rng, extra)

    def resume(self, path: Path) -> None:
        """Go on from where a checkpoint was written, or raise FormatError if it is of another run."""
        saved = load_checkpoint(path)
        if saved.extra.get("settings") != self.settings:
            raise FormatError(f"{path} is of a run with other settings or pictures; remove it, or use another output")
        values = {name: saved.extra.get(name) for name in self.progress}
        for name, kind in self.progress.items():
            if not _is(values[name], kind):
                raise FormatError(f"{path}: a damaged checkpoint: {name} is missing, or of another type")
        if len({len(value) for value in values.values() if isinstance(value, list)}) > 1:
            raise FormatError(f"{path}: a damaged checkpoint: lists of different lengths")
        try:
            load_state_dict(self.parameters, saved.parameters)
            load_state_dict(self.optimiser.state, saved.optimiser_state)
        except ValueError as error:
            raise FormatError(f"{path}: {error}") from error
        self.rng = saved.rng
        for name, value in values.items():
            setattr(self, name, value)


class SteppedRun(Run):
    """A run that is so many steps long, whatever an epoch may be.

    Attributes
    ----------
    done : int
        Steps taken.
    seconds : float
        Of a processor.
    """

    def __init__(self, *settings: Any, **options: Any) -> None:
        super().__init__(*settings, **options)
        self.done, self.seconds = 0, 0.0

    @abstractmethod
    def step(self) -> Any:
        """Take a step, and return what `note` wants to know of it."""

    @abstractmethod
    def note(self, steps: list[Any]) -> str:
        """Keep what came of some steps, and tell it in a word or two."""

    def advance(self, steps: int, path: Path, label: str, *, quiet: bool) -> None:
        """Take the steps that are left of so many, and write a checkpoint now and then, and after the last."""
        with (
            threadpool_limits(1),
            tqdm(total=steps, initial=self.done, desc=label, disable=quiet or None, leave=False) as bar,
        ):
            while self.done < steps:
                start, found = time.process_time(), []
                for _ in range(min(EVERY, steps - self.done)):
                    found.append(self.step())
                    self.done += 1
                    bar.update()
                bar.set_postfix_str(self.note(found), refresh=False)
                self.seconds += time.process_time() - start
                self.save(path)


def _what_is_wrong(gradients: Mapping[str, NDArray[Any]]) -> str:
    """Tell which gradient is not finite, or is the largest of those that are too large together."""
    # The backward pass goes from the last layer to the first: of the bad ones the last here was the first to go wrong.
    for name, array in reversed(list(gradients.items())):
        if not np.isfinite(array).all():
            return f"the gradient of {name} is not finite"
    sizes = {name: float(np.abs(array).max(initial=0)) for name, array in gradients.items()}
    largest = max(sizes, key=sizes.__getitem__)
    return f"the norm of all gradients overflows; that of {largest} is the largest, {sizes[largest]:.0e}"


def _is(value: Any, kind: type) -> bool:
    """Tell whether a value is of a kind; a list has to be one of floats."""
    if isinstance(value, list) and not all(type(part) is float for part in value):
        return False
    return type(value) is kind


def first_bad(arrays: Mapping[str, NDArray[Any]], what: str) -> str:
    """Tell which was the first that is not finite; `what` they are: layers, parameters."""
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            return f"{name} is the first {what} that is not finite"
    return f"all {what}s are finite"
