"""DiffAugment: drawn, then applied, and gradients pass."""

import pytest
import torch

from augmentgan.gan import augment
from augmentgan.gan.augment import Augmentation
from augmentgan.sections import ResolvedAugmentSection

IMAGES = torch.rand(3, 3, 8, 8) * 2 - 1


def only(**chosen):
    return Augmentation(
        **{"shift": None, "reach_px": 4, "hole": None, "hole_px": 0, "colour": None, "affine": None, **chosen}
    )


def test_a_shift_moves_pixels_and_leaves_grey():
    moved = augment.apply(only(shift=torch.tensor([[0, 0], [2, 0], [-1, 3]])), IMAGES)
    assert (moved[0] == IMAGES[0]).all()
    assert (moved[1, :, 2:] == IMAGES[1, :, :-2]).all()
    assert (moved[1, :, :2] == 0).all()
    assert (moved[2, :, :-1, 3:] == IMAGES[2, :, 1:, :-3]).all()


def test_a_hole_is_blank_and_the_rest_untouched():
    blanked = augment.apply(only(hole=torch.tensor([[2, 3], [-1, -1], [6, 6]]), hole_px=3), IMAGES)
    assert (blanked[0, :, 2:5, 3:6] == 0).all()
    assert (blanked[1, :, :2, :2] == 0).all()
    changed = (blanked != IMAGES).any(dim=1).sum(dim=(1, 2))
    assert changed.tolist() == [9, 4, 4]


def test_colour():
    neutral = torch.tensor([[0.0, 1.0, 1.0]])
    torch.testing.assert_close(augment.apply(only(colour=neutral.repeat(3, 1)), IMAGES), IMAGES)
    brighter = augment.apply(only(colour=torch.tensor([[0.25, 1.0, 1.0]] * 3)), IMAGES)
    torch.testing.assert_close(brighter, IMAGES + 0.25)
    grey = augment.apply(only(colour=torch.tensor([[0.0, 0.0, 1.0]] * 3)), IMAGES)
    torch.testing.assert_close(grey, IMAGES.mean(dim=1, keepdim=True).expand_as(IMAGES))


def test_colour_is_brightness_then_saturation_then_contrast():
    brightness, saturation, contrast = 0.3, 1.7, 0.6
    expected = IMAGES + brightness
    grey = expected.mean(dim=1, keepdim=True)
    expected = grey + (expected - grey) * saturation
    middle = expected.mean(dim=(1, 2, 3), keepdim=True)
    expected = middle + (expected - middle) * contrast
    drawn = only(colour=torch.tensor([[brightness, saturation, contrast]] * 3))
    torch.testing.assert_close(augment.apply(drawn, IMAGES), expected)


def test_an_affine_map_says_where_each_place_looks():
    maps = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]], [[-1.0, 0.0], [0.0, 2.0]]])
    moved = augment.apply(only(affine=maps), IMAGES)
    torch.testing.assert_close(moved[0], IMAGES[0])
    torch.testing.assert_close(moved[1], IMAGES[1].mT)
    mirrored = IMAGES[2].flip(2).unflatten(1, (4, 2)).mean(dim=2)  # and half as high, between what is grey
    torch.testing.assert_close(moved[2, :, 2:6], mirrored)
    assert (moved[2, :, [0, 7]] == 0).all()


def test_gradients_are_those_of_what_was_done():
    images = IMAGES.double().requires_grad_()
    drawn = only(
        shift=torch.tensor([[4, -4], [0, 0], [-1, 2]]),
        hole=torch.tensor([[2, 2], [-1, 6], [4, 0]]),
        hole_px=3,
        colour=torch.tensor([[0.25, 0.5, 1.5], [-0.5, 2.0, 0.5], [0.0, 0.0, 1.0]]),
    )
    assert torch.autograd.gradcheck(lambda x: augment.apply(drawn, x), images)
    assert torch.autograd.gradgradcheck(lambda x: augment.apply(drawn, x).square(), images)


def test_the_gradient_of_an_affine_map_goes_back_where_it_came_from():
    images = IMAGES.double().requires_grad_()
    drawn = only(affine=torch.eye(2, dtype=torch.double) + 0.3 * torch.rand(3, 2, 2, dtype=torch.double))
    assert torch.autograd.gradcheck(lambda x: augment.apply(drawn, x), images)


def test_gradients_pass():
    images = IMAGES.clone().requires_grad_()
    drawn = only(shift=torch.tensor([[1, 1]] * 3), hole=torch.tensor([[2, 2]] * 3), hole_px=2)
    augment.apply(drawn, images).sum().backward()
    assert images.grad.sum().item() == pytest.approx(3 * 3 * (49 - 4))


def test_draws_fill_the_recipes_ranges():
    section = ResolvedAugmentSection(translation=0.25, cutout=0.5, affine=0.3, colour=True)
    drawn = augment.draw(section, 2000, 8, torch.device("cpu"))
    off = (drawn.affine - torch.eye(2)).flatten(1)
    torch.testing.assert_close(off.min(dim=0).values, torch.full((4,), -0.3), atol=0.01, rtol=0)
    torch.testing.assert_close(off.max(dim=0).values, torch.full((4,), 0.3), atol=0.01, rtol=0)
    assert off.abs().max() <= 0.3 + 1e-6
    assert set(drawn.shift.flatten().tolist()) == {-2, -1, 0, 1, 2}
    low, high = drawn.colour.min(dim=0).values, drawn.colour.max(dim=0).values
    torch.testing.assert_close(low, torch.tensor([-0.5, 0, 0.5]), atol=0.05, rtol=0)
    torch.testing.assert_close(high, torch.tensor([0.5, 2, 1.5]), atol=0.05, rtol=0)
    assert (low >= torch.tensor([-0.5, 0, 0.5])).all()
    assert (high <= torch.tensor([0.5, 2, 1.5])).all()


@pytest.mark.parametrize(
    ("cutout", "hole_px", "corners"),
    [
        (0.5, 4, range(-2, 7)),  # its centre lies on one of nine lines between pixels
        (0.375, 3, range(-1, 7)),  # or on one of eight pixels
    ],
)
def test_a_holes_centre_may_be_anywhere_on_the_image(cutout, hole_px, corners):
    section = ResolvedAugmentSection(translation=0, cutout=cutout, affine=0, colour=False)
    drawn = augment.draw(section, 2000, 8, torch.device("cpu"))
    assert drawn.hole_px == hole_px
    assert sorted(set(drawn.hole.flatten().tolist())) == list(corners)


def test_what_is_off_is_not_drawn():
    section = ResolvedAugmentSection(translation=0, cutout=0, affine=0, colour=False)
    assert augment.apply(augment.draw(section, 3, 8, torch.device("cpu")), IMAGES).equal(IMAGES)
