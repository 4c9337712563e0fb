"""What a training keeps in its folder: whose it is, that it is done, and what it came to."""
