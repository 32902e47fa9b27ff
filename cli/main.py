"""The `crispstream` command: one file a command, registered here with its example.

A command imports its stage inside the function, so `crispstream --help` and `crispstream run`
start without torch.
"""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Annotated

import typer

from crispstream.core.errors import CrispstreamError, EngineError

from .bench import bench
from .build import build
from .calibrate import calibrate
from .compare import compare
from .data import data_app
from .doctor import doctor
from .engines import engines_app
from .evaluate import evaluate
from .export import export
from .import_weights import import_weights
from .inspect import inspect
from .plan import plan
from .profile import profile
from .run import run
from .train import train
from .verify import verify
from .warn import show_log

INTERRUPTED = 130  # 128 + SIGINT, what shells expect
UNREAD = 141
"""128 + SIGPIPE: who read the output, as `| head`, left before its end."""

# Order of the help page: what people need first comes first.
COMMANDS: tuple[tuple[Callable[..., object], str], ...] = (
    (run, "crispstream run clip.mp4 sharp.mp4 --model edge-s"),
    (build, "crispstream build edge-n --precision fp16 --size 320x180"),
    (inspect, "crispstream inspect edge-n"),
    (doctor, "crispstream doctor"),
    (bench, "crispstream bench edge-n edge-s --precision fp32,int8 --seconds 20"),
    (profile, "crispstream profile clip.mp4 --model edge-s --html profile.html"),
    (plan, "crispstream plan edge-s --device orin-nano"),
    (compare, "crispstream compare before.json after.json"),
    (evaluate, "crispstream evaluate edge-n bicubic --data examples/media/pairs"),
    (train, "crispstream train edge-n --data photos -o runs/edge-n"),
    (export, "crispstream export runs/edge-n/edge-n.safetensors -o bundles/edge-n"),
    (calibrate, "crispstream calibrate edge-s --set set -o bundles/edge-s-int8"),
    (verify, "crispstream verify bundles/edge-s-int8 --html certificate.html"),
    (import_weights, "crispstream import gfn GFN.pth -o runs/gfn.safetensors"),
)
NAMES: dict[Callable[..., object], str] = {import_weights: "import"}
"""Commands whose name is a word that Python keeps for itself."""

app = typer.Typer(
    name="crispstream",
    help="Turn blurred, low-resolution camera streams into sharp, 4x larger ones.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"crispstream {installed_version()}")
        raise typer.Exit


def installed_version() -> str:
    """Return the version of the installed distribution, or say that there is none."""
    try:
        return metadata.version("crispstream")
    except metadata.PackageNotFoundError:
        return "(not installed: imported from a source folder)"


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Turn blurred, low-resolution camera streams into sharp, 4x larger ones."""


for _function, _example in COMMANDS:
    app.command(NAMES.get(_function), epilog=f"Example: {_example}")(_function)
app.add_typer(data_app, name="data")
app.add_typer(engines_app, name="engines")


def _sentence(error: Exception) -> str:
    """Return what the user reads; the engine's own words follow when the text lacks them.

    What is no error of the kit's is what a stage did not foresee: the system, or a library.
    """
    if isinstance(error, ImportError):
        said = (str(error).strip().splitlines() or ["it does not say why"])[0]
        return f"error: {_package_of(error)} cannot be loaded ({said}); see crispstream doctor"
    if isinstance(error, MemoryError) and not str(error):
        return "error: not enough memory"
    text = f"error: {error}"
    native_log = error.native_log if isinstance(error, EngineError) else ""
    return text if not native_log or native_log in text else f"{text}\n{native_log}"


def _package_of(error: ImportError) -> str:
    """Return the package whose import failed: what the error names, else where it was raised."""
    name, trace = error.name or "", error.__traceback__
    while trace is not None:
        if not error.name:
            name = str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return name.partition(".")[0]


def _was_interrupted(error: BaseException) -> bool:
    """Return whether Ctrl-C is behind an error: C++ modules tell it as a failed import."""
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, KeyboardInterrupt):
        behind = behind.__cause__ or behind.__context__
    return behind is not None


def _exit_code(arguments: Sequence[str] | None) -> int:
    """Run the command line; Ctrl-C counts as such, whatever a library made of it."""
    try:
        return _told_code(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED


def _told_code(arguments: Sequence[str] | None) -> int:
    """Run the command line and turn the kit's own errors into a sentence and a code."""
    try:
        app(args=arguments, prog_name="crispstream")
    except SystemExit as done:
        # What rich and typer make of a pipe that nobody reads: an exit with 1, as after an error.
        if isinstance(done.__context__, BrokenPipeError):
            return UNREAD
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    except (CrispstreamError, OSError, MemoryError, ImportError) as error:
        if _was_interrupted(error):
            raise KeyboardInterrupt from error
        if os.environ.get("CRISPSTREAM_DEBUG") == "1":
            raise
        if isinstance(error, ImportError) and _package_of(error) == "crispstream":
            raise  # our own fault
        typer.echo(_sentence(error), err=True)
        return error.exit_code if isinstance(error, CrispstreamError) else 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: words after `crispstream`; those of the process when None.

    Returns:
        The exit code: 0 fine, 1 failed, 2 bad usage, 130 interrupted, 141 when who read the
        output left before its end.

    Raises:
        CrispstreamError: only with CRISPSTREAM_DEBUG=1, so that Python shows the traceback.
    """
    show_log()
    code = _exit_code(arguments)
    try:
        sys.stdout.flush()
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            code = code or UNREAD
        # The reader (`| head`) or the terminal has left; Python flushes again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if arguments is None and _left_behind():
        # A thread that hangs in a library, such as a connection that nobody answers: were the
        # interpreter taken down around it, it could wake up in what is gone, and crash.
        sys.stderr.flush()
        os._exit(code)
    return code


_MAY_HANG = {"capture", "writer", "open source", "drain", "push-reconnect"}
"""Threads of a stream, by name: they are in libraries that wait for networks and devices."""


def _left_behind() -> bool:
    """Whether a thread of a stream was given up and still runs.

    Those of other libraries are no reason: they have their own ways to end with the process.
    """
    return any(thread.name in _MAY_HANG for thread in threading.enumerate())


if __name__ == "__main__":
    sys.exit(main())
