"""Elements that the standard's table does not list, and that are kept: without them, images cannot be used."""

from __future__ import annotations

TERMS = frozenset(
    (
        "AcquisitionMode",
        "AttenuationCorrectionMethod",
        "CardiacFramingType",
        "CollimatorGridName",
        "ConvolutionKernel",
        "DetectorManufacturerModelName",
        "DetectorManufacturerName",
        "FilterType",
        "ImageFilter",
        "ImagedNucleus",
        "Manufacturer",
        "ManufacturerModelName",
        "ModalityLUTType",
        "PVCRejection",
        "PhosphorType",
        "PlateType",
        "PulseSequenceName",
        "RandomsCorrectionMethod",
        "ReceiveCoilName",
        "ReconstructionMethod",
        "RescaleType",
        "ScatterCorrectionMethod",
        "SecondaryCaptureDeviceManufacturer",
        "SecondaryCaptureDeviceManufacturerModelName",
        "SegmentAlgorithmName",
        "SequenceName",
        "SoftwareVersions",
        "StackID",
        "TransmitCoilName",
        "TypeOfFilters",
    )
)
"""Short texts that a manufacturer chooses: kept, if they can be technical terms at all."""

DESCRIPTIONS = frozenset(
    (
        "LUTExplanation",
        "Radiopharmaceutical",
        "RadiopharmaceuticalRoute",
        "ViewName",
        "WindowCenterWidthExplanation",
    )
)
"""Texts that are cleaned word by word, under every profile."""

BINARY = frozenset(
    (
        "AlphaPaletteColorLookupTableData",
        "BluePaletteColorLookupTableData",
        "GreenPaletteColorLookupTableData",
        "LUTData",
        "PixelData",
        "RedPaletteColorLookupTableData",
        "SegmentedBluePaletteColorLookupTableData",
        "SegmentedGreenPaletteColorLookupTableData",
        "SegmentedRedPaletteColorLookupTableData",
    )
)
"""Pixels, and the tables that give them their colours and values."""
