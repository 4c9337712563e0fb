"""A results folder of nnU-Net: which of its trainings is meant, and the files of its folds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medvision.errors import PipelineError
from medvision.importing.nnunet.dataset import Dataset
from medvision.importing.nnunet.documents import read_document
from medvision.importing.nnunet.plans import Plans

Which = Literal["final", "best"]
"""The weights at the end of the training, or those with the best score on the fold's held-out cases."""


@dataclass(frozen=True)
class Trained:
    """One training: a configuration of a data set, in one or several folds.

    Parameters
    ----------
    folder
        That of the configuration, with ``plans.json``.
    plans, dataset
        What its files say.
    folds
        The folds that are taken, by their names, e.g. ``"0"`` or ``"all"``.
    which
        Which weights of each fold are.
    """

    folder: Path
    plans: Plans
    dataset: Dataset
    folds: tuple[str, ...]
    which: Which

    @property
    def plans_path(self) -> Path:
        """The plans."""
        return self.folder / "plans.json"

    @property
    def dataset_path(self) -> Path:
        """What the data set is."""
        return self.folder / "dataset.json"

    @property
    def checkpoints(self) -> tuple[Path, ...]:
        """The weights of each fold."""
        return tuple(self.folder / f"fold_{fold}" / f"checkpoint_{self.which}.pth" for fold in self.folds)


def trained_in(
    folder: Path, *, configuration: str | None = None, folds: Sequence[str] = (), which: Which = "final"
) -> Trained:
    """Return the training in a results folder.

    Parameters
    ----------
    folder
        That of a configuration, ``TRAINER__PLANS__CONFIGURATION``, or that of the data set above it.
    configuration
        Which one is meant, where there are several.
    folds
        Which folds; none takes all that have been trained to these weights, but ``all`` only where there is no other.
    which
        Which weights of each.

    Raises
    ------
    PipelineError
        ``import-invalid``: there is no such training, or several and none is named, or a file cannot be read.
    """
    own = _of_configuration(folder, configuration)
    plans = read_document(own / "plans.json", Plans)
    dataset = read_document(own / "dataset.json", Dataset)
    name = f"checkpoint_{which}.pth"
    there = sorted(
        (
            found[1]
            for path in own.glob(f"fold_*/{name}")
            if (found := re.fullmatch(r"fold_(\d+|all)", path.parent.name))
        ),
        key=lambda fold: (fold == "all", len(fold), fold),
    )
    chosen = tuple(dict.fromkeys(folds)) or tuple(fold for fold in there if fold != "all") or tuple(there)
    missing = [fold for fold in chosen if fold not in there]
    if missing or not chosen:
        found_ = f"there are {', '.join(there)}" if there else "there is none"
        message = f"no fold {', '.join(missing)} with a {name}; {found_}" if missing else f"no fold has a {name}"
        raise PipelineError(
            "import-invalid", message, path=own, cure="Name --folds that there are, or --checkpoint best."
        )
    return Trained(own, plans, dataset, chosen, which)


def _of_configuration(folder: Path, configuration: str | None) -> Path:
    if (folder / "plans.json").is_file():
        if configuration is not None and not folder.resolve().name.endswith(f"__{configuration}"):
            message = f"this is the folder of another configuration than {configuration}"
            raise PipelineError("import-invalid", message, path=folder, cure="Leave out --configuration.")
        return folder
    inner = sorted(path.parent for path in folder.glob("*__*__*/plans.json"))
    chosen = [path for path in inner if configuration is None or path.name.split("__")[-1] == configuration]
    if len(chosen) == 1:
        return chosen[0]
    if not inner:
        message = "this is no results folder of nnU-Net: no plans.json is there, and none below"
        raise PipelineError("import-invalid", message, path=folder, cure="Name the folder with fold_0 and plans.json.")
    message = f"the folder holds {', '.join(path.name for path in inner)}; one is wanted"
    raise PipelineError("import-invalid", message, path=folder, cure="Name --configuration, or one of these folders.")
