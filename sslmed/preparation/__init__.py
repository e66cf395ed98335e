"""Prepares image files: reads, checks, normalises and resizes them, and writes memory-mapped arrays."""
