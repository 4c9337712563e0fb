"""Models of other programs as pipelines: what their files say, read as data, and refused where we would do otherwise.

A package for each program. Nothing of a model is ever run: no pickled code, no expression, no class by its name.
"""
