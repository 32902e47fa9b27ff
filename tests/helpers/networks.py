"""Counting, tracing and exporting networks without warnings that say nothing."""

import io
import warnings

import onnx
import onnxruntime
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from crispstream.train.models.registry import MODELS


def on_meta(name):
    """The network `name` without values: nothing is drawn and nothing takes memory."""
    with torch.device("meta"):
        return MODELS.get(name)().eval()


def count(module):
    """Parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def gmacs(run):
    """Multiply-accumulates of `run` in thousand millions, and those of matrix products alone.

    Products with a vector and of linear layers are left out of the second.
    """
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        run()
    found = counter.get_flop_counts()["Global"]
    return sum(found.values()) / 2e9, found.get(torch.ops.aten.bmm, 0) / 2e9


def settled(module, seed=0, spread=1.0):
    """Give every parameter and running average a value of its own, and turn to evaluation.

    Fresh normalisations, shares of 0 and biases of 0 would hide half of the layers from a test.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor):
        return torch.randn(tensor.shape, generator=generator).to(tensor.dtype)

    for tensor in module.parameters():
        fan_in = max(1, tensor[0].numel() if tensor.dim() > 1 else 4)
        tensor.data.copy_(normal(tensor) * spread / fan_in**0.5)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.weight.data.copy_(1 + 0.2 * normal(part.weight))
            part.running_mean.copy_(0.2 * normal(part.running_mean))
            part.running_var.copy_(1 + normal(part.running_var).abs())
    return module.eval().requires_grad_(False)


class Flat(nn.Module):
    """A module whose result is a plain tensor or tuple: what a trace may return."""

    def __init__(self, module, pick=lambda result: result):
        super().__init__()
        self.module = module
        self.pick = pick
        self.train(module.training)  # an export puts the mode back that it finds here

    def forward(self, *inputs):
        return self.pick(self.module(*inputs))


def run_traced(module, example, inputs):
    """What the trace of a module, made with `example`, gives for other inputs of its sizes.

    Tracing warns, and so a test fails, where a value and not only a size is frozen.
    """
    with warnings.catch_warnings(), torch.jit.optimized_execution(False):
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.trace(module, tuple(example), check_trace=False)(*inputs)


def onnx_of(module, inputs):
    """The ONNX model of a module, traced at opset 17."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(module, tuple(inputs), file, dynamo=False, opset_version=17)
    return onnx.load_from_string(file.getvalue())


def run_onnx(model, inputs):
    """The outputs of an ONNX model on the CPU."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [given.name for given in session.get_inputs()]
    feed = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
    return [torch.from_numpy(output) for output in session.run(None, feed)]


def reach_px(network, length_px=320, width_px=8):
    """How many LR rows from its own an input row reaches in `hr`; None if it reaches all of them.

    What is NaN goes through every sum and activation, whatever the weights are. Tried on each
    place against the size multiple, for a coarser grid is reached further on one side.
    """
    found = 0
    for at in range(length_px // 2, length_px // 2 + int(network.size_multiple)):
        x = torch.zeros(1, 3, length_px, width_px)
        x[:, :, at] = torch.nan
        with torch.inference_mode():
            hr = network.eval()(x).restored()
        touched = hr.isnan().any(dim=(0, 1, 3)).nonzero().flatten() // 4
        first, last = int(touched.min()), int(touched.max())
        if first == 0 and last == length_px - 1:
            return None
        found = max(found, at - first, last - at)
    return found
