"""The parts of `scripts/benchmark.py`; a section is a module with `SIZES` and `measure(sizes, folder)`."""
