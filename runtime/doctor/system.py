"""Checks of the computer itself: operating system, Python, processor, memory."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from .finding import Finding
from .machine import Machine

_GIB = 2**30
_LITTLE_MEMORY_BYTES = _GIB
_OLDEST_JETSON_LINUX = 36
"""Jetson Linux 35 is JetPack 5, whose TensorRT is 8.5 (NVIDIA, JetPack SDK Archive)."""

# Dot products of bytes, by the names of the Linux kernel: what int8-cpu is faster by.
_DOT_PRODUCTS = {
    "avx512_vnni": "AVX512-VNNI",
    "avx_vnni": "AVX-VNNI",
    "amx_int8": "AMX-INT8",
    "asimddp": "dot product",
    "i8mm": "I8MM",
}


def operating_system(machine: Machine) -> Iterator[Finding]:
    """Name the system, its C library, and whether this is a container."""
    told = machine.platform()
    release = machine.read("/etc/os-release") or ""
    match = re.search(r'^PRETTY_NAME="?([^"\n]+)', release, re.MULTILINE)
    kernel = f"{told.system} {told.kernel}"
    names = [match[1] if match else "", kernel, told.architecture, told.libc]
    if machine.in_container:
        names.append("in a container")
    seen = ", ".join(filter(None, names))
    if told.system == "Linux":
        yield Finding("system", "fine", seen)
    else:
        yield Finding("system", "note", f"{seen}; the kit is tested on Linux only")


def jetson(machine: Machine) -> Iterator[Finding]:
    """Name the board and its Jetson Linux; nothing on other machines."""
    release = jetson_linux(machine)
    if release is None:
        return
    board = machine.read("/proc/device-tree/model") or "a Jetson"
    seen = f"{board}, Jetson Linux {release}"
    if int(release.partition(".")[0]) < _OLDEST_JETSON_LINUX:
        yield Finding(
            "Jetson",
            "problem",
            f"{seen}, whose TensorRT is older than 10",
            "flash JetPack 6 or newer with NVIDIA's SDK Manager",
        )
    else:
        yield Finding("Jetson", "fine", seen)


def jetson_linux(machine: Machine) -> str | None:
    """Return the version of Jetson Linux, "36.4.3"; None on other machines."""
    told = machine.read("/etc/nv_tegra_release") or ""
    match = re.match(r"# R(\d+) \(release\), REVISION: ([\d.]+)", told)
    return f"{match[1]}.{match[2]}" if match else None


def python(machine: Machine) -> Iterator[Finding]:
    """Name the interpreter and its environment."""
    found = machine.interpreter()
    kind = "the environment" if found.virtual else "the system's"
    version = ".".join(map(str, found.version))
    yield Finding("Python", "fine", f"{version}, {kind} {found.prefix}")


def processor(machine: Machine) -> Iterator[Finding]:
    """Name the processor, the share of it that may be used, and its INT8 instructions."""
    facts = _processor_facts(machine)
    usable, there = machine.cores()
    quota = cpu_quota(machine)
    features = [name for flag, name in _DOT_PRODUCTS.items() if flag in facts.flags]
    share = f"{usable} of {there} cores" if usable < there else f"{there} cores"
    seen = ", ".join(filter(None, [facts.name, share, *features]))
    if quota is not None and quota < usable:
        threads = max(1, int(quota))
        yield Finding(
            "processor",
            "note",
            f"{seen}, but a quota of {quota:g} cores' time: more threads than that wait",
            f"crispstream run ... --threads {threads}",
        )
    elif facts.flags and not features:
        yield Finding("processor", "note", f"{seen}, no INT8 dot product: int8-cpu gains less")
    else:
        yield Finding("processor", "fine", seen)


class _Processor(NamedTuple):
    name: str
    flags: frozenset[str]


def _processor_facts(machine: Machine) -> _Processor:
    told = machine.read("/proc/cpuinfo") or ""
    found: dict[str, str] = {}
    for line in told.splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    name = found.get("model name") or machine.platform().architecture
    # x86 and ARM kernels name the list differently.
    return _Processor(name, frozenset((found.get("flags") or found.get("Features") or "").split()))


def cpu_quota(machine: Machine) -> float | None:
    """Return the CPU time that control groups allow, in cores; None for all of it."""
    quotas = []
    for line in (machine.read("/proc/self/cgroup") or "").splitlines():
        number, controllers, group = (*line.split(":", 2), "", "")[:3]
        for folder in _upwards(group):
            if number == "0":
                quotas.append(_quota(machine.read(f"/sys/fs/cgroup{folder}/cpu.max")))
            elif "cpu" in controllers.split(","):
                base = f"/sys/fs/cgroup/{controllers}{folder}"
                parts = (machine.read(f"{base}/cpu.cfs_{part}_us") for part in ("quota", "period"))
                quotas.append(_quota(" ".join(part or "" for part in parts)))
    return min((quota for quota in quotas if quota is not None), default=None)


def _upwards(group: str) -> Iterator[str]:
    """Yield a control group's folder and those above it, the root as ""; each may have a limit."""
    folder = group.rstrip("/")
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
    yield ""


def _quota(text: str | None) -> float | None:
    """Read "150000 100000", microseconds in a period; "max" and -1 are no quota.

    >>> _quota("150000 100000"), _quota("max 100000"), _quota("-1 100000"), _quota(None)
    (1.5, None, None, None)
    """
    match = re.fullmatch(r"(\d+) (\d+)", (text or "").strip())
    return int(match[1]) / int(match[2]) if match and int(match[2]) else None


def memory(machine: Machine) -> Iterator[Finding]:
    """Tell how much memory there is, and where it may not do."""
    told = machine.read("/proc/meminfo") or ""
    kibibytes = {key: int(value) for key, value in re.findall(r"^(\w+): +(\d+)", told, re.M)}
    if "MemTotal" not in kibibytes:
        return
    total = kibibytes["MemTotal"] * 1024
    available = kibibytes.get("MemAvailable", 0) * 1024
    swap = kibibytes.get("SwapTotal", 0) * 1024
    seen = (
        f"{total / _GIB:.1f} GiB, {available / _GIB:.1f} available, "
        f"{f'{swap / _GIB:.1f} GiB of swap' if swap else 'no swap'}"
    )
    if available < _LITTLE_MEMORY_BYTES:
        yield Finding("memory", "note", seen, "close what else runs: see ps aux --sort=-rss | head")
    elif jetson_linux(machine) and not swap:
        yield Finding(
            "memory",
            "note",
            f"{seen}; the GPU shares it, and building an engine takes the most",
            "sudo fallocate -l 8G /swapfile && sudo chmod 600 /swapfile && "
            "sudo mkswap /swapfile && sudo swapon /swapfile",
        )
    else:
        yield Finding("memory", "fine", seen)
