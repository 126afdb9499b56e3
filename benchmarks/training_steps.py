"""Time of a training step beside PyTorch's, in one process and one thread.

    python -m benchmarks.training_steps

A step is forward, loss, backward, and AdamW, on the same batch, in float32. CPU time is taken, of rounds that take
turns, and the ratio is that of the fastest; PyTorch's optimiser is its fused one. Without PyTorch, which this project
does not need otherwise (`pip install torch`), only the times of this one are printed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks import harness
from transformers_np import ops
from transformers_np.cnn import Cnn
from transformers_np.optim import AdamW, flatten, gather
from transformers_np.recipes import Model
from transformers_np.vit import Vit
from transformers_np.workspace import Workspace

__all__ = ["main", "measure", "ours", "steps_table", "theirs"]

BATCH = 64
ROUNDS, STEPS = 9, 5
LR = 1e-3
MODELS: dict[str, Cnn | Vit] = {
    "ViT 64 wide, 2 blocks, 8 x 8": Vit(
        size=8, patch=2, channels=1, classes=10, width=64, depth=2, heads=4, hidden=256
    ),
    "ViT 64 wide, 4 blocks, 28 x 28": Vit(
        size=28, patch=4, channels=1, classes=10, width=64, depth=4, heads=4, hidden=256
    ),
    "ViT 128 wide, 4 blocks, 28 x 28": Vit(
        size=28, patch=4, channels=1, classes=10, width=128, depth=4, heads=4, hidden=512
    ),
    "CNN 16-32, 8 x 8": Cnn(size=8, channels=1, classes=10, filters=(16, 32), hidden=64),
    "CNN 16-32, 28 x 28": Cnn(size=28, channels=1, classes=10, filters=(16, 32), hidden=128),
    "CNN 32-64, 32 x 32 RGB": Cnn(size=32, channels=3, classes=10, filters=(32, 64), hidden=128),
}

Step = Callable[[], None]


def ours(model: Model, images: NDArray[np.float32], labels: NDArray[np.int64]) -> Step:
    """Return a step of this project."""
    vector, parameters = flatten(model.init(np.random.default_rng(0)))
    gradient, views = flatten(parameters)
    optimiser, workspace = AdamW(vector, parameters), Workspace()

    def step() -> None:
        with workspace:
            logits, cache = model.forward(images, parameters)
            _, loss = ops.cross_entropy(logits, labels)
            gather(model.backward(ops.cross_entropy_backward(loss), cache), views)
        optimiser.step(gradient, LR)

    return step


def theirs(torch: Any, model: Cnn | Vit, images: NDArray[np.float32], labels: NDArray[np.int64]) -> Step:
    """Return the same step of PyTorch, with the same parameters."""
    functional = torch.nn.functional
    initial = model.init(np.random.default_rng(0))
    p = {name: torch.nn.Parameter(torch.from_numpy(array.copy())) for name, array in initial.items()}
    optimiser = torch.optim.AdamW(p.values(), LR, fused=True)
    x, y = torch.from_numpy(images), torch.from_numpy(labels)

    def linear(x: Any, name: str) -> Any:
        return functional.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])

    def norm(x: Any, name: str) -> Any:
        return functional.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"], 1e-6)

    def vit(shape: Vit) -> Any:
        tokens = functional.conv2d(
            x, p["patch_embed.proj.weight"], p["patch_embed.proj.bias"], stride=shape.patch
        ).flatten(2)
        h = torch.cat([p["cls_token"].expand(len(x), -1, -1), tokens.transpose(1, 2)], dim=1) + p["pos_embed"]
        for number in range(shape.depth):
            name = f"blocks.{number}"
            qkv = linear(norm(h, f"{name}.norm1"), f"{name}.attn.qkv").reshape(
                len(x), -1, 3, shape.heads, shape.width // shape.heads
            )
            seen = functional.scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4)).transpose(1, 2)
            h = h + linear(seen.reshape(h.shape), f"{name}.attn.proj")
            hidden = functional.gelu(linear(norm(h, f"{name}.norm2"), f"{name}.mlp.fc1"))
            h = h + linear(hidden, f"{name}.mlp.fc2")
        return linear(norm(h, "norm")[:, 0], "head")

    def cnn(shape: Cnn) -> Any:
        h = x
        for number in range(1, len(shape.filters) + 1):
            h = functional.conv2d(h, p[f"conv{number}.weight"], p[f"conv{number}.bias"], padding=1)
            h = functional.relu(functional.max_pool2d(h, 2))
        return linear(functional.relu(linear(h.flatten(1), "fc1")), "fc2")

    def step() -> None:
        optimiser.zero_grad()
        logits = vit(model) if isinstance(model, Vit) else cnn(model)
        functional.cross_entropy(logits, y).backward()
        optimiser.step()

    return step


def _fastest(steps: dict[str, Step]) -> dict[str, float]:
    """Return milliseconds of CPU time a step, of the fastest round; rounds take turns."""
    found = dict.fromkeys(steps, float("inf"))
    for _ in range(ROUNDS):
        for name, step in steps.items():
            start = time.process_time()
            for _ in range(STEPS):
                step()
            found[name] = min(found[name], 1000 * (time.process_time() - start) / STEPS)
    return found


def measure() -> dict[str, Any]:
    """Return what `training.json` holds of steps: "batch", "pytorch" (its version or None), and "steps".

    Each of these has "model", "ours" and, with PyTorch, "theirs": milliseconds.
    """
    try:
        import torch  # noqa: PLC0415
    except ImportError:
        torch = None
    else:
        torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    found = []
    for name, model in MODELS.items():
        images = rng.random((BATCH, model.channels, model.size, model.size), np.float32)
        labels = rng.integers(0, 10, BATCH)
        steps = {"ours": ours(model, images, labels)}
        if torch:
            steps["theirs"] = theirs(torch, model, images, labels)
        with threadpool_limits(1):
            found.append({"model": name, **_fastest(steps)})
    return {"batch": BATCH, "pytorch": torch and torch.__version__, "steps": found}


def steps_table(measured: dict[str, Any]) -> str:
    """Return a table of what `measure` found."""
    header = ["a step with " + str(measured["batch"]) + " pictures", "ms"]
    rows = [[each["model"], f"{each['ours']:.1f}"] for each in measured["steps"]]
    if measured["pytorch"]:
        header += [f"PyTorch {measured['pytorch'].partition('+')[0]}, ms", "ratio"]
        for row, each in zip(rows, measured["steps"], strict=True):
            row += [f"{each['theirs']:.1f}", f"{each['ours'] / each['theirs']:.2f}"]
    return harness.table(header, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training_steps", description=(__doc__ or "").partition("\n")[0]
    )
    parser.parse_args(arguments)
    print(steps_table(measure()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
