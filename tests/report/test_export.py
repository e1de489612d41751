"""Exports load without augmentgan's commands: ONNX in onnxruntime, safetensors and card as a hub reads them."""

import json
import re
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from safetensors.torch import load_file

import augmentgan as ag
from augmentgan.errors import ExtraError, OutputError, RunError
from augmentgan.gan import export
from augmentgan.gan.networks import Generator, to_uint8


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """The trained run's generator as ONNX, one file for each kind of output."""
    folder = tmp_path_factory.mktemp("onnx")
    return {
        pixels: ag.export_run(trained, "onnx", folder / f"{pixels}.onnx", pixels=pixels) for pixels in export.TOLERANCE
    }


@pytest.mark.parametrize("n", [1, 7, 100])
def test_onnxruntime_makes_the_images_of_the_generator(exported, trained, n):
    latents, labels = torch.randn(n, 64, generator=torch.Generator().manual_seed(n)), torch.arange(n) % 10
    wanted = trained.generator(latents, labels)
    for pixels, done in exported.items():
        session = onnxruntime.InferenceSession(done.out, providers=["CPUExecutionProvider"])
        (image,) = session.run(None, {"latent": latents.numpy(), "label": labels.numpy()})
        if pixels == "uint8":
            assert (image.dtype, image.shape) == (np.uint8, (n, 8, 8, 1))
            assert np.abs(image.astype(int) - to_uint8(wanted).numpy().astype(int)).max() <= 1
        else:
            assert (image.dtype, image.shape) == (np.float32, (n, 1, 8, 8))
            np.testing.assert_allclose(image, wanted.numpy(), atol=1e-4)
        assert done.max_difference <= export.TOLERANCE[pixels]


def test_the_graph_names_its_classes_and_no_source_file(exported):
    model = onnx.load(exported["uint8"].out)
    told = {each.key: each.value for each in model.metadata_props}
    assert json.loads(told["class_names"]) == [str(digit) for digit in range(10)]
    assert [each.name for each in model.graph.input] == ["latent", "label"]
    assert [each.name for each in model.graph.output] == ["image"]
    assert b".py" not in model.SerializeToString()


def test_what_the_exporter_prints_stays_off_stdout(trained, tmp_path, monkeypatch, capsys):
    to_onnx = torch.onnx.export

    def talks(*arguments, **options):
        print("Applied 3 of general pattern rewrite rules.")
        return to_onnx(*arguments, **options)

    monkeypatch.setattr(torch.onnx, "export", talks)
    ag.export_run(trained, "onnx", tmp_path / "generator.onnx")
    assert not capsys.readouterr().out


def test_a_graph_that_differs_is_not_written(exported, trained, tmp_path, monkeypatch):
    model = onnx.load(exported["float"].out)
    (bias,) = (each for each in model.graph.initializer if each.name.endswith("to_image.bias"))
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(0.01), bias.name))
    monkeypatch.setattr(export, "_to_onnx", lambda graph, run: model)
    with pytest.raises(OutputError, match="differs from the generator by"):
        ag.export_run(trained, "onnx", tmp_path / "wrong.onnx", pixels="float")
    assert not list(tmp_path.iterdir())


def test_a_missing_library_is_one_line(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("augmentgan.extras.find_spec", lambda name: None if name == "onnxruntime" else name)
    with pytest.raises(ExtraError, match=r"needs onnxruntime; pip install 'augmentgan\[export\]'"):
        ag.export_run(trained, out=tmp_path / "x.onnx")


def card_of(folder):
    _, front, body = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), body


def test_the_card_loads_the_weights_it_lies_beside(trained, tmp_path, monkeypatch):
    done = ag.export_run(trained, "safetensors", tmp_path / "model", license="cc-by-4.0")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "samples.png",
    ]
    front, body = card_of(tmp_path / "model")
    assert (front["license"], front["library_name"]) == ("cc-by-4.0", "augmentgan")
    assert "data-augmentation" in front["tags"]
    assert "None were measured" in body
    (code,) = re.findall(r"```python\n(.*?)```", body, re.DOTALL)
    monkeypatch.chdir(done.out)
    names = {}
    exec(code, names)
    assert names["images"].shape == (2, 8, 8, 1)
    latents, labels = torch.randn(3, 64), torch.tensor([1, 2, 3])
    with torch.no_grad():
        torch.testing.assert_close(names["generator"](latents, labels), trained.generator(latents, labels))


