"""Runs engines: a frame's way through the GPU. Others import `backend` alone."""
