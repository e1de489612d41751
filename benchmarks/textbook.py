"""The loop that a tutorial would have you write: the counterpart of `training_speed.py`.

The same networks and batch as the product's, in the form that papers' code gives them: eager float32 in contiguous memory,
torch's own layers, plain Adam, a DataLoader, and the steps of PyTorch's DCGAN example (D on real, D on fake, G through a D
whose weights still ask for gradients, a number printed a step). `tests/test_benchmarks.py` copies weights across and compares outputs.
It has no coverage term: its work is less than ours.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.data import DataLoader, TensorDataset

import augmentgan as ag
from augmentgan.gan.networks import GROUP, MAX_WIDTH, base_size
from augmentgan.recipe import ResolvedRecipe


class ConditionalBatchNorm2d(nn.Module):
    """Batch norm, then a scale and a shift looked up by class."""

    def __init__(self, channels: int, n_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.embed = nn.Embedding(n_classes, 2 * channels)
        self.embed.weight.data[:, :channels].fill_(1.0)
        self.embed.weight.data[:, channels:].zero_()

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        scale, shift = self.embed(labels).chunk(2, dim=1)
        normed: Tensor = scale[:, :, None, None] * self.norm(x) + shift[:, :, None, None]
        return normed


class Generator(nn.Module):
    """A conditional DCGAN generator."""

    def __init__(self, recipe: ResolvedRecipe, n_classes: int) -> None:
        super().__init__()
        size_px, width, label_dim = recipe.data.size_px, recipe.model.generator_width, recipe.model.label_dim
        self.base = base_size(size_px)
        n_doublings = (size_px // self.base).bit_length() - 1
        widths = [min(width * 2**level, max(MAX_WIDTH, width)) for level in range(n_doublings, -1, -1)]
        self.label = nn.Embedding(n_classes, label_dim)
        self.dense = nn.Linear(recipe.model.latent_dim + label_dim, widths[0] * self.base**2, bias=False)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False) for wide, narrow in itertools.pairwise(widths)
        )
        self.norm = nn.ModuleList(ConditionalBatchNorm2d(each, n_classes) for each in widths)
        self.to_image = nn.ConvTranspose2d(widths[-1], recipe.data.channels, 3, 1, 1)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Latents and labels to images."""
        x = self.dense(torch.cat([latents, self.label(labels)], dim=1))
        x = F.relu(self.norm[0](x.view(len(x), -1, self.base, self.base), labels))
        for up, norm in zip(self.up, self.norm[1:], strict=True):
            x = F.relu(norm(up(x), labels))
        return torch.tanh(self.to_image(x))


