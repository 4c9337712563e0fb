"""Frames of DICOM headers as the tests of grids, volumes and values need them: no file lies behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medvision.io.dicom.frame import Frame

STORAGE = "1.2.840.10008.5.1.4.1.1."
CT, MR, PET, DX, US, DOSE = (STORAGE + uid for uid in ("2", "4", "128", "1.1", "6.1", "481.2"))


def frame(k: int = 0, **stated: Any) -> Frame:
    """Return an axial CT slice 3k mm above the first, of 5 columns and 6 rows; `stated` replaces attributes."""
    values: dict[str, Any] = {
        "file": Path(f"slice{k:03d}"),
        "number": 0,
        "transfer_syntax": "1.2.840.10008.1.2.1",
        "is_assumed": False,
        "sop_class": CT,
        "sop_instance": f"1.{k + 1}",
        "study": "1.2",
        "series": "1.3",
        "patient": "P",
        "frame_of_reference": "1.4",
        "modality": "CT",
        "image_type": ("ORIGINAL", "PRIMARY", "AXIAL"),
        "description": None,
        "series_number": 1,
        "position": (-9.0, -8.0, 3.0 * k),
        "orientation": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        "patient_orientation": (),
        "pixel_spacing": (1.0, 2.0),
        "imager_spacing": None,
        "slice_thickness": 3.0,
        "spacing_between": None,
        "rows": 6,
        "columns": 5,
        "frames": 1,
        "samples": 1,
        "photometric": "MONOCHROME2",
        "bits_allocated": 16,
        "bits_stored": 16,
        "high_bit": 15,
        "pixel_representation": 0,
        "slope": 1.0,
        "intercept": 0.0,
        "rescale_type": None,
        "has_modality_lut": False,
        "has_real_world_map": False,
        "units": None,
        "padding": None,
        "padding_limit": None,
        "is_lossy": False,
        "scaling": None,
        "order": (),
        "pixels": None,
    }
    return Frame(**{**values, **stated})


def picture(**stated: Any) -> Frame:
    """Return a digital radiograph without spacing or directions."""
    gone = dict.fromkeys(("position", "orientation", "pixel_spacing", "slice_thickness", "slope", "intercept"))
    return frame(**{**gone, "sop_class": DX, "modality": "DX", **stated})
