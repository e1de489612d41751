"""The sections of a recipe: every setting, its type, range, default and meaning.

`Resolved...` are the same without "auto", as they are after `Recipe.resolve`.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Auto = Literal["auto"]
LARGEST_COUNT = 10**9
"""The largest number of updates, images or anything else that a recipe may ask for."""

Count = Annotated[int, Field(ge=1, le=LARGEST_COUNT)]
Part = Annotated[float, Field(ge=0, le=1)]
Width = Annotated[int, Field(ge=4, le=1024)]
PerClass = Annotated[int, Field(ge=2, le=LARGEST_COUNT)]
Size = Literal[8, 16, 28, 32, 48, 64, 96, 128]
SIZES: tuple[int, ...] = get_args(Size)
"""Image sizes (pixels a side) that the networks are built for."""


class Section(BaseModel):
    """Frozen and strictly typed; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DataSection(Section):
    """How images are brought to one size and split."""

    size_px: Size | Auto = Field("auto", description="Side of the square working images, in pixels.")
    channels: Literal[1, 3] | Auto = Field("auto", description="1 for grey, 3 for RGB.")
    resize: Literal["crop", "pad", "stretch"] = Field(
        "crop",
        description="What happens to images that are not square: centre crop, pad with the edge, or stretch.",
    )
    test_fraction: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="Share of every class held out as real test images, where data has no split.",
    )
    train_per_class: PerClass | Literal["all"] = Field(
        "all", description='Training images a class to learn from, drawn by seed; "all" uses every one.'
    )

    @property
    def given_size_px(self) -> int | None:
        """`size_px`, or None where the images decide."""
        return None if self.size_px == "auto" else self.size_px

    @property
    def given_channels(self) -> int | None:
        """`channels`, or None where the images decide."""
        return None if self.channels == "auto" else self.channels


class ModelSection(Section):
    """The two networks."""

    latent_dim: int = Field(64, ge=1, le=4096, description="Length of the latent vector z, normally distributed.")
    label_dim: int = Field(64, ge=1, le=4096, description="Length of the label embedding that joins z.")
    generator_width: Width | Auto = Field(
        "auto", description="Channels of the generator at full size; doubled at each halving of the size."
    )
    discriminator_width: Width | Auto = Field(
        "auto", description="Channels after the discriminator's first convolution; doubled at each halving."
    )
    truncation: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Latents of samples are multiplied by this: below 1 less variety, and fewer samples that look like another class.",
    )
    discriminator: Literal["plain", "projected"] = Field(
        "plain",
        description='"projected" looks at frozen ImageNet features instead of pixels; needs the extra `pretrained`.',
    )
    spectral_norm: bool = Field(
        True, description="Divide each discriminator weight but the class head's by its largest singular value."
    )
    minibatch_stddev: bool = Field(
        True, description="Show the discriminator how much groups of four images of one class vary."
    )


class ObjectiveSection(Section):
    """The losses of the game and their regularisers."""

    loss: Literal["minimax", "non-saturating", "hinge", "least-squares", "wasserstein"] = Field(
        "hinge", description="The adversarial loss."
    )
    r1_weight: float = Field(
        0.0, ge=0, le=1e6, description="Weight of the R1 gradient penalty on real images; 0 is off."
    )
    gradient_penalty_weight: float = Field(
        10.0, ge=0, le=1e6, description="Weight of the Wasserstein gradient penalty (used by that loss only)."
    )
    lecam_weight: float = Field(
        0.0, ge=0, description="Weight of the LeCam penalty, which holds logits of scarce images together; 0 is off."
    )
    class_weight: float = Field(
        0.1,
        ge=0,
        le=1e6,
        description="Weight of the class loss: the discriminator learns to name the class of real images, the generator to make images whose class it names; 0 is off.",
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=0.5,
        description="Real target 1 - this, for losses with a target (minimax, non-saturating, least-squares).",
    )


class AugmentSection(Section):
    """DiffAugment: differentiable augmentation of what the discriminator sees, real and fake alike."""

    translation: float = Field(0.125, ge=0, le=0.5, description="Largest shift, as a share of the side.")
    cutout: float = Field(0.3, ge=0, lt=1, description="Side of the square that is blanked, as a share of the side.")
    affine: float = Field(
        0.0, ge=0, le=0.5, description="Rotate, scale and shear: largest change of an entry of a 2x2 map; 0 is off."
    )
    colour: bool | Auto = Field("auto", description="Vary brightness, saturation and contrast; auto: RGB only.")


class CoverageSection(Section):
    """The coverage term: every real image pulls a sample towards it (implicit maximum likelihood)."""

    weight: float = Field(
        10.0, ge=0, le=1e6, description="Weight of the mean squared error to the matched real images; 0 is off."
    )
    latents_per_image: int = Field(8, ge=1, le=1024, description="Latents drawn for each real image at a matching.")
    share: float = Field(
        0.5, gt=0, le=1, description="Share of every batch of fake images whose latents are matched ones."
    )
    refresh_updates: int = Field(100, ge=1, le=LARGEST_COUNT, description="Updates between two matchings.")
    latent_noise: float = Field(
        0.05, ge=0, le=100, description="Standard deviation of the noise added to a matched latent."
    )


