"""augmentgan: grow a small labelled image set with a conditional DCGAN, and measure whether it helps.

    data = augmentgan.load("data/")
    run = augmentgan.fit(data, out="runs/x", on_status=print)
    synthetic = run.generate(per_class=1000)
    report = augmentgan.run_benchmark(run, repeats=5)

Names are imported when they are first used, so that `import augmentgan` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from augmentgan.data.digits import digits as digits
    from augmentgan.data.images import LabelledImages as LabelledImages
    from augmentgan.data.inspect import Inspection as Inspection
    from augmentgan.data.inspect import inspect as inspect
    from augmentgan.data.load import load as load
    from augmentgan.data.well_known import fetch as fetch
    from augmentgan.data.writers import save as save
    from augmentgan.errors import AugmentGANError as AugmentGANError
    from augmentgan.evaluate.benchmark import run_benchmark as run_benchmark
    from augmentgan.evaluate.evaluation import Evaluation as Evaluation
    from augmentgan.evaluate.evaluation import evaluate_run as evaluate_run
    from augmentgan.evaluate.results import BenchmarkReport as BenchmarkReport
    from augmentgan.evaluate.selection import select_samples as select_samples
    from augmentgan.evaluate.torch_dataset import as_torch_dataset as as_torch_dataset
    from augmentgan.gan.fit import fit as fit
    from augmentgan.gan.oversampler import GANOverSampler as GANOverSampler
    from augmentgan.gan.run import Run as Run
    from augmentgan.gan.write_samples import write_samples as write_samples
    from augmentgan.recipe import Recipe as Recipe
    from augmentgan.recipe import load_recipe as load_recipe
    from augmentgan.report.export import Export as Export
    from augmentgan.report.export import export_run as export_run
    from augmentgan.report.page import write_report as write_report

__version__ = "0.1.0"

_HOMES = {
    "AugmentGANError": "errors",
    "BenchmarkReport": "evaluate.results",
    "Evaluation": "evaluate.evaluation",
    "Export": "report.export",
    "Inspection": "data.inspect",
    "LabelledImages": "data.images",
    "Recipe": "recipe",
    "Run": "gan.run",
    "as_torch_dataset": "evaluate.torch_dataset",
    "digits": "data.digits",
    "evaluate_run": "evaluate.evaluation",
    "export_run": "report.export",
    "fetch": "data.well_known",
    "fit": "gan.fit",
    "inspect": "data.inspect",
    "load": "data.load",
    "load_recipe": "recipe",
    "run_benchmark": "evaluate.benchmark",
    "save": "data.writers",
    "select_samples": "evaluate.selection",
    "write_report": "report.page",
    "write_samples": "gan.write_samples",
}

__all__ = [*sorted(_HOMES)]

# names that need an optional library, so that `from augmentgan import *` does not
_OPTIONAL_HOMES = {"GANOverSampler": "gan.oversampler"}


def __getattr__(name: str) -> object:
    home = {**_HOMES, **_OPTIONAL_HOMES}.get(name)
    if home is None:
        raise AttributeError(f"module 'augmentgan' has no attribute {name!r}")
    value: object = getattr(import_module(f"augmentgan.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    # not what an extra brings: help() gets every name that is listed, and would end where the extra is missing
    return sorted({*globals(), *_HOMES})
