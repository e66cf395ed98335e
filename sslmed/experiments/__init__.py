"""Experiments: the grid of runs behind a figure, run as a workflow."""