def test_truncation_is_exported(trained, tmp_path):
    shutil.copytree(trained.folder, tmp_path / "run")
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    info["recipe"]["model"]["truncation"] = 0.5
    (tmp_path / "run" / "run.json").write_text(json.dumps(info))
    run = ag.Run(tmp_path / "run", "cpu")
    ag.export_run(run, "safetensors", tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    generator = Generator(**config["generator"]).eval()
    generator.load_state_dict(load_file(tmp_path / "model" / "model.safetensors"))
    latents, labels = torch.randn(3, 64), torch.tensor([1, 2, 3])
    with torch.no_grad():
        torch.testing.assert_close(generator(latents, labels), run.generator(latents, labels))
        assert not torch.allclose(generator(latents, labels), trained.generator(latents, labels))


def test_the_card_holds_what_was_measured(trained, tmp_path):
    shutil.copytree(trained.folder, tmp_path / "run")
    run = ag.Run(tmp_path / "run", "cpu")
    report = ag.run_benchmark(run)
    evaluation = ag.evaluate_run(run, per_class=20)
    _, body = card_of(tmp_path / ag.export_run(run, "safetensors", tmp_path / "model").out)
    assert f"| real | {100 * report.summary()['real'][0]:.1f} \u00b1" in body
    assert "Verdict: " in body
    assert f"| {evaluation.frechet_distance:.3f} |" in body
    assert "Not stated" in body
    assert "| 3 | 3 | 10 | 2 |" in body


@pytest.mark.parametrize("license", ["", "a b", 'mit"\nx: y'])
def test_a_licence_is_an_identifier(trained, tmp_path, license):
    with pytest.raises(OutputError, match="not an identifier"):
        ag.export_run(trained, "safetensors", tmp_path / "model", license=license)


def test_an_export_that_exists_stays(trained, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="leaves it alone"):
            ag.export_run(trained, "safetensors", tmp_path / "x", overwrite=overwrite)
        with pytest.raises(OutputError, match="is a folder; name a file"):
            ag.export_run(trained, "onnx", tmp_path / "x", overwrite=overwrite)
    assert (tmp_path / "x" / "mine").read_text() == "mine"
    ag.export_run(trained, "safetensors", tmp_path / "model")
    with pytest.raises(OutputError, match="exists already; --overwrite replaces it"):
        ag.export_run(trained, "safetensors", tmp_path / "model")
    (tmp_path / "model" / ".git").mkdir()
    with pytest.raises(OutputError, match=r"also holds '\.git', which would be lost"):
        ag.export_run(trained, "safetensors", tmp_path / "model", overwrite=True)
    (tmp_path / "model" / ".git").rmdir()
    (tmp_path / "model" / "README.md").write_text("old")
    ag.export_run(trained, "safetensors", tmp_path / "model", overwrite=True)
    assert (tmp_path / "model" / "README.md").read_text() != "old"


def test_somebody_elses_model_is_never_replaced(trained, tmp_path):
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "model.safetensors").write_text("theirs")
    (tmp_path / "bert" / "config.json").write_text('{"architectures": ["BertModel"]}')
    with pytest.raises(OutputError, match="leaves it alone"):
        ag.export_run(trained, "safetensors", tmp_path / "bert", overwrite=True)
    assert (tmp_path / "bert" / "model.safetensors").read_text() == "theirs"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("benchmark.json", '{"protocol": {}, "runs": [], "verdict": {}}'),
        (
            "benchmark.json",
            '{"protocol": {}, "runs": [], "verdict": {}, "comparisons": [], "class_names": [], "equivalents": []}',
        ),
        (
            "evaluate.json",
            '{"features": 1, "frechet_distance": "x", "precision": 1, "recall": 1, "label_agreement": 1}',
        ),
        ("evaluate.json", "[" * 100_000),
    ],
)
def test_figures_that_are_none_are_one_line(trained, tmp_path, name, content):
    copied = tmp_path / "run"
    shutil.copytree(trained.folder, copied)
    (copied / name).write_text(content)
    with pytest.raises(RunError, match=r"again,? or remove it"):
        ag.export_run(ag.Run(copied, "cpu"), "safetensors", tmp_path / "model")
