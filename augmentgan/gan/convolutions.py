"""The 4x4 convolutions of stride 2 that halve and double a feature map, and the 3x3 ones that keep it, with gradients in their fastest form.

All are torch's own functions. On a CPU the weight's gradient is computed otherwise: as one matrix product over the
patches of the larger map, which are copied out once. At the sizes of these networks that is faster than the
convolution kernels' own gradient. Those kernels are slow too where a map has the one or three channels of an image, to which other forms are
found here. Every step is differentiable, so that a gradient penalty can differentiate twice.
"""

from __future__ import annotations

import itertools
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

KERNEL, STRIDE, PADDING = 4, 2, 1
"""Of halving and doubling; the convolution that keeps the side has the same padding, kernel 3 and stride 1."""

MOST_PATCH_VALUES = 3 * 2**20
"""More would be written to memory and read again more slowly than the convolution's own kernel takes."""

FEW_CHANNELS = 16
"""With fewer, as images have, patches are small and kernels are slow."""

MOST_SHARES = 2**22
"""Of pixels in their neighbours in `conv_transpose3x3_same`; with more, the kernel is as fast."""


def halve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Half the side: x (n, c, 2h, 2w), weight (d, c, 4, 4), bias (d,) to (n, d, h, w)."""
    return _convolve(x, weight, bias, STRIDE)


def conv3x3_same(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The same side: x (n, c, h, w), weight (d, c, 3, 3), bias (d,) to (n, d, h, w)."""
    return _convolve(x, weight, bias, 1)


def double(x: Tensor, weight: Tensor) -> Tensor:
    """Twice the side: x (n, c, h, w), weight (c, d, 4, 4) to (n, d, 2h, 2w)."""
    if not _by_patches(x, weight, x.shape[2] * x.shape[3]):
        return F.conv_transpose2d(x, weight, stride=STRIDE, padding=PADDING)
    return cast(Tensor, _Double.apply(*_cast(x, weight)))


