"""Frames larger than an engine takes: cut into tiles, restored, and joined again."""
