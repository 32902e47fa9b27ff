"""What happens on the device: restore, stream, measure; imported by `cli` and `calib` only."""
