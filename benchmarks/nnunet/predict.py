"""``nnUNetv2_predict`` as a measured command, and where its time goes as far as its own words tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.inference_process import Measured, measured
from benchmarks.nnunet.environment import variables


@dataclass(frozen=True)
class Parts:
    """Seconds of a run of nnU-Net, which add up to its wall time.

    Parameters
    ----------
    start_s
        Up to the list of cases: imports, network, weights.
    first_case_s
        From there to the first case that is read and preprocessed (in processes that first start themselves).
    network_s
        Between "Predicting" and "sending off" of each case: windows, mirroring, averaging.
    between_s
        Between cases: waiting for preprocessing, and for the export to keep up.
    export_s
        From the last case's network to the last file.
    end_s
        From there to the end of the process.
    """

    start_s: float
    first_case_s: float
    network_s: float
    between_s: float
    export_s: float
    end_s: float


def predicted(
    python: Path,
    folder: Path,
    images: Path,
    out: Path,
    *,
    folds: Sequence[int],
    mirrored: bool,
    checkpoint: str = "checkpoint_final.pth",
    options: Sequence[str] = (),
    limit_bytes: int | None = None,
) -> Measured:
    """Run ``nnUNetv2_predict`` on a folder of images; `folder` is a results folder below ``results``."""
    trainer, plans, configuration = folder.name.split("__")
    command = [str(python.with_name("nnUNetv2_predict")), "-i", str(images), "-o", str(out)]
    command += ["-d", folder.parent.name, "-tr", trainer, "-p", plans, "-c", configuration]
    command += ["-f", *map(str, folds), "-chk", checkpoint, "-device", "cpu", "--disable_progress_bar", *options]
    command += [] if mirrored else ["--disable_tta"]
    return measured(command, variables(folder.parents[2]), limit_bytes=limit_bytes)


def parts(run: Measured) -> Parts | None:
    """Return where the time of a run went; None where it did not come to its end."""
    listed = run.second_of("There are ")
    begun = [second for second, line in run.lines if line.startswith("Predicting ")]
    sent = [second for second, line in run.lines if line.startswith("sending off")]
    finished = run.second_of("Segmentation export complete")
    if listed is None or finished is None or not begun or len(begun) != len(sent):
        return None
    network_s = sum(b - a for a, b in zip(begun, sent, strict=True))
    between_s = sent[-1] - begun[0] - network_s
    return Parts(listed, begun[0] - listed, network_s, between_s, finished - sent[-1], run.wall_s - finished)
