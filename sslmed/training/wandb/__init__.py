"""Mirrors a run to Weights & Biases while it trains."""
