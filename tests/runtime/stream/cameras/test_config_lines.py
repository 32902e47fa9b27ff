"""Where keys stand in a TOML file, however it is laid out."""

import pytest

from crispstream.runtime.stream.cameras.lines import Lines

TEXT = '''# model = "commented out"
model = "edge-n"  # not "edge-s"
note = "a # in a text, a \\" too, and [camera.fake]"

[camera.door]
# source = "old"
source = 'rtsp://host/#fragment'
sinks = [
    "one.mp4",  # with a ] in the comment
    # "two.mp4",
    "three]#.mp4",

    "four.mp4",
]
budget_ms = 33

[ "camera" . 'back yard' ]
text = """
several lines = 1
[camera.window]
"""
after = 1

camera.garage.sinks = ["a", "b"]
[camera.inline]
source = "x"
sinks = ["p",
"q"]
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("model",), 2),
        (("note",), 3),
        (("camera",), 5),
        (("camera", "door"), 5),
        (("camera", "door", "source"), 7),
        (("camera", "door", "sinks"), 8),
        (("camera", "door", "sinks", 0), 9),
        (("camera", "door", "sinks", 1), 11),
        (("camera", "door", "sinks", 2), 13),
        (("camera", "door", "budget_ms"), 15),
        (("camera", "back yard"), 17),
        (("camera", "back yard", "text"), 18),
        (("camera", "back yard", "after"), 22),
        (("camera", "inline", "sinks", 0), 27),
        (("camera", "inline", "sinks", 1), 28),
    ],
)
def test_keys_and_values_are_found(path: tuple[str | int, ...], line: int) -> None:
    lines = Lines(TEXT)
    assert lines.of(path) == line
    assert lines.has(path) == isinstance(path[-1], str)


@pytest.mark.parametrize(
    "text",
    [
        'camera.door.source = "x"\ncamera.door.limit = 3',
        'camera = { door = { source = "x", limit = 3 } }',
        '[camera]\ndoor.source = "x"\ndoor.limit = 3',
        '[camera]\ndoor = { source = "x",  limit = 3 }',
        '[[camera]]\ndoor = { source = "x", limit = 3 }',
    ],
)
def test_dotted_keys_and_inline_tables_are_found(text: str) -> None:
    expected = next(n for n, line in enumerate(text.split("\n"), 1) if "limit" in line)
    assert Lines(text).of(("camera", "door", "limit")) == expected
    assert Lines(text).of(("camera", "door", "source")) <= expected


def test_what_is_not_there_is_looked_for_where_it_would_be() -> None:
    lines = Lines(TEXT)
    assert lines.of(("camera", "door", "policy")) == 5
    assert lines.of(("camera", "door", "sinks", 9)) == 8
    assert lines.of(("camera", "door", "budget_ms", 0)) == 15
    assert lines.of(("camera", "attic", "source")) == 5
    assert lines.of(("policy",)) == 1
    assert not lines.has(("camera", "door", "policy"))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_both_kinds_of_line_ends_are_counted_alike(end: str) -> None:
    lines = Lines(TEXT.replace("\n", end))
    assert lines.of(("camera", "door", "sinks", 2)) == 13
    assert lines.of(("camera", "inline", "sinks")) == 27


@pytest.mark.parametrize(
    "broken", ['sinks = [\n"a",\nb = 1\n', 'x = """\nno end', "x = 'no end", "x = "]
)
def test_a_statement_without_an_end_is_the_last(broken: str) -> None:
    lines = Lines(f"first = 1\n\n{broken}")
    assert lines.of(("first",)) == 1
    assert lines.last == 3


def test_the_last_statement_of_a_sound_text_is_known() -> None:
    assert Lines("a = 1\nb = [\n1]\n\n# end\n").last == 2
    assert Lines("").last == 1
