"""How synthetic images enter training."""

import json

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import augmentgan as ag
from augmentgan.errors import DataError
from augmentgan.evaluate.arms import ARMS, IMBALANCED_ARMS, Arm, is_imbalanced, minority_classes
from augmentgan.evaluate.augmentation import blend_pairs, classic_augmentation
from augmentgan.evaluate.classifier import TrainingImages
from augmentgan.evaluate.mixing import (
    judged_by_teachers,
    loss_weights,
    sampling_probabilities,
    stratified_rows,
)
from augmentgan.evaluate.offered import MOST_SAMPLE_BYTES, sample_bytes, samples_offered
from augmentgan.evaluate.teachers import Teachers, apply_policy
from augmentgan.sections import BenchmarkSection


def masses(name, share=0.5, counts=(40, 10), weights=None):
    """Mass of each class's real and synthetic images, and the masses themselves."""
    labels = np.repeat([0, 1], counts)
    synthetic_labels = np.repeat([0, 1], [20, 20])
    extra = {} if weights is None else {"weight": weights}
    blank = np.zeros((40, 4, 4, 1), np.uint8)
    synthetic = ag.LabelledImages(blank, synthetic_labels, ("a", "b"), extra=extra)
    found = sampling_probabilities(Arm(name), labels, synthetic, 2, share)
    assert found.sum() == pytest.approx(1)
    real, made = found[:50], found[50:]
    return [real[labels == k].sum() for k in (0, 1)], [made[synthetic_labels == k].sum() for k in (0, 1)], made


def test_what_each_arm_draws():
    assert masses("real")[0] == pytest.approx([0.8, 0.2])
    assert masses("real+class-weights")[0] == pytest.approx([0.8, 0.2])
    assert masses("real+oversampling")[0] == pytest.approx([0.5, 0.5])
    for name in ("real+synthetic", "real+classic+synthetic"):
        real, made, _ = masses(name, share=0.25)
        assert real == pytest.approx([0.375, 0.375])
        assert made == pytest.approx([0.125, 0.125])
    real, made, _ = masses("synthetic")
    assert real == pytest.approx([0, 0])
    assert made == pytest.approx([0.5, 0.5])
    assert masses("real+synthetic", share=0)[0] == pytest.approx([0.5, 0.5])


def test_filling_gives_only_what_a_class_lacks():
    real, made, _ = masses("real+fill")  # 40 and 10: the second lacks 30 of 40
    assert real == pytest.approx([0.5, 0.3125])
    assert made == pytest.approx([0, 0.1875])
    real, made, _ = masses("real+fill", share=1)  # as though the second had 40, each as often
    assert real == pytest.approx([0.5, 0.125])
    assert made == pytest.approx([0, 0.375])


@pytest.mark.parametrize("arm", ["real", "real+synthetic"])
def test_soft_labels_are_targets_of_samples_alone(arm):
    labels = np.array([1, 0, 2])
    soft = np.random.default_rng(0).dirichlet(np.ones(3), 3).astype(np.float32)
    shades = np.arange(6, dtype=np.uint8)[:, None, None, None]  # by which a row is known again
    real = ag.LabelledImages(shades[:3], labels, tuple("abc"))
    synthetic = ag.LabelledImages(shades[3:], labels, tuple("abc"), extra={"soft_labels": soft})
    rows_of = TrainingImages(Arm(arm), real, synthetic, 0.5, torch.device("cpu"))
    certain = np.eye(3, dtype=np.float32)[labels]
    expected = np.concatenate([certain, soft if arm == "real+synthetic" else certain])
    rows = torch.tensor([4, 0, 5, 1, 3, 2, 0])
    assert np.array_equal(rows_of.targets(rows), expected[rows_of.images[rows].flatten()])


