"""Writes the tables of README and docs from benchmarks/results: `python benchmarks/tables.py`. A test checks they agree."""

from __future__ import annotations

import re
import statistics
from pathlib import Path
from typing import Any

from _cells import percent_of
from _environment import read
from protocol_tables import choices, headline, protocol, rare

ROOT = Path(__file__).parents[1]
DEFAULTS = {
    "mnist-20": "MNIST, 20 a class",
    "mnist-100": "MNIST, 100 a class",
    "fashion-50": "Fashion-MNIST, 50 a class",
    "sign-100": "hand signs, 64 px, 100 a class",
    "wbc": "white blood cells, 64 px, 3 to 167 a class",
}
"""Sets of `default-NAME.json`, and of `bar-NAME.json`, which are older and without the class loss."""
SHORTER = {"mnist-100": 6000, "fashion-50": 4000, "sign-100": 8000}
"""Those of `shorter-NAME.json`, whose generators had so many updates when they were the default's."""


def updates() -> str:
    """Near copies and usefulness by the length of training."""
    rows = read("copies-mnist-20")["rows"]
    judged = {
        "3000": next(row for row in rows if row["variant"] == "base" and row["seed"] == 0),
        "8000": read("evaluate-mnist-20")["evaluate"],
    }
    return "\n".join(
        ["| updates " + JUDGED_HEAD, *(f"| {name} " + judged_cells([row]) for name, row in judged.items())]
    )


def copy_threshold() -> str:
    """What the copy test says of fresh images and of blends of two training images, by size of class."""
    lines = [
        "| set | images of the class | fresh, one threshold for all | fresh, by size | blends, one threshold for all | blends, by size |",
        "|" + "---|" * 6,
    ]
    for row in read("copy-threshold")["rows"]:
        shares = [
            f"{100 * row[name]['mean']:.1f} \u00b1 {100 * row[name]['sd']:.1f} %"
            for name in ("fresh_one_for_all", "fresh_by_size", "blends_one_for_all", "blends_by_size")
        ]
        lines.append(f"| {row['data'].removesuffix('.h5')} | {row['images_of_class']} | {' | '.join(shares)} |")
    return "\n".join(lines)


DAGGER = "\u2020"
"""Marks accuracies after training on more samples than were judged."""

JUDGED_HEAD = (
    "| seeds | div (worst class) | near | label agreement | near copies | trained on samples alone | on the real images |\n"
    + "|---" * 8
    + "|"
)


def judged_cells(rows: list[dict[str, Any]]) -> str:
    """The figures of `augmentgan evaluate`, means over generators; the worst class is the worst of all."""
    known = {
        key: [[v for v in row[key] if v is not None] for row in rows]
        for key in ("diversity_per_class", "near_per_class")
    }
    div, near = (statistics.mean(statistics.mean(each) for each in values) for values in known.values())
    worst = min(min(each) for each in known["diversity_per_class"])
    percent = [
        f"{100 * statistics.mean(row[key] for row in rows):.1f} %"
        for key in ("label_agreement", "memorised_fraction", "synthetic_only_accuracy", "real_only_accuracy")
    ]
    if _learned_from_more(rows):
        percent[2] += DAGGER
    return f"| {len(rows)} | {div:.2f} ({worst:.2f}) | {near:.2f} | {' | '.join(percent)} |"


def _learned_from_more(rows: list[dict[str, Any]]) -> bool:
    """Whether the classifiers of samples alone had a benchmark's number of samples; older ones had those that were judged."""
    more: set[bool] = {row.get("n_samples_learned", row["n_samples"]) > row["n_samples"] for row in rows}
    assert len(more) == 1, "a line of rows whose classifiers learned from different numbers of samples"
    return more.pop()


def sweep(name: str, what: str, titles: dict[str, str] | None = None) -> str:
    """The variants of a sweep by benchmarks/ablation.py, in the order in which they were made."""
    variants: dict[str, list[dict[str, Any]]] = {}
    for row in read(name)["rows"]:
        variants.setdefault(row["variant"], []).append(row)
    rows = [f"| {(titles or {}).get(variant, variant)} " + judged_cells(each) for variant, each in variants.items()]
    return "\n".join([f"| {what} " + JUDGED_HEAD, *rows])


