"""What each network declares as its halo is what the pixels of a frame reach: tiles rest on it."""

import pytest

from crispstream.train.models.registry import build_network, network_names
from tests.helpers.networks import on_meta, reach_px

LOOK_AT_THE_WHOLE_FRAME = (
    "blindsr", "cmos", "cnlrn", "edge-s-r", "ms2net", "predeblur", "rrdb-sft",
)  # fmt: skip
SHAPES = (
    "edge-n", "edge-s", "edge-m", "srresnet-w16", "gfn-w16", "gfn-w16-ungated", "gfn-ijcv",
    "gfn-model-1", "gfn-model-2", "gfn-model-3", "cmsc", "cmsc-a", "cmsc-c", "cmsc-rgb",
    "cmsc-fast",
)  # fmt: skip
"""One network of each shape that has a halo; others differ in width alone."""


@pytest.mark.parametrize("name", SHAPES)
def test_pixels_reach_as_far_as_the_halo_and_no_further(name):
    network = build_network(name)
    reach = reach_px(network, length_px=(2 * network.halo_px // 16 + 2) * 16, width_px=4)
    assert network.halo_px - 3 <= reach <= network.halo_px


@pytest.mark.parametrize(("name", "width_px"), [("ms2net-local-msff1", 8), ("cnlrn-tiny", 24)])
def test_networks_without_a_halo_look_at_the_whole_frame(name, width_px):
    network = build_network(name)
    assert network.halo_px == 0
    assert reach_px(network, length_px=64, width_px=width_px) is None


@pytest.mark.slow
def test_every_network_declares_a_halo_or_that_it_has_none():
    for name in network_names():
        halo_px = on_meta(name).halo_px
        assert isinstance(halo_px, int)
        assert (halo_px == 0) == name.startswith(LOOK_AT_THE_WHOLE_FRAME), name
