"""Mutated inputs over every parser of ours: images, HDF5, npz, IDX, tables, recipes, checkpoints, run folders.

    python benchmarks/fuzz.py [--n 100000] [--seed 0]

Each input is a small valid file with some bytes changed, cut, doubled or overwritten. An input passes when it is read, or refused by an
`AugmentGANError` of one line, within the time limit; anything else (another exception, a crash of the process, a hang, a stray file
in the scratch folder) is a failure and is kept in the result. Work is done in processes, for a C library may crash.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import multiprocessing
import multiprocessing.connection
import multiprocessing.sharedctypes
import random
import re
import shutil
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import _environment
import h5py
import numpy as np
from PIL import Image

import augmentgan as ag
from augmentgan.data.decode import decode, probe
from augmentgan.data.hdf5 import write_hdf5
from augmentgan.data.idx import read_idx
from augmentgan.data.sources import read_source
from augmentgan.errors import AugmentGANError
from augmentgan.gan.checkpoint import read_checkpoint
from augmentgan.recipe import load_recipe, recipe_text

CHUNK = 1000
HANG_CPU_S, HANG_S = 60.0, 3600.0
"""An input that takes longer counts as a hang; processor time, for the machine may be busy with other things."""
WEIGHTS = {"image": 6, "data-numbered": 0.3, "data-named": 0.3, "data": 8, "recipe": 8, "run": 8}
"""How often each kind is drawn, by the start of its name. HDF5 is read by a child process, which is slow."""


def main() -> None:
    """Run all chunks and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--name", default="fuzz")
    parser.add_argument("--keep", type=Path, help="copy the inputs of crashes and hangs here")
    wish = parser.parse_args()
    if wish.n < CHUNK:
        parser.error(f"--n {wish.n}: {CHUNK} at least")
    started = time.perf_counter()
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    kinds: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        corpus = make_corpus(Path(scratch) / "corpus")
        chunks = [(corpus, Path(scratch), wish.seed * 1_000_003 + k) for k in range(wish.n // CHUNK)]
        waiting = list(chunks)
        running: list[tuple[Any, Any, Any, int]] = []
        while waiting or running:
            while waiting and len(running) < wish.processes:
                ours, theirs = multiprocessing.Pipe(duplex=False)
                chunk = waiting.pop()
                since = multiprocessing.Value("d", time.monotonic())
                process = multiprocessing.Process(target=work, args=(*chunk, theirs, since))
                process.start()
                theirs.close()
                running.append((process, ours, since, chunk[-1]))
            for entry in list(running):
                process, ours, since, seed = entry
                if ours.poll(0.05):
                    try:
                        found = ours.recv()
                    except EOFError:
                        process.join()
                        found = lost(Path(scratch) / f"w{seed}", f"process ended with {process.exitcode}", wish.keep)
                elif time.monotonic() - since.value > HANG_S:
                    process.kill()
                    found = lost(Path(scratch) / f"w{seed}", "hang", wish.keep)
                else:
                    continue
                process.join()
                running.remove(entry)
                outcomes.update(found["outcomes"])
                kinds.update(found["kinds"])
                failures += found["failures"]
        failures += [
            f"stray file {path.name}"
            for path in Path(scratch).iterdir()
            if path.name != "corpus" and not re.fullmatch(r"w\d+", path.name)
        ]
    result = {
        **_environment.describe(),
        "inputs": sum(kinds.values()),
        "kinds": dict(kinds),
        "outcomes": dict(outcomes),
        "failures": failures[:50],
        "n_failures": len(failures),
        "seconds": round(time.perf_counter() - started, 1),
    }
    _environment.write(wish.name, result)
    print(json.dumps({key: result[key] for key in ("inputs", "kinds", "outcomes", "n_failures", "seconds")}, indent=1))
    print("\n".join(failures[:20]))


def lost(place: Path, reason: str, keep: Path | None) -> dict[str, Any]:
    """What to say of a chunk that did not come back: the input it was reading is still there."""
    files = list(place.iterdir())
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copy(file, keep / f"{place.name}-{file.name}")
    return {"failures": [f"{place.name} {[file.name for file in files]}: {reason}"], "outcomes": {}, "kinds": {}}


def make_corpus(folder: Path) -> Path:
    """Small valid inputs of every kind."""
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "image-rgb.png")
    image.convert("P").save(folder / "image-palette.png")
    image.convert("LA").save(folder / "image-alpha.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(folder / "image-16.png")
    image.save(folder / "image.jpg", exif=exif)
    image.convert("CMYK").save(folder / "image-cmyk.tif")
    image.save(folder / "image-lzw.tif", compression="tiff_lzw")
    image.save(folder / "image.gif", save_all=True, append_images=[image.rotate(90, expand=True)])
    image.save(folder / "image.bmp")
    image.save(folder / "image.webp")
    digits = ag.digits().subset(range(12))
    write_hdf5(folder / "data-named.h5", digits)
    shutil.copy(folder / "data-named.h5", folder / "data-numbered.h5")
    with h5py.File(folder / "data-numbered.h5", "a") as file:
        del file.attrs["class_names"]
        file["split"] = np.arange(12) % 2
    np.savez_compressed(
        folder / "data.npz", images=digits.images, labels=digits.labels, class_names=np.array(digits.class_names)
    )
    np.savez(folder / "data-medmnist.npz", train_images=digits.images, train_labels=digits.labels[:, None])
    content = bytes([0, 0, 8, 3, 0, 0, 0, 12, 0, 0, 0, 8, 0, 0, 0, 8]) + digits.images.tobytes()
    (folder / "data-images-idx3-ubyte").write_bytes(content)
    (folder / "data-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
    names = [f"{label}/{row:02}.png" for row, label in enumerate(digits.labels)]
    lines = [f'"{name}",{name[0]},train,{name[-5]}' for name in names]
    (folder / "data.csv").write_text("\n".join(["path,label,split,group", *lines]) + "\n")
    records = [json.dumps({"file_name": name, "label": int(name[0])}) for name in names]
    (folder / "data.jsonl").write_text("\n".join(records) + "\n")
    (folder / "recipe.toml").write_text(recipe_text("photos-64"))
    recipe = ag.Recipe().with_settings(
        [
            "training.updates=1",
            "training.batch_images=8",
            "model.generator_width=4",
            "model.discriminator_width=4",
            "model.latent_dim=4",
            "coverage.weight=0",
            "data.test_fraction=0",
        ]
    )
    run = ag.fit(ag.digits().subset(range(40)), recipe, folder / "run", device="cpu")
    shutil.copy(run.folder / "checkpoint.safetensors", folder / "run.safetensors")
    shutil.copy(run.folder / "run.json", folder / "run.json")
    return folder


def work(
    corpus: Path,
    scratch: Path,
    seed: int,
    answer: multiprocessing.connection.Connection,
    since: multiprocessing.sharedctypes.Synchronized[float],
) -> None:
    """One chunk, in a process of its own; `since` is when the present input was begun."""
    import logging
    import os
    import sys

    logging.disable()
    sys.stderr = io.StringIO()  # libraries mumble about broken files
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # those in C too
    dice = random.Random(seed)
    place = scratch / f"w{seed}"
    place.mkdir()
    files = sorted(path for path in corpus.iterdir() if path.is_file())
    contents = {path.name: path.read_bytes() for path in files}
    weights = [next(weight for start, weight in WEIGHTS.items() if path.name.startswith(start)) for path in files]
    outcomes: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    failures = []
    for number in range(CHUNK):
        (file,) = dice.choices(files, weights)
        target = place / ("checkpoint.safetensors" if file.name == "run.safetensors" else file.name)
        target.write_bytes(mutated(contents[file.name], dice))
        kinds[file.name if file.suffix == ".h5" else file.name.split(".")[0].split("-")[0] + file.suffix] += 1
        since.value = time.monotonic()
        signal.setitimer(signal.ITIMER_VIRTUAL, HANG_CPU_S)  # its signal ends the process
        try:
            read(target)
            outcomes["read"] += 1
        except AugmentGANError as error:
            outcomes["refused"] += 1
            if "\n" in str(error):
                failures.append(f"{file.name} {seed}/{number}: more than one line")
        except BaseException as error:
            failures.append(f"{file.name} {seed}/{number}: {type(error).__name__}: {str(error)[:200]}")
        target.unlink()
    if list(place.iterdir()):
        failures.append(f"{seed}: left {[path.name for path in place.iterdir()]}")
    shutil.rmtree(place)
    answer.send({"outcomes": dict(outcomes), "kinds": dict(kinds), "failures": failures})


def read(path: Path) -> None:
    """Whatever the product would do with the file."""
    if path.name == "checkpoint.safetensors":
        read_checkpoint(path.parent)
    elif path.name == "run.json":
        from augmentgan.gan.run_info import read_info

        read_info(path.parent)
    elif path.suffix == ".toml":
        load_recipe(path)
    elif "-idx3-ubyte" in path.name:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            shutil.copy(path, Path(folder) / path.name)
            (Path(folder) / "data-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 12, *range(12)]))
            read_idx(Path(folder))
    elif path.name.startswith("data"):
        read_source(path)
    else:
        probe(path)
        decode(path, 8, 3, "crop")


def mutated(content: bytes, dice: random.Random) -> bytes:
    """A copy with one to eight small harms."""
    data = bytearray(content)
    for _ in range(dice.randint(1, 8)):
        place = dice.randrange(max(1, len(data)))
        match dice.randrange(6):
            case 0:
                data[place : place + 1] = bytes([dice.randrange(256)])
            case 1:
                data[place : place + 1] = bytes([data[place] ^ (1 << dice.randrange(8))]) if data else b""
            case 2:
                data[place : place + 4] = dice.choice(
                    [b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"]
                )
            case 3:
                del data[place : place + dice.randint(1, 64)]
            case 4:
                data[place:place] = data[place : place + dice.randint(1, 64)]
            case 5 if dice.random() < 0.2:
                del data[place:]
            case _:
                data[place : place + 8] = dice.randbytes(8)
    return bytes(data)


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    main()
