"""Let PyTorch run every operator and small networks, for `tests/test_ops.py`, `test_vit.py` and `test_cnn.py`.

    python -m tests.golden.torch_tensors

Needs PyTorch (made with 2.13); writes torch_tensors.npz next to it.

A case is a set of arrays `CASE/NAME`: what goes in, what comes out (`y`), the gradient of some loss with respect to
that (`dy`), and those with respect to what went in (`d` and its name). All is computed in float64. What goes in are
multiples of 1/64 or 1/1024: these are the same numbers in float32, and take little room.

The Vision Transformer is written out here as it is in timm (`models/vision_transformer.py`): the same names, results
and gradients as from timm 1.0.31.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tests.networks import draw_images, draw_parameters

ARRAYS: dict[str, NDArray] = {}
RNG = np.random.default_rng(0)

# What goes in -----------------------------------------------------------------------------------------------


def normal(*shape: int, scale: float = 1) -> NDArray:
    """Draw normal numbers, rounded to 1/64."""
    return np.rint(64 * scale * RNG.standard_normal(shape)) / 64


def distinct(*shape: int) -> NDArray:
    """Draw numbers that differ by at least 1/16, so that it is clear which is the largest."""
    count = int(np.prod(shape))
    return (RNG.permutation(count).reshape(shape) - count // 2) / 16


def seen(*shape: int) -> NDArray:
    """Draw a mask in which every query sees the first key at least."""
    mask = RNG.random(shape) < 0.6
    mask[..., 0] = True
    return mask


# Operators --------------------------------------------------------------------------------------------------


def record(case: str, function: Callable[..., Tensor], fixed: str = "", **given: NDArray) -> None:
    """Run a function; keep its arguments, its result, and the gradients with respect to floats that are not `fixed`."""
    tensors = {name: torch.from_numpy(value.copy()) for name, value in given.items()}
    free = [name for name, tensor in tensors.items() if tensor.is_floating_point() and name not in fixed.split()]
    for name in free:
        tensors[name].requires_grad_()
    y = function(*tensors.values())
    dy = normal(*y.shape)
    y.backward(torch.as_tensor(dy))
    kept = given | {"y": y.detach().numpy(), "dy": dy} | {f"d{name}": tensors[name].grad.numpy() for name in free}
    kept |= {f"{name}_after": tensors[name].numpy() for name in fixed.split()}
    ARRAYS.update({f"{case}/{name}": value for name, value in kept.items()})


def conv2d(**options: int) -> Callable[..., Tensor]:
    """Return a convolution with a stride, padding, dilation, groups."""
    return lambda x, w, b=None: functional.conv2d(x, w, b, **options)


def batch_norm(training: bool) -> Callable[..., Tensor]:
    """Return batch normalisation with the running numbers `mean` and `var`."""
    return lambda x, w, b, mean, var: functional.batch_norm(x, mean, var, w, b, training)


def self_attention(
    x: Tensor, qkv_w: Tensor, qkv_b: Tensor, proj_w: Tensor, proj_b: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Return what PyTorch's layer makes of three heads; its masks are True where a key is not seen."""
    layer = nn.MultiheadAttention(x.shape[-1], 3, batch_first=True, dtype=x.dtype)
    names = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
    parameters = dict(zip(names, (qkv_w, qkv_b, proj_w, proj_b), strict=True))
    hidden = None if mask is None else ~mask.flatten(0, 1)  # (B heads, N, N)
    return torch.func.functional_call(layer, parameters, (x, x, x), {"attn_mask": hidden, "need_weights": False})[0]


