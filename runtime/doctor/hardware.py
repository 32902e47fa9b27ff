"""Checks of the NVIDIA side: driver, GPU, CUDA toolkit, power and clocks."""

import re
from collections.abc import Iterator

from crispstream.runtime.engine.available import said_and_fix
from crispstream.runtime.engine.device.gpu import Gpu

from .finding import Finding
from .machine import Machine
from .system import jetson_linux

_GIB = 2**30
_NVIDIA = "0x10de"
_DISPLAY_CLASS = "0x03"
"""PCI classes 0x0300 to 0x0380: VGA, 3D and other display controllers."""
_SMI_FIELDS = "persistence_mode,clocks.sm,clocks.max.sm,temperature.gpu"


def driver(machine: Machine) -> Iterator[Finding]:
    """Tell the driver's version and CUDA, or what is missing of it."""
    cuda = machine.driver_cuda()
    version = driver_version(machine)
    if cuda is not None:
        name = version or "of unknown version"
        yield Finding("driver", "fine", f"{name}, up to CUDA {cuda[0]}.{cuda[1]}")
    elif version:
        seen = f"{version} is loaded, but its library libcuda.so.1 is not to be found"
        yield Finding("driver", "problem", seen, _driver_fix(machine))
    elif gpus := _nvidia_gpus(machine):
        seen = f"none, though there is an NVIDIA GPU ({', '.join(gpus)})"
        yield Finding("driver", "problem", seen, _driver_fix(machine))
    else:
        yield Finding("driver", "note", "no NVIDIA driver and no NVIDIA GPU: all runs on the CPU")


def driver_version(machine: Machine) -> str:
    """Return "560.35.03", on a Jetson "Jetson Linux 36.4.3"; "" without a driver."""
    told = machine.read("/proc/driver/nvidia/version") or ""
    match = re.search(r"^NVRM version:.*?\s(\d+\.\d+(?:\.\d+)?)\s", f"{told}\n", re.MULTILINE)
    if match:
        return match[1]
    if release := jetson_linux(machine):
        return f"Jetson Linux {release}"
    # Under WSL only this tells.
    smi = machine.run("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader") or ""
    return (smi.split() or [""])[0]


def _nvidia_gpus(machine: Machine) -> list[str]:
    """Return the PCI names of NVIDIA's display devices, "10de:2684"."""
    found = []
    for path in machine.glob("/sys/bus/pci/devices/*/vendor"):
        folder = path.removesuffix("/vendor")
        kind = machine.read(f"{folder}/class") or ""
        if machine.read(path) == _NVIDIA and kind.startswith(_DISPLAY_CLASS):
            device = machine.read(f"{folder}/device") or "?"
            found.append(f"10de:{device.removeprefix('0x')}")
    return found


def _driver_fix(machine: Machine) -> str:
    if machine.in_container and jetson_linux(machine):
        return "docker run --runtime nvidia ..."
    if machine.in_container:
        return "docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility,video ..."
    family = machine.read("/etc/os-release") or ""
    if re.search(r"^ID(_LIKE)?=.*ubuntu", family, re.MULTILINE):
        return "sudo ubuntu-drivers install && sudo reboot"
    if re.search(r"^ID(_LIKE)?=.*debian", family, re.MULTILINE):
        return "sudo apt install nvidia-driver && sudo reboot"
    return "install NVIDIA's driver for this GPU: https://www.nvidia.com/drivers"


def gpu(machine: Machine) -> Iterator[Finding]:
    """Describe the GPU; without a driver there is nothing to say."""
    found = machine.gpu
    if isinstance(found, Gpu):
        shared = " shared with the CPU" if found.integrated else ""
        major, minor = found.compute_capability
        gibibytes = f"{found.memory_bytes / _GIB:.1f} GiB{shared}"
        seen = f"{found.name}, compute capability {major}.{minor}, {gibibytes}"
        yield Finding("GPU", "fine", seen)
    elif machine.driver_cuda() is not None:
        # Half of what engines need is worse than nothing of it: somebody wanted them.
        wanted = machine.flavours or machine.version_of("pycuda")
        yield Finding("GPU", "problem" if wanted else "note", *said_and_fix(found))


