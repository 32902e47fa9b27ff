"""A recurrent network is restored frame by frame: its memory is kept, and is forgotten."""

import numpy as np
import torch
from torch import nn

from crispstream.train.models.edge import EdgeShape
from crispstream.train.models.edge_recurrent import RecurrentEdge
from crispstream.train.restoring import restoring
from crispstream.train.suite.stateful import Stateful
from tests.helpers.pictures import soft_picture


def small_network() -> RecurrentEdge:
    torch.manual_seed(0)
    network = RecurrentEdge(EdgeShape(8, 8, 8, 0, 1, 1, 0), channels=4).eval()
    nn.init.normal_(network.recall.weight)  # a new network passes its memory by
    nn.init.normal_(network.tail.weight, std=0.1)
    return network


def test_memory_is_carried_and_forgotten():
    network = small_network()
    alone, stateful = restoring(network), Stateful(network)
    first, second = soft_picture(1, 18, 22), soft_picture(2, 18, 22)  # are padded
    np.testing.assert_array_equal(stateful.restore(first), alone(first))
    remembered = stateful.restore(second)
    assert remembered.shape == (72, 88, 3)
    assert not np.array_equal(remembered, alone(second))
    stateful.reset()
    np.testing.assert_array_equal(stateful.restore(second), alone(second))
    stateful.reset()
    stateful.restore(first)
    np.testing.assert_array_equal(stateful.restore(second), remembered)


def test_a_frame_of_another_size_starts_anew():
    network = small_network()
    stateful, larger = Stateful(network), soft_picture(3, 24, 24)
    stateful.restore(soft_picture(1, 18, 22))
    np.testing.assert_array_equal(stateful.restore(larger), restoring(network)(larger))
