"""`crispstream run --device`: where decoder, network and encoder work, with one option for all."""

import os
from collections.abc import MutableMapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from crispstream.core.errors import EngineError, UsageError

if TYPE_CHECKING:
    from crispstream.runtime.stream.cameras.camera import Camera

    from .run_one import Request

    Asked = TypeVar("Asked", Request, Camera)

AUTO, ON_CPU = "auto", "cpu"
_ORDER, _VISIBLE = "CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES"


def use_device(device: str, environ: MutableMapping[str, str] = os.environ) -> None:
    """Let this process see one GPU only; `auto` and `cpu` change nothing.

    Engine, NVDEC and NVENC each count GPUs by themselves, and all of them heed CUDA's variables:
    CUDA C++ Programming Guide, "CUDA Environment Variables". To be called before CUDA is loaded.

    Args:
        device: `auto`, `cpu`, or a GPU's number as nvidia-smi counts. Where CUDA_VISIBLE_DEVICES is
            set already, the number counts in that list, in which CUDA may have an order of its own.
        environ: the variables of this process.

    Raises:
        UsageError: if it is none of them, or the list is shorter.
        EngineError: if there is no such GPU here.
    """
    if device in (AUTO, ON_CPU):
        return
    if not device.isdecimal():
        raise UsageError(
            f"there is no device '{device}'; give auto, cpu, or the number of a GPU as nvidia-smi "
            "counts, such as 0"
        )
    if (listed := environ.get(_VISIBLE)) is None:
        environ[_ORDER], environ[_VISIBLE] = "PCI_BUS_ID", str(int(device))
    else:
        environ[_VISIBLE] = _chosen(int(device), listed)
    _check_it_is_there(device)


def _chosen(number: int, listed: str) -> str:
    visible = [name.strip() for name in listed.split(",") if name.strip()]
    if number >= len(visible):
        raise UsageError(
            f"--device is {number}, and {_VISIBLE}={listed} has {len(visible)} to choose from, "
            "counted from 0; change one of them"
        )
    return visible[number]


def _check_it_is_there(device: str) -> None:
    from crispstream.runtime.engine.available import driver_starts

    if not driver_starts():
        raise EngineError(
            f"the NVIDIA driver gives no GPU {device}; list them with nvidia-smi -L, or choose "
            "--device cpu"
        )


def on_device(asked: "Asked", device: str) -> "Asked":
    """Return what is asked of a stream, as it is done on `device`.

    Raises:
        UsageError: if the GPU is asked for, and the CPU as the device.
    """
    if device != ON_CPU:
        return asked
    computed = asked.model == "bicubic" and not asked.has_ladder  # and takes no backend
    return replace(
        asked,
        backend=AUTO if computed else _on_cpu("backend", asked.backend, "onnxruntime"),
        source_options=replace(
            asked.source_options, decoder=_on_cpu("decoder", asked.source_options.decoder, ON_CPU)
        ),
        sink_options=replace(
            asked.sink_options, encoder=_on_cpu("encoder", asked.sink_options.encoder, ON_CPU)
        ),
    )


def _on_cpu(what: str, asked: str, name: str) -> str:
    if asked not in (AUTO, name):
        raise UsageError(
            f"--device is {ON_CPU}, and the {what} is to be {asked}; leave one of them out"
        )
    return name