def test_weights_of_samples_shift_draws_inside_a_class_only():
    weights = np.tile([1.0, 0.0], 20)
    real, made, each = masses("real+synthetic", weights=weights)
    assert real == pytest.approx([0.25, 0.25])
    assert made == pytest.approx([0.25, 0.25])
    assert (each[1::2] == 0).all()
    assert np.ptp(each[::2]) == pytest.approx(0)


def test_class_weights_make_classes_count_alike():
    weights = loss_weights(Arm("real+class-weights"), np.array([40, 10, 0]))
    assert (weights * [40, 10, 0]).tolist() == pytest.approx([25, 25, 0])
    assert loss_weights(Arm("real"), np.array([40, 10])).tolist() == [1, 1]


def test_draws_follow_the_masses_in_every_batch():
    random = torch.Generator().manual_seed(0)
    mass = torch.tensor([0.1] * 5 + [0.05] * 10, dtype=torch.float64)
    seen = torch.zeros(15)
    for _ in range(300):
        rows = stratified_rows(mass.cumsum(0), 20, random)
        assert 9 <= (rows < 5).sum() <= 11  # half of the mass, half of the batch
        seen += torch.bincount(rows, minlength=15)
    assert torch.allclose(seen / seen.sum(), mass.float(), atol=0.015)


def test_the_recipes_policy_is_applied_where_it_asks_for_teachers(trained):
    synthetic = trained.generate(3)
    section = trained.recipe.benchmark
    assert apply_policy(trained.train, synthetic, section, 0, torch.device("cpu")) is synthetic
    asks = section.model_copy(update={"teachers": 1, "soft_labels": True})
    judged = apply_policy(trained.train, synthetic, asks, 0, torch.device("cpu"))
    assert {"weight", "soft_labels"} <= judged.extra.keys()


def test_teachers_weigh_drop_and_label(trained):
    synthetic = trained.generate(10)
    random = np.random.default_rng(0)
    seen = random.dirichlet(np.ones(10), len(synthetic)).astype(np.float32)
    judged = judged_by_teachers(synthetic, seen, keep=0.3, soft=True)
    assert judged.counts.tolist() == [3] * 10
    of_class = seen[np.arange(len(synthetic)), synthetic.labels]
    for label in range(10):
        assert sorted(judged.extra["weight"][judged.labels == label]) == pytest.approx(
            sorted(of_class[synthetic.labels == label])[-3:]
        )
    assert judged.extra["soft_labels"].shape == (30, 10)
    assert judged.extra["sample_index"].shape == (30,)
    assert "soft_labels" not in judged_by_teachers(synthetic, seen).extra


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("reel", "'reel' is not known"),
        ("real+", "is not known"),
        ("classic", "real first"),
        ("real+synthetic+classic", "in the order"),
        ("real+real", "once each"),
        ("real+synthetic+fill", "exclude each other"),
        ("real+class-weights+fill", "exclude each other"),
        ("real+class-weights+synthetic", "exclude each other"),
        ("real+oversampling+class-weights", "exclude each other"),
        ("real+mixup+cutmix", "exclude each other"),
        ("synthetic+classic", "real first"),
    ],
)
def test_arms_that_make_no_sense(name, message):
    with pytest.raises(DataError, match=message):
        Arm(name)


@pytest.mark.parametrize(
    ("counts", "imbalanced", "minority"),
    [
        ([10, 10, 0], False, []),
        ([14, 10], False, []),
        ([15, 10], True, []),
        ([20, 10], True, []),
        ([21, 10, 0], True, [1]),
    ],
)
def test_what_counts_as_imbalanced_and_as_rare(counts, imbalanced, minority):
    assert is_imbalanced(np.array(counts)) is imbalanced
    assert minority_classes(np.array(counts)).tolist() == minority


def test_the_rival_of_an_arm_differs_in_the_synthetic_images_alone():
    def rival(name, imbalanced):
        found = Arm(name).without_synthetic(imbalanced=imbalanced)
        return found and found.name

    assert rival("real+classic+synthetic", False) == "real+classic"
    assert rival("real+classic+synthetic", True) == "real+oversampling+classic"
    assert rival("real+classic+mixup+fill", True) == "real+oversampling+classic+mixup"
    assert rival("synthetic", True) is rival("real+classic", True) is None


