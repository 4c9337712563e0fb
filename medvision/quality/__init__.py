"""Whether a data set can be trusted: labels, intensities, duplicates, and patients on both sides of a split."""
