"""Engines in words: told apart, and whole words in narrow terminals."""

from pathlib import Path

import pytest
from rich.console import Console

from crispstream.cli.engines_text import listing, title_of
from crispstream.runtime.engine.store.record import EngineRecord
from crispstream.runtime.engine.store.store import EngineStore
from tests.helpers.engines import keep, made_for_4070, made_up_record, with_orders


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (
            with_orders(made_up_record(), compute_capabilities=["8.6", "8.9"]),
            "; for compute capability 8.6, 8.9",
        ),
        (with_orders(made_up_record(), optimisation_level=5), "newer; optimisation level 5"),
        (with_orders(made_for_4070(), workspace_mib=64), "(8.9); workspace 64 MiB"),
        (with_orders(made_for_4070(), version_compatible=True), "; version-compatible"),
        (
            with_orders(made_for_4070(), hardware_compatible="same-compute-capability"),
            "; for compute capability 8.9",
        ),
        (
            with_orders(made_for_4070(), hardware_compatible="ampere+"),
            "; for Ampere (8.0) and newer",
        ),
    ],
)
def test_engines_of_one_graph_can_be_told_apart(record: EngineRecord, expected: str) -> None:
    assert title_of(record).endswith(expected)


def test_sizes_break_between_words_and_the_fourth_is_counted(tmp_path: Path) -> None:
    store, console = EngineStore(tmp_path), Console(width=40)
    sizes = ["160x96:320x180:640x360", *(f"{16 * each}x16" for each in range(1, 60))]
    keep(store, with_orders(made_up_record(), profiles=sizes))
    with console.capture() as captured:
        console.print(listing(store.entries(), lambda _: "no GPU here"))
    words = captured.get().split()
    assert "160x96 to 640x360 (best 320x180), 16x16, 32x16 and 57 more" in " ".join(words)
    assert {"640x360", "320x180),"} <= set(words)
    assert len(captured.get().splitlines()) < 10
