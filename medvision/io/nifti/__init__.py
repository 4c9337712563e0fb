"""NIfTI-1 and NIfTI-2 files: header first, then size and geometry, then voxels, then the checksum.

The format is defined by nifti1.h (2007) and nifti2.h (2011) of the NIfTI Data Format Working Group.
"""

from medvision.io.nifti.header import MAX_BYTES as MAX_BYTES
from medvision.io.nifti.header import UNSIZED as UNSIZED
from medvision.io.nifti.read import NiftiImage as NiftiImage
from medvision.io.nifti.read import open_nifti as open_nifti
from medvision.io.nifti.read import read_nifti as read_nifti
from medvision.io.nifti.read import volumes_in as volumes_in