def operators() -> None:
    """Record all operators."""
    record("linear", functional.linear, x=normal(2, 3, 5), w=normal(4, 5), b=normal(4))
    record("linear_without_bias", functional.linear, x=normal(7, 3), w=normal(2, 3))

    record("conv2d", conv2d(), x=normal(2, 3, 7, 6), w=normal(4, 3, 3, 2), b=normal(4))
    record("conv2d_strided", conv2d(stride=2, padding=1), x=normal(2, 2, 7, 9), w=normal(3, 2, 3, 3), b=normal(3))
    spread = conv2d(stride=3, padding=2, dilation=2)
    record("conv2d_dilated", spread, x=normal(1, 2, 9, 8), w=normal(2, 2, 3, 2), b=normal(2))
    grouped = conv2d(stride=2, padding=1, groups=2)
    record("conv2d_grouped", grouped, x=normal(2, 4, 6, 7), w=normal(6, 2, 3, 3), b=normal(6))
    record("conv2d_depthwise", conv2d(groups=3), x=normal(2, 3, 5, 5), w=normal(3, 1, 3, 3))

    overlapping = {"kernel_size": 3, "stride": 2, "padding": 1}
    record("max_pool2d", lambda x: functional.max_pool2d(x, 2), x=distinct(2, 3, 5, 7))
    record("max_pool2d_overlapping", lambda x: functional.max_pool2d(x, **overlapping), x=distinct(2, 2, 7, 6))
    ties = RNG.integers(-1, 1, (2, 2, 7, 6)).astype(float)
    record("max_pool2d_ties", lambda x: functional.max_pool2d(x, **overlapping), x=ties)
    record("avg_pool2d", lambda x: functional.avg_pool2d(x, 2), x=normal(2, 3, 5, 7))
    record("avg_pool2d_overlapping", lambda x: functional.avg_pool2d(x, **overlapping), x=normal(2, 2, 7, 6))

    scale, shift = 1 + normal(3, scale=0.5), normal(3)
    running = {"fixed": "mean var", "mean": normal(3), "var": 1 + np.abs(normal(3))}
    pictures = normal(3, 3, 3, 5, scale=2) + normal(3).reshape(1, 3, 1, 1)
    record("batch_norm", batch_norm(True), x=pictures, w=scale, b=shift, **running)
    record("batch_norm_of_rows", batch_norm(True), x=normal(7, 3), w=scale, b=shift, **running)
    record("batch_norm_eval", batch_norm(False), x=pictures, w=scale, b=shift, **running)
    norm = {"w": 1 + normal(7, scale=0.5), "b": normal(7)}
    tokens = normal(2, 5, 7, scale=2) + normal(2, 5, 1, scale=3)
    record("layer_norm", lambda x, w, b: functional.layer_norm(x, (7,), w, b, 1e-6), x=tokens, **norm)

    record("relu", functional.relu, x=normal(3, 7) + 1 / 128)  # not at 0, where there is no derivative
    record("gelu", functional.gelu, x=normal(9, 13, scale=2))
    record("gelu_tanh", lambda x: functional.gelu(x, approximate="tanh"), x=normal(9, 13, scale=2))
    record("softmax", lambda x: functional.softmax(x, -1), x=normal(2, 3, 7, scale=3))
    record("softmax_warm", lambda x: functional.softmax(x / 2.5, -1), x=normal(2, 3, 7, scale=3))
    record("cross_entropy", functional.cross_entropy, logits=normal(5, 4, scale=3), targets=RNG.integers(0, 4, 5))

    attention = functional.scaled_dot_product_attention

    def qkv() -> dict[str, NDArray]:
        return {"q": normal(2, 3, 5, 4), "k": normal(2, 3, 7, 4), "v": normal(2, 3, 7, 6)}

    record("attention", attention, **qkv())
    record("attention_masked", attention, **qkv(), mask=seen(2, 3, 5, 7))
    record("attention_padded", attention, **qkv(), mask=seen(2, 1, 1, 7))
    record("attention_causal", attention, **qkv(), mask=np.tri(5, 7, dtype=bool))
    blind = seen(5, 7)
    blind[2] = False
    record("attention_blind", attention, **qkv(), mask=blind)
    layer = {"qkv_w": normal(18, 6), "qkv_b": normal(18), "proj_w": normal(6, 6), "proj_b": normal(6)}
    record("self_attention", self_attention, x=normal(2, 5, 6), **layer)
    record("self_attention_masked", self_attention, x=normal(2, 5, 6), **layer, mask=seen(2, 3, 5, 5))

    record("embedding", functional.embedding, ids=np.array([[3, 0, 3], [5, 3, 1]]), table=normal(7, 4))
    grid = RNG.integers(-160, 160, (2, 3, 6, 2)) / 128 + 1 / 1024  # between samples, never at one
    grid[0, 0, :2] = [[1.75, 0.25], [-2.5, -3.25]]  # wholly outside
    record(
        "grid_sample",
        lambda x, grid: functional.grid_sample(x, grid, align_corners=False),
        x=normal(2, 3, 5, 4),
        grid=grid,
    )


# Networks ---------------------------------------------------------------------------------------------------


