"""Images and the systemd unit hold together: paths, extras, users, and the kit's own commands."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from crispstream.cli.build import build
from crispstream.cli.doctor import doctor
from crispstream.cli.run import run

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "examples/deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DOCKERFILES = sorted(DEPLOY.glob("Dockerfile.*"))
UNIT = DEPLOY / "crispstream.service"
PROGRAM = "/opt/crispstream/bin/crispstream"

app = typer.Typer()
app.command()(build)
app.command()(run)
app.command()(doctor)


def parse_command(words: list[str]) -> None:
    """Let the kit's command line read the words after the program's name."""
    group = typer.main.get_command(app)
    context = group.make_context("crispstream", list(words))
    name, command, rest = group.resolve_command(context, words)
    assert command is not None
    command.make_context(name, list(rest))


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Return each instruction and its arguments, joined over backslashes, without comments."""
    lines = dockerfile.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    whole = text.replace("\\\n", " ").splitlines()
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in whole if line]


def arguments(dockerfile: Path, instruction: str) -> list[str]:
    return [rest for name, rest in instructions(dockerfile) if name == instruction]


def settings(unit: Path) -> dict[str, list[str]]:
    """Return key -> values of all sections, in their order."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def unit_command(line: str, environment: dict[str, str]) -> list[str]:
    """Return a command as systemd splits it: ${X} is one word, $X is as many as it has."""
    words: list[str] = []
    for word in line.removeprefix("-").split():
        if word.startswith("${"):
            words.append(environment[word[2:-1]])
        elif word.startswith("$"):
            words.extend(environment[word[1:]].split())
        else:
            words.append(word)
    return words


def test_there_are_two_images() -> None:
    assert [path.suffix for path in DOCKERFILES] == [".jetpack6", ".tensorrt"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_starts_from_a_pinned_tag(dockerfile: Path) -> None:
    (base,) = arguments(dockerfile, "FROM")
    assert re.fullmatch(r"nvcr\.io/nvidia/[a-z0-9-]+:[\w.-]*\d[\w.-]*", base)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_copies_all_that_the_distribution_is_made_of(dockerfile: Path) -> None:
    sources = {word for line in arguments(dockerfile, "COPY") for word in line.split()[:-1]}
    for source in sources:
        assert (ROOT / source).exists(), f"{dockerfile.name} copies {source}, which is not there"
    project, setuptools = PROJECT["project"], PROJECT["tool"]["setuptools"]
    needed = {"pyproject.toml", "constraints.txt", project["readme"], *project["license-files"]}
    assert sources >= needed | set(setuptools["package-dir"].values())


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_installs_extras_that_exist_with_the_tested_versions(dockerfile: Path) -> None:
    lines = [line for line in arguments(dockerfile, "RUN") if "pip install" in line]
    assert lines
    assert all("-c constraints.txt" in line for line in lines)
    extras = {extra for line in lines for extra in re.findall(r'"\.\[([\w,]+)\]"', line)}
    assert extras == {"cuda"}
    assert extras <= set(PROJECT["project"]["optional-dependencies"])


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_runs_as_a_user_who_owns_the_cache(dockerfile: Path) -> None:
    order = instructions(dockerfile)
    users = [number for number, (name, _) in enumerate(order) if name == "USER"]
    installs = [number for number, (_, rest) in enumerate(order) if "pip install" in rest]
    (user,) = arguments(dockerfile, "USER")
    assert user != "root"
    assert users[0] > installs[-1]
    (volume,) = arguments(dockerfile, "VOLUME")
    assert f"CRISPSTREAM_CACHE={volume}" in " ".join(arguments(dockerfile, "ENV"))
    assert f"install -d -o {user} -g {user} {volume}" in " ".join(arguments(dockerfile, "RUN"))


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_calls_commands_that_exist(dockerfile: Path) -> None:
    (entry,) = arguments(dockerfile, "ENTRYPOINT")
    (default,) = arguments(dockerfile, "CMD")
    (health,) = arguments(dockerfile, "HEALTHCHECK")
    assert json.loads(entry) == [PROGRAM]
    parse_command(json.loads(default))
    program, *words = json.loads(health.partition("CMD ")[2])
    assert program == PROGRAM
    assert words == ["doctor", "--json"]
    parse_command(words)


@pytest.mark.parametrize("options", ["", "--overwrite --precision fp16 --report /tmp/report.json"])
def test_the_units_command_is_understood(options: str) -> None:
    found = settings(UNIT)
    pairs = [value.partition("=") for value in found["Environment"]]
    environment = {name: value for name, _, value in pairs} | {"OPTIONS": options}
    (line,) = found["ExecStart"]
    program, *words = unit_command(line, environment)
    assert program == PROGRAM
    assert words[:3] == ["run", environment["SOURCE"], environment["SINK"]]
    parse_command(words)
    (before,) = found["ExecStartPre"]
    assert before.startswith("-"), "a problem that doctor finds must not stop the stream"
    parse_command(unit_command(before, environment)[1:])


def test_the_unit_knows_the_kits_exit_codes_and_folders() -> None:
    found = {key: values[-1] for key, values in settings(UNIT).items()}
    assert found["Restart"] == "on-failure"
    assert found["RestartPreventExitStatus"] == "2"
    assert (found["KillSignal"], found["SuccessExitStatus"]) == ("SIGINT", "130")
    cache = f"CRISPSTREAM_CACHE=/var/cache/{found['CacheDirectory']}"
    assert cache in settings(UNIT)["Environment"]
    assert found["User"] != "root"


def test_the_unit_hides_no_gpu() -> None:
    hiding = {"PrivateDevices", "DeviceAllow", "DevicePolicy", "ProtectClock"}
    assert not hiding & set(settings(UNIT))
    assert "MemoryDenyWriteExecute" not in settings(UNIT)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8")
    copy.write_text(text.replace(PROGRAM, sys.executable), encoding="utf-8")  # one that is there
    command = ["systemd-analyze", "verify", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    complaints = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, complaints) == (0, []), done.stderr


def test_a_service_is_installed_and_prepared_as_the_images_are() -> None:
    page = (DEPLOY / "README.md").read_text(encoding="utf-8")
    (install,) = re.findall(r"^sudo .*/pip install .*$", page, re.MULTILINE)
    assert '".[cuda]" "cuda-bindings==12.*"' in install
    unit = settings(UNIT)
    prefix = f"sudo -u {unit['User'][0]} env {unit['Environment'][-1]}"
    for name in (DEPLOY / "README.md", ROOT / "docs/jetson.md"):
        text = name.read_text(encoding="utf-8").replace("\\\n", " ")
        (ahead,) = re.findall(rf"^{re.escape(prefix)} +{PROGRAM} (build .*)$", text, re.MULTILINE)
        parse_command(shlex.split(ahead))


def test_the_page_names_every_file_and_commands_that_exist() -> None:
    page = (DEPLOY / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in DEPLOY.iterdir()} - {"README.md"}
    assert {name for name in files if f"`{name}`" in page} == files
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    runs = [line for line in lines if "crispstream:tensorrt run" in line]
    assert runs
    for line in runs:
        parse_command(shlex.split(line.partition("crispstream:tensorrt ")[2]))
    for path in re.findall(r"examples/deploy/[\w.]+", "\n".join(lines)):
        assert (ROOT / path).is_file()
