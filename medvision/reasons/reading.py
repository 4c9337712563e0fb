"""Why a file, its header, its geometry or its values are refused, or told of."""

from __future__ import annotations

from collections.abc import Mapping

from medvision.reasons.reason import Reason

FILES: Mapping[str, Reason] = {
    "not-found": Reason(
        "There is no file or folder of that name.",
        "Cases would be missing from the result, and nobody would know.",
        "Check the spelling; quote paths with spaces; copy a CD as a whole.",
    ),
    "empty-folder": Reason(
        "The folder holds no file.",
        "A copy that was cut short would look like a patient without images.",
        "Check that the copy is complete, or leave the folder out.",
    ),
    "no-image": Reason(
        "No image was found there.",
        "An empty result would look like one without findings.",
        "Name a NIfTI file, a DICOM folder, a zip archive, a PNG or JPEG, an .npz or a list of cases.",
    ),
    "not-an-image": Reason(
        "The content is not what the file's name promises.",
        "What stands in the file would be taken for voxels.",
        "Remove the file, or give the right one.",
    ),
    "checked-in-part": Reason(
        "Not every volume of the series was read.",
        "A volume that was not read can be damaged.",
        "Run the analysis: it reads every volume.",
    ),
    "not-read": Reason(
        "The file or folder was passed over: it is hidden, linked twice, or no image.",
        "It is told so that an image among them is noticed.",
        "Nothing to do, unless it should have been an image; then name it itself.",
    ),
    "not-analysed-here": Reason(
        "The file is a DICOM object without an image to analyse: a report, plan, segmentation or localizer.",
        "It has no volume of its own, and must not become a slice of one.",
        "Nothing to do: it is left out.",
    ),
    "unreadable": Reason(
        "The system does not let the file be read.",
        "Its case would be missing from the result.",
        "Check its permissions and the medium, and copy it again.",
    ),
    "truncated": Reason(
        "The file ends before its data do.",
        "The missing part would be read as zeros or as noise, and be measured.",
        "Copy or download it again; compare its size with the source.",
    ),
    "damaged": Reason(
        "The content does not match its own checksum, size or list.",
        "Voxels would be wrong in places that nobody can see.",
        "Copy or download it again from its source.",
    ),
    "encrypted": Reason(
        "The archive is locked with a password.",
        "Nothing in it can be read.",
        "Unpack it with its password, and name the folder.",
    ),
    "unsafe-path": Reason(
        "A name in an archive or a DICOMDIR leads out of it.",
        "Files that nobody named would be read.",
        "Ask its source; do not unpack it unseen.",
    ),
    "too-large": Reason(
        "More data are claimed or unpacked than are accepted.",
        "The memory or the disk would be used up; such a header is mostly damage.",
        "Check the file; split it, or unpack the archive, if the size is true.",
    ),
    "trailing-bytes": Reason(
        "Bytes follow the image's data, which are whole.",
        "The header may state a wrong size or type, and then the voxels are shifted.",
        "Compare the file with its source, and write it again.",
    ),
}

OBJECTS: Mapping[str, Reason] = {
    "bad-header": Reason(
        "The header, or a file of medvision, contradicts itself or its data.",
        "One of two statements is wrong, and reading by the wrong one gives a wrong image.",
        "Export the file again from its source.",
    ),
    "object-unknown": Reason(
        "The kind of object is not one of the standard.",
        "Its values may follow rules of their own.",
        "Compare some values with those that another program shows.",
    ),
    "unsupported": Reason(
        "This kind of file, object or encoding is not read (yet).",
        "Its rules are not known here, and guessing them gives a wrong image.",
        "Convert it to NIfTI with a tool that you trust, or leave it out.",
    ),
    "codec-missing": Reason(
        "No decoder for this compression is installed.",
        "The pixels cannot be had without it.",
        "Install the decoders: pip install 'medvision-toolkit[codecs]'",
    ),
    "converted": Reason(
        "The file was read in another form than its name, unit or mode says.",
        "It is told so that values and names can be compared with the source.",
        "Nothing to do, if the note is what you expect.",
    ),
}

