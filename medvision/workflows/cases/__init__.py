"""One case through one pipeline."""
