"""Names, trees and files that change: nothing is lost silently, nothing reaches the terminal raw, nothing hangs."""

import builtins
import io
import json
import os
import shutil
import subprocess

import h5py
import numpy as np
import pytest
from PIL import Image
from tests_support import refused
from typer.testing import CliRunner

import augmentgan as ag
from augmentgan.cli.app import app, main
from augmentgan.data import load
from augmentgan.data.folder import scan_folder
from augmentgan.errors import OutputError, RunError, printable

needs_fifo = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")


@needs_fifo
def test_a_pipe_is_not_waited_for(tree):
    os.mkfifo(tree / "class_0" / "pipe.png")
    refused(tree, "pipe.png", "not a regular file")
    assert len(ag.load(tree, skip_bad=True)) == 18
    refused(tree / "class_0" / "pipe.png", "not a regular file")


@needs_fifo
@pytest.mark.parametrize("name", ["a.h5", "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz"])
def test_a_pipe_in_place_of_a_set_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    if "idx" in name:
        partner = name.replace("labels-idx1", "x").replace("images-idx3", "labels-idx1").replace("x-u", "images-idx3-u")
        (tmp_path / partner).write_bytes(b"")
    refused(tmp_path / name, "regular file")


@needs_fifo
def test_a_pipe_beside_a_table_is_not_waited_for(tree):
    rows = "".join(f"{file.relative_to(tree)},a\n" for file in tree.glob("class_0/*.png"))
    (tree / "table.csv").write_text(f"path,label\n{rows}")
    os.mkfifo(tree / "augmentgan.json")
    assert ag.load(tree / "table.csv").class_names == ("a",)


def test_a_folder_that_cannot_be_read_is_not_passed_over(tree, monkeypatch):
    (tree / "class_0" / "secret").mkdir()
    scandir = os.scandir

    def forbidding(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidding)
    refused(tree, "secret", "Permission denied", skip_bad=True)


def test_a_file_that_cannot_be_read(tree, monkeypatch):
    opened = Image.open

    def forbidding(path, **options):
        if str(path).endswith("3.png"):
            raise PermissionError(13, "Permission denied")
        return opened(path, **options)

    monkeypatch.setattr(Image, "open", forbidding)
    refused(tree, "3.png", "Permission denied", "3 bad files in all")
    assert len(ag.load(tree, skip_bad=True)) == 15


@pytest.mark.parametrize("name", ["@eaDir", "$RECYCLE.BIN", "__MACOSX", "System Volume Information", ".thumbnails"])
@pytest.mark.parametrize("at", [".", "class_0", "class_0/deeper"])
def test_folders_that_systems_leave_behind_hold_no_images(tree, name, at):
    before = ag.load(tree).fingerprint()
    (tree / at / name).mkdir(parents=True)
    shutil.copy(tree / "class_0" / "0.png", tree / at / name / "thumbnail.png")
    assert ag.load(tree).fingerprint() == before


def test_a_link_to_a_folder_is_counted_and_not_followed(tree, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(tree / "class_0" / "0.png", tmp_path / "elsewhere" / "private.png")
    (tree / "class_0" / "linked").symlink_to(tmp_path / "elsewhere")
    scan = scan_folder(tree)
    assert len(scan.files) == 18
    assert scan.n_ignored == 1
    told = []
    ag.load(tree, on_notice=told.append)
    assert told == [f"1 link to folders not followed; the first: {os.path.join('class_0', 'linked')!r}"]
    assert ag.inspect(tree).notices == told


@pytest.mark.parametrize("change", ["removed", "cut", "another image", "a folder"])
def test_files_that_change_between_two_looks(tree, monkeypatch, change):
    decode = load.decode
    victim = tree / "class_1" / "2.png"

    def changed(path, *words):
        if path == victim and not path.is_dir():
            content = victim.read_bytes()
            victim.unlink()
            if change == "cut":
                victim.write_bytes(content[:40])
            elif change == "another image":
                Image.new("RGB", (3, 900), "red").save(victim)
            elif change == "a folder":
                victim.mkdir()
        return decode(path, *words)

    monkeypatch.setattr(load, "decode", changed)
    if change == "another image":
        assert ag.load(tree).images.shape == (18, 8, 8, 1)
    else:
        refused(tree, "2.png")


def dig(folder, name, levels):
    """Make folders within folders, by handles: their paths become longer than any system call takes."""
    handle = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=handle)
        below = os.open(name, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)


