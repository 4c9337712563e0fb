"""What can go wrong, said so that a person can act on it.

Every problem has a stable reason code. The table :data:`REASONS` says what each code means and what to do;
the errors, the ledger, ``--json`` and the pages all use it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

Grade = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Reason:
    """What a reason code means, and the usual cure."""

    what: str
    cure: str


REASONS: dict[str, Reason] = {
    # reading
    "not-found": Reason("The path does not exist.", "Check the spelling; quote paths with spaces."),
    "empty-folder": Reason("The folder holds no file.", "Check that the copy is complete, or leave the folder out."),
    "no-image": Reason(
        "No image was found there.", "Name a NIfTI file, a DICOM folder, a PNG/JPEG, an .npz or a manifest."
    ),
    "not-an-image": Reason("The content is not what the name promises.", "Remove the file or give the right one."),
    "unreadable": Reason("The file cannot be read.", "Check the file's permissions, and copy it again."),
    "truncated": Reason(
        "The file ends before its data do.", "Copy or download it again; compare its size with the source."
    ),
    "damaged": Reason(
        "The content does not match its own checksum, size or list.", "Copy or download it again from its source."
    ),
    "encrypted": Reason("The archive is locked with a password.", "Unpack it with its password; name the folder."),
    "unsafe-path": Reason(
        "A name leads out of the archive or folder that holds it.", "Ask its source; do not unpack it unseen."
    ),
    "bad-header": Reason("The header contradicts itself or the data.", "Export the image again from its source."),
    "too-large": Reason(
        "The header claims more data than is accepted.", "Check the file; a header this size is mostly damage."
    ),
    "bad-geometry": Reason(
        "The position or spacing of the voxels is missing or impossible.", "Export again with its geometry."
    ),
    "not-3d": Reason("The image is not one 3D volume.", "Split it into volumes, and name the one to analyse."),
    "not-finite": Reason("Voxels are NaN or infinite.", "Replace them in the source; say by what in your notes."),
    "bad-labels": Reason(
        "The label image is not made of the expected whole numbers.", "Export labels as integers with known names."
    ),
    "grid-differs": Reason(
        "Label and image do not lie on the same grid.", "Resample the label onto its image, and look at it."
    ),
    "segments-overlap": Reason(
        "Segments of a segmentation overlap, and a voxel has one label.",
        "Export them apart, or decide which one holds.",
    ),
    "slices-missing": Reason("Slices are missing.", "Fetch the whole series again."),
    "slices-uneven": Reason(
        "Distances between slices differ.",
        "Fetch the series again, or allow it: --allow-gaps interpolates, and says so.",
    ),
    "gantry-tilt": Reason(
        "Slices are shifted sideways, as by a tilted gantry.",
        "Nothing to do: the shear is kept. --orthogonal resamples to right angles.",
    ),
    "resampled": Reason("The volume was resampled onto another grid when read.", "Nothing to do: it was asked for."),
    "slices-duplicate": Reason("Two slices lie at the same position.", "Remove the copy, or split the time points."),
    "series-mixed": Reason(
        "Slices of one series do not belong together.", "Export each series, patient and orientation on its own."
    ),
    "unsupported": Reason("This kind of object is not read (yet).", "Convert it to NIfTI with a tool you trust."),
    "codec-missing": Reason("No decoder for this compression is installed.", "pip install python-gdcm"),
    "bad-rescale": Reason(
        "The rescale from stored to real values is missing or impossible.", "Export the series again."
    ),
    "name-clash": Reason("Two inputs would write to the same output name.", "Rename one, or run them separately."),
    "not-analysed-here": Reason("An object without pixels to analyse.", "Nothing to do: it is left out."),
    "not-read": Reason("A file that is no image.", "Nothing to do: it is left out."),
    "forms-differ": Reason(
        "The header's sform and qform place the voxels differently.", "The sform is used; look at the orientation."
    ),
    "orientation-assumed": Reason(
        "The file does not say how its voxels lie; an orientation was assumed.", "Look at the orientation before use."
    ),
    "trailing-bytes": Reason(
        "Bytes follow the image's data, which are whole.", "Compare the file with its source; write it again."
    ),
    "spacing-differs": Reason(
        "The stated distance of slices is not that of their positions.", "Nothing to do: the positions are used."
    ),
    "one-slice": Reason("The series has one slice.", "Nothing to do: its thickness stands for the spacing."),
    "no-place": Reason("A picture without a place in the patient.", "Measure in pixels."),
    "spacing-source": Reason(
        "The spacing of a projection can be that at the detector.", "Do not take its lengths for those in the patient."
    ),
    "inverted": Reason("Grey values that are stored bright to dark were inverted.", "Nothing to do."),
    "suv": Reason("PET values became standardised uptake values.", "Nothing to do; --bqml keeps Bq/ml."),
    "suv-unknown": Reason(
        "The header does not allow standardised uptake values.", "Fetch the series again with the tag that is named."
    ),
    "lossy-compressed": Reason("The image was compressed with loss.", "Use the original, if there is one."),
    "padding-replaced": Reason("Voxels marked as padding were replaced.", "Nothing to do: they hold no measurement."),
    "converted": Reason("The file was read in another form than its name or mode says.", "Nothing to do."),
    # data sets
    "bad-manifest": Reason("The list of cases cannot be used as it stands.", "Mend the named line or column."),
    "label-missing": Reason("A case has no label to learn from or compare with.", "Add the label or drop the case."),
    "split-leak": Reason("An image or a patient stands on both sides of a split.", "Remove one, or group by patient."),
    "split-ungrouped": Reason(
        "No patient is named, so the split cannot keep patients together.", "Add a patient column to the manifest."
    ),
    "too-few-cases": Reason("There are too few cases for this.", "Add cases."),
    "label-empty": Reason("No voxel of a label image has a label.", "Check that it is finished, and whose it is."),
    "label-absent": Reason("A label that others have is absent.", "Look whether it was forgotten."),
    "duplicate": Reason("The same image is there more than once.", "Remove the copy."),
    "near-duplicate": Reason("Two images are nearly the same.", "Look at both; remove one, or name the patient."),
    "spacing-outlier": Reason("The spacing is unlike that of the other cases.", "Check the header, and its unit."),
    "size-outlier": Reason("The field of view is unlike that of the other cases.", "Look at the image."),
    "intensity-outlier": Reason("The values are unlike those of the other cases.", "Check unit, rescale and window."),
    "volume-outlier": Reason("A label's size is unlike that in the other cases.", "Look at the label."),
    "slab-constant": Reason(
        "Slices of a single value beside full ones, as a broken copy leaves them.", "Export or copy the image again."
    ),
    "classes-imbalanced": Reason("A class is rare, or absent from a split.", "Judge results class by class."),
    # pipelines
    "pipeline-unknown": Reason("There is no pipeline of that name.", "`medvision pipelines list` names them."),
    "pipeline-invalid": Reason("The pipeline file is not valid.", "`medvision pipelines check` names the place."),
    "weights-missing": Reason("The pipeline has no weights yet.", "Train it: `medvision train`."),
    "weights-mismatch": Reason(
        "The weights do not belong to this pipeline.",
        "Restore the pipeline.toml of the training, or train again.",
    ),
    # contract and review
    "modality-differs": Reason("The case's modality is not the pipeline's.", "Use a pipeline made for this modality."),
    "modality-unknown": Reason("The file states no modality.", "Check that it is what the pipeline was made for."),
    "spacing-outside": Reason("The spacing lies outside what the pipeline accepts.", "Look at the result before use."),
    "size-outside": Reason(
        "The field of view is not one that the pipeline accepts.", "Crop or choose another pipeline."
    ),
    "channels-differ": Reason("The number of channels is not the pipeline's.", "Give the channels the card names."),
    "side-mirrored": Reason("The case was mirrored for the network, and its result back.", "Nothing to do."),
    "agreement-low": Reason(
        "The network agrees with itself less than on any image it was tried on.", "Look at the result before use."
    ),
    "values-outside": Reason(
        "The values are not those that the pipeline knows.", "Check the image's number of bits and its scale."
    ),
    "sheared": Reason("The voxels' axes are not at right angles.", "Look at the result before use."),
    "label-at-edge": Reason("A label reaches the edge of the image.", "Its volume may be cut off: look at the page."),
    "side-assumed": Reason(
        "A case to learn from states no side; it is taken to look like the contract's.", "State it: column `side`."
    ),
    "side-detected": Reason("The side was not stated; it has been detected.", "State it: column `side` of a manifest."),
    "side-uncertain": Reason("Left or right could not be told.", "State it: column `side` of a manifest."),
    "orientation-doubted": Reason(
        "The network agrees better with a turned or mirrored image.", "Check the orientation in the file's header."
    ),
    "constant-image": Reason("All voxels have the same value.", "Check the export of the image."),
    "no-foreground": Reason(
        "No voxel counts as foreground.", "Compare the image's values with the threshold of the step."
    ),
    "nothing-found": Reason("The network found none of its labels.", "Look at the image; check the field of view."),
    "not-explainable": Reason("No saliency map can be made.", "Name another layer, or use another method."),
    "probability-near-threshold": Reason("The probability is close to the decision.", "Have a person decide."),
    # de-identification
    "not-deidentifiable": Reason(
        "An object of a kind that is not de-identified here.", "Leave it out: documents and plans need a person."
    ),
    "burned-in-suspected": Reason(
        "Text seems to be burned into the pixels.",
        "Look at it; then blank it (--blank x,y,w,h or --blank-detected), or let it pass: --accept-burned-in.",
    ),
    "patient-unmapped": Reason("The mapping names no pseudonym for the patient.", "Add the patient to the mapping."),
    # running
    "output-unwritable": Reason("The output cannot be written.", "Check permissions and free space."),
    "values-rounded": Reason("Values were rounded to fit the file's numbers.", "Write NIfTI to keep them exactly."),
    "output-exists": Reason(
        "There is an output of this name already.", "Choose another --out, or replace it with --force."
    ),
    "busy": Reason("Another run holds the output folder.", "Wait for it, or choose another folder."),
    "input-changed": Reason("An input changed while it was analysed.", "Run again when the copy is complete."),
    "extra-missing": Reason("An optional package is not installed.", "Install the extra that the message names."),
    "usage": Reason("The request cannot be carried out as worded.", "See `--help`."),
    "internal": Reason("A bug in medvision.", "Please report it."),
}


@dataclass(frozen=True)
class Finding:
    """Something that was noticed about a file, a case or a data set.

    Parameters
    ----------
    code
        A key of :data:`REASONS`.
    grade
        ``"error"``: the case is refused; ``"warning"``: the result is marked for review; ``"note"``: told, no more.
    message
        One sentence with the facts. It must not hold anything that identifies a patient.
    path
        The file or folder that it is about, if there is one.
    cure
        What to do; the code's usual cure where it is not given.
    """

    code: str
    grade: Grade
    message: str
    path: Path | None = None
    cure: str | None = None

    def __post_init__(self) -> None:
        if self.code not in REASONS:
            raise KeyError(f"{self.code!r} is not a reason code")
        if self.cure is None:
            object.__setattr__(self, "cure", REASONS[self.code].cure)

    def __str__(self) -> str:
        where = f"{printable(self.path)}: " if self.path is not None else ""
        return f"{where}{self.message} [{self.code}] {self.cure}"


def printable(path: Path | str) -> str:
    r"""Return a name as one line that any terminal and file of text takes: other characters become escapes.

    >>> print(printable("a\nb"), printable(Path("Kopf ü")))
    a\nb Kopf ü
    """
    text = str(path)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class MedvisionError(Exception):
    """Base of all errors that medvision raises on purpose; see :class:`Finding` for the parameters.

    Examples
    --------
    >>> error = InputError("truncated", "600 of 1,200 bytes are there", path=Path("a.nii.gz"))
    >>> print(error)
    a.nii.gz: 600 of 1,200 bytes are there [truncated] Copy or download it again; compare its size with the source.
    """

    def __init__(self, code: str, message: str, *, path: Path | None = None, cure: str | None = None) -> None:
        self.finding = Finding(code, "error", message, path, cure)
        super().__init__(str(self.finding))

    def __reduce__(self) -> tuple[Callable[..., MedvisionError], tuple[str, str]]:
        """Return how to build the error again: pickle would give the builtin's arguments, which are one text."""
        finding = self.finding
        return partial(type(self), path=finding.path, cure=finding.cure), (finding.code, finding.message)

    @property
    def code(self) -> str:
        """The reason code."""
        return self.finding.code

    @property
    def path(self) -> Path | None:
        """The file or folder that the error is about."""
        return self.finding.path


class InputError(MedvisionError, ValueError):
    """An image, a label or a list of cases cannot be used; exit code 4 or 5."""


class GeometryError(MedvisionError, ValueError):
    """A geometry is impossible, or two do not agree."""


class PipelineError(MedvisionError, ValueError):
    """A pipeline, its settings or its weights are refused; exit code 7."""


class OutputError(MedvisionError, OSError):
    """Something cannot be written; exit code 6."""


class BusyError(MedvisionError, OSError):
    """Another run holds the output folder; exit code 8."""


class UsageError(MedvisionError, ValueError):
    """The request contradicts itself; exit code 2."""


class ExtraMissingError(MedvisionError, ImportError):  # type: ignore[misc]  # ImportError.path is a str
    """An optional package is needed and not installed; exit code 2."""
