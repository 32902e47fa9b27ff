"""Muon: what it does to kernels, to biases, and across a restart."""

import torch
from torch import nn

from crispstream.train.muon import Muon, has_directions, orthogonal


def test_a_matrix_becomes_nearly_orthogonal() -> None:
    torch.manual_seed(1)
    for rows, cols in ((16, 90), (90, 16), (8, 8)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(rows, cols) * 1e-4))
        assert float(values.min()) > 0.3
        assert float(values.max()) < 1.4


def test_kernels_have_directions_and_biases_and_thin_kernels_have_not() -> None:
    assert has_directions(torch.zeros(16, 3, 3, 3))
    assert not has_directions(torch.zeros(16))
    assert not has_directions(torch.zeros(3, 64))


def test_a_step_is_as_large_as_the_rate_says_whatever_the_gradient() -> None:
    torch.manual_seed(2)
    for scale in (1e-6, 1e3):
        layer = nn.Conv2d(16, 32, 3, bias=False)
        before = layer.weight.detach().clone()
        layer.weight.grad = torch.randn_like(layer.weight) * scale
        Muon(layer.parameters(), lr=0.01).step()
        moved = (layer.weight.detach() - before).square().mean().sqrt() * (16 * 9) ** 0.5
        assert 0.006 < float(moved) < 0.012


def test_it_learns_what_a_layer_computes() -> None:
    torch.manual_seed(3)
    target, layer = nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)
    optimizer = Muon(layer.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        x = torch.randn(4, 8, 8, 8)
        loss = (layer(x) - target(x)).square().mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.05 * losses[0]


def test_a_restored_state_goes_on_as_if_nothing_had_happened() -> None:
    torch.manual_seed(4)
    ends = []
    gradients = [torch.randn(8, 8, 3, 3) for _ in range(4)]
    for interrupted in (False, True):
        torch.manual_seed(5)
        layer = nn.Conv2d(8, 8, 3)
        optimizer = Muon(layer.parameters(), lr=0.05)
        for number, gradient in enumerate(gradients):
            if interrupted and number == 2:
                state = optimizer.state_dict()
                optimizer = Muon(layer.parameters(), lr=0.05)
                optimizer.load_state_dict(state)
            layer.weight.grad, layer.bias.grad = gradient.clone(), gradient.sum((1, 2, 3))
            optimizer.step()
        ends.append(layer.weight.detach().clone())
    assert torch.equal(*ends)
