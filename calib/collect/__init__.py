"""Calibration sets: frames chosen from streams. For calibrate and above."""
