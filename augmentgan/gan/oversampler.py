"""Over-sampling as imbalanced-learn does it, by a generator that is trained on the images at hand."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from augmentgan.data.decode import stretch_array
from augmentgan.data.images import LabelledImages
from augmentgan.data.load import working_size
from augmentgan.errors import DataError
from augmentgan.extras import require_extra
from augmentgan.gan.fit import fit
from augmentgan.gan.run import Run
from augmentgan.gan.sampling import concatenated
from augmentgan.recipe import Recipe, load_recipe

require_extra("imbalanced", ["imblearn"], "GANOverSampler")
from imblearn.over_sampling.base import BaseOverSampler  # noqa: E402  # where it is missing, the line above has said so


class GANOverSampler(BaseOverSampler):  # type: ignore[misc]  # imbalanced-learn has no types
    """Adds images of the classes that lack some, made by a DCGAN trained on X.

    Every image of X is learned from: in a `Pipeline` of imbalanced-learn this happens inside each fold, so that nothing of
    a test fold is seen. At least two images of each class are needed.

    Args:
        sampling_strategy: imbalanced-learn's: "auto" (all classes but the largest are levelled with it), "minority", "not
            minority", "not majority", "all", {class: total wanted}, a ratio for two classes, or a function of y.
        random_state: of weights, draws and samples: None, an integer, or a `numpy.random.RandomState`.
        image_shape: (h, w) or (h, w, c) of the images where X is flat, (n, h * w * c).
        recipe: a `Recipe`, the name of one, or a TOML file; the default recipe where left out.
        out: where the run is kept; a temporary folder that is removed where left out.
        device: auto, cpu, cuda, cuda:K or mps.
        on_status: called with every `Status` of the training.

    Attributes:
        sampling_strategy_: {class: number of images added}.
        n_features_in_: numbers an image.
        run_: the `Run`, where `out` was given.

    X is uint8 (n, h, w) or (n, h, w, c), c = 1 or 3, or flat. Other numbers are mapped from their range to 0 to 255 for
    learning and back, so that what is added has at most 256 levels. Images that are not of a working size are scaled to one
    for learning, and the samples back.

    Example:
        >>> sampler = GANOverSampler(random_state=0)  # doctest: +SKIP
        >>> images, labels = sampler.fit_resample(images, labels)  # doctest: +SKIP
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseOverSampler._parameter_constraints,
        "random_state": ["random_state"],
        "image_shape": [tuple, list, None],
        "recipe": [Recipe, str, Path, None],
        "out": [str, Path, None],
        "device": [str],
        "on_status": [callable, None],
    }

    def __init__(
        self,
        *,
        sampling_strategy: str | float | Mapping[Any, int] | Callable[[Any], Mapping[Any, int]] = "auto",
        random_state: int | np.random.RandomState | None = None,
        image_shape: tuple[int, ...] | None = None,
        recipe: Recipe | str | Path | None = None,
        out: str | Path | None = None,
        device: str = "auto",
        on_status: Callable[[Any], object] | None = None,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.random_state = random_state
        self.image_shape = image_shape
        self.recipe = recipe
        self.out = out
        self.device = device
        self.on_status = on_status

    def _check_X_y(  # imbalanced-learn's name
        self, X: Any, y: Any, accept_sparse: Any = None
    ) -> tuple[NDArray[Any], NDArray[Any], bool]:
        from imblearn.utils import check_target_type
        from sklearn.utils.validation import validate_data

        y, binarize_y = check_target_type(y, indicate_one_vs_all=True)
        X, y = validate_data(self, X=X, y=y, reset=True, allow_nd=True, dtype="numeric")
        self.n_features_in_ = int(np.prod(X.shape[1:]))
        return X, y, binarize_y

    def _fit_resample(self, X: NDArray[Any], y: NDArray[Any], **params: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        from sklearn.utils import check_random_state

        wanted = {label: n for label, n in self.sampling_strategy_.items() if n}
        if not wanted:
            return X.copy(), y.copy()
        classes, labels = np.unique(y, return_inverse=True)
        levels = _Levels(X)
        images = levels.to_uint8(X).reshape(self._shape_of(X))
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        counts = {int(np.flatnonzero(classes == label)[0]): n for label, n in wanted.items()}
        names = _names_of(classes)
        made, made_labels = self._learn_and_sample(LabelledImages(images, labels.astype(np.int64), names), counts, seed)
        return (
            np.concatenate([X, levels.from_uint8(made).reshape(-1, *X.shape[1:])]),
            np.concatenate([y, classes[made_labels].astype(y.dtype, copy=False)]),
        )

    def _learn_and_sample(
        self, data: LabelledImages, counts: dict[int, int], seed: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        chosen = self.recipe if isinstance(self.recipe, Recipe) else load_recipe(self.recipe)
        # what is tested on is not in X; and samples must have the colours of X, even where all of X happens to be grey
        chosen = chosen.with_values("data", test_fraction=0.0, train_per_class="all", channels=data.channels)
        # stretched and not cropped, for the samples must come back in the shape that X has
        square = working_size(data, chosen.data.given_size_px, data.channels, "stretch")
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "run" if self.out is None else Path(self.out)
            run = fit(square, chosen, folder, seed=seed, device=self.device, on_status=self.on_status)
            made = concatenated(run.sample(counts))
            if self.out is not None:
                self.run_: Run = run
        images = made.images
        height, width = data.images.shape[1:3]
        if images.shape[1:3] != (height, width):
            images = np.stack([stretch_array(image, height, width) for image in images])
        return images, made.labels

    def _shape_of(self, X: NDArray[Any]) -> tuple[int, int, int, int]:
        """X as (n, h, w, c).

        Raises:
            DataError: neither images nor flat images of a known shape.
        """
        side = X.shape[1:] if X.ndim > 2 else self.image_shape
        if side is None:
            raise DataError(f"X has shape {X.shape}; for flat images say image_shape=(h, w) or (h, w, c)")
        shape = tuple(int(each) for each in side)
        shape = (*shape, 1) if len(shape) == 2 else shape
        if len(shape) != 3 or shape[2] not in (1, 3) or min(shape) < 1:
            raise DataError(f"images have shape {shape}; (h, w) or (h, w, c) with c = 1 or 3 is needed")
        if int(np.prod(shape)) != int(np.prod(X.shape[1:])):
            raise DataError(f"X has {X.shape[1]} numbers a row; image_shape {shape} wants {int(np.prod(shape))}")
        return (len(X), *shape)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.three_d_array = True
        return tags


def _names_of(classes: NDArray[Any]) -> tuple[str, ...]:
    """The labels as class names; their places where two look alike or one is empty, for any kind of label may be in y."""
    names = [str(label) for label in classes.tolist()]
    usable = all(names) and len({*names}) == len(names)
    return tuple(names if usable else map(str, range(len(names))))


class _Levels:
    """The way from the numbers of X to 0 to 255 and back; uint8 stays as it is."""

    def __init__(self, X: NDArray[Any]) -> None:
        self._dtype = X.dtype
        low, high = float(X.min()), float(X.max())
        self._low, self._step = low, (high - low) / 255  # 0 where all of X is one number

    def to_uint8(self, X: NDArray[Any]) -> NDArray[np.uint8]:
        if self._dtype == np.uint8:
            return X.astype(np.uint8, copy=False)
        return np.round((X - self._low) / (self._step or 1.0)).astype(np.uint8)

    def from_uint8(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        if self._dtype == np.uint8:
            return images
        values = images * self._step + self._low
        return (np.round(values) if self._dtype.kind in "iub" else values).astype(self._dtype)
