"""What every room uses: errors, files, progress, logs. Nothing here imports torch."""