PLACES: Mapping[str, Reason] = {
    "bad-geometry": Reason(
        "The position, direction or spacing of voxels is missing or impossible.",
        "Volumes, lengths and sides would be made up.",
        "Export the image again with its geometry.",
    ),
    "slices-missing": Reason(
        "Slices, or volumes' slices, are missing.",
        "The gap would be closed: every volume and length across it would be too small.",
        "Fetch the whole series again; --allow-gaps interpolates a gap between slices, and says so.",
    ),
    "technique-differs": Reason(
        "Slices were taken or reconstructed in more than one way.",
        "Values change from slice to slice for another reason than the body.",
        "Look whether the slices belong to one series; export each on its own.",
    ),
    "slices-uneven": Reason(
        "The distances between slices differ.",
        "One spacing for all would place slices wrongly, by centimetres in the worst case.",
        "Fetch the series again, or allow it: --allow-gaps interpolates to even spacing, and says so.",
    ),
    "slices-duplicate": Reason(
        "Two slices lie at one position.",
        "A stack with a slice twice is longer than the patient; time points would be mixed.",
        "Remove the copy, or export the time points as series of their own.",
    ),
    "series-mixed": Reason(
        "Slices of one series do not belong together, or one volume lies in several series.",
        "Slices of other scans, or other patients, would alternate in one volume.",
        "Export each series on its own; --merge-series joins parallel series of one slice each.",
    ),
    "not-3d": Reason(
        "The image is not the one volume, or the one picture, that is wanted.",
        "One of several would be chosen blindly, or all be mixed.",
        "Name the one that is meant, or give a folder, where each volume becomes a case.",
    ),
    "one-slice": Reason(
        "The series has one slice; its depth is the stated slice thickness, or stands for none.",
        "A volume in ml rests on that thickness alone.",
        "Nothing to do; do not measure depths.",
    ),
    "spacing-differs": Reason(
        "The stated spacing is not that of the positions or of the affine.",
        "Tools that believe the statement measure other lengths than this one.",
        "Nothing to do: positions and affine are used.",
    ),
    "gantry-tilt": Reason(
        "Slices are shifted sideways, as by a tilted gantry.",
        "Read as a straight block, the anatomy would be sheared.",
        "Nothing to do: the shear is kept. --orthogonal resamples to right angles.",
    ),
    "resampled": Reason(
        "The volume was resampled onto another grid when it was read.",
        "Its voxels are interpolated: noise and edges are smoother than measured.",
        "Nothing to do: it was asked for. Leave out --orthogonal to keep the voxels.",
    ),
    "forms-differ": Reason(
        "The header's sform and qform place the voxels differently.",
        "Tools that use the other one see another place, perhaps the other side.",
        "Look at the orientation: the sform is used. Make them equal in the source.",
    ),
    "orientation-assumed": Reason(
        "The file does not say how its voxels lie; an orientation was assumed.",
        "Left and right can be exchanged.",
        "Look at the orientation before use.",
    ),
    "no-place": Reason(
        "The picture has no place in the patient.",
        "Its axes count pixels, so that lengths in mm cannot be had.",
        "Measure in pixels.",
    ),
    "spacing-source": Reason(
        "The spacing of a projection is as stated; it can be that at the detector.",
        "At the detector, lengths are larger than in the patient.",
        "Do not take its lengths for those in the patient, unless the picture was calibrated.",
    ),
}

VALUES: Mapping[str, Reason] = {
    "bad-rescale": Reason(
        "The rule from stored to real values is missing or impossible.",
        "Values would not be HU, Bq/ml or whatever the pipeline was made for.",
        "Export the series again.",
    ),
    "not-finite": Reason(
        "Voxels or results are NaN, infinite or too large.",
        "One such voxel spoils every mean, and the network's answer around it.",
        "Replace them in the source, or read them as another value: --nan-to X of `run`; for a training, of `convert`.",
    ),
    "constant-image": Reason(
        "All voxels have the same value.",
        "An image that was lost in an export would be analysed as if it showed nothing.",
        "Check the export of the image.",
    ),
    "slab-constant": Reason(
        "Slices of a single value lie beside full ones, as a broken copy leaves them.",
        "Organs in these slices would be measured as absent.",
        "Export or copy the image again.",
    ),
    "inverted": Reason(
        "Grey values that are stored bright to dark (MONOCHROME1) were inverted.",
        "Unturned, air would be bright and bone dark.",
        "Nothing to do.",
    ),
    "padding-replaced": Reason(
        "Voxels that are marked as padding were set to the least other value.",
        "Padding of -2000 or 0 is no measurement, and would enter every mean.",
        "Nothing to do.",
    ),
    "lossy-compressed": Reason(
        "The image was compressed with loss.",
        "Fine texture and values are not those that were measured.",
        "Use the original, if there is one.",
    ),
    "suv": Reason(
        "PET values became standardised uptake values (SUVbw).",
        "Thresholds for Bq/ml do not fit them.",
        "Nothing to do; --bqml keeps Bq/ml.",
    ),
    "suv-unknown": Reason(
        "The header does not allow standardised uptake values; the values stay as they are.",
        "Thresholds for SUV do not fit them, and patients cannot be compared.",
        "Fetch the series again with the tag that is named, or ask for the stored unit: --bqml.",
    ),
}
