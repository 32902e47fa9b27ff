"""Recurrent edge networks: a first frame is the twin's, and what comes after it is bounded."""

import pytest
import torch

from crispstream.train.models.edge_recurrent import MOST, RecurrentEdge, warm_start
from crispstream.train.models.registry import build_network
from tests.helpers.networks import gmacs, on_meta

X = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(1))


def randomised(network, scale=0.05):
    """Give every layer weight, or the zero-initialised ones would not be tested."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return network.eval()


@pytest.fixture
def twin():
    return randomised(build_network("edge-s"))


@pytest.fixture
def started(twin):
    network = build_network("edge-s-r")
    network.load_state_dict(warm_start(network, twin.state_dict()))
    return network.eval()


def full_memory(network):
    return torch.full_like(network.forgotten(X), MOST)


@torch.inference_mode()
def test_a_network_that_starts_from_its_twin_restores_every_frame_as_it_does(twin, started):
    torch.testing.assert_close(started(X).hr, twin(X).hr, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        started.step(X, full_memory(started))[0], twin.residual(X), rtol=0, atol=1e-6
    )


@torch.inference_mode()
def test_a_trained_memory_changes_later_frames_but_never_a_first_one(twin):
    network = randomised(build_network("edge-s-r"))
    network.load_state_dict({**network.state_dict(), **twin.state_dict()})
    torch.testing.assert_close(network(X).hr, twin(X).hr, rtol=0, atol=1e-6)
    first, memory = network.step(X, network.forgotten(X))
    torch.testing.assert_close(first, network.residual(X), rtol=0, atol=1e-6)
    assert memory.any()
    assert (network.step(X, memory)[0] - first).abs().max() > 1e-4


@torch.inference_mode()
def test_the_memory_keeps_its_shape_and_its_bounds_however_long_a_stream_is():
    network = randomised(build_network("edge-s-r"), scale=1.0)
    memory = network.forgotten(X)
    (state,) = network.states
    assert memory.shape == (1, state.channels, 16 // state.divisor, 24 // state.divisor)
    for _ in range(5):
        memory = network.step(X, memory)[1]
        assert memory.shape == network.forgotten(X).shape
        assert 0 <= memory.min() <= memory.max() <= MOST
    assert memory.max() == MOST


@torch.inference_mode()
def test_the_restored_frame_of_a_step_is_that_of_the_network_called():
    network = randomised(build_network("edge-s-r"))
    restored, _ = network.restored(X, network.forgotten(X))
    torch.testing.assert_close(restored, network(X).hr, rtol=0, atol=1e-6)


def test_weights_of_its_own_are_kept_where_the_twin_has_none(twin):
    network = build_network("edge-s-r")
    weights = warm_start(network, twin.state_dict())
    assert set(weights) == set(network.state_dict())
    assert isinstance(network, RecurrentEdge)
    again = randomised(build_network("edge-s-r")).state_dict()
    torch.testing.assert_close(
        warm_start(network, again)["recall.weight"], again["recall.weight"], rtol=0, atol=0
    )


def test_the_memory_costs_little():
    network, twin = on_meta("edge-s-r"), on_meta("edge-s")
    x = torch.empty(1, 3, 64, 64, device="meta")
    with_memory, _ = gmacs(lambda: network.step(x, network.forgotten(x)))
    assert with_memory <= 1.15 * gmacs(lambda: twin.residual(x))[0]
