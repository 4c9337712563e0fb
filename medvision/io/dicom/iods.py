"""What the CT, MR and PET image objects must state, and the facts of an acquisition that they can state.

PS3.3, A.3, A.4 and A.21, with the modules that all images have (C.7) and those of CT (C.8.2.1), MR (C.8.3.1) and PET
(C.8.9).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SOP_CLASSES = {  # PS3.4, B.5
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
}
"""The Storage SOP Class of each modality that is written."""

UNITS_OF_PET: Mapping[str, Mapping[str, str]] = {
    "BQML": {"Units": "BQML"},
    "CNTS": {"Units": "CNTS"},
    "GML": {"Units": "GML"},
    "SUVbw": {"Units": "GML", "SUVType": "BW"},
}
"""The elements that state the unit of a PET volume."""

OF_PET = ("SeriesType", "DecayCorrection", "FrameReferenceTime")
"""What a PET image must state (type 1) and no default says truly."""

_EMPTY = {  # elements of type 2: they must stand there, and are empty where nothing is known
    "": "PatientBirthDate PatientSex StudyDate StudyTime StudyID AccessionNumber ReferringPhysicianName SeriesNumber "
    "Manufacturer PositionReferenceIndicator Laterality",
    "CT": "PatientPosition KVP AcquisitionNumber",
    "MR": "PatientPosition ScanOptions MRAcquisitionType RepetitionTime EchoTime EchoTrainLength",
    "PT": "AcquisitionDate AcquisitionTime CorrectedImage CollimatorType ActualFrameDuration "
    "RadiopharmaceuticalInformationSequence PatientOrientationCodeSequence PatientGantryRelationshipCodeSequence",
}
_NEUTRAL: dict[str, dict[str, Any]] = {  # elements of type 1, with the value that claims least
    "CT": {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]},
    "MR": {"ImageType": ["DERIVED", "SECONDARY", "OTHER"], "ScanningSequence": "RM", "SequenceVariant": "NONE"},
    "PT": {
        "ImageType": ["DERIVED", "PRIMARY"],
        "SeriesDate": "19000101",
        "SeriesTime": "000000",
        "CountsSource": "EMISSION",
    },
}
_FACTS = {
    "": "Manufacturer ManufacturerModelName SoftwareVersions BodyPartExamined Laterality "
    "SliceThickness LossyImageCompression LossyImageCompressionRatio LossyImageCompressionMethod",
    "CT": "PatientPosition KVP XRayTubeCurrent ExposureTime Exposure ConvolutionKernel DataCollectionDiameter "
    "ReconstructionDiameter FilterType FocalSpots",
    "MR": "PatientPosition ScanningSequence SequenceVariant ScanOptions MRAcquisitionType RepetitionTime EchoTime "
    "EchoTrainLength InversionTime FlipAngle MagneticFieldStrength ImagingFrequency ImagedNucleus NumberOfAverages "
    "PixelBandwidth EchoNumbers InPlanePhaseEncodingDirection",
    "PT": "SeriesType CountsSource DecayCorrection CorrectedImage CollimatorType FrameReferenceTime DecayFactor "
    "DoseCalibrationFactor ScatterFractionFactor DeadTimeFactor ActualFrameDuration ReprojectionMethod "
    "SeriesTime AcquisitionTime RadiopharmaceuticalInformationSequence",
}


def required(modality: str) -> dict[str, Any]:
    """Return the elements that an image of `modality` must have, as they are where nothing is known.

    A PET image must state a Series Date; 1900-01-01 says that there is none.

    >>> required("MR")["ScanningSequence"], required("MR")["EchoTime"]
    ('RM', None)
    """
    empty = dict.fromkeys(f"{_EMPTY['']} {_EMPTY[modality]}".split())
    return {**empty, **_NEUTRAL[modality]}


def facts_of(modality: str) -> list[str]:
    """Return the keywords of what a scanner states about an acquisition of `modality`, and that identifies nobody."""
    return f"{_FACTS['']} {_FACTS[modality]}".split()
