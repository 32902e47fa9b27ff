"""Frame sizes as people write them, and those that no frame has."""

import pytest

from crispstream.core.errors import UsageError
from crispstream.core.sizes import LONGEST_SIDE_PX, SizeRange, parse_size


def test_the_longest_side_is_still_a_size() -> None:
    assert parse_size(f"{LONGEST_SIDE_PX}x1") == (LONGEST_SIDE_PX, 1)


@pytest.mark.parametrize("text", ["16385x16", "16x16385", "100000x100000", "12345678x1"])
def test_absurd_sizes_are_refused_at_once(text: str) -> None:
    with pytest.raises(UsageError, match=f"the size {text} has a side of more than 16384 pixels"):
        parse_size(text)
    with pytest.raises(UsageError, match="more than 16384 pixels"):
        SizeRange.parse(f"16x16:32x32:{text}")
