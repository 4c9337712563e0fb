"""One training, from prepared cases to a pipeline folder: its time, its loop and what it leaves."""
