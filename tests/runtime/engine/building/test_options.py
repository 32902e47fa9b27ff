"""Equal orders are equal, however they were given."""

from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.building.options import BuildOptions


def test_the_order_of_capabilities_and_equal_sizes_change_nothing() -> None:
    one, other = SizeRange.only((64, 48)), SizeRange.parse("32x32:64x64:128x96")
    options = BuildOptions((one, other, one), ((12, 0), (8, 6), (12, 0)))
    assert options == BuildOptions((one, other), ((8, 6), (12, 0)))
    assert options.as_json()["profiles"] == ["64x48", "32x32:64x64:128x96"]
    assert options.as_json()["compute_capabilities"] == ["8.6", "12.0"]


def test_the_order_of_sizes_is_kept() -> None:
    sizes = (SizeRange.only((320, 180)), SizeRange.only((64, 48)))
    assert BuildOptions(sizes).profiles == sizes