def toolkit(machine: Machine) -> Iterator[Finding]:
    """Tell of the CUDA toolkit, which only compiling pycuda takes."""
    nvcc = machine.which("nvcc")
    hidden = None if nvcc else next(iter(machine.glob("/usr/local/cuda/bin/nvcc")), None)
    path = nvcc or hidden
    told = (machine.run(path, "--version") if path else None) or ""
    match = re.search(r"release (\d+)\.(\d+)", told)
    seen = f"nvcc {match[1]}.{match[2]}, {path}" if match else f"nvcc at {path}"
    cuda = machine.driver_cuda()
    missing_pycuda = cuda is not None and machine.version_of("pycuda") is None
    if path is None:
        seen = "none, and only compiling pycuda takes it"
        package = "cuda-toolkit-{}-{}".format(*cuda) if cuda else ""
        fix = f"sudo apt install {package}" if missing_pycuda else ""
        yield Finding("CUDA toolkit", "note" if fix else "fine", seen, fix)
    elif hidden and missing_pycuda:
        seen = f"{seen}, which PATH lacks, so pycuda cannot be compiled"
        yield Finding("CUDA toolkit", "note", seen, "export PATH=/usr/local/cuda/bin:$PATH")
    elif cuda and match and int(match[1]) > cuda[0]:
        seen = f"{seen}, newer than the driver: pycuda compiled with it will not load"
        fix = f"sudo apt install cuda-toolkit-{cuda[0]}-{cuda[1]}"
        yield Finding("CUDA toolkit", "note", seen, fix)
    else:
        yield Finding("CUDA toolkit", "fine", seen)


def power(machine: Machine) -> Iterator[Finding]:
    """Tell the power mode and whether the clocks are held; nothing without a driver."""
    if jetson_linux(machine):
        yield from _jetson_mode(machine)
        yield from _jetson_clocks(machine)
    elif machine.driver_cuda() is not None:
        yield from _desktop_clocks(machine)


def _jetson_mode(machine: Machine) -> Iterator[Finding]:
    """The mode without a limit is MAXN or MAXN_SUPER; its number differs from board to board."""
    told = machine.run("nvpmodel", "-q") or ""
    match = re.search(r"NV Power Mode: (\S+)", told)
    if match is None:
        return
    modes = re.findall(r"POWER_MODEL ID=(\d+) NAME=(\S+)", machine.read("/etc/nvpmodel.conf") or "")
    fastest = [number for number, name in modes if name.startswith("MAXN")]
    if match[1].startswith("MAXN") or not fastest:
        yield Finding("power mode", "fine", match[1])
    else:
        seen = f"{match[1]}, which holds the clocks down"
        yield Finding("power mode", "note", seen, f"sudo nvpmodel -m {fastest[-1]}")


def _jetson_clocks(machine: Machine) -> Iterator[Finding]:
    """jetson_clocks raises the lowest frequency to the highest; seeing that takes no root."""
    for folder in machine.glob("/sys/class/devfreq/*gpu*") + machine.glob(
        "/sys/class/devfreq/*.ga10b"
    ):
        lowest, highest = (machine.read(f"{folder}/{end}_freq") for end in ("min", "max"))
        if not lowest or not highest:
            continue
        megahertz = f"{int(highest) / 1e6:.0f} MHz"
        if lowest == highest:
            yield Finding("clocks", "fine", f"the GPU is held at {megahertz}")
        else:
            seen = f"the GPU follows the load up to {megahertz}: the first frames are slower"
            yield Finding("clocks", "note", seen, "sudo jetson_clocks")


def _desktop_clocks(machine: Machine) -> Iterator[Finding]:
    told = machine.run("nvidia-smi", f"--query-gpu={_SMI_FIELDS}", "--format=csv,noheader,nounits")
    for number, line in enumerate((told or "").strip().splitlines()):
        persistence, now, most, celsius = (*map(str.strip, line.split(",")), "?", "?", "?", "?")[:4]
        seen = f"GPU {number} at {now} of {most} MHz, {celsius} C"
        if persistence == "Disabled":
            seen = f"{seen}, no persistence mode: the driver starts anew for each program"
            yield Finding("clocks", "note", seen, "sudo nvidia-smi -pm 1")
        else:
            yield Finding("clocks", "fine", seen)
