"""The tables of what benchmarks/protocol.py found, for `benchmarks/tables.py`."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import _environment
from _cells import percent_of, points

from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.comparing import outcomes_by_size
from augmentgan.evaluate.results import Comparison
from augmentgan.evaluate.statistics import holm
from augmentgan.recipe import DataFacts, Recipe

SETS = {
    "mnist.h5": "MNIST",
    "fashion_mnist.h5": "Fashion-MNIST",
    "sign_digits.h5": "hand signs, 64 px",
    "wbc.h5": "white blood cells, 64 px",
    "trashnet.h5": "refuse, 64 px",
    "hymenoptera.h5": "ants and bees, 64 px",
    "pneumonia_mnist.h5": "chest x-rays",
}
_COMPARED = [field.name for field in fields(Comparison)]
UNEVEN = {"step:50:1": ("and 4", "half of the classes each"), "long-tail:100:1": ("to 2", "long tail")}


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """The name and the result of every case that was run."""
    for path in sorted(_environment.RESULTS.glob("protocol-*.json")):
        yield path.stem.removeprefix("protocol-"), _environment.read(path.stem)


def protocol() -> str:
    """Every case of benchmarks/protocol.py that was run: samples without and beside classical augmentation, and the verdict."""
    lines = [
        "| case | real images a class | classifier | real | real+synthetic | difference | baseline | over real | with synthetic images | difference | p (rows of the set) | p (pairs and sizes of the run) | verdict |",
        "|" + "---|" * 13,
    ]
    over_sizes = adjusted_over_sizes(p_values())
    for case, result in cases():
        document = result["benchmark"]
        verdict = document["verdict"]
        arm, baseline = verdict["arm"], verdict["baseline"]
        for size, summary in result["summary"].items():
            means = summary["balanced_accuracy"]
            found = {
                (each["arm"], each["baseline"]): each
                for each in document["comparisons"]
                if (str(each["train_per_class"]), each["metric"]) == (size, "balanced_accuracy")
            }
            pair = _without_classic(document)
            without, alone, with_samples, rival = (
                f"{100 * means[name]['mean']:.1f} \u00b1 {100 * means[name]['sd']:.1f}" if name in means else ""
                for name in ("real", pair[0], arm, baseline)
            )
            first, second = found.get(pair), found.get((arm, baseline))
            assert second, "the verdict is about a pair that was compared"
            cells = (
                case + _former(document) + _shorter(document, size) + _older_baseline(document),
                _a_class(document, size),
                document["protocol"]["classifier"],
                without,
                alone,
                "" if first is None else points(first) + ("" if pair[1] == "real" else f" over {pair[1]}"),
                f"{baseline} {rival}",
                points(found[baseline, "real"]) if (baseline, "real") in found else "",
                f"{arm} {with_samples}",
                points(second),
                _p(over_sizes[case, size]),
                _p(second["p_holm"]),
                _outcome(document, size),
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def headline() -> str:
    """The same in brief: what samples add to real images alone, and to classical augmentation."""
    lines = [
        "| real images a class | real only | + samples | augmented | + samples | p | verdict |",
        "|" + "---|" * 7,
    ]
    over_sizes = adjusted_over_sizes(p_values())
    cells: dict[tuple[int, bool, float, str], str] = {}
    for case, result in cases():
        document = result["benchmark"]
        verdict, imbalance = document["verdict"], document["protocol"].get("imbalance")
        pair, headlined = _without_classic(document), (verdict["arm"], verdict["baseline"])
        for size, summary in result["summary"].items():
            found = {
                (each["arm"], each["baseline"]): points(each)
                for each in document["comparisons"]
                if (str(each["train_per_class"]), each["metric"]) == (size, "balanced_accuracy")
            }
            drawn = _a_class(document, size) + (f" ({UNEVEN[imbalance][1]})" if imbalance else "")
            row = [
                f"{SETS[result['data']]}, {drawn}{_with(document)}{_former(document)}{_shorter(document, size)}{_older_baseline(document)}"
            ]
            real, rival, baseline = (
                f"{100 * summary['balanced_accuracy'][name]['mean']:.1f}"
                if name in summary["balanced_accuracy"]
                else ""
                for name in ("real", pair[1], headlined[1])
            )
            # what is drawn as it is, is no rival of samples that come evenly
            over = "" if pair[1] == "real" or pair not in found else f" over {rival} drawn evenly"
            row += [real, found.get(pair, "") + over, baseline, found.get(headlined, "")]
            row += [_p(over_sizes[case, size]), _outcome(document, size)]
            place = (
                list(SETS).index(result["data"]),
                imbalance is not None,
                float(size),
                case,
            )
            cells[place] = f"| {' | '.join(row)} |"
    return "\n".join([*lines, *(cells[key] for key in sorted(cells))])


def _p(value: float) -> str:
    """A p value; five repeats cannot tell how small a very small one is."""
    return f"{value:.2g}" if value >= 0.001 else "< 0.001"


def _outcome(document: dict[str, Any], size: str) -> str:
    """The verdict, at this size: of several sizes it may hold for one alone."""
    comparisons = [
        Comparison(**{**{key: each[key] for key in _COMPARED if key in each}, "ci95": tuple(each["ci95"])})
        for each in document["comparisons"]
    ]
    return outcomes_by_size(comparisons, imbalanced=document["protocol"]["imbalanced"])[int(size)]


def _without_classic(document: dict[str, Any]) -> tuple[str, str]:
    """Samples without classical augmentation, and the arm that differs in them alone: of uneven sets it draws classes evenly."""
    arm = Arm("real+synthetic")
    rival = arm.without_synthetic(imbalanced=document["protocol"]["imbalanced"])
    assert rival, "it has real images"
    return arm.name, rival.name


def _a_class(document: dict[str, Any], size: str) -> str:
    """Real images a class: as many as were drawn, of common and rare classes where these differ."""
    protocol = document["protocol"]
    if protocol.get("imbalance"):
        return f"{size} {UNEVEN[protocol['imbalance']][0]}"
    if not protocol["imbalanced"]:
        return size
    counts = protocol["sizes"]["counts"][0]
    return f"{min(counts)} to {max(counts)}"


def _former(document: dict[str, Any]) -> str:
    """A star for what was made before the class loss was a part of the default recipe."""
    recipes = [each["recipe"] for each in document["protocol"].get("by_size", []) if "recipe" in each]
    return "" if recipes and all(each["objective"].get("class_weight") for each in recipes) else " \\*"


def _older_baseline(document: dict[str, Any]) -> str:
    """A sign for classical augmentation of one strength, chosen on validation images, in all steps."""
    recipes = [each["recipe"] for each in document["protocol"].get("by_size", []) if "recipe" in each]
    return "" if recipes and all("classic_until" in each["benchmark"] for each in recipes) else " \u00a7"


def _shorter(document: dict[str, Any], size: str) -> str:
    """A sign for generators that learned for fewer updates than the default is now."""
    sizes = document["protocol"]["sizes"]
    for counts, each in zip(sizes["counts"], document["protocol"].get("by_size", []), strict=False):
        if str(each["train_per_class"]) == size and "recipe" in each:
            of_data, updates = each["recipe"]["data"], each["recipe"]["training"]["updates"]
            imbalance = max(counts) / min(counts)
            facts = DataFacts(of_data["size_px"], of_data["channels"], sum(counts), len(counts), imbalance)
            now = Recipe.model_validate(each["recipe"]).with_settings(["training.updates=auto"]).resolve(facts)
            return " \u2021" if updates < now.training.updates else ""
    return ""


def _with(document: dict[str, Any]) -> str:
    """What is not the default of the recipe that made it."""
    maps = {
        each["recipe"]["augment"].get("affine", 0.0)
        for each in document["protocol"].get("by_size", [])
        if "recipe" in each
    }
    classifier = document["protocol"]["classifier"]
    other = "" if classifier == "small-cnn" else f", {classifier}"
    return other + "".join(f", `augment.affine={each:g}`" for each in sorted(maps) if each)


def p_values() -> dict[tuple[str, str], float]:
    """P of the verdict's pair, by case and size, as its benchmark found it."""
    found = {}
    for case, result in cases():
        document, verdict = result["benchmark"], result["benchmark"]["verdict"]
        wanted = verdict["arm"], verdict["baseline"], "balanced_accuracy"
        found.update(
            {
                (case, str(each["train_per_class"])): each["p_value"]
                for each in document["comparisons"]
                if (each["arm"], each["baseline"], each["metric"]) == wanted
            }
        )
    return found


