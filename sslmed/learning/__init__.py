"""What every network in training uses: augmentation, optimizer and schedule, several processes, means over batches."""