def fit_times(name: str) -> str:
    """How long the fits of a sweep took."""
    rows = read(name)["rows"]
    return "\n".join(
        ["| variant | seed | fit, s |", "|---|---|---|"]
        + [f"| {row['variant']} | {row['seed']} | {row['fit_s']:.0f} |" for row in rows]
    )


def defaults() -> str:
    """What the default settings reach on each set, and what earlier defaults reached."""
    lines = ["| set " + JUDGED_HEAD]
    for name, title in DEFAULTS.items():
        earlier = "with fewer updates and " if name in SHORTER else ""
        for which, called in (
            ("default", title),
            *([("shorter", f"the same with {SHORTER[name]} updates")] if name in SHORTER else []),
            ("bar", f"the same {earlier}without the class loss"),
        ):
            rows = read(f"{which}-{name}")["rows"]
            lines.append(f"| {called} " + judged_cells([row for row in rows if not row["settings"]]))
    return "\n".join(lines)


def mixing(name: str) -> str:
    """Ways of mixing against the rival without samples, paired by run and classifier seed."""
    rows = read(name)["rows"]
    lines = [
        "| arm | mixing | runs | seeds | without samples | with them | difference | of minority recall |",
        "|" + "---|" * 8,
    ]

    def rival_of(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["run"], row["steps"], row.get("batch_images"), row["seed"]  # older rows are all of one batch size

    without = [row for row in rows if row["variant"].startswith("without")]
    rivals = {rival_of(row): row for row in without}
    assert len(rivals) == len(without), f"{name}: rivals of several arms, which their rows do not tell apart"
    for arm, variant in dict.fromkeys((row["arm"], row["variant"]) for row in rows if row not in without):
        mine = [row for row in rows if (row["arm"], row["variant"]) == (arm, variant)]
        theirs = [rivals[rival_of(row)] for row in mine]
        cells = [percent_of([row["balanced_accuracy"] for row in each]) for each in (theirs, mine)]
        for metric in ("balanced_accuracy", "minority_recall"):
            known = [
                (one[metric], other[metric]) for one, other in zip(mine, theirs, strict=True) if one[metric] is not None
            ]
            cells.append(percent_of([one - other for one, other in known], sign="+") if known else "")
        runs, seeds = (len({row[key] for row in mine}) for key in ("run", "seed"))
        lines.append(f"| `{arm}` | {variant} | {runs} | {seeds} | {' | '.join(cells)} |")
    return "\n".join(lines)


def leaks() -> str:
    """Whether DiffAugment shows in samples."""
    lines = [
        "| run | images | shift, px | brightness, levels | with a blank square |",
        "|" + "---|" * 5,
    ]
    for row in read("leaks")["rows"]:
        lines.append(
            f"| {row['run']} | {row['images']} | {row['shift_px']:.2f} | {row['brightness_levels']:.1f} | "
            f"{100 * row['blank_squares']:.1f} % |"
        )
    return "\n".join(lines)


def validation_bias() -> str:
    """What validation promised of the chosen share of samples, and what test images gave."""
    lines = [
        "| case | real images a class | arm | draws | validation | test |",
        "|" + "---|" * 6,
    ]
    rows = read("validation-bias")["rows"]
    for case, size, arm in dict.fromkeys((row["case"], row["train_per_class"], row["arm"]) for row in rows):
        mine = [row for row in rows if (row["case"], row["train_per_class"], row["arm"]) == (case, size, arm)]
        means = " | ".join(percent_of([row[which] for row in mine], sign="+") for which in ("validation", "test"))
        lines.append(f"| {case} | {size} | `{arm}` | {len(mine)} | {means} |")
    return "\n".join(lines)


AT_ONCE = {
    "ratio_at_once": "classifiers one a core, as a benchmark trains them, over one such loop with all cores",
    "ratio_both_at_once": "classifiers one a core, over one such loop a core",
}


def loops() -> str:
    """Training and classifiers against their counterparts: a row a quantity and processor, a column a size."""
    cases = ("28 px grey", "32 px RGB", "64 px RGB")
    lines = [f"| what | processor | {' | '.join(cases)} |", "|" + "---|" * (len(cases) + 2)]
    for name, what, where in (
        ("training-speed-intel", "training, over a textbook loop", "Xeon"),
        ("training-speed-epyc", "training, over a textbook loop", "EPYC"),
        ("training-speed-h200", "training, over a textbook loop, on a GPU", "H200"),
        ("training-speed-intel-before", "training, before normalisation, scale and ReLU shared one backward", "Xeon"),
        ("training-speed-cpu", "training, before normalisation, scale and ReLU shared one backward", "EPYC"),
        ("classifier-speed-intel", "classifier training, over DataLoader and transforms", "Xeon"),
        ("classifier-speed-epyc", "classifier training, over DataLoader and transforms", "EPYC"),
    ):
        result = read(name)
        found, peak = result["cases"], result.get("peak_gflops")
        rows = {what: {case: _ratio(each["ratio"]) for case, each in found.items()}}
        for key, title in AT_ONCE.items():
            if any(key in each for each in found.values()):
                rows[title] = {case: _ratio(each[key]) for case, each in found.items()}
        if peak:
            rows["share of our update in convolutions and matrix products"] = {
                case: f"{100 * each['kernel_share']['share']:.0f} %" for case, each in found.items()
            }
            rows["arithmetic a second, as a share of what one large matrix product reaches"] = {
                case: _of_peak(each, peak) for case, each in found.items()
            }
        lines += [
            f"| {title} | {where} | {' | '.join(row.get(case, '') for case in cases)} |" for title, row in rows.items()
        ]
    return "\n".join(lines)


def _ratio(rounds: list[float]) -> str:
    return f"{statistics.median(rounds):.1f}x ({min(rounds):.1f} to {max(rounds):.1f})"


def speed() -> str:
    """What else was measured of speed and memory."""
    lines = ["| what | measured |", "|---|---|"]
    found = read("generation-speed-cpu")
    for kind, title in (("hdf5", "HDF5"), ("folder", "a folder")):
        rate = statistics.median(found[kind]["images_per_s"])
        share = found[kind]["median_share"]
        lines.append(f"| generation into {title}, over the bare generator | {share:.2f} ({rate:.0f} images/s) |")
    for work, rates in read("processes-cpu")["a_second"].items():
        low, high = min(rates["ratio"]), max(rates["ratio"])
        ratio = statistics.median(rates["ratio"])
        lines.append(f"| one process a core over one with all cores, {work} | {ratio:.2f}x ({low:.2f} to {high:.2f}) |")
    found = read("startup-and-memory")
    lines.append(f"| `augmentgan --help` | {found['median_help_s']:.2f} s |")
    lines.append(f"| `augmentgan inspect`, 1000 images in HDF5 | {found['median_inspect_s']:.2f} s |")
    lines.append(f"| peak memory of `fit` | {found['fit']['peak_mib']:.0f} MiB |")
    samples = f"{found['generate']['samples']:,}"
    lines.append(f"| peak memory of `generate`, {samples} samples | {found['generate']['peak_mib']:.0f} MiB |")
    return "\n".join(lines)


def _of_peak(found: dict[str, Any], peak: dict[str, float]) -> str:
    """What both loops compute a second, as a share of the most that their arithmetic gives."""
    words = []
    for which, arithmetic in found["arithmetic"].items():
        rate = statistics.median(each["steps_per_s"] for each in found[which])
        words.append(f"{which} {100 * rate * found['gflop'][which] / peak[arithmetic]:.0f} % ({arithmetic})")
    return ", ".join(words)


def classical() -> str:
    """Classical augmentation by itself, by strength, kind and the part of the steps that it is in; differences are paired by draw."""
    rows = [row for row in read("classical")["rows"] if not row["rare"]]
    lines = [
        "| set | real images a class | draws | none | strength | how | part of the steps | balanced accuracy | over none |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for data, per_class in sorted({(row["data"], row["per_class"]) for row in rows}):
        of_case = [row for row in rows if (row["data"], row["per_class"]) == (data, per_class)]
        none = {row["draw"]: row["balanced_accuracy"] for row in of_case if not row["label"]}
        kinds = [(row["label"], row["until"], row["strength"], row["flips"]) for row in of_case if row["label"]]
        for label, until, strength, flips in dict.fromkeys(kinds):
            found = {
                row["draw"]: row["balanced_accuracy"]
                for row in of_case
                if (row["label"], row["until"], row["strength"], row["flips"]) == (label, until, strength, flips)
            }
            lines.append(
                f"| {CLASSICAL[data]} | {per_class} | {len(found)} | {percent_of([none[draw] for draw in found])} | "
                f"{STRENGTHS[strength]}{', mirror images' if flips else ''} | {label} | {PARTS[until]} | "
                f"{percent_of(list(found.values()))} | "
                f"{percent_of([value - none[draw] for draw, value in found.items()], '+')} |"
            )
    return "\n".join(lines)


def classical_rare() -> str:
    """The same where half of the classes have a handful of images; differences are paired by draw, from what is the default there."""
    rows = [row for row in read("classical")["rows"] if row["rare"]]
    lines = [
        "| set | real images a class | draws | strength | how | part of the steps | balanced accuracy | recall of rare classes | from the default | of rare classes |",
        "|" + "---|" * 10,
    ]
    what = ("data", "per_class", "rare", "label", "until", "strength")
    for kind in sorted({tuple(row[key] for key in what) for row in rows}):
        data, per_class, few, label, until, strength = kind
        found = [row for row in rows if tuple(row[key] for key in what) == kind]
        cells = (CLASSICAL[data], f"{per_class} and {few}", str(len(found)), STRENGTHS[strength], label, PARTS[until])
        usual = {
            row["draw"]: row
            for row in rows
            if tuple(row[key] for key in what) == (data, per_class, few, "each image its own strength", 1.0, 1.0)
        }
        names = ("balanced_accuracy", "recall_of_rare")
        figures = (percent_of([row[name] for row in found]) for name in names)
        changes = (percent_of([row[name] - usual[row["draw"]][name] for row in found], "+") for name in names)
        is_usual = all(usual[row["draw"]] is row for row in found)
        lines.append(f"| {' | '.join([*cells, *figures, *(('', '') if is_usual else changes)])} |")
    return "\n".join(lines)


CLASSICAL = {"fashion_mnist.h5": "Fashion-MNIST", "mnist.h5": "MNIST", "sign_digits.h5": "hand signs, 64 px"}
STRENGTHS = {0.5: "half", 1.0: "full"}
PARTS = {0.5: "first half", 1.0: "all"}

RATES = {
    "default": "2e-4 both",  # the default when these were made
    "both twice": "4e-4 both",
    "both four times": "8e-4 both",
    "D twice": "2e-4 generator, 4e-4 discriminator",
    "G twice": "4e-4 generator, 2e-4 discriminator",
    "G four times, D twice": "8e-4 generator, 4e-4 discriminator",
    **{f"both twice, {updates} updates": f"4e-4 both, {updates} updates" for updates in (2000, 3000, 4000)},
}

TABLES = {
    "headline": headline,
    "rare": rare,
    "protocol": protocol,
    "updates": updates,
    "copy-threshold": copy_threshold,
    "coverage": lambda: sweep(
        "coverage-mnist-20",
        "matched latents",
        {"extra": "beside the batch (32 images more)", "inbatch": "half of the batch (no image more)"},
    ),
    "rates-digits": lambda: sweep("rates-digits", "learning rates"),
    "rates-sign-full": lambda: sweep("bar-sign-100", "settings"),
    "classical": classical,
    "classical-rare": classical_rare,
    "mixing-half-strength": lambda: mixing("mixing-half-strength"),
    "mixing-step-rates": lambda: mixing("mixing-step-rates"),
    "fixes": lambda: sweep("fixes-mnist-20", "change"),
    "statistic": lambda: sweep("statistic-fashion-50", "change"),
    "statistic-full-mnist": lambda: sweep("statistic-full-mnist-20", "change"),
    "statistic-full-fashion": lambda: sweep("statistic-full-fashion-50", "change"),
    "method": lambda: sweep("method-mnist-20", "change"),
    "weight": lambda: sweep("weight", "set and weight of the coverage term"),
    "rates-fashion": lambda: sweep("rates-fashion-50", "learning rates", RATES),
    "rates-sign": lambda: sweep("rates-sign-100", "learning rates", RATES),
    "rates-mnist": lambda: sweep("rates-mnist-20", "learning rates", RATES),
    "class-loss": lambda: sweep("class-loss", "set and change"),
    "warm-up": lambda: sweep("warm-up-mnist-20", "labels"),
    "longer": lambda: sweep("longer", "set and updates"),
    "width": lambda: sweep("width", "set and channels at full size"),
    "mixing-longer": lambda: mixing("mixing-longer"),
    "truncation-fashion": lambda: sweep("truncation-fashion-50", "latents times"),
    "truncation": lambda: sweep("truncation-mnist-20", "latents times"),
    "filter": lambda: sweep("filter-mnist-20", "`--filter`"),
    "projected": lambda: sweep("projected-trashnet", "discriminator"),
    "projected-longer": lambda: sweep("projected-longer", "discriminator and updates"),
    "projected-longer-times": lambda: fit_times("projected-longer"),
    "projected-times": lambda: fit_times("projected-trashnet"),
    "defaults": defaults,
    "pairs": lambda: sweep("pairs", "set, and how pairs of a group are drawn"),
    "look-noise": lambda: sweep("look-noise", "rule"),
    "look-wbc": lambda: sweep("look-wbc", "classes that have a say"),
    "precision": lambda: sweep("precision-mnist-20", "arithmetic"),
    "precision-times": lambda: fit_times("precision-mnist-20"),
    "shown-wbc": lambda: sweep(
        "shown-wbc-32",
        "images shown",
        {
            "default": "every class as often (the default then)",
            "most shown 2000": "at most 2000 times (the default now)",
            "most shown 1000": "at most 1000 times",
            "exponent 0.5, calibrated alike": "classes by the root of their counts",
            "most shown 2000, gentle coverage": "at most 2000 times, gentle coverage term",
        },
    ),
    "shown-mnist": lambda: sweep("shown-mnist-step", "images shown"),
    "shown-fashion": lambda: sweep("shown-fashion-step", "images shown"),
    "mixing-shown-r0": lambda: mixing("mixing-shown-r0"),
    "mixing-shown": lambda: mixing("mixing-shown"),
    "mixing-until-fashion": lambda: mixing("mixing-until-fashion"),
    "mixing-until-mnist": lambda: mixing("mixing-until-mnist"),
    "affine": lambda: sweep("affine-mnist-20", "DiffAugment"),
    "affine-step": lambda: sweep("affine-mnist-step", "change"),
    "mixing-affine-mnist": lambda: mixing("mixing-affine-mnist"),
    "mixing-affine-fashion": lambda: mixing("mixing-affine-fashion"),
    "mixing-step": lambda: mixing("mixing-step"),
    "mixing-steps": lambda: mixing("mixing-steps"),
    "mixing-batches": lambda: mixing("mixing-batches"),
    "mixing-policies": lambda: mixing("mixing-policies"),
    "leaks": leaks,
    "validation-bias": validation_bias,
    "choices": choices,
    "loops": loops,
    "speed": speed,
}
PAGES = ("README.md", "docs/experiments.md", "docs/speed.md", "docs/when-it-helps.md")


def filled(text: str) -> str:
    """A page with every marked table renewed."""
    for name, make in TABLES.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        found = re.search(pattern, text, flags=re.DOTALL)
        if found:
            text = f"{text[: found.start()]}{found[1]}\n{make()}\n\n{found[2]}{text[found.end() :]}"
    return text


if __name__ == "__main__":
    for page in PAGES:
        path = ROOT / page
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
