"""Halving, keeping and doubling are torch's convolutions, with the same gradients, once and twice."""

import pytest
import torch
import torch.nn.functional as F

from augmentgan.gan import convolutions
from augmentgan.gan.convolutions import conv3x3_same, conv_transpose3x3_same, double, halve


def operands(large_channels, small_channels, dtype=torch.float64):
    random = torch.Generator().manual_seed(0)
    shapes = (
        (3, large_channels, 8, 12),
        (3, small_channels, 4, 6),
        (small_channels, large_channels, 4, 4),
        (small_channels,),
    )
    return [torch.randn(shape, generator=random, dtype=dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("c", "d"), [(16, 24), (32, 16), (3, 8)])
def test_halve_is_the_strided_convolution(c, d, channels_last):
    large, small, weight, bias = operands(c, d)
    x = large.contiguous(memory_format=torch.channels_last) if channels_last else large
    ours, theirs = halve(x, weight, bias), F.conv2d(x, weight, bias, stride=2, padding=1)
    torch.testing.assert_close(ours, theirs)
    for mine, expected in zip(
        torch.autograd.grad(ours, (large, weight, bias), small),
        torch.autograd.grad(theirs, (large, weight, bias), small),
        strict=True,
    ):
        torch.testing.assert_close(mine, expected)


@pytest.mark.parametrize("c", [1, 3])
def test_an_images_gradient_through_frozen_weights(c):
    large, small, weight, bias = operands(c, 8)
    weight.requires_grad_(False)
    bias.requires_grad_(False)
    ours, theirs = (
        torch.autograd.grad(convolved, large, small)[0]
        for convolved in (halve(large, weight, bias), F.conv2d(large, weight, bias, stride=2, padding=1))
    )
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("c", "d"), [(16, 24), (32, 16), (3, 8)])
def test_keep_is_the_convolution_of_the_same_side(c, d):
    random = torch.Generator().manual_seed(1)
    shapes = ((3, c, 4, 6), (d, c, 3, 3), (d,), (3, d, 4, 6))
    *inputs, gradient = (torch.randn(shape, generator=random, dtype=torch.float64).requires_grad_() for shape in shapes)
    ours, theirs = conv3x3_same(*inputs), F.conv2d(*inputs, padding=1)
    torch.testing.assert_close(ours, theirs)
    for mine, expected in zip(
        torch.autograd.grad(ours, inputs, gradient), torch.autograd.grad(theirs, inputs, gradient), strict=True
    ):
        torch.testing.assert_close(mine, expected)


@pytest.mark.parametrize(("c", "d"), [(16, 24), (32, 16), (3, 8)])
def test_double_is_the_transposed_convolution(c, d):
    large, small, weight, _ = operands(c, d)
    ours, theirs = double(small, weight), F.conv_transpose2d(small, weight, stride=2, padding=1)
    torch.testing.assert_close(ours, theirs)
    for mine, expected in zip(
        torch.autograd.grad(ours, (small, weight), large),
        torch.autograd.grad(theirs, (small, weight), large),
        strict=True,
    ):
        torch.testing.assert_close(mine, expected)


@pytest.mark.parametrize("most_shares", [0, convolutions.MOST_SHARES])
@pytest.mark.parametrize("d", [1, 3])
def test_an_image_is_the_transposed_convolution_of_the_same_side(d, most_shares, monkeypatch):
    monkeypatch.setattr(convolutions, "MOST_SHARES", most_shares)
    random = torch.Generator().manual_seed(1)
    shapes = ((3, 16, 4, 6), (16, d, 3, 3), (d,), (3, d, 4, 6))
    *inputs, gradient = (torch.randn(shape, generator=random, dtype=torch.float64).requires_grad_() for shape in shapes)
    ours, theirs = conv_transpose3x3_same(*inputs), F.conv_transpose2d(*inputs, padding=1)
    torch.testing.assert_close(ours, theirs)
    for mine, expected in zip(
        torch.autograd.grad(ours, inputs, gradient), torch.autograd.grad(theirs, inputs, gradient), strict=True
    ):
        torch.testing.assert_close(mine, expected)


@pytest.mark.parametrize(("ours", "kernel", "stride"), [(halve, 4, 2), (conv3x3_same, 3, 1)])
def test_a_penalty_can_differentiate_twice(ours, kernel, stride):
    large, *_ = operands(16, 16)
    random = torch.Generator().manual_seed(1)
    weight = torch.randn(24, 16, kernel, kernel, generator=random, dtype=torch.float64).requires_grad_()

    def penalty(convolve):
        (gradient,) = torch.autograd.grad(convolve(large).square().sum(), large, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), weight)[0]

    torch.testing.assert_close(
        penalty(lambda x: ours(x, weight)), penalty(lambda x: F.conv2d(x, weight, stride=stride, padding=1))
    )


def test_autocast_is_heeded():
    large, _, weight, bias = operands(16, 16, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert halve(large, weight, bias).dtype == torch.bfloat16
    assert torch.autograd.grad(halve(large, weight, bias).sum(), weight)[0].dtype == torch.float32
