"""Executors, which run the jobs of an experiment."""
