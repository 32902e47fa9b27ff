"""`python -m benchmarks.gpu_check`, which is `make gpu-check`."""

import sys

from .check import main

sys.exit(main())
