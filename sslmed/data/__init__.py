"""Data: what exists on disk, how it is prepared, and which cases a run sees."""
