"""`crispstream train --from`: shipped names, the short recipe, and what newcomers get wrong."""

from pathlib import Path
from typing import Any

import pytest

from crispstream.cli.main import main
from crispstream.train.recipes.registry import build_recipe
from crispstream.train.shipped import WEIGHTS
from tests.helpers.media import write_video
from tests.helpers.pictures import write_picture


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the stage is asked for; nothing is trained."""
    seen: dict[str, Any] = {}

    def learnt(recipe, data, output, **options):
        seen.update(options, recipe=recipe, output=output)
        return output / f"{recipe.model}.safetensors"

    monkeypatch.setattr("crispstream.train.loop.train", learnt)
    return seen


def test_a_model_from_itself_is_fine_tuned(asked: dict[str, Any], capsys) -> None:
    assert main(["train", "edge-s", "--from", "edge-s", "--data", "my"]) == 0
    assert asked["recipe"] == build_recipe("edge-s-tune")
    assert asked["start"] == WEIGHTS / "edge-s.safetensors"
    assert asked["output"] == Path("runs/edge-s-tune")
    said = " ".join(capsys.readouterr().err.split())
    steps = build_recipe("edge-s-tune").steps
    assert f"fine-tuning edge-s: recipe edge-s-tune, {steps:,} steps" in said


def test_steps_and_excluded_files_change_the_short_recipe(asked: dict[str, Any], capsys) -> None:
    words = ["train", "edge-n", "--from", "edge-n", "--data", "my", "-o", "runs/mine"]
    assert main([*words, "--steps", "40", "--exclude", "night*"]) == 0
    assert asked["recipe"].steps == 40
    assert asked["recipe"].pool.exclude[-1] == "night*"
    assert asked["recipe"].learning_rate == build_recipe("edge-n-tune").learning_rate
    assert asked["output"] == Path("runs/mine")
    assert "40 steps" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recipe", "start"),
    [
        ("edge-s", str(WEIGHTS / "edge-s.safetensors")),
        ("edge-s-tune", "edge-s"),
        ("edge-s-qat", "edge-s"),
        ("edge-n-smoke", "edge-n"),
    ],
)
def test_any_other_recipe_is_taken_as_it_is_called(
    asked: dict[str, Any], capsys, recipe: str, start: str
) -> None:
    assert main(["train", recipe, "--from", start, "--data", "my"]) == 0
    assert asked["recipe"] == build_recipe(recipe)
    assert asked["start"].name == f"{Path(start).stem}.safetensors"
    assert "fine-tuning" not in capsys.readouterr().err


@pytest.fixture
def my(tmp_path: Path) -> Path:
    """A folder with one picture that can be learnt from."""
    write_picture(tmp_path / "my" / "gate.png", 1, 320, 340)
    return tmp_path / "my"


def test_a_teacher_is_named_as_the_start_is_and_minutes_are_handed_on(
    asked: dict[str, Any],
) -> None:
    words = ["train", "edge-n", "--data", "my", "--teacher", "edge-s", "--minutes", "2.5"]
    assert main(words) == 0
    assert asked["teacher"] == WEIGHTS / "edge-s.safetensors"
    assert (asked["minutes"], asked["start"]) == (2.5, None)
    assert main([*words[:4], "--teacher", "runs/m/edge-m.safetensors"]) == 0
    assert (asked["teacher"], asked["minutes"]) == (Path("runs/m/edge-m.safetensors"), None)


def test_the_same_command_with_resume_means_the_same_run(asked: dict[str, Any], capsys) -> None:
    words = ["train", "edge-s", "--from", "edge-s", "--data", "my"]
    assert main(words) == 0
    begun = dict(asked)
    assert main([*words, "--resume"]) == 0
    assert asked.pop("resume") is True
    assert begun.pop("resume") is False
    assert asked.pop("progress") is not begun.pop("progress")
    assert asked == begun
    capsys.readouterr()


def test_mistakes_of_newcomers_are_answered(my: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "tiny").mkdir()
    write_video(tmp_path / "tiny" / "thumb.mp4", width=64, height=64)
    out = ["-o", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    data, tune = ["--data", str(my)], ["train", "edge-n", "--from", "edge-n"]
    for words, said in (
        (["train", "edge-n", "--from", "edge-nn", *data], "did you mean 'edge-n'?"),
        (["train", "edge-m", "--from", "edge-n", *data], "weights of network 'edge-n'"),
        (["train", "edge-n", "--from", str(my), *data], "without a checkpoint"),
        (["train", "edge-n", "--from", "runs/x.safetensors", *data], "does not exist"),
        ([*tune, "--data", str(tmp_path / "empty")], "no training media"),
        ([*tune, "--data", str(tmp_path / "nowhere")], "does not exist"),
        ([*tune, "--data", str(tmp_path / "tiny")], "'thumb.mp4', has 64x64 pixels"),
        ([*tune, *data, "--resume", "--overwrite"], "leave out one"),
    ):
        assert main([*words, *out]) == 2, words
        error = capsys.readouterr().err
        assert said in error, error
        assert "Traceback" not in error
