"""Let PyTorch run a small masked autoencoder and its losses, for `tests/test_mae.py`.

    python -m tests.golden.mae_tensors

Needs PyTorch (made with 2.13); writes mae_tensors.npz next to it. Arrays are as in `torch_tensors`.

The model is written out here as it is in the official `models_mae.py`, where positions are given, and noise decides
what is hidden.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.golden.torch_tensors import Block
from tests.networks import draw_images, draw_parameters

ARRAYS: dict[str, NDArray] = {}


def positions(width: int, side: int) -> NDArray:
    """`util/pos_embed.py`: get_2d_sincos_pos_embed, with the class token."""
    grid = np.stack(np.meshgrid(np.arange(side, dtype=float), np.arange(side, dtype=float)))  # width goes first

    def along(places: NDArray) -> NDArray:
        omega = 1.0 / 10000 ** (np.arange(width // 4, dtype=float) / (width / 4.0))
        out = np.einsum("m,d->md", places.reshape(-1), omega)
        return np.concatenate([np.sin(out), np.cos(out)], axis=1)

    both = np.concatenate([along(grid[0]), along(grid[1])], axis=1)
    return np.concatenate([np.zeros([1, width]), both], axis=0)


class MaskedAutoencoder(nn.Module):
    """`MaskedAutoencoderViT`."""

    def __init__(self, shape: dict[str, int], norm_pix_loss: bool) -> None:
        super().__init__()
        size, patch, channels = shape["size"], shape["patch"], shape["channels"]
        width, narrow = shape["width"], shape["decoder_width"]
        self.patch, self.norm_pix_loss = patch, norm_pix_loss
        count = (size // patch) ** 2
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(channels, width, patch, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, count + 1, width), requires_grad=False)
        self.blocks = nn.ModuleList(Block(width, shape["heads"], 4 * width) for _ in range(shape["depth"]))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.decoder_embed = nn.Linear(width, narrow)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, narrow))
        self.decoder_pos_embed = nn.Parameter(torch.zeros(1, count + 1, narrow), requires_grad=False)
        self.decoder_blocks = nn.ModuleList(
            Block(narrow, shape["decoder_heads"], 4 * narrow) for _ in range(shape["decoder_depth"])
        )
        self.decoder_norm = nn.LayerNorm(narrow, eps=1e-6)
        self.decoder_pred = nn.Linear(narrow, patch**2 * channels)

    def patchify(self, imgs: Tensor) -> Tensor:
        p = self.patch
        h = w = imgs.shape[2] // p
        x = imgs.reshape(imgs.shape[0], imgs.shape[1], h, p, w, p)
        x = torch.einsum("nchpwq->nhwpqc", x)
        return x.reshape(imgs.shape[0], h * w, p**2 * imgs.shape[1])

    def random_masking(self, x: Tensor, mask_ratio: float, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch, count, width = x.shape
        keep = int(count * (1 - mask_ratio))
        ids_shuffle = torch.argsort(noise, dim=1)
        ids_restore = torch.argsort(ids_shuffle, dim=1)
        ids_keep = ids_shuffle[:, :keep]
        x_masked = torch.gather(x, dim=1, index=ids_keep.unsqueeze(-1).repeat(1, 1, width))
        mask = torch.ones([batch, count], dtype=x.dtype)
        mask[:, :keep] = 0
        return x_masked, torch.gather(mask, dim=1, index=ids_restore), ids_restore

    def forward(self, imgs: Tensor, mask_ratio: float, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.patch_embed.proj(imgs).flatten(2).transpose(1, 2)
        x = x + self.pos_embed[:, 1:, :]
        x, mask, ids_restore = self.random_masking(x, mask_ratio, noise)
        cls_token = self.cls_token + self.pos_embed[:, :1, :]
        x = torch.cat((cls_token.expand(x.shape[0], -1, -1), x), dim=1)
        for blk in self.blocks:
            x = blk(x)
        x = self.norm(x)

        x = self.decoder_embed(x)
        mask_tokens = self.mask_token.repeat(x.shape[0], ids_restore.shape[1] + 1 - x.shape[1], 1)
        x_ = torch.cat([x[:, 1:, :], mask_tokens], dim=1)
        x_ = torch.gather(x_, dim=1, index=ids_restore.unsqueeze(-1).repeat(1, 1, x.shape[2]))
        x = torch.cat([x[:, :1, :], x_], dim=1)
        x = x + self.decoder_pos_embed
        for blk in self.decoder_blocks:
            x = blk(x)
        pred = self.decoder_pred(self.decoder_norm(x))[:, 1:, :]

        target = self.patchify(imgs)
        if self.norm_pix_loss:
            mean = target.mean(dim=-1, keepdim=True)
            var = target.var(dim=-1, keepdim=True)
            target = (target - mean) / (var + 1.0e-6) ** 0.5
        loss = (pred - target) ** 2
        loss = loss.mean(dim=-1)
        return (loss * mask).sum() / mask.sum(), pred, mask


def record(case: str, shape: dict[str, int], norm_pix_loss: bool, ratio: float, seed: int) -> None:
    """Run a model; keep what went in and out, and the gradients of parameters."""
    model = MaskedAutoencoder(shape, norm_pix_loss).double()
    state = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    drawn = draw_parameters(state, seed)
    side = shape["size"] // shape["patch"]
    drawn |= {
        "pos_embed": positions(shape["width"], side)[None],
        "decoder_pos_embed": positions(shape["decoder_width"], side)[None],
    }
    model.load_state_dict({name: torch.from_numpy(value) for name, value in drawn.items()})
    images = draw_images((3, shape["channels"], shape["size"], shape["size"]), seed + 1)
    noise = np.random.default_rng(seed + 2).permuted(np.tile(np.arange(side**2) / 64, (3, 1)), axis=1)
    loss, prediction, mask = model(torch.from_numpy(images), ratio, torch.from_numpy(noise))
    loss.backward()
    kept = {"x": images, "noise": noise, "ratio": np.array(ratio), "loss": np.array(loss.item())}
    kept |= {"y": prediction.detach().numpy(), "mask": mask.numpy()}
    kept |= {f"p/{name}": value for name, value in drawn.items()}
    kept |= {f"d/{name}": p.grad.numpy() for name, p in model.named_parameters() if p.requires_grad}
    ARRAYS.update({f"{case}/{name}": value for name, value in kept.items()})


SMALL = {"size": 16, "patch": 4, "channels": 3, "width": 12, "depth": 2, "heads": 3}
SMALL |= {"decoder_width": 8, "decoder_depth": 1, "decoder_heads": 2}
BASE = {"size": 224, "patch": 16, "channels": 3, "width": 768, "depth": 12, "heads": 12}
BASE |= {"decoder_width": 512, "decoder_depth": 8, "decoder_heads": 16}


if __name__ == "__main__":
    torch.set_num_threads(1)
    record("mae", SMALL, False, 0.75, 1)
    record("mae_norm_pix", SMALL, True, 0.6, 4)
    published = {name: tuple(value.shape) for name, value in MaskedAutoencoder(BASE, False).state_dict().items()}
    ARRAYS["mae_base/names"] = np.array(list(published))
    ARRAYS["mae_base/shapes"] = np.array([" ".join(map(str, shape)) for shape in published.values()])
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **ARRAYS)
