"""Latency profiling: what a run or a model cost, told to people and machines; imported by `cli`."""
