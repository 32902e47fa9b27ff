"""The kit's own benchmark: defined, built and judged. Imported by cli and by scripts."""