def test_every_arm_of_an_even_set_is_run_on_an_uneven_one_too_each_with_its_rival():
    assert set(ARMS) < set(IMBALANCED_ARMS)
    for arm in map(Arm, IMBALANCED_ARMS):
        rival = arm.without_synthetic(imbalanced=True)
        assert rival is None or rival.name in IMBALANCED_ARMS


@pytest.mark.parametrize("channels", [1, 3])
def test_classical_augmentation_changes_images_and_keeps_their_range(channels):
    torch.manual_seed(0)
    images = torch.rand(16, channels, 32, 32) * 2 - 1
    out = classic_augmentation(images, torch.Generator().manual_seed(0))
    assert out.shape == images.shape
    assert (out - images).abs().mean() > 0.05
    assert out.abs().max() <= 1.5


def test_strength_nothing_changes_nothing_and_half_changes_less():
    torch.manual_seed(0)
    images = torch.rand(64, 1, 32, 32)
    moved = [
        (classic_augmentation(images, torch.Generator().manual_seed(0), strength) - images).abs().mean()
        for strength in (0.0, 0.5, 1.0)
    ]
    assert moved[0] == 0 < moved[1] < moved[2]


def test_each_image_draws_how_strongly_it_is_distorted():
    """Some are nearly left alone; with one strength for all, five draws at once spare hardly any."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 28), torch.linspace(-1, 1, 28), indexing="ij")
    images = torch.exp(-4 * (x**2 + 2 * y**2)).repeat(1000, 1, 1, 1)
    changed = (classic_augmentation(images, torch.Generator().manual_seed(0)) - images).abs().mean(dim=(1, 2, 3))
    assert changed.quantile(0.05) < 0.1 * changed.quantile(0.95)


def test_what_moves_in_from_outside_goes_on_as_the_edge_does():
    """No dark corners beside a bright side, no bright ones beside a dark one."""
    images = torch.full((64, 1, 32, 32), -1.0)
    images[:, :, :, 16:] = 1.0  # a dark and a bright half
    out = classic_augmentation(images, torch.Generator().manual_seed(0))
    assert (out[:, :, :, 0] < -0.999).all()
    assert (out[:, :, :, -1] > 0.999).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_flips_mirror_half_of_the_images_and_nothing_else(channels):
    images = torch.rand(400, channels, 4, 4)
    out = classic_augmentation(images, torch.Generator().manual_seed(0), 0.0, flips=True)
    mirrored = (out == images.flip(3)).all(dim=(1, 2, 3))
    assert torch.equal(out[~mirrored], images[~mirrored])
    assert 150 < mirrored.sum() < 250


@pytest.mark.parametrize("method", ["mixup", "cutmix"])
def test_blending_mixes_images_and_targets_alike(method):
    torch.manual_seed(0)
    targets = torch.eye(4).repeat(4, 1)
    images = targets.argmax(dim=1).float().reshape(16, 1, 1, 1).expand(16, 1, 8, 8)
    mixed, labels = blend_pairs(images.contiguous(), targets, method)
    assert labels.sum(dim=1) == pytest.approx(torch.ones(16))
    assert not torch.equal(mixed, images)
    expected = (labels * torch.arange(4.0)).sum(dim=1)
    assert torch.allclose(mixed.mean(dim=(1, 2, 3)), expected, atol=1e-4)


def test_affine_maps_shift_but_do_not_flip():
    images = torch.zeros(64, 1, 32, 32)
    images[:, :, 12:20, 4:12] = 1.0  # left of the middle
    out = classic_augmentation(images, torch.Generator().manual_seed(0))
    columns = torch.arange(32.0)
    centres = (out.sum(dim=(1, 2)) * columns).sum(dim=1) / out.sum(dim=(1, 2, 3))
    assert centres.max() < 16
    assert centres.std() > 0.5


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9])
def test_dataset_has_every_real_image_once_and_the_share_it_was_asked_for(trained, share):
    synthetic = trained.generate(5)
    mixed = ag.as_torch_dataset(trained.train, synthetic, share)
    assert mixed.is_synthetic.float().mean().item() == pytest.approx(share, abs=0.01)
    assert sorted(mixed.rows[~mixed.is_synthetic].tolist()) == list(range(len(trained.train)))
    counts = torch.bincount(mixed.rows[mixed.is_synthetic], minlength=len(synthetic))
    assert counts.max() - counts.min() <= 1
    for index in (0, len(mixed) - 1):
        image, label = mixed[index]
        source = synthetic if mixed.is_synthetic[index] else trained.train
        row = int(mixed.rows[index])
        assert torch.equal((image * 255).round().to(torch.uint8).permute(1, 2, 0), torch.from_numpy(source.images[row]))
        assert label == source.labels[row] == mixed.targets[index]


def test_dataset_in_a_plain_loop_with_torchvision(trained):
    from torchvision.transforms import v2

    transform = v2.Compose([v2.RandomAffine(10), v2.ToDtype(torch.float32, scale=True)])
    mixed = ag.as_torch_dataset(trained.train, trained.generate(5), transform=transform)
    images, labels = next(iter(DataLoader(mixed, batch_size=16, shuffle=True)))
    assert images.shape == (16, 1, 8, 8)
    assert labels.dtype == torch.int64
    assert 0 <= images.min() <= images.max() <= 1


@pytest.mark.filterwarnings("error")
def test_dataset_of_arrays_that_torch_does_not_take():
    """A view with colours in the other order, as of OpenCV's images, and one that nobody may write."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 5, 3), dtype=np.uint8)
    pixels.flags.writeable = False
    for images in (pixels[..., ::-1], pixels):
        data = ag.LabelledImages(images, np.array([0, 0, 1, 1]), ("a", "b"))
        image, label = ag.as_torch_dataset(data, data.subset([]), share=0)[2]
        assert label == 1
        assert np.array_equal((image * 255).round().permute(1, 2, 0).numpy(), images[2])
    labels, weight = np.array([1, 1, 0, 0]), np.linspace(0, 1, 4)[::-1]
    labels.flags.writeable = False
    real = ag.LabelledImages(pixels[::-1], labels[::-1], ("a", "b"))
    synthetic = ag.LabelledImages(pixels, labels, ("a", "b"), extra={"weight": weight})
    mixed = ag.as_torch_dataset(real, synthetic, share=0.5)
    assert mixed.targets[:4].tolist() == [0, 0, 1, 1]
    assert mixed.targets[4:].tolist() == labels[mixed.rows[4:]].tolist()
    assert mixed.weights[4:].tolist() == pytest.approx(weight[mixed.rows[4:]].tolist())


