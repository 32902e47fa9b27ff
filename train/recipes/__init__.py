"""Recipes: every choice of a training, by name."""
