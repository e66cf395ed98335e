"""One training run: its command line, directory, checkpoints and record."""
