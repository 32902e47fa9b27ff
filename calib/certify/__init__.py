"""Graphs beside fp32 and the truth, and the certificate. Stands on quantise."""
