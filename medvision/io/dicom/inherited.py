"""What a written series takes over from the DICOM files that its volume was read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medvision.errors import InputError
from medvision.files import sha256_of_text
from medvision.geometry import FloatArray
from medvision.io.dicom.facts import stated
from medvision.io.dicom.iods import facts_of

_DOSES = "RadiopharmaceuticalInformationSequence"
_PHASE = "InPlanePhaseEncodingDirection"
_OF_DOSE = ("RadiopharmaceuticalStartTime", "RadionuclideTotalDose", "RadionuclideHalfLife")
_COMPARED = ("Modality", "ImagePositionPatient", "StudyInstanceUID", "FrameOfReferenceUID")
_IDENTITY = (
    "PatientName PatientID PatientBirthDate PatientSex PatientAge PatientSize PatientWeight StudyDate StudyTime "
    "StudyID StudyDescription AccessionNumber ReferringPhysicianName SeriesDate SeriesTime SeriesDescription "
    "ProtocolName AcquisitionDate AcquisitionTime InstitutionName StationName"
)


@dataclass(frozen=True, eq=False)
class Inherited:
    """The facts that files state, and who it was, if that is asked for.

    Parameters
    ----------
    files
        For each file, values by keyword.
    positions
        (N, 3) Image Position of each, LPS in mm; None where one does not state it.
    keep_identity
        Whether the patient, the study and its dates are taken over too.
    """

    files: tuple[Mapping[str, Any], ...]
    positions: FloatArray | None
    keep_identity: bool

    @classmethod
    def of(cls, files: Sequence[Path], modality: str, *, keep_identity: bool) -> Inherited:
        """Read the files' headers; none gives nothing.

        Raises
        ------
        InputError
            ``modality-differs``; a file cannot be read.
        """
        wanted = [*facts_of(modality), *_COMPARED, *_IDENTITY.split() * keep_identity]
        found = [stated(file, wanted) for file in files]
        for file, one in zip(files, found, strict=True):
            if one.get("Modality") != modality:
                text = f"the volume is {modality}, the file that it is to be like is not"
                raise InputError("modality-differs", text, path=file)
        places = [one.get("ImagePositionPatient") for one in found]
        known = bool(places) and all(place is not None and len(place) == 3 for place in places)
        positions = np.array(places, dtype=np.float64) if known else None
        return cls(tuple(found), positions, keep_identity)

    def first(self, keyword: str) -> Any:
        """Return what the first file states; None where there is none."""
        return self.files[0].get(keyword) if self.files else None

    def elements(self, position: FloatArray) -> dict[str, Any]:
        """Return what a slice at `position` (LPS, mm) takes over: the elements of the file that lies nearest to it."""
        if not self.files:
            return {}
        nearest = 0 if self.positions is None else int(np.linalg.norm(self.positions - position, axis=1).argmin())
        found = {keyword: value for keyword, value in self.files[nearest].items() if keyword not in _COMPARED}
        if found.get(_PHASE) == "COLUMN":  # the word of multi-frame objects
            found[_PHASE] = "COL"
        return found | ({_DOSES: [_dose(found[_DOSES][0])]} if _DOSES in found else {})

    def digest(self) -> str:
        """Return a hash of all that is taken over."""
        facts = (f"{keyword}={file[keyword]}" for file in self.files for keyword in sorted(file))
        return sha256_of_text([str(self.keep_identity), *facts])


def _dose(stated_dose: Any) -> Any:
    """Return the item of a dose without its dates and without what a person typed."""
    from pydicom.dataset import Dataset

    kept = Dataset()
    for keyword in _OF_DOSE:
        if keyword in stated_dose:
            setattr(kept, keyword, stated_dose.get(keyword))
    return kept