class Discriminator(nn.Module):
    """A projection discriminator with spectral norm and a minibatch standard deviation."""

    def __init__(self, recipe: ResolvedRecipe, n_classes: int) -> None:
        super().__init__()
        size_px, width = recipe.data.size_px, recipe.model.discriminator_width
        n_halvings = (size_px // base_size(size_px)).bit_length() - 1
        widths = [min(width * 2**level, max(MAX_WIDTH, width)) for level in range(n_halvings + 1)]
        channels = [recipe.data.channels, *widths]
        self.down = nn.ModuleList(
            spectral_norm(nn.Conv2d(channels[level], widths[level], 4, 2, 1)) for level in range(n_halvings)
        )
        self.last = spectral_norm(nn.Conv2d(widths[n_halvings - 1] + 1, widths[-1], 3, 1, 1))
        self.to_logit = spectral_norm(nn.Linear(widths[-1], 1))
        self.label = spectral_norm(nn.Embedding(n_classes, widths[-1]))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Images and labels to logits."""
        x = images
        for layer in self.down:
            x = F.leaky_relu(layer(x), 0.2)
        x = F.leaky_relu(self.last(self.with_stddev(x)), 0.2).sum(dim=(2, 3))
        logits: Tensor = self.to_logit(x)[:, 0] + (x * self.label(labels)).sum(dim=1)
        return logits

    def with_stddev(self, x: Tensor) -> Tensor:
        """One channel more: the standard deviation over groups, averaged (the layer of Karras et al. 2018)."""
        n, c, h, w = x.shape
        y = x.reshape(n // GROUP, GROUP, c, h, w)
        y = torch.sqrt(y.var(dim=1, unbiased=False) + 1e-8).mean(dim=(1, 2, 3))
        y = y.repeat_interleave(GROUP).reshape(n, 1, 1, 1).repeat(1, 1, h, w)
        return torch.cat([x, y], dim=1)


class Textbook:
    """The loop; a call is one update of both networks."""

    def __init__(self, recipe: ResolvedRecipe, data: ag.LabelledImages, device: torch.device) -> None:
        torch.manual_seed(0)
        self.recipe, self.device = recipe, device
        self.generator = Generator(recipe, data.n_classes).to(device)
        self.discriminator = Discriminator(recipe, data.n_classes).to(device)
        self.average = Generator(recipe, data.n_classes).to(device)
        betas = (recipe.training.beta1, recipe.training.beta2)
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), lr=2e-4, betas=betas)
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), lr=2e-4, betas=betas)
        images = torch.from_numpy(data.images).permute(0, 3, 1, 2).float() / 127.5 - 1
        dataset = TensorDataset(images.contiguous(), torch.from_numpy(data.labels))
        self.loader = DataLoader(dataset, batch_size=recipe.training.batch_images, shuffle=True, drop_last=True)
        self.batches = iter(self.loader)
        self.line = ""

    def __call__(self) -> None:
        """One update."""
        try:
            real, labels = next(self.batches)
        except StopIteration:
            self.batches = iter(self.loader)
            real, labels = next(self.batches)
        labels, order = labels.sort()  # the discriminator's statistic is of groups of one class
        real, labels = real[order].to(self.device), labels.to(self.device)

        self.optimizer_d.zero_grad()
        logits = self.discriminator(self.augment(real), labels)
        loss_real = F.relu(1 - logits).mean()
        loss_real.backward()  # type: ignore[no-untyped-call]
        d_real = logits.sigmoid().mean().item()
        fake = self.generator(torch.randn(len(real), self.recipe.model.latent_dim, device=self.device), labels)
        logits = self.discriminator(self.augment(fake.detach()), labels)
        loss_fake = F.relu(1 + logits).mean()
        loss_fake.backward()  # type: ignore[no-untyped-call]
        d_fake = logits.sigmoid().mean().item()
        self.optimizer_d.step()

        self.optimizer_g.zero_grad()
        loss_g = -self.discriminator(self.augment(fake), labels).mean()
        loss_g.backward()
        self.optimizer_g.step()
        with torch.no_grad():
            for mean, weight in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                mean.lerp_(weight, 0.001)
        loss_d = (loss_real + loss_fake).item()
        self.line = f"{loss_d:.3f} {loss_g.item():.3f} {d_real:.2f} {d_fake:.2f}"

    def augment(self, images: Tensor) -> Tensor:
        """DiffAugment as its paper has it: colour, translation by gather, cutout by a mask."""
        n, _, side, _ = images.shape
        device = images.device
        if self.recipe.augment.colour:
            images = images + torch.rand(n, 1, 1, 1, device=device) - 0.5
            mean = images.mean(dim=1, keepdim=True)
            images = (images - mean) * (torch.rand(n, 1, 1, 1, device=device) * 2) + mean
            mean = images.mean(dim=(1, 2, 3), keepdim=True)
            images = (images - mean) * (torch.rand(n, 1, 1, 1, device=device) + 0.5) + mean
        section = self.recipe.augment
        reach, hole = round(side * section.translation), round(side * section.cutout)
        shift = torch.randint(-reach, reach + 1, (2, n, 1, 1), device=device)
        row, y, x = torch.meshgrid(*(torch.arange(k, device=device) for k in (n, side, side)), indexing="ij")
        y, x = (y + shift[0] + 1).clamp(0, side + 1), (x + shift[1] + 1).clamp(0, side + 1)
        images = F.pad(images, [1, 1, 1, 1]).permute(0, 2, 3, 1).contiguous()[row, y, x].permute(0, 3, 1, 2)
        corner = torch.randint(0, side, (2, n, 1, 1), device=device) - hole // 2
        row, y, x = torch.meshgrid(*(torch.arange(k, device=device) for k in (n, hole, hole)), indexing="ij")
        mask = torch.ones(n, side, side, device=device)
        mask[row, (y + corner[0]).clamp(0, side - 1), (x + corner[1]).clamp(0, side - 1)] = 0
        return images.contiguous() * mask[:, None]
