"""A mirror of runs in Weights & Biases; the run directories are the truth, and nothing here can make a run fail."""