class TrainingSection(Section):
    """The loop."""

    updates: Count | Auto = Field("auto", description="Generator updates.")
    batch_images: int = Field(
        64, ge=8, le=4096, multiple_of=4, description="Real images in a batch, and as many fake ones."
    )
    most_shown: int = Field(
        2000,
        ge=1,
        le=LARGEST_COUNT,
        description="Most times that a class's training images are shown, on average: a class too small for an equal part of the batches gets less, unless all are that small.",
    )
    n_discriminator_updates: int = Field(
        1, ge=1, le=100, description="Discriminator updates for each generator update."
    )
    learning_rate_generator: float = Field(4e-4, gt=0, le=1, description="Adam's step for the generator.")
    learning_rate_discriminator: float = Field(4e-4, gt=0, le=1, description="Adam's step for the discriminator.")
    beta1: float = Field(0.0, ge=0, lt=1, description="Adam's decay of the first moment.")
    beta2: float = Field(0.99, ge=0, lt=1, description="Adam's decay of the second moment.")
    average_decay: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="Decay of the generator's exponential moving average (EMA), which makes the samples.",
    )
    precision: Literal["float32", "bfloat16"] | Auto = Field(
        "auto",
        description="Arithmetic of convolutions and matrices in training; auto: bfloat16 where the processor has it.",
    )
    status_updates: int = Field(
        100,
        ge=1,
        le=LARGEST_COUNT,
        description="Updates between two lines of events.jsonl; looks, sheets and checkpoints add theirs.",
    )
    quality_updates: int = Field(
        500, ge=1, le=LARGEST_COUNT, description="Updates between two looks at diversity and nearness."
    )
    sheet_updates: int = Field(500, ge=1, le=LARGEST_COUNT, description="Updates between two sample sheets.")
    checkpoint_updates: int = Field(500, ge=1, le=LARGEST_COUNT, description="Updates between two checkpoints.")


class BenchmarkSection(Section):
    """The downstream classifier and how synthetic images enter its training."""

    steps: Count | Auto = Field("auto", description="Optimiser steps of every arm.")
    batch_images: int = Field(64, ge=4, le=4096, description="Images in a classifier batch.")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="Peak of the one-cycle learning rate (AdamW).")
    repeats: int = Field(
        5,
        ge=2,
        le=1000,
        description="Repeats: of a run, new validation folds and classifiers; from scratch a new training draw and generator, too.",
    )
    synthetic_per_class: int = Field(
        1000,
        ge=1,
        le=10**6,
        description="Synthetic images a class offered to the arms that use them: fewer where those of all classes would take more than 2.7 GB (some 200,000 at 64 px in colour), and 200 at most with the pretrained classifier.",
    )
    classifier: Literal["small-cnn", "resnet18", "pretrained"] = Field(
        "small-cnn",
        description='The network; "pretrained" (frozen EfficientNet-Lite0 features) needs the extra of that name.',
    )
    tune: bool = Field(
        True,
        description="Choose weight decay, whether classical augmentation and mirror images take part, and share of synthetic images (zero allowed) on validation images out of the training part.",
    )
    validation_folds: int = Field(2, ge=2, le=20, description="Folds of the training part that validate in turn.")
    cross_fit: bool = Field(
        False,
        description="From scratch: choose the share of synthetic images with samples of generators that never saw the validation images, one more a fold.",
    )
    synthetic_share: Part | Auto = Field(
        "auto",
        description="Synthetic share of a mixed batch (of a fill arm: of a class that had no image at all); with `tune` half of it and zero compete; auto: 0.5, and 0.8 where classes differ tenfold.",
    )
    synthetic_until: Part | Auto = Field(
        "auto",
        description="Part of the steps after which a mixed arm trains on real images alone; auto: 0.5, and 1 where classes differ tenfold.",
    )
    classic_until: Part | Auto = Field(
        "auto",
        description="Part of the steps after which arms with classical augmentation train on images as they are; auto: 0.5, and 1 where classes differ tenfold.",
    )
    teachers: int = Field(
        0,
        ge=0,
        le=20,
        description="Classifiers of real images that judge the samples: each counts by the probability they see for its class; 0 is off.",
    )
    teachers_keep: float = Field(
        1.0, gt=0, le=1, description="Share of each class's samples that is kept, those the teachers rate best."
    )
    soft_labels: bool = Field(False, description="Samples carry the teachers' probabilities as labels.")
    separate_statistics: bool = Field(
        False, description="Normalise synthetic rows by statistics of their own (AdvProp)."
    )

    @model_validator(mode="after")
    def _has_teachers(self) -> BenchmarkSection:
        if not self.teachers and (self.soft_labels or self.teachers_keep < 1):
            raise ValueError("soft_labels and teachers_keep are the teachers': set teachers to 1 or more")
        return self


class ResolvedDataSection(DataSection):
    """`DataSection` without "auto"."""

    size_px: Size
    channels: Literal[1, 3]


class ResolvedModelSection(ModelSection):
    """`ModelSection` without "auto"."""

    generator_width: Width
    discriminator_width: Width


class ResolvedAugmentSection(AugmentSection):
    """`AugmentSection` without "auto"."""

    colour: bool


class ResolvedTrainingSection(TrainingSection):
    """`TrainingSection` without "auto", except the precision, which is the device's matter."""

    updates: Count


class ResolvedBenchmarkSection(BenchmarkSection):
    """`BenchmarkSection` without "auto"."""

    steps: Count
    synthetic_share: Part
    synthetic_until: Part
    classic_until: Part
