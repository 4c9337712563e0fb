"""The verbs: each file reads as the story of its verb, and only they know the order of the stages."""
