"""Basics for all packages: errors, files, progress, logs. Nothing here imports torch."""