def adjusted_over_sizes(p_values: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """P values by case and size, adjusted for the sizes of a set and for other recipes that were tried on it."""
    of_set: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    protocols = {case: (result["data"], result["benchmark"]["protocol"]) for case, result in cases()}
    for key in p_values:
        data, protocol = protocols[key[0]]
        of_set.setdefault((data, str(protocol.get("imbalance")), protocol["classifier"]), []).append(key)
    adjusted: dict[tuple[str, str], float] = {}
    for keys in of_set.values():
        adjusted.update(zip(keys, holm([p_values[key] for key in keys]), strict=True))
    return adjusted


def rare() -> str:
    """What the verdict's arms did to rare and to common classes, where classes differ."""
    lines = [
        "| case | recall of rare classes: baseline | with synthetic images | difference | Holm p | of common classes: difference |",
        "|" + "---|" * 6,
    ]
    for case, result in cases():
        document = result["benchmark"]
        verdict = document["verdict"]
        pair = (verdict["arm"], verdict["baseline"])
        found = next(
            (
                each
                for each in document["comparisons"]
                if (each["arm"], each["baseline"], each["metric"]) == (*pair, "minority_recall")
            ),
            None,
        )
        if found is None:
            continue
        recalls: dict[tuple[str, bool], list[float]] = {}
        for row in document["runs"]:
            for is_rare in (True, False):
                mine = [each for k, each in enumerate(row["recall_per_class"]) if (k in row["minority"]) == is_rare]
                recalls.setdefault((row["arm"], is_rare), []).append(statistics.mean(mine))
        with_samples, without = (recalls[name, True] for name in pair)
        change = [a - b for a, b in zip(recalls[pair[0], False], recalls[pair[1], False], strict=True)]
        cells = (
            case + _former(document) + _shorter(document, str(verdict["train_per_class"])),
            percent_of(without),
            percent_of(with_samples),
            points(found),
            f"{found['p_holm']:.2g}",
            percent_of(change, "+"),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def choices() -> str:
    """Which shares of samples validation images chose in the protocols, and how often the arm was then worse than its rival on test images."""
    lines = ["| case | real images a class | arm | shares chosen (draws) | rival | worse than it |", "|" + "---|" * 6]
    chosen, none = 0, 0
    for case, result in cases():
        runs = result["benchmark"]["runs"]
        score = {(row["train_per_class"], row["repeat"], row["arm"]): row["balanced_accuracy"] for row in runs}
        arms = {row["arm"] for row in runs}
        for size, arm in dict.fromkeys((row["train_per_class"], row["arm"]) for row in runs):
            rivals = Arm(arm).rivals(imbalanced=result["benchmark"]["protocol"]["imbalanced"])
            if not rivals:
                continue
            rival = next(each.name for each in rivals if each.name in arms)
            mine = [row for row in runs if (row["train_per_class"], row["arm"]) == (size, arm)]
            shares = Counter(row["setting"]["share"] for row in mine)
            worse = sum(score[size, row["repeat"], arm] < score[size, row["repeat"], rival] for row in mine)
            chosen, none = chosen + len(mine), none + shares[0.0]
            counts = ", ".join(f"{share:g} ({n})" for share, n in sorted(shares.items()))
            cells = (
                case,
                _a_class(result["benchmark"], str(size)),
                f"`{arm}`",
                counts,
                f"`{rival}`",
                f"{worse} of {len(mine)}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, f"| all |  |  | zero in {none} of {chosen} |  |  |"])