class Attention(nn.Module):
    """timm's `layers/attention.py`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        weights = (q * (width // self.heads) ** -0.5 @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(batch, tokens, width))


class Block(nn.Module):
    """A block of a Vision Transformer."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential()
        self.mlp.fc1 = nn.Linear(width, hidden)
        self.mlp.act = nn.GELU()
        self.mlp.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Vit(nn.Module):
    """timm's `VisionTransformer` with a class token."""

    def __init__(
        self, size: int, patch: int, channels: int, classes: int, width: int, depth: int, heads: int, hidden: int
    ) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (size // patch) ** 2, width))
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(channels, width, patch, patch)
        self.blocks = nn.Sequential(*(Block(width, heads, hidden) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch_embed.proj(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


class Cnn(nn.Module):
    """Two convolutions with pooling, two dense layers; relu comes before pooling."""

    def __init__(self, size: int, channels: int, classes: int, filters: tuple[int, int], hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters[0], 3, padding=1)
        self.conv2 = nn.Conv2d(filters[0], filters[1], 3, padding=1)
        self.fc1 = nn.Linear(filters[1] * (size // 4) ** 2, hidden)
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        for convolution in (self.conv1, self.conv2):
            x = functional.max_pool2d(convolution(x).relu(), 2)
        return self.fc2(self.fc1(x.flatten(1)).relu())


class ResidualBlock(nn.Module):
    """torchvision's `BasicBlock`."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))).relu()


class Resnet(nn.Module):
    """A convolution, residual blocks, the mean over places, a dense layer."""

    def __init__(self, channels: int, classes: int, filters: int, blocks: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(filters) for _ in range(blocks)))
        self.head = nn.Linear(filters, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.conv(x).relu()).mean(dim=(2, 3)))


def fill(module: nn.Module, seed: int, most: int = 400) -> dict[str, NDArray]:
    """Give a module drawn parameters, and return them."""
    shapes = {name: tuple(v.shape) for name, v in module.double().state_dict().items() if "num_batches" not in name}
    drawn = draw_parameters(shapes, seed, most)
    module.load_state_dict({name: torch.from_numpy(value) for name, value in drawn.items()}, strict=False)
    return drawn


def record_network(case: str, module: nn.Module, x: NDArray, seed: int) -> None:
    """Run a network; keep its parameters as `p/NAME`, their gradients as `d/NAME`, what it changed as `after/NAME`."""
    drawn = fill(module, seed)
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    y = module(tensor)
    dy = normal(*y.shape)
    y.backward(torch.from_numpy(dy))
    kept = {"x": x, "y": y.detach().numpy(), "dy": dy, "dx": tensor.grad.numpy()}
    kept |= {f"p/{name}": value for name, value in drawn.items()}
    kept |= {f"d/{name}": parameter.grad.numpy() for name, parameter in module.named_parameters()}
    kept |= {f"after/{n}": v.numpy() for n, v in module.named_buffers() if module.training and "num_batches" not in n}
    ARRAYS.update({f"{case}/{name}": value for name, value in kept.items()})


def networks() -> None:
    """Record all networks."""
    record_network("block", Block(6, 3, 10), normal(2, 5, 6), 1)
    record_network("vit", Vit(15, 5, 3, 7, 12, 2, 3, 30), draw_images((2, 3, 15, 15), 2), 3)
    record_network("cnn", Cnn(13, 2, 5, (3, 4), 7), draw_images((3, 2, 13, 13), 4), 5)
    record_network("resnet", Resnet(2, 5, 4, 2), draw_images((3, 2, 7, 5), 6), 7)
    record_network("resnet_eval", Resnet(2, 5, 4, 2).eval(), draw_images((3, 2, 7, 5), 6), 7)

    # As large as published: its parameters are drawn again in the test, and of gradients only norms are kept.
    tiny = Vit(224, 16, 3, 1000, 192, 12, 3, 768)
    drawn = fill(tiny, 8, most=40)
    logits = tiny(torch.from_numpy(draw_images((1, 3, 224, 224), 9)))
    logits.backward(torch.from_numpy(draw_images((1, 1000), 10)))
    gradients = {name: parameter.grad for name, parameter in tiny.named_parameters()}
    ARRAYS["vit_tiny/names"] = np.array(list(drawn))
    ARRAYS["vit_tiny/shapes"] = np.array([" ".join(map(str, value.shape)) for value in drawn.values()])
    ARRAYS["vit_tiny/y"] = logits.detach().numpy()
    ARRAYS["vit_tiny/norms"] = np.array([gradients[name].norm().item() for name in drawn])


if __name__ == "__main__":
    torch.set_num_threads(1)
    operators()
    networks()
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **ARRAYS)
