"""From ranges to INT8 graphs: what is measured, chosen and inserted. For calibrate and above."""
