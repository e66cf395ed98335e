"""Evaluation: scores of test cases, and what can be concluded from them."""
