"""Readers: they list the cases of a dataset, and read voxels or pixels."""
