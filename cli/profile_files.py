"""The files of `crispstream profile`: record, page, trace, and layers as trtexec writes them."""

import json as json_text
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crispstream.core.errors import CrispstreamError
from crispstream.core.files import write_json_atomically

from .warn import say
from .written import written

if TYPE_CHECKING:
    from crispstream.runtime.measure.plan.record import PlanRecord
    from crispstream.runtime.measure.profiling.record import LayerProfile, ProfileRecord
    from crispstream.runtime.measure.profiling.watching import Profiler


@dataclass(frozen=True)
class Files:
    """What is to be written; None for what is not."""

    report: Path | None = None
    html: Path | None = None
    trace: Path | None = None
    export_profile: Path | None = None
    export_layer_info: Path | None = None

    def by_option(self) -> dict[str, Path | None]:
        """Return them by the options that ask for them."""
        return {f"--{name.replace('_', '-')}": path for name, path in vars(self).items()}

    @property
    def need_layers(self) -> bool:
        """Whether one of them holds nothing but layers."""
        return self.export_profile is not None or self.export_layer_info is not None


def write_files(
    files: Files, record: "ProfileRecord", profiler: "Profiler", model: str, device: str | None
) -> None:
    """Write what was asked for.

    Args:
        files: where to.
        record: the profile.
        profiler: that watched it, which has the trace.
        model: as the user named it.
        device: whose roof the page shows the layers against; None for none.

    Raises:
        SinkError: if a file cannot be written.
        CrispstreamError: if layers are asked for and there are none.
    """
    if files.report is not None:
        from crispstream.runtime.measure.records import write_record

        with written(files.report):
            write_record(record, files.report)
    if files.trace is not None:
        from crispstream.runtime.measure.profiling.trace import write_trace

        with written(files.trace):
            write_trace(profiler, files.trace, record.layers)
    if files.html is not None:
        from crispstream.runtime.measure.pages.profile import write_html

        planned = None if device is None else _plan(record, model, device)
        with written(files.html):
            write_html(record, files.html, planned)
    _export(files, record)


def _plan(record: "ProfileRecord", model: str, device: str) -> "PlanRecord | None":
    """Return the plan of what was profiled; None, with a warning, where there can be none."""
    from crispstream.runtime.engine.models import find_model
    from crispstream.runtime.measure.plan.devices import find_device
    from crispstream.runtime.measure.plan.planning import plan

    try:
        bundle = find_model(model)
        graph = next(each for each in bundle.graphs if each.sha256 == record.graph_sha256)
        return plan(bundle, graph, find_device(device), record.size, profile=record)
    except (CrispstreamError, StopIteration) as error:
        why = str(error) or f"{model} has no graph"
        say(f"warning: the page has no roofline: {why}")
        return None


def _export(files: Files, record: "ProfileRecord") -> None:
    from crispstream.runtime.measure.profiling.trtexec import layer_info, layer_records

    if files.export_profile is not None:
        with written(files.export_profile):
            write_json_atomically(files.export_profile, layer_records(_layers(record)))
    if files.export_layer_info is not None:
        with written(files.export_layer_info):
            write_json_atomically(files.export_layer_info, layer_info(_layers(record)))


def _layers(record: "ProfileRecord") -> "LayerProfile":
    if record.layers is None:
        why = next((note for note in record.notes if note.startswith("No layers")), "")
        raise CrispstreamError(f"there are no layers to write; all else is written. {why}")
    return record.layers


def as_line(record: "ProfileRecord") -> str:
    """Return the record as one line of JSON."""
    from crispstream.runtime.measure.records import as_json

    return json_text.dumps(as_json(record))
