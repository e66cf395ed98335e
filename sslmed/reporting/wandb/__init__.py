"""An experiment's summary and dashboard in Weights & Biases."""
