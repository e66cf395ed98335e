"""Reporting of finished runs: tables, summaries, figures, the HTML report."""
