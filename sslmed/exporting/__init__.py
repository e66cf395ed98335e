"""Hands a trained network on: exports in several formats, and a model that is applied to any image."""
