"""Let PyTorch take 20 steps with each optimiser, for `tests/test_optim.py`.

    python tests/golden/torch_optim.py

Needs PyTorch (made with 2.13); writes torch_optim.npz next to it. Gradients do not depend on parameters here, so that
errors do not grow from step to step.
"""

from pathlib import Path

import numpy as np
import torch

STEPS = 20
SHAPES = {"pos_embed": (1, 2, 3), "fc.weight": (3, 4), "fc.bias": (3,), "head.weight": (2, 3)}
DECAYING = ["fc.weight", "head.weight"]
SGD, ADAM, ADAMW = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW


def main() -> None:
    """Write the file."""
    rng = np.random.default_rng(0)
    first = {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}
    scales = 10.0 ** rng.integers(-4, 3, STEPS)  # some below eps, so to speak, and some far above
    gradients = {
        name: rng.standard_normal((STEPS, *shape)) * scales.reshape(-1, *[1] * len(shape))
        for name, shape in SHAPES.items()
    }
    rates = rng.uniform(0, 0.1, STEPS)
    arrays = {"rates": rates}
    arrays |= {f"first/{name}": value for name, value in first.items()}
    arrays |= {f"gradients/{name}": value for name, value in gradients.items()}
    runs = {
        "sgd": lambda groups: SGD(groups, momentum=0.9),
        "sgd_plain": SGD,
        "sgd_decay": lambda groups: SGD(groups, momentum=0.8, weight_decay=0.1),
        "adam": ADAM,
        "adam_other": lambda groups: ADAM(groups, betas=(0.5, 0.9), eps=1e-3),
        "adamw": ADAMW,
        "adamw_other": lambda groups: ADAMW(groups, betas=(0.9, 0.95), eps=1e-6, weight_decay=0.3),
        "adamw_clipped": lambda groups: ADAMW(groups, weight_decay=0.05),
    }
    for run, make in runs.items():
        parameters = {name: torch.nn.Parameter(torch.from_numpy(value.copy())) for name, value in first.items()}
        optimiser = make(
            [
                {"params": [parameters[name] for name in DECAYING]},
                {"params": [parameters[name] for name in SHAPES if name not in DECAYING], "weight_decay": 0},
            ]
        )
        norms = []
        for step in range(STEPS):
            for name, parameter in parameters.items():
                parameter.grad = torch.from_numpy(gradients[name][step].copy())
            for group in optimiser.param_groups:
                group["lr"] = float(rates[step])
            if run == "adamw_clipped":
                norms.append(torch.nn.utils.clip_grad_norm_(parameters.values(), 0.5).item())
            optimiser.step()
        arrays |= {f"{run}/{name}": parameter.detach().numpy() for name, parameter in parameters.items()}
        if norms:
            arrays["norms"] = np.array(norms)
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
