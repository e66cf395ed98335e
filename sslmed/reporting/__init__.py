"""What finished runs say: tables, summaries, figures, the HTML report."""
