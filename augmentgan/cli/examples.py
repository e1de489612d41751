"""The examples that end each command's help."""

from __future__ import annotations

FIRST_STEPS = (
    ("augmentgan demo", "the whole job on digits that need no download"),
    ("augmentgan inspect photos/", "what your folder holds and what fit would do"),
    ("augmentgan fit photos/", "learn; then generate and benchmark need no options"),
)

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "fit": (
        ("augmentgan fit photos/", "one folder a class; the run goes to runs/photos"),
        ("augmentgan fit photos/ --dry-run", "what would be done, and nothing else"),
        ("augmentgan fit photos/ --max-time 10m", "stop after ten minutes; the same again continues"),
        ("augmentgan fit photos/ --recipe imbalanced --set training.updates=2000", "another recipe, one key changed"),
    ),
    "generate": (
        ("augmentgan generate --per-class 1000", "1000 of every class, from the newest run, as HDF5"),
        ("augmentgan generate --fill max --format folder", "bring every class up to the largest one, as PNG files"),
        ("augmentgan generate --per-class 50 --classes cat,dog --out pets.h5", "two classes only"),
    ),
    "benchmark": (
        ("augmentgan benchmark", "the newest run against real and classically augmented images"),
        ("augmentgan benchmark --repeats 10 --check", "more repeats; exit status 3 when the samples hurt"),
        (
            "augmentgan benchmark photos/ --train-per-class 20,50,100",
            "from scratch: new draws, generators and classifiers",
        ),
        (
            "augmentgan benchmark photos/ --train-per-class 200 --imbalance 50:1",
            "the same with half of the classes rare",
        ),
        ("augmentgan benchmark --json > verdict.json", "the same as one JSON document"),
    ),
    "inspect": (
        ("augmentgan inspect photos/", "classes, sizes, bad files, duplicates, what fit would do"),
        ("augmentgan inspect photos/ --json", "everything, for a script"),
    ),
    "evaluate": (
        ("augmentgan evaluate", "fidelity, coverage, collapse and copies of the newest run"),
        ("augmentgan evaluate --run runs/photos --json", "a named run, for a script"),
    ),
    "report": (
        ("augmentgan report", "report.html in the newest run's folder"),
        ("augmentgan report --run runs/benchmark-photos", "a benchmark from scratch"),
        ("augmentgan report --run runs/photos --out photos.html", "a named run, another place"),
    ),
    "export": (
        ("augmentgan export", "generator.onnx: (latent, label) to uint8 images"),
        ("augmentgan export --pixels float", "the same with float images in [-1, 1]"),
        ("augmentgan export --format safetensors --license cc-by-4.0", "weights with a model card"),
    ),
    "demo": (
        ("augmentgan demo", "a few minutes on two cores"),
        ("augmentgan demo --seed 1 --out runs/demo-1", "another draw, in another folder"),
    ),
    "data": (
        ("augmentgan data mnist mnist/ --per-class 100", "a hundred digits a class, as an image folder"),
        ("augmentgan data --list", "the names it knows"),
    ),
    "recipes": (
        ("augmentgan recipes", "their names and what they are for"),
        ("augmentgan recipes digits", "one of them, to copy and change"),
    ),
}


def epilog(examples: tuple[tuple[str, str], ...]) -> str:
    """Examples as click shows them untouched: the command, and below it what it does."""
    lines = [line for command, purpose in examples for line in (f"  {command}", f"      {purpose}")]
    return "\b\n" + "\n".join(["Examples:", *lines])  # \b: click must not wrap these lines
