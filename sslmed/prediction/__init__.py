"""Applies trained networks to new images: which images, which networks, and what is written."""
