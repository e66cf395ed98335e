"""Which cases a data folder holds, and their voxels or pixels."""
