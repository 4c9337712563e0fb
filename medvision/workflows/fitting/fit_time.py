"""What fits into the time that a training is given, measured once and kept for the next try."""

from __future__ import annotations

import json
import time
from pathlib import Path

from medvision.errors import Finding, PipelineError
from medvision.files import write_json
from medvision.pipeline import read_settings
from medvision.workflows.fitting.budget import Budget, Timed, fit_into
from medvision.workflows.fitting.claim import write_settings
from medvision.workflows.fitting.job import Job


def fitting(job: Job, out: Path, budget: Budget, *, kept: Path, keep_network: bool = False) -> Timed:
    """Return what fits into the time: as was found before the training was stopped, or as is measured now.

    The settings lie in `out`, and what was measured is kept in the file `kept`, with the hash of the settings.
    With `keep_network`, the network is not cut: it starts from weights that a narrower one could not take.

    Raises
    ------
    PipelineError
        The settings in `out` are not those that were written there.
    """
    if kept.is_file():
        found = json.loads(kept.read_text(encoding="utf-8"))
        path = out / "pipeline.toml"
        settings = read_settings(path)
        if job.changed(settings).pipeline.settings_sha256 != found.get("settings_sha256"):
            message = "these are not the settings that were fitted into the time when the training began"
            raise PipelineError(
                "weights-mismatch", message, path=path, cure="Restore the file, or choose another --out."
            )
        findings = tuple(Finding(code, grade, message) for code, grade, message in found["findings"])
        return Timed(settings, found["step_seconds"], found["validation_seconds"], findings)
    import torch

    with torch.random.fork_rng(enabled=True):  # dropout draws from it
        timed = fit_into(
            budget.deadline - time.monotonic(),
            job.pipeline.settings,
            lambda settings: job.changed(settings).step(),
            lambda settings: job.changed(settings).validation_seconds(),
            may_cut=budget.may_cut,
            keep_network=keep_network,
        )
    fitted = job.changed(timed.settings).pipeline
    write_settings(out, fitted)
    told = [[finding.code, finding.grade, finding.message] for finding in timed.findings]
    seconds = {"step_seconds": timed.step_seconds, "validation_seconds": timed.validation_seconds}
    write_json(kept, {**seconds, "settings_sha256": fitted.settings_sha256, "findings": told})
    return timed
