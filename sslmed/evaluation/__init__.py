"""Evaluation: scores of test cases, with confidence intervals and tests."""
