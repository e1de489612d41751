"""The two networks of a class-conditional DCGAN.

The generator follows DCGAN (Radford, Metz & Chintala 2015, arXiv 1511.06434): a dense layer, then transposed
convolutions that double the size, batch normalisation and ReLU between them, tanh at the end. The class enters twice:
as an embedding beside the latent, and as the scale and shift of every normalisation (de Vries et al. 2017, arXiv
1707.00683). The discriminator mirrors it with strided convolutions and LeakyReLU, and asks about the class
through a projection (Miyato & Koyama 2018, arXiv 1802.05637).

Images are float32 NCHW in [-1, 1]; labels int64 (n,); logits float (n,).
"""

from __future__ import annotations

import functools
import itertools
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from augmentgan.gan.backbone import require_backbone
from augmentgan.gan.convolutions import conv3x3_same, conv_transpose3x3_same, double, halve
from augmentgan.gan.distributed import SINGLE_PROCESS, World
from augmentgan.gan.normalisation import ConditionalBatchNorm
from augmentgan.gan.projected import MIXED_CHANNELS, PURPOSE, ProjectedDiscriminator
from augmentgan.recipe import ResolvedRecipe

GROUP = 4
"""Neighbouring rows of a batch that share a class; the minibatch statistic is taken over them."""

MAX_WIDTH = 256
LEAK = 0.2


