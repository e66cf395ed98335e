"""Where the jobs of an experiment run."""
