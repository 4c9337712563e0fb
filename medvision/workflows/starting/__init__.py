"""What a training starts from in place of fresh weights, and what those have seen."""
