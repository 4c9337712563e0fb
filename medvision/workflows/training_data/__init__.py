"""The cases of trainings: labelled or not, read and prepared, and what is doubtful about them."""