def test_policy_goes_with_the_set(trained, tmp_path):
    """Written with teachers' columns, read back, and handed to a loop."""
    teachers = Teachers(trained.train, trained.recipe.benchmark, 0, torch.device("cpu"), n=2, soft=True)
    ag.write_samples(trained, trained.counts(3), tmp_path / "s.h5", judges=[teachers])
    synthetic = ag.load(tmp_path / "s.h5")
    assert synthetic.extra["weight"].dtype == synthetic.extra["soft_labels"].dtype == np.float32
    soft = synthetic.extra["soft_labels"]
    assert soft.shape == (30, 10)
    assert soft.sum(axis=1) == pytest.approx(np.ones(30), abs=1e-5)
    assert synthetic.extra["weight"] == pytest.approx(soft[np.arange(30), synthetic.labels])
    mixed = ag.as_torch_dataset(trained.train, synthetic, share=0.2, policy=True)
    image, label, weight = mixed[0]
    assert (image.shape, label[mixed.targets[0]], weight) == ((1, 8, 8), 1, 1)
    image, label, weight = mixed[len(mixed) - 1]
    row = int(mixed.rows[-1])
    assert torch.equal(label, torch.from_numpy(soft[row]))
    assert weight == synthetic.extra["weight"][row]
    ag.write_samples(trained, trained.counts(1), tmp_path / "folder", "folder", judges=[teachers])
    first = json.loads((tmp_path / "folder" / "metadata.jsonl").read_text().splitlines()[0])
    assert len(first["soft_labels"]) == 10


