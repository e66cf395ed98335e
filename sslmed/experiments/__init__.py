"""Experiments: the grid of runs behind a figure, as a workflow, and the figure."""
