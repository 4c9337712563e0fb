"""Pipelines as MONAI bundles: ``networks`` and ``transforms`` name what MONAI has, ``writing`` lays out the folder."""
