"""De-identification of DICOM after PS3.15, Annex E: what is removed, replaced, kept, and what risk remains.

``profile`` is the standard's table, ``elements`` applies it, ``lettering`` looks for text in pixels, and ``instance``
tells the story of one file.
"""

from medvision.deid.identity import birth_date, patient_id, patient_key
from medvision.deid.instance import Deidentified, deidentified
from medvision.deid.lettering import Box, find_lettering
from medvision.deid.objects import DIRECTORY
from medvision.deid.pixels import Decoder
from medvision.deid.profile import OPTIONS, DeidOptions, edition
from medvision.deid.secret import Secret

__all__ = [
    "DIRECTORY",
    "OPTIONS",
    "Box",
    "Decoder",
    "DeidOptions",
    "Deidentified",
    "Secret",
    "birth_date",
    "deidentified",
    "edition",
    "find_lettering",
    "patient_id",
    "patient_key",
]
