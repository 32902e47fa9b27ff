"""The fake backend gives exactly the kit's bicubic."""

import numpy as np

from crispstream.core.bicubic import upscale_x4
from crispstream.runtime.engine.backends.bicubic import BicubicBackend


def test_equals_the_one_bicubic_in_every_slot() -> None:
    rng = np.random.default_rng(0)
    backend = BicubicBackend()
    backend.allocate(9, 7, slots=2)
    for slot in range(2):
        frame = rng.integers(0, 256, (9, 7, 3), np.uint8)
        backend.frame(slot)[:] = frame
        backend.submit(slot)
        backend.wait(slot)
        np.testing.assert_array_equal(backend.restored(slot), upscale_x4(frame))
    backend.close()
    backend.close()
