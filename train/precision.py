"""In which precision a device trains best."""

from typing import Literal

import torch

Precision = Literal["bf16-mixed", "32-true"]
"""Lightning's names: convolutions in bfloat16 and sums in fp32, or everything in fp32."""


def training_precision(mixed: bool) -> Precision:
    """Return mixed precision if it is wanted, and the device computes in bfloat16 by itself.

    oneDNN and CUDA also take bfloat16 where the hardware has none, slower than fp32: torch's own
    checks of oneDNN say yes to any CPU with AVX-512, so the instruction set is asked for.
    """
    if not mixed:
        return "32-true"
    if torch.cuda.is_available():
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bf16 = torch.cpu._is_avx512_bf16_supported()
    return "bf16-mixed" if has_bf16 else "32-true"
