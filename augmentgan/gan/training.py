"""The game: discriminator and generator learn in turns, each with the other frozen.

One update is the article's round. The discriminator sees a batch of real and of generated images and learns to tell
them apart; then it is frozen, and the generator learns to be taken for real. Beside that stands the coverage term
(`augmentgan.gan.coverage`). The samples come from an exponential moving average (EMA) of the generator's weights.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from augmentgan.data.images import LabelledImages
from augmentgan.gan import augment, objectives
from augmentgan.gan.batches import BalancedBatches, class_shares
from augmentgan.gan.coverage import Coverage, coverage_loss
from augmentgan.gan.device import allow_tf32, keep_freed_memory, resolve_precision
from augmentgan.gan.distributed import SINGLE_PROCESS, World
from augmentgan.gan.networks import GROUP, Generator, build_discriminator, build_generator
from augmentgan.gan.recording import CUDAGraphRunner, can_use_cuda_graphs
from augmentgan.recipe import ResolvedRecipe

ANCHOR_DECAY = 0.99
"""Decay of the running mean logits that the LeCam penalty looks at."""


@dataclass(frozen=True)
class Status:
    """One line of `events.jsonl`: means since the line before.

    Attributes:
        updates: generator updates so far.
        images: real images shown to the discriminator so far.
        seconds: time spent learning so far, over all sessions.
        images_per_s: real images a second since the last status.
        loss_d, loss_g: the two adversarial losses.
        loss_coverage: the coverage term before its weight; None where it is off.
        d_real, d_fake: D(x) and D(G(z)) as probabilities; equal where the discriminator can only guess.
        div, near: diversity and nearness of the EMA's samples, when they were looked at.
        div_worst_class, div_worst: the least varied class of those with ten training images or more, and its figure.
    """

    updates: int
    images: int
    seconds: float
    images_per_s: float
    loss_d: float
    loss_g: float
    loss_coverage: float | None
    d_real: float
    d_fake: float
    div: float | None = None
    near: float | None = None
    div_worst_class: str | None = None
    div_worst: float | None = None

    def to_json(self) -> dict[str, object]:
        """The fields, those without a value left out."""
        return {key: value for key, value in asdict(self).items() if value is not None}


class Trainer:
    """Both networks, their optimisers, the generator's EMA, the EMA that was chosen, and the counters.

    Args:
        recipe: a resolved recipe.
        data: the training images, at the recipe's size; every class has at least one.
        seed: initial weights and every draw follow from it.
        device: where to learn.
        world: the processes that share the work; all draw the numbers of the whole batch and work on their rows of it.

    Raises:
        RecipeError: the batch cannot be shared evenly.
    """

    def __init__(
        self,
        recipe: ResolvedRecipe,
        data: LabelledImages,
        seed: int,
        device: torch.device,
        world: World = SINGLE_PROCESS,
    ) -> None:
        world.check_batch(recipe.training.batch_images, GROUP)
        torch.manual_seed(seed)
        keep_freed_memory()
        allow_tf32(device)
        self.recipe, self.device, self.world = recipe, device, world
        self._rows = world.rows(recipe.training.batch_images)
        self.generator = build_generator(recipe, data.n_classes).to(device)
        self.discriminator = build_discriminator(recipe, data.n_classes).to(device)
        self.ema = copy.deepcopy(self.generator).requires_grad_(False)
        self.chosen = copy.deepcopy(self.ema)
        training = recipe.training
        uses_graphs = can_use_cuda_graphs(device) and world.size == 1  # messages to other processes are not kernels
        self.optimizer_generator = _adam(self.generator, training.learning_rate_generator, recipe, device, uses_graphs)
        self.optimizer_discriminator = _adam(
            self.discriminator, training.learning_rate_discriminator, recipe, device, uses_graphs
        )
        self.batches = BalancedBatches(data, class_shares(data.counts, training), seed, device)
        self.coverage = Coverage(recipe.coverage, self.batches, recipe.model.latent_dim)
        self.anchors = torch.zeros(2, device=device)
        # whole groups: matched and random latents in one group would bias the minibatch statistic
        n_groups = recipe.training.batch_images // GROUP
        share = recipe.coverage.share if recipe.coverage.weight else 0.0
        # samples are made from free latents, so unless all are to be matched one group at least stays free
        most = n_groups if share == 1 else n_groups - 1
        self._n_matched = GROUP * min(most, max(1, round(share * n_groups))) if share else 0
        self.precision = resolve_precision(training.precision, device)
        self.updates = self.chosen_updates = 0
        self.chosen_plan: int | None = recipe.training.updates
        self.seconds = 0.0
        self._sums = torch.zeros(5, device=device)
        self._recording = CUDAGraphRunner(device, uses_graphs=uses_graphs)
        self._summed = 0
        self._since = time.perf_counter()

    def update(self) -> None:
        """One round: `n_discriminator_updates` for the discriminator, then one for the generator."""
        if self.coverage.due(self.updates):
            with self._autocast():
                self.coverage.match(self.generator, self.world)
        self._recording(self._play, *self._drawn())
        self._update_ema()
        self.updates += 1
        self._summed += 1

    def _drawn(self) -> list[Tensor]:
        """What is drawn on the CPU for an update: our part of what follows, one after the other for each turn of the discriminator.

        Labels (n,), rows of real images (n,), latents (n, latent_dim), rows of the real images that the first latents should give.
        Matched latents take part in the game like any other, so the coverage term costs no image more.
        """
        training, latent_dim = self.recipe.training, self.recipe.model.latent_dim
        drawn = []
        for turn in range(training.n_discriminator_updates):
            position = self.updates * training.n_discriminator_updates + turn
            labels = self.batches.labels_at(position, training.batch_images, GROUP)
            rows = self.batches.rows_of(labels, GROUP)
            latents, target_rows = torch.randn(len(labels) - self._n_matched, latent_dim), rows[:0]
            if self._n_matched:
                matched, target_rows = self.coverage.draw(labels[: self._n_matched])
                latents = torch.cat([matched, latents])
            drawn += [each[self._rows] for each in (labels, rows, latents, target_rows)]
        return drawn

    def _play(self, *drawn: Tensor) -> None:
        """The turns of an update, of what was drawn; on the device alone, which may record it."""
        n_discriminator = self.recipe.training.n_discriminator_updates
        for turn in range(n_discriminator):
            labels, rows, latents, target_rows = drawn[4 * turn : 4 * (turn + 1)]
            # the generator's own turn reuses the images that the discriminator has just judged, with their graph
            last = turn == n_discriminator - 1
            with contextlib.nullcontext() if last else torch.no_grad(), self._autocast():
                fake = self.generator(latents, labels, self.world)
            loss_d, logits_real, logits_fake = self._discriminator_update(
                self.batches.real_images(rows), fake.detach(), labels
            )
        loss_g, loss_coverage = self._generator_update(fake, labels, self.batches.real_images(target_rows))
        d_real, d_fake = objectives.probabilities(self.recipe.objective, logits_real, logits_fake)
        self._sums += torch.stack([loss_d, loss_g, loss_coverage, d_real, d_fake])

    def _discriminator_update(self, real: Tensor, fake: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        objective = self.recipe.objective
        self.discriminator.requires_grad_(True)
        # one pass over both: no layer of the discriminator mixes rows of different groups
        both = self._augmented(torch.cat([real, fake.to(real.dtype)]), 2)
        with self._autocast():
            logits, class_logits = self.discriminator.logits_and_classes(both, labels.repeat(2))
        logits_real, logits_fake = logits.chunk(2)
        loss = objectives.discriminator_loss(objective, logits_real, logits_fake)
        penalised = loss
        if class_logits is not None:
            penalised = penalised + objective.class_weight * objectives.class_loss(class_logits[: len(real)], labels)
        if objective.r1_weight:
            penalised = penalised + objective.r1_weight * self._r1(both[: len(real)], labels)
        if objective.lecam_weight:
            means = torch.stack([logits_real.mean(), logits_fake.mean()]).detach()
            self.anchors.lerp_(self.world.mean(means), 1 - ANCHOR_DECAY)
            lecam = objectives.lecam_penalty(logits_real, logits_fake, self.anchors)
            penalised = penalised + objective.lecam_weight * lecam
        if objective.loss == "wasserstein" and objective.gradient_penalty_weight:
            weight = objective.gradient_penalty_weight
            penalised = penalised + weight * self._gradient_penalty(both[: len(real)], both[len(real) :], labels)
        self.optimizer_discriminator.zero_grad(set_to_none=True)
        penalised.backward()  # type: ignore[no-untyped-call]
        self.world.average_gradients(self.discriminator.parameters())
        self.optimizer_discriminator.step()
        return loss.detach(), logits_real.detach(), logits_fake.detach()

    def _generator_update(self, fake: Tensor, labels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        self.discriminator.requires_grad_(False)  # frozen: no gradient for its weights is computed
        with self._autocast():
            logits, class_logits = self.discriminator.logits_and_classes(self._augmented(fake.float(), 1), labels)
        loss = objectives.generator_loss(self.recipe.objective, logits)
        loss_coverage = torch.zeros((), device=self.device)
        if len(targets):
            loss_coverage = coverage_loss(fake[: len(targets)], targets)
            # the mean over the processes is to be the mean over all pairs, of which some have more
            loss_coverage = loss_coverage * (len(targets) * self.world.size / self._n_matched)
        self.optimizer_generator.zero_grad(set_to_none=True)
        whole = loss + self.recipe.coverage.weight * loss_coverage
        if class_logits is not None:
            whole = whole + self.recipe.objective.class_weight * objectives.class_loss(class_logits, labels)
        whole.backward()  # type: ignore[no-untyped-call]
        self.world.average_gradients(self.generator.parameters())
        self.optimizer_generator.step()
        return loss.detach(), loss_coverage.detach()

    def _r1(self, real: Tensor, labels: Tensor) -> Tensor:
        images = real.detach().requires_grad_(True)
        return objectives.r1_penalty(self.discriminator(images, labels), images)

    def _gradient_penalty(self, real: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
        share = torch.rand(self.recipe.training.batch_images, 1, 1, 1, device=self.device)[self._rows]
        images = torch.lerp(real, fake, share).detach().requires_grad_(True)
        return objectives.gradient_penalty(self.discriminator(images, labels), images)

    def _augmented(self, images: Tensor, n_batches: int) -> Tensor:
        """Augment our rows of `n_batches` batches (real, then fake)."""
        n, n_ours = self.recipe.training.batch_images, len(images) // n_batches
        drawn = augment.draw(self.recipe.augment, n_batches * n, images.shape[-1], self.device)
        if n_ours < n:
            ours = torch.arange(n_batches * n, device=self.device).view(n_batches, n)[:, self._rows]
            drawn = drawn.rows(ours.flatten())
        return augment.apply(drawn, images)

    @torch.no_grad()
    def _update_ema(self) -> None:
        # the ramp of TensorFlow's ExponentialMovingAverage(num_updates): early weights are forgotten quickly
        decay = min(self.recipe.training.average_decay, (1 + self.updates) / (10 + self.updates))
        pair = [list(network.parameters()) for network in (self.ema, self.generator)]
        get_ema_multi_avg_fn(decay)(*pair, self.updates)  # type: ignore[no-untyped-call]

    def status(self) -> Status:
        """Means since the last call, over all processes; `augmentgan.gan.watch` judges them."""
        sums = self.world.all_reduce_(self._sums) / self.world.size
        loss_d, loss_g, loss_coverage, d_real, d_fake = (sums / max(1, self._summed)).tolist()
        now = time.perf_counter()
        elapsed = now - self._since
        self.seconds += elapsed
        images = self._summed * self.recipe.training.batch_images * self.recipe.training.n_discriminator_updates
        total = self.updates * self.recipe.training.batch_images * self.recipe.training.n_discriminator_updates
        self._sums.zero_()
        self._summed, self._since = 0, now
        return Status(
            updates=self.updates,
            images=total,
            seconds=round(self.seconds, 3),
            images_per_s=round(images / elapsed, 1),
            loss_d=loss_d,
            loss_g=loss_g,
            loss_coverage=loss_coverage if self.recipe.coverage.weight else None,
            d_real=d_real,
            d_fake=d_fake,
        )

    def choose(self) -> None:
        """Make the present EMA the generator that samples come from."""
        self.chosen_updates, self.chosen_plan = self.updates, self.recipe.training.updates
        self.chosen.load_state_dict(self.ema.state_dict())

    @contextlib.contextmanager
    def paused_clock(self) -> Iterator[None]:
        """Time inside the block (sheets, checkpoints, quality) does not count as learning."""
        stopped = time.perf_counter()
        yield
        self._since += time.perf_counter() - stopped

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        if self.precision == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.precision)


def _adam(
    network: nn.Module, rate: float, recipe: ResolvedRecipe, device: torch.device, capturable: bool
) -> torch.optim.Adam:
    betas = (recipe.training.beta1, recipe.training.beta2)
    fused = device.type in ("cpu", "cuda")
    return torch.optim.Adam(network.parameters(), lr=rate, betas=betas, fused=fused, capturable=capturable)


def sampler_of(trainer: Trainer) -> Generator:
    """A copy of the EMA that sampling may calibrate and keep."""
    return copy.deepcopy(trainer.ema)
