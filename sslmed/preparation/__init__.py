"""From files as they come to normalised, memory-mapped arrays."""