@pytest.mark.skipif(os.mkdir not in os.supports_dir_fd, reason="folders have no handles here")
@pytest.mark.parametrize(("name", "levels"), [("d", 1010), ("d" * 200, 25)], ids=["levels", "length of path"])
def test_a_tree_deeper_than_pythons_stack(tree, name, levels):
    """Deeper than 1000 levels, and then than any path may be long."""
    dig(tree / "class_0", name, levels)
    try:
        if len(name) == 1:
            assert len(ag.load(tree)) == 18
        else:
            refused(tree, "cannot be read", "too long")
    finally:
        subprocess.run(["rm", "-rf", str(tree / "class_0")], check=True)  # Python's own rmtree cannot


def test_files_are_listed_without_opening_any(tmp_path, monkeypatch):
    """And in order, however the system lists them: there may be a hundred thousand."""
    numbers = np.random.default_rng(0).permutation(300)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in numbers:
            (tmp_path / name / f"{number:05d}.png").touch()
    with monkeypatch.context() as patched:

        def forbidden(*words, **named):
            raise AssertionError(f"{words[0]} was opened")

        for place, function in ((builtins, "open"), (io, "open"), (os, "open"), (Image, "open")):
            patched.setattr(place, function, forbidden)
        scan = scan_folder(tmp_path)
    assert scan.labels == (0,) * 300 + (1,) * 300
    assert [file.name for file in scan.files] == 2 * [f"{number:05d}.png" for number in range(300)]


@pytest.mark.skipif(os.name == "nt", reason="these are no names there")
@pytest.mark.parametrize("name", ["esc\x1b[31mred", "two\nlines", "\u202egnp.tset", "a\rb", "\x07bell"])
def test_no_name_reaches_the_terminal_raw(tree, name):
    (tree / "class_0").rename(tree / name)
    Image.open(tree / name / "0.png").save(tree / name / f"{name}.png")
    (tree / name / f"{name}.txt").write_text("no image")
    found = CliRunner().invoke(app, ["inspect", str(tree)])
    assert found.exit_code == 0
    shown = "".join(each for each in found.output if not each.isprintable() and each != "\n")
    assert not shown
    assert printable(name) in found.output


names_are_bytes = pytest.mark.skipif(os.name == "nt" or os.uname().sysname == "Darwin", reason="names are text there")


@names_are_bytes
def test_a_class_folder_whose_name_is_no_text(tree):
    (tree / "class_0").rename(os.fsdecode(os.fsencode(tree) + b"/\xff\xfe"))
    refused(tree, "is not text")


@names_are_bytes
def test_a_run_is_not_learned_where_its_checkpoint_cannot_be_read(tmp_path, trained, digits, small_recipe):
    strange = tmp_path / os.fsdecode(b"caf\xe9")
    with pytest.raises(OutputError, match="its name is not UTF-8; name another with --out"):
        ag.fit(digits, small_recipe, strange / "run", device="cpu")
    with pytest.raises(OutputError, match="its name is not UTF-8"):
        ag.run_benchmark(digits, recipe=small_recipe, out=strange, device="cpu", train_per_class=[4])
    assert not strange.exists()
    shutil.copytree(trained.folder, strange)  # what is there already must not be told to start over
    with pytest.raises(RunError, match="its checkpoint cannot be read; rename it"):
        ag.Run(strange, "cpu").generate(1)


