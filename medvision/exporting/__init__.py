"""Pipelines as files of other programs: MONAI bundles, and graphs of the network alone with all that belongs to them.

What a format cannot hold is refused by name; where its own program does something a little otherwise, that is told.
"""
