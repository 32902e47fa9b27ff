"""`crispstream plan`: how fast a model can be on a device that is not at hand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crispstream.core.errors import UsageError

from .build_options import BundleName
from .run_checks import check_files
from .run_options import size_or_none
from .written import written

if TYPE_CHECKING:
    from crispstream.core.bundle import Bundle
    from crispstream.runtime.measure.plan.record import PlanRecord
    from crispstream.runtime.measure.profiling.record import ProfileRecord

DeviceName = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="orin-nano, l4, rtx-4070, h200 ... (any other name lists them); cpu: this one, "
        "measured on the spot; or a TOML with a device's figures.",
    ),
]
Precision = Annotated[
    str,
    typer.Option(help="auto, fp32, fp16 or int8 (int8-cpu on a CPU); auto as in run."),
]
FrameSize = Annotated[
    str | None,
    typer.Option("--size", metavar="SIZE", help="WIDTHxHEIGHT of the frames; 320x180 by default."),
]
ProfileFile = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        metavar="FILE",
        help="Report of crispstream profile on that device: shows the share of the roof that each "
        "layer reaches, and which lose most.",
    ),
]
Report = Annotated[Path | None, typer.Option(help="Write the plan to this JSON file.")]
Html = Annotated[Path | None, typer.Option(help="Write the plan to this HTML page.")]
Json = Annotated[bool, typer.Option("--json", help="Print the plan as one line of JSON.")]


def plan(
    model: BundleName,
    device: DeviceName = None,
    precision: Precision = "auto",
    size: FrameSize = None,
    profile: ProfileFile = None,
    report: Report = None,
    html: Html = None,
    json: Json = False,
) -> None:
    """Tell from the graph alone how fast a model can be on a device: roofs, layer by layer.

    crispstream plan edge-s --device orin-nano

    crispstream plan edge-s --device cpu --size 640x360 --profile profile.json --html plan.html
    """
    from crispstream.runtime.engine.choose import choose_graph
    from crispstream.runtime.engine.models import find_model, shipped_names
    from crispstream.runtime.measure.plan.devices import device_names, find_device
    from crispstream.runtime.measure.plan.planning import BACKENDS
    from crispstream.runtime.measure.plan.planning import plan as planned

    if device is None:
        raise UsageError(f"--device is missing; give one of {', '.join(device_names())}, or a TOML")
    frame = size_or_none("--size", size)
    check_files({"--report": report, "--html": html}, source=str(profile or "://"))
    bundle = find_model(model)
    read = None if profile is None else _read_profile(profile)
    target = find_device(device)
    graph = choose_graph(bundle, precision, BACKENDS[target.kind], allow_uncertified=True)
    record = planned(
        bundle,
        graph,
        target,
        frame,
        beside=[_beside(bundle, name) for name in shipped_names()],
        profile=read,
        profile_name="" if profile is None else str(profile),
    )
    _write(record, report, html)
    _print(record, json=json)


def _beside(bundle: "Bundle", name: str) -> "Bundle":
    from crispstream.runtime.engine.models import find_model

    return bundle if bundle.name == name else find_model(name)


def _read_profile(path: Path) -> "ProfileRecord":
    from crispstream.runtime.measure.profiling.record import ProfileRecord
    from crispstream.runtime.measure.records import read_record

    record = read_record(path)
    if not isinstance(record, ProfileRecord):
        raise UsageError(
            f"'{path}' is a {record.kind} record; give --profile what crispstream profile --report "
            "wrote"
        )
    return record


def _write(record: "PlanRecord", report: Path | None, html: Path | None) -> None:
    from crispstream.runtime.measure.pages.plan import write_html
    from crispstream.runtime.measure.records import write_record

    for path, write in ((report, write_record), (html, write_html)):
        if path is not None:
            with written(path):
                write(record, path)


def _print(record: "PlanRecord", *, json: bool) -> None:
    if json:
        from json import dumps

        from crispstream.runtime.measure.records import as_json

        typer.echo(dumps(as_json(record), allow_nan=False))
        return
    from rich.console import Console

    from .plan_text import print_plan

    print_plan(record, Console())
