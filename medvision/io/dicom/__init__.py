"""DICOM: from files to series, from headers to grids, from pixels to real values.

``header`` reads what a file states, ``series`` sorts files into series, ``grid`` places their slices, ``read`` gives
their voxels. Everything is placed by each slice's own position; nothing by names or Instance Numbers.
"""