def conv_transpose3x3_same(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same side, into an image's few channels: x (n, c, h, w), weight (c, d, 3, 3), bias (d,) to (n, d, h, w).

    While it learns on a CPU the result lies channel by channel, as augmentation takes it.
    """
    if not _learns(x, weight):
        return F.conv_transpose2d(x, weight, bias, padding=PADDING)
    return cast(Tensor, _ConvolveTransposed.apply(*_cast(x, weight, bias)))


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    if not _by_phases(x, weight, stride) and not _by_patches(x, weight, x.shape[2] * x.shape[3] // stride**2):
        return F.conv2d(x, weight, bias, stride=stride, padding=PADDING)
    return cast(Tensor, _Convolve.apply(*_cast(x, weight), None if bias is None else _cast(bias)[0], stride))


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight, bias, stride=stride, padding=PADDING)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            if weight.shape[1] < FEW_CHANNELS:
                grad_x = _double_into_few(gradient, weight)
            else:
                grad_x = F.conv_transpose2d(gradient, weight, stride=ctx.stride, padding=PADDING)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(x, gradient, weight.shape[2], ctx.stride)
        if ctx.needs_input_grad[2]:
            grad_bias = gradient.sum(dim=(0, 2, 3))
        return grad_x, grad_weight, grad_bias, None


class _Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv_transpose2d(x, weight, stride=STRIDE, padding=PADDING)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = F.conv2d(gradient, weight, stride=STRIDE, padding=PADDING)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(gradient, x, KERNEL, STRIDE)
        return grad_x, grad_weight


class _ConvolveTransposed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        if len(x) * x.shape[2] * x.shape[3] * weight[0].numel() > MOST_SHARES:
            return F.conv_transpose2d(x, weight, bias, padding=PADDING).contiguous()
        n, c, h, w = x.shape
        d = weight.shape[1]
        # what each pixel gives to each of its neighbours: one product, added up nine times shifted
        places = x.permute(0, 2, 3, 1).reshape(n, h * w, c).transpose(1, 2)
        shares = (weight.permute(2, 3, 1, 0).reshape(9 * d, c) @ places).view(n, 3, 3, d, h, w)
        padded = torch.zeros(n, d, h + 2, w + 2, dtype=torch.promote_types(x.dtype, torch.float32))
        for down, right in itertools.product(range(3), repeat=2):
            padded[:, :, down : down + h, right : right + w] += shares[:, down, right]
        return (padded[:, :, 1:-1, 1:-1] + bias[:, None, None]).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor]:
        x, weight = ctx.saved_tensors
        sides = [PADDING] * 2
        needed = [*ctx.needs_input_grad[:2], False]  # for the bias's the kernel takes as long as for all others
        grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
            gradient, x, weight, None, [1, 1], sides, [1, 1], True, [0, 0], 1, needed
        )
        return grad_x, grad_weight, gradient.sum(dim=(0, 2, 3))


def _weight_gradient(large: Tensor, small: Tensor, kernel: int, stride: int) -> Tensor:
    """Sum over images and places of small (n, d, h, w) times the patch of large (n, c, stride h, stride w) that it meets.

    Returns:
        (d, c, kernel, kernel)
    """
    n, d, h, w = small.shape
    c = large.shape[1]
    padded = F.pad(large, (PADDING,) * 4).permute(0, 2, 3, 1).contiguous()  # (n, stride h + 2, stride w + 2, c)
    image, row, column, _ = padded.stride()
    # a patch is a few runs of neighbouring pixels with all their channels
    patches = padded.as_strided((n, h, w, kernel, kernel * c), (image, stride * row, stride * column, row, 1)).reshape(
        n * h * w, kernel * kernel * c
    )
    product = small.permute(0, 2, 3, 1).reshape(n * h * w, d).T @ patches
    return product.view(d, kernel, kernel, c).permute(0, 3, 1, 2)  # channels last, as the weight lies


def _double_into_few(small: Tensor, weight: Tensor) -> Tensor:
    """What `double` gives, for few channels d: 3x3 convolutions of small (n, c, h, w) make its even and odd rows and columns.

    Of a transposed kernel's rows, 1 and 3 meet even rows and 0 and 2 odd ones; so for columns.

    Returns:
        (n, d, 2h, 2w), channel by channel
    """
    n, c, h, w = small.shape
    d = weight.shape[1]
    pairs = F.pad(weight, (1,) * 4).view(c, d, 3, 2, 3, 2).flip(2, 4)
    phases = F.conv2d(small, pairs.permute(1, 3, 5, 0, 2, 4).reshape(4 * d, c, 3, 3), padding=1)
    return phases.view(n, d, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, d, 2 * h, 2 * w)


def _by_phases(x: Tensor, weight: Tensor, stride: int) -> bool:
    """Whether an image's gradient is asked for and the weight's is not, as in a generator's turn."""
    few = stride == STRIDE and weight.shape[1] < FEW_CHANNELS
    return few and x.device.type == "cpu" and x.requires_grad and not weight.requires_grad


def _by_patches(x: Tensor, weight: Tensor, n_places: int) -> bool:
    """Whether patches are faster: on a CPU, while learning, with neither too few values for a product nor too many."""
    # first, for an exporter takes a batch's length for fixed once it is asked for it
    if not _learns(x, weight) or weight.shape[1] < FEW_CHANNELS:
        return False
    return len(x) * n_places * weight[0].numel() <= MOST_PATCH_VALUES


def _learns(x: Tensor, weight: Tensor) -> bool:
    return x.device.type == "cpu" and torch.is_grad_enabled() and weight.requires_grad


def _cast(*tensors: Tensor) -> tuple[Tensor, ...]:
    """What autocast does for torch's own functions."""
    if not torch.is_autocast_enabled("cpu"):
        return tensors
    dtype = torch.get_autocast_dtype("cpu")
    return tuple(tensor.to(dtype) for tensor in tensors)
