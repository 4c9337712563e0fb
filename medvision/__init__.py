"""medvision: from a folder of scans to a report, for segmentation and classification, never silently wrong."""

__version__ = "0.1.0"