def test_sets_that_do_not_fit(trained):
    real, synthetic = trained.train, trained.generate(2)
    with pytest.raises(DataError, match=r"share is 1\.0"):
        ag.as_torch_dataset(real, synthetic, 1.0)
    larger = ag.LabelledImages(np.repeat(real.images, 2, axis=1), real.labels, real.class_names)
    with pytest.raises(DataError, match="shape"):
        ag.as_torch_dataset(larger, synthetic)
    renamed = ag.LabelledImages(real.images, real.labels, tuple("abcdefghij"))
    with pytest.raises(DataError, match="class names"):
        ag.as_torch_dataset(renamed, synthetic)
    with pytest.raises(DataError, match="empty"):
        ag.as_torch_dataset(real, synthetic.subset([]))
    with pytest.raises(DataError, match="seed -1"):
        ag.as_torch_dataset(real, synthetic, seed=-1)
    assert len(ag.as_torch_dataset(real, synthetic.subset([]), 0)) == len(real)  # what that message advises


def test_a_policy_that_the_set_does_not_carry_is_told(trained):
    with pytest.raises(DataError, match="neither weights nor soft labels"):
        ag.as_torch_dataset(trained.train, trained.generate(2), policy=True)


def test_of_a_split_set_the_training_part_is_taken(trained):
    mixed = ag.as_torch_dataset(trained.data, trained.generate(2), share=0)
    assert len(mixed) == len(trained.train) < len(trained.data)


def test_classes_are_matched_by_name(trained):
    synthetic = trained.generate(2)
    order = np.random.default_rng(0).permutation(10)
    soft = np.eye(10, dtype=np.float32)[synthetic.labels] * 0.9
    shuffled = ag.LabelledImages(
        synthetic.images,
        np.argsort(order)[synthetic.labels],
        tuple(synthetic.class_names[label] for label in order),
        extra={"soft_labels": soft[:, order]},
    )
    mixed = ag.as_torch_dataset(trained.train, shuffled, share=0.5, policy=True)
    made = mixed.is_synthetic
    assert torch.equal(mixed.targets[made], torch.from_numpy(synthetic.labels)[mixed.rows[made]])
    shown = torch.stack([mixed[k][1] for k in range(len(mixed))])
    assert torch.equal(shown.argmax(dim=1), mixed.targets)
    assert (shown.max(dim=1).values < 1).tolist() == made.tolist()


@pytest.mark.parametrize(
    ("size_px", "n_classes", "n"), [(64, 2, 1000), (64, 200, 1000), (64, 1000, 218), (128, 200, 273), (28, 1000, 1000)]
)
def test_many_classes_of_large_images_are_offered_fewer_samples_each(size_px, n_classes, n):
    names = tuple(map(str, range(n_classes)))
    images = np.zeros((1, size_px, size_px, 3), np.uint8)
    real = ag.LabelledImages(images, np.zeros(1, np.int64), names)
    section = BenchmarkSection(synthetic_per_class=1000)
    assert samples_offered(section, real) == n
    assert sample_bytes(section, real) == n * n_classes * 3 * size_px**2 <= MOST_SAMPLE_BYTES
    assert samples_offered(section.model_copy(update={"classifier": "pretrained"}), real) == min(n, 200)