@names_are_bytes
def test_a_command_that_names_a_strange_file_is_written_down(tmp_path, trained, monkeypatch, capsys):
    strange = tmp_path / os.fsdecode(b"caf\xe9.h5")
    run = ag.Run(shutil.copytree(trained.folder, tmp_path / "run"), "cpu")
    generate = ["generate", "--run", str(run.folder), "--per-class", "1", "--out", str(strange), "--device", "cpu"]
    for words in (generate, ["data", "digits", str(strange), "--overwrite"]):
        monkeypatch.setattr("sys.argv", ["augmentgan", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0, capsys.readouterr().err
        with h5py.File(os.fsencode(strange)) as file:
            assert f"{tmp_path}/caf\\udce9.h5" in file.attrs["command"]
    ag.write_samples(run, run.counts(1), tmp_path / "out.h5", command=f"mine > {strange}")
    info = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps({**info, "command": f"augmentgan fit {strange}"}))
    assert "caf\\udce9.h5" in ag.write_report(ag.Run(run.folder, "cpu")).read_text(encoding="utf-8")


def test_odd_class_names_go_through_everything(tmp_path, small_recipe, digits):
    names = (
        "two\nlines",
        "\U0001f41f fish",
        "\u202egnp",
        "<script>alert(1)</script>",
        "$x_{$",
        "../up",
        "%s{}[red]",
        "nul",
    )
    data = digits.subset(digits.labels < len(names))
    data = ag.LabelledImages(data.images, data.labels, names)
    recipe = small_recipe.with_settings(["training.updates=2", "training.quality_updates=1", "benchmark.steps=2"])
    run = ag.fit(data, recipe, tmp_path / "run", device="cpu")
    assert ag.write_samples(run, run.counts(2), tmp_path / "out.h5") == 16
    assert ag.load(tmp_path / "out.h5").class_names == names
    ag.run_benchmark(run)
    page = ag.write_report(run).read_text(encoding="utf-8")
    assert "<script>alert" not in page
    runner = CliRunner()
    for words in (["benchmark"], ["evaluate"], ["generate", "--per-class", "1"]):
        done = runner.invoke(app, [*words, "--run", str(run.folder), "--quiet"])
        assert done.exit_code == 0, (words, done.output, done.exception)
        assert "\x1b" not in done.output
        assert "\u202e" not in done.output
    refusal = runner.invoke(
        app, ["generate", "--run", str(run.folder), "--format", "folder", "--out", str(tmp_path / "f")]
    )
    assert "cannot be a folder's name" in str(refusal.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.h5", "run"]


def test_nothing_of_the_sources_metadata_reaches_a_run_or_an_output(tmp_path, small_recipe, digits):
    marker = "SECRET-OF-THE-SOURCE"
    exif = Image.Exif()
    exif[0x010E], exif[0x0131] = marker, marker
    exif.get_ifd(0x8825)[29] = marker  # GPS date stamp
    for label in range(2):
        (tmp_path / "data" / f"c{label}").mkdir(parents=True)
        for number, image in enumerate(digits.images[digits.labels == label]):
            picture = Image.fromarray(image[:, :, 0])
            file = tmp_path / "data" / f"c{label}" / f"{marker}-{number}"
            if number % 2:
                picture.save(f"{file}.jpg", exif=exif, comment=marker, icc_profile=marker.encode() * 8)
            else:
                from PIL.PngImagePlugin import PngInfo

                text = PngInfo()
                text.add_text("Author", marker)
                picture.save(f"{file}.png", pnginfo=text, exif=exif, icc_profile=marker.encode() * 8)
            if number == 0:
                assert marker.encode() in (tmp_path / "data" / f"c{label}" / f"{marker}-0.png").read_bytes()
    recipe = small_recipe.with_settings(["training.updates=2", "training.quality_updates=1", "benchmark.steps=2"])
    run = ag.fit(ag.load(tmp_path / "data"), recipe, tmp_path / "run", device="cpu")
    ag.write_samples(run, run.counts(3), tmp_path / "out.h5")
    ag.write_samples(run, run.counts(3), tmp_path / "out", "folder")
    ag.run_benchmark(run)
    ag.write_report(run)
    files = [file for place in ("run", "out", "out.h5") for file in [tmp_path / place, *(tmp_path / place).rglob("*")]]
    files = [file for file in files if file.is_file()]
    assert len(files) > 12
    for file in files:
        assert marker.encode() not in file.read_bytes(), file.name
    for file in (tmp_path / "out").rglob("*.png"):
        with Image.open(file) as image:
            assert not image.info
            assert not image.getexif()
    assert np.array_equal(run.data.counts, [12, 12])
