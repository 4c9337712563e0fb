"""MONAI bundles: their configuration read as data, and what of it has the same arithmetic here.

``document`` reads the configuration, ``networks``, ``transforms`` and ``inference`` hold the fixed lists of what is
known, ``metadata`` says what goes in and what comes out, and ``reading`` puts them together.
"""