def to_unit(images: Tensor) -> Tensor:
    """uint8 NHWC in [0, 255] to float32 NCHW in [-1, 1], in channels-last memory."""
    return images.permute(0, 3, 1, 2).to(torch.float32).mul_(1 / 127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Float NCHW in [-1, 1] to uint8 NHWC in [0, 255]; the exact inverse of `to_unit` on all 256 values."""
    levels = images.to(torch.float32).add(1.0).mul_(127.5).round_().clamp_(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1)


def base_size(size_px: int) -> int:
    """Side of the smallest feature map: the size halved until it is at most 7 (4 for powers of two)."""
    side = size_px // 2
    while side > 7:
        side //= 2
    return side


class Generator(nn.Module):
    """(latent, label) to image: the forger.

    Out of training, latents are multiplied by `truncation` first (the trick of Brock et al. 2019, arXiv 1809.11096, section 3.1, with
    shrinking in place of resampling); the normalisation statistics stay those of all latents.
    """

    def __init__(
        self,
        *,
        size_px: int,
        channels: int,
        n_classes: int,
        latent_dim: int,
        label_dim: int,
        width: int,
        truncation: float = 1.0,
    ) -> None:
        super().__init__()
        self.truncation = truncation
        self.size_px, self.channels, self.n_classes, self.latent_dim = (
            size_px,
            channels,
            n_classes,
            latent_dim,
        )
        self.base = base_size(size_px)
        n_doublings = (size_px // self.base).bit_length() - 1
        widths = [min(width * 2**level, max(MAX_WIDTH, width)) for level in range(n_doublings, -1, -1)]
        self.label = nn.Embedding(n_classes, label_dim)
        self.dense = nn.Linear(latent_dim + label_dim, widths[0] * self.base**2, bias=False)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False)
            for wide, narrow in itertools.pairwise(widths)
        )
        self.norm = nn.ModuleList(ConditionalBatchNorm(each, n_classes) for each in widths)
        # transposed as in DCGAN; at stride 1 that is a convolution with its kernel turned, whose backward is faster
        self.to_image = nn.ConvTranspose2d(widths[-1], channels, 3, padding=1)
        # torch takes a transposed layer's outputs for its inputs: it would start 6 times as large, in tanh's flat ends, where
        # the discriminator wins before the generator learns anything
        nn.init.kaiming_uniform_(self.to_image.weight.transpose(0, 1), a=5**0.5)
        nn.init.normal_(self.label.weight, std=0.5)
        self.to(memory_format=torch.channels_last)

    def forward(self, latents: Tensor, labels: Tensor, world: World = SINGLE_PROCESS) -> Tensor:
        """Latents (n, latent_dim) and labels (n,) to images (n, c, size_px, size_px) in [-1, 1].

        In training these are this process's rows of the batch of all processes, whose statistics normalise it.
        """
        if not self.training and self.truncation != 1:
            latents = latents * self.truncation
        x = self.dense(torch.cat([latents, self.label(labels)], dim=1))
        x = x.view(latents.shape[0], self.base, self.base, -1).permute(0, 3, 1, 2)  # (n, c, base, base), channels last
        x = self.norm[0](x, labels, world)
        for up, norm in zip(self.up, self.norm[1:], strict=True):
            x = norm(double(x, cast(Tensor, up.weight)), labels, world)
        return torch.tanh(conv_transpose3x3_same(x, self.to_image.weight, cast(Tensor, self.to_image.bias)))


class SpectralNorm(nn.Module):
    """Divides a weight by its largest singular value (Miyato et al. 2018, arXiv 1802.05957, algorithm 1).

    One power iteration each time the discriminator learns; none while it is frozen, so that the generator plays
    against exactly the function that the last discriminator update made.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = _as_matrix(weight.detach())
        self.u: Tensor
        self.v: Tensor
        self.register_buffer("u", F.normalize(torch.randn(matrix.shape[0]), dim=0))
        self.register_buffer("v", F.normalize(matrix.T @ self.u, dim=0))
        for _ in range(15):
            self._iterate(matrix)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with largest singular value (nearly) 1."""
        matrix = _as_matrix(weight)
        if self.training and weight.requires_grad:
            self._iterate(matrix.detach())
        # cloned, for the next iteration changes u and v in place; float32, for bfloat16 has no digits to spare here
        with torch.autocast(weight.device.type, enabled=False):
            sigma = torch.dot(self.u.clone(), torch.mv(matrix, self.v.clone()))
        return weight / sigma

    @torch.no_grad()
    def _iterate(self, matrix: Tensor) -> None:
        torch.mv(matrix.T, self.u, out=self.v)
        self.v.div_(self.v.norm().clamp_min_(1e-12))
        torch.mv(matrix, self.v, out=self.u)
        self.u.div_(self.u.norm().clamp_min_(1e-12))


def _as_matrix(weight: Tensor) -> Tensor:
    """(out, everything else); a view also of a channels-last weight, for a singular value minds no order of columns."""
    return weight.movedim(1, -1).flatten(1)


class Discriminator(nn.Module):
    """(image, label) to a logit of "this is a real image of that class": the detective.

    With `with_class_head` the same features also say which class an image is of: an auxiliary classifier (Odena et al. 2017, arXiv
    1610.09585) beside the projection of the label.
    """

    def __init__(
        self,
        *,
        size_px: int,
        channels: int,
        n_classes: int,
        width: int,
        spectral_norm: bool = True,
        minibatch_stddev: bool = True,
        with_class_head: bool = False,
    ) -> None:
        super().__init__()
        n_halvings = (size_px // base_size(size_px)).bit_length() - 1
        widths = [min(width * 2**level, max(MAX_WIDTH, width)) for level in range(n_halvings + 1)]
        features = widths[-1]
        self.down = nn.ModuleList(
            nn.Conv2d(narrow, wide, 4, stride=2, padding=1)
            for narrow, wide in zip([channels, *widths], widths[:n_halvings], strict=False)
        )
        self.minibatch_stddev = minibatch_stddev
        self.last = nn.Conv2d(widths[n_halvings - 1] + int(minibatch_stddev), features, 3, padding=1)
        self.to_logit = nn.Linear(features, 1)
        self.label = nn.Embedding(n_classes, features)
        weights = [module.weight for module in (*self.down, self.last, self.to_logit, self.label)]
        self.spectral = nn.ModuleList(SpectralNorm(cast(Tensor, w)) for w in weights) if spectral_norm else None
        self.to_classes = nn.Linear(features, n_classes) if with_class_head else None
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Images (n, c, h, w) and labels (n,) to logits (n,); rows as `logits_and_classes` wants them."""
        return self.logits_and_classes(images, labels)[0]

    def logits_and_classes(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images (n, c, h, w) and labels (n,) to logits (n,), and to logits of the classes (n, n_classes) where classes are named.

        With the minibatch statistic, n is a multiple of `GROUP` and each run of `GROUP` rows is one class, all real
        or all fake.
        """
        *down, last, to_logit, label = self._weights()
        x = images
        for convolution, weight in zip(self.down, down, strict=True):
            x = F.leaky_relu(halve(x, weight, cast(nn.Conv2d, convolution).bias), LEAK)
        of_features, of_stddev = torch.split(last, [x.shape[1], last.shape[1] - x.shape[1]], dim=1)
        y = conv3x3_same(x, of_features.contiguous(memory_format=torch.channels_last), self.last.bias)
        if self.minibatch_stddev:
            y = _plus_convolved_constant(y, within_class_stddev(x), of_stddev)
        x = F.leaky_relu(y, LEAK)
        x = x.sum(dim=(2, 3)).float()  # (n, features)
        # projection: w.phi + <embedding of the class, phi>, one product for both
        logits = (x * (to_logit + F.embedding(labels, label))).sum(dim=1) + self.to_logit.bias
        if self.to_classes is None:
            return logits, None
        # features are sums over places: divided by their size, so that classes are not named the more surely the larger they grow
        return logits, self.to_classes(F.rms_norm(x, x.shape[1:], eps=1e-8)).float()

    def _weights(self) -> list[Tensor]:
        weights = [cast(Tensor, module.weight) for module in (*self.down, self.last, self.to_logit, self.label)]
        if self.spectral is None:
            return weights
        return [normalise(weight) for normalise, weight in zip(self.spectral, weights, strict=True)]


def within_class_stddev(x: Tensor) -> Tensor:
    """How much each group of `GROUP` rows varies (after Karras et al. 2018, arXiv 1710.10196, section 3).

    Args:
        x: features (n, c, h, w), n a multiple of `GROUP`, each group of one class.

    Returns:
        (n,) float32: the standard deviation over the group, averaged over channels and places.
    """
    return cast(Tensor, _WithinClassStddev.apply(x))


class _WithinClassStddev(torch.autograd.Function):
    """The deviation s of places' values from their group's mean m has the gradient (x - m) / (GROUP s): one pass over x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        centred, stddev = _within_groups(x)
        ctx.save_for_backward(x, centred, stddev)
        return stddev.mean(dim=1).repeat_interleave(GROUP)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x, centred, stddev = ctx.saved_tensors
        if torch.is_grad_enabled():  # a penalty differentiates once more
            centred, stddev = _within_groups(x)
        share = gradient.view(-1, GROUP).sum(dim=1, keepdim=True) / (GROUP * stddev.shape[1])
        of_places = centred * (share / stddev)[:, None]
        n, c, h, w = x.shape
        return cast(Tensor, of_places.view(n, h, w, c).permute(0, 3, 1, 2).to(x.dtype))


def _within_groups(x: Tensor) -> tuple[Tensor, Tensor]:
    """Distances (groups, GROUP, places) from the group's mean, and standard deviations (groups, places), of x (n, c, h, w)."""
    # in the order in which it lies in memory, so that no gradient comes back in another
    groups = x.permute(0, 2, 3, 1).float().reshape(len(x) // GROUP, GROUP, -1)
    centred = groups - groups.mean(dim=1, keepdim=True)
    return centred, (centred.square().mean(dim=1) + 1e-8).sqrt()


def _plus_convolved_constant(y: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    """A 3x3 convolution's result, and the share in it of one more channel that is constant over each image.

    That is the value times one small map, so the map is convolved once instead of once an image, and the large
    convolution keeps its round number of channels, which kernels are fast at.

    Args:
        y: the result for the other channels, (n, d, h, w).
        values: the channel's value in each image, (n,).
        weight: the convolution's weight for that channel, (d, 1, 3, 3).
    """
    n, d, h, w = y.shape
    # all as matrices, so that the gradients are products too
    meets = F.unfold(torch.ones(1, 1, h, w, dtype=weight.dtype, device=weight.device), 3, padding=1)[0]  # (9, places)
    response = (weight.flatten(1) @ meets).T.reshape(1, -1)  # (1, places of d)
    whole = torch.addmm(y.permute(0, 2, 3, 1).reshape(n, -1), values[:, None].to(y.dtype), response.to(y.dtype))
    return whole.view(n, h, w, d).permute(0, 3, 1, 2)


def build_generator(recipe: ResolvedRecipe, n_classes: int) -> Generator:
    """The generator that a recipe describes, freshly initialised from torch's random state."""
    return Generator(
        size_px=recipe.data.size_px,
        channels=recipe.data.channels,
        n_classes=n_classes,
        latent_dim=recipe.model.latent_dim,
        label_dim=recipe.model.label_dim,
        width=recipe.model.generator_width,
        truncation=recipe.model.truncation,
    )


def require_networks(recipe: ResolvedRecipe) -> None:
    """Check that what the recipe's networks are made of is installed, without making them.

    Raises:
        ExtraError: a projected discriminator, without the `pretrained` extra.
    """
    if recipe.model.discriminator == "projected":
        require_backbone(PURPOSE)


def build_discriminator(recipe: ResolvedRecipe, n_classes: int) -> Discriminator | ProjectedDiscriminator:
    """The discriminator that a recipe describes, freshly initialised from torch's random state.

    Raises:
        ExtraError: a projected one, without the `pretrained` extra.
    """
    model = recipe.model

    def discriminator(channels: int, size_px: int, width: int) -> Discriminator:
        return Discriminator(
            size_px=size_px,
            channels=channels,
            n_classes=n_classes,
            width=width,
            spectral_norm=model.spectral_norm,
            minibatch_stddev=model.minibatch_stddev,
            with_class_head=recipe.objective.class_weight > 0,
        )

    if model.discriminator == "projected":
        heads = functools.partial(discriminator, width=MIXED_CHANNELS)
        return ProjectedDiscriminator(recipe.data.size_px, heads)
    return discriminator(recipe.data.channels, recipe.data.size_px, model.discriminator_width)
