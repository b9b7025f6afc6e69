"""Sound: reading files, resampling, windows, and what can be wrong with it."""
