"""Batch normalisation by class, and the statistics that a generator's EMA samples with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from augmentgan.gan.distributed import SINGLE_PROCESS, World

EPSILON = 1e-5


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose scale and shift belong to the class (de Vries et al. 2017), and the ReLU after it.

    In training the batch's own statistics are used and nothing is recorded: the generator that makes samples is an
    average of many, so its statistics are measured afterwards by `calibrate`.
    """

    def __init__(self, channels: int, n_classes: int) -> None:
        super().__init__()
        self.scale = nn.Embedding(n_classes, channels)
        self.shift = nn.Embedding(n_classes, channels)
        nn.init.ones_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.momentum: float | None = None  # set by `calibrate` while it measures

    def forward(self, x: Tensor, labels: Tensor, world: World = SINGLE_PROCESS) -> Tensor:
        """Normalise x (n, c, h, w), this rank's part of the batch, apply the scale and shift of each row's class, and rectify."""
        scale, shift = self.scale(labels), self.shift(labels)  # (n, c)
        learns = self.training and self.momentum is None and torch.is_grad_enabled()
        if learns and world.size == 1 and x.device.type == "cpu":
            return cast(Tensor, _NormaliseAndRectify.apply(x, scale, shift))
        if not self.training:  # statistics, scale and shift in one pass
            scale = scale * torch.rsqrt(self.running_var + EPSILON)
            shift = shift - self.running_mean * scale
        elif world.size > 1:
            mean, variance = _statistics(x, world)
            scale = scale * torch.rsqrt(variance + EPSILON)
            shift = shift - mean * scale
        elif self.momentum is None:
            x = F.batch_norm(x, None, None, training=True, eps=EPSILON)
        else:
            x = F.batch_norm(x, self.running_mean, self.running_var, training=True, momentum=self.momentum, eps=EPSILON)
        return F.relu(_scaled(x, scale, shift))


def _scaled(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Values x (n, c, h, w) times scale plus shift, both (n, c)."""
    return torch.addcmul(_spread(shift, x.dtype), x, _spread(scale, x.dtype))


def _spread(values: Tensor, dtype: torch.dtype) -> Tensor:
    return values.to(dtype)[..., None, None]


class _NormaliseAndRectify(torch.autograd.Function):
    """relu(scale * (x - mean) / deviation + shift), with the mean and deviation (c,) of the batch.

    Normalisation and scale share their backward: with g the gradient before the ReLU and y the normalised x, the gradients of shift and
    scale are the sums of g and of g y over an image's pixels, and the gradient of normalisation (Ioffe & Szegedy 2015, arXiv 1502.03167,
    section 3) needs no other sums over the batch than those, times the scale.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        y, _, inverse = torch.native_batch_norm(x, None, None, None, None, True, 0.0, EPSILON)
        rectified = _scaled(y, scale, shift).relu_()
        ctx.save_for_backward(y, rectified, scale, inverse)
        return rectified

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, rectified, scale, inverse = ctx.saved_tensors
        gradient = torch.ops.aten.threshold_backward(gradient, rectified, 0)
        grad_shift = gradient.sum(dim=(2, 3)).to(scale.dtype)
        grad_scale = (gradient * y).sum(dim=(2, 3)).to(scale.dtype)
        n_places = y.numel() / y.shape[1]
        mean, slope = ((scale * each).sum(dim=0) / n_places for each in (grad_shift, grad_scale))  # (c,)
        centred = torch.addcmul(_spread(-inverse * mean, y.dtype), y, _spread(-inverse * slope, y.dtype))
        return torch.addcmul(centred, gradient, _spread(inverse * scale, y.dtype)), grad_scale, grad_shift


def _statistics(x: Tensor, world: World) -> tuple[Tensor, Tensor]:
    """Mean and variance (c,) of x (n, c, h, w) over the rows of all processes."""
    variance, mean = torch.var_mean(x.float(), dim=(0, 2, 3), correction=0)
    mean, square = world.mean(torch.stack([mean, variance + mean.square()])).unbind()
    return mean, (square - mean.square()).clamp_min(0.0)


@torch.no_grad()
def calibrate(generator: nn.Module, batches: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Measure the normalisation statistics of a generator over (latents, labels) batches, and switch to using them.

    The EMA never saw a batch of its own in training; statistics borrowed from the live generator
    would not fit its weights.
    """
    norms = [module for module in generator.modules() if isinstance(module, ConditionalBatchNorm)]
    generator.train()
    for k, (latents, labels) in enumerate(batches):
        for norm in norms:
            norm.momentum = 1 / (k + 1)  # a plain mean over the batches
        generator(latents, labels)
    for norm in norms:
        norm.momentum = None
    generator.eval()
