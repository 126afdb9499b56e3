"""Have the reference implementation write safetensors files, for `tests/test_weights.py`.

    python tests/golden/torch_safetensors.py

Needs PyTorch and safetensors (made with 2.13 and 0.8); writes three small files next to it.
"""

from pathlib import Path

import numpy as np

__all__ = ["ALL_TYPES"]

FOLDER = Path(__file__).parent
NAN, INF = float("nan"), float("inf")

_numbers = np.arange(6).reshape(2, 3)
ALL_TYPES = {
    "b.float32": _numbers.astype(np.float32) / 3,
    "a.float64": _numbers.astype(np.float64) / 3,
    "int64": -_numbers.astype(np.int64) << 40,
    "int32": -_numbers.astype(np.int32),
    "float16": _numbers.astype(np.float16) / 3,
    "uint8": _numbers.astype(np.uint8) * 51,
    "bool": _numbers % 2 == 0,
    "scalar": np.array(1.5, np.float32),
    "empty": np.zeros((0, 3), np.float32),
    'é "\\\n': np.array([7], np.uint8),
}


def main() -> None:
    """Write the files."""
    import torch  # noqa: PLC0415, tests import this module without it
    from safetensors.numpy import save_file  # noqa: PLC0415
    from safetensors.torch import save_file as save_torch  # noqa: PLC0415

    save_file(ALL_TYPES, FOLDER / "all_types.safetensors")
    # Ordinary numbers, ties, the least and the largest, and what is none.
    values = torch.tensor([0.1, -2.5, 1 / 3, 0.0, -0.0, 1e-40, 1e-38, 3.38e38, INF, -INF, NAN]).to(torch.bfloat16)
    save_torch({"bf16": values, "widened": values.float()}, FOLDER / "bf16.safetensors", metadata={"format": "pt"})
    save_torch({"int8": torch.zeros(2, dtype=torch.int8)}, FOLDER / "int8.safetensors")


if __name__ == "__main__":
    main()
