"""Images for the comparison that the data sets do not hold: larger ones, made from theirs."""

from __future__ import annotations

from pathlib import Path


def enlarged(image: Path, out: Path, shape: tuple[int, int, int], spacing_mm: float) -> Path:
    """Write an image resampled to a shape (linear), with some noise so that nothing in it is smooth; return its path.

    The file is named as nnU-Net wants the first channel of a case.
    """
    import nibabel
    import numpy as np
    from scipy.ndimage import zoom

    voxels = np.asarray(nibabel.load(image).dataobj, dtype=np.float32)
    larger = zoom(voxels, [wanted / size for wanted, size in zip(shape, voxels.shape, strict=True)], order=1)
    noise = np.random.default_rng(0).normal(0, 0.02 * float(np.ptp(voxels)), larger.shape)
    made = nibabel.Nifti1Image((larger + noise).astype(np.float32), np.diag([spacing_mm] * 3 + [1.0]))
    out.parent.mkdir(parents=True, exist_ok=True)
    written = out.with_name(f"{out.name}_0000.nii.gz")
    nibabel.save(made, written)
    return written
