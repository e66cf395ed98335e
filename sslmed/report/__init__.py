"""The report of an experiment: one HTML file that needs neither a network nor anything beside it."""
