"""A pipeline as Python users hold it: every verb is one call of the workflow of its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medvision.files import Paths, as_paths
from medvision.pipeline import PipelineFolder
from medvision.progress import Progress, silent
from medvision.study import AS_IT_STANDS, Reading
from medvision.workflows.comparing.ways import ways_of
from medvision.workflows.crossvalidate import CrossValidation, crossvalidate
from medvision.workflows.evaluate import Evaluation, evaluate
from medvision.workflows.explain import explain
from medvision.workflows.fitting.budget import Budget
from medvision.workflows.learning_curve import CurveDesign, LearningCurve, learning_curve
from medvision.workflows.pretrain import PretrainingResult, pretrain
from medvision.workflows.prove import TransferProof, prove_transfer
from medvision.workflows.report import Pages, report
from medvision.workflows.run import NO_LIMITS, BatchResult, Limits, Rerun, run
from medvision.workflows.train import Machine, Start, TrainingResult, train


@dataclass(frozen=True)
class Pipeline:
    """A pipeline that can be run, trained, evaluated and explained.

    Parameters
    ----------
    folder
        The opened folder: settings and weights.

    Examples
    --------
    >>> import medvision as mv
    >>> pipeline = mv.Pipeline.open("mr-hippocampus")
    >>> dict(pipeline.folder.settings.labels)
    {1: 'Anterior', 2: 'Posterior'}
    """

    folder: PipelineFolder

    @classmethod
    def open(cls, name: str | Path) -> Pipeline:
        """Open a pipeline by name or folder; see :meth:`medvision.pipeline.PipelineFolder.open`."""
        return cls(PipelineFolder.open(name))

    def run(
        self,
        inputs: Paths,
        out: str | Path,
        *,
        split: str | None = None,
        reading: Reading = AS_IT_STANDS,
        engine: str = "auto",
        limits: Limits = NO_LIMITS,
        rerun: Rerun | None = None,
        progress: Progress = silent,
    ) -> BatchResult:
        """Analyse everything in `inputs`; see :func:`medvision.workflows.run.run`."""
        return run(
            self.folder,
            as_paths(inputs),
            Path(out),
            split=split,
            reading=reading,
            engine=engine,
            limits=limits,
            rerun=rerun,
            progress=progress,
        )

    def train(
        self,
        data: Paths,
        out: str | Path,
        *,
        start: Start | None = None,
        seed: int | None = None,
        minutes: float | None = None,
        machine: Machine | None = None,
        progress: Progress = silent,
    ) -> TrainingResult:
        """Train on `data`, and leave a new pipeline in `out`; see :func:`medvision.workflows.train.train`.

        `minutes` is the time in which all must be done; None takes the time that the settings need.
        """
        return train(
            self.folder,
            as_paths(data),
            Path(out),
            start=start,
            seed=seed,
            budget=None if minutes is None else Budget(minutes),
            machine=machine,
            progress=progress,
        )

    def pretrain(
        self,
        data: Paths,
        out: str | Path,
        *,
        method: str | None = None,
        licence: str | None = None,
        seed: int | None = None,
        minutes: float | None = None,
        machine: Machine | None = None,
        progress: Progress = silent,
    ) -> PretrainingResult:
        """Learn from images without labels, for a training to start from; see :mod:`medvision.workflows.pretrain`.

        `minutes` is the time in which all must be done; None takes the steps that the settings state.
        """
        return pretrain(
            self.folder,
            as_paths(data),
            Path(out),
            method=method,
            licence=licence,
            seed=seed,
            budget=None if minutes is None else Budget(minutes),
            machine=machine,
            progress=progress,
        )

    def crossvalidate(
        self,
        data: Paths,
        out: str | Path,
        *,
        folds: int = 5,
        start: Start | None = None,
        seed: int | None = None,
        minutes: float | None = None,
        machine: Machine | None = None,
        progress: Progress = silent,
    ) -> CrossValidation:
        """Train on folds of `data`, then on all of them; see :func:`medvision.workflows.crossvalidate.crossvalidate`.

        `minutes` is the time for all trainings together; None takes the time that the settings need.
        """
        return crossvalidate(
            self.folder,
            as_paths(data),
            Path(out),
            count=folds,
            start=start,
            seed=seed,
            budget=None if minutes is None else Budget(minutes),
            machine=machine,
            progress=progress,
        )

    def prove_transfer(
        self,
        data: Paths,
        out: str | Path,
        *,
        start: Start,
        seeds: int = 3,
        seed: int | None = None,
        minutes: float | None = None,
        machine: Machine | None = None,
        progress: Progress = silent,
    ) -> TransferProof:
        """Say whether a start helps; see :func:`medvision.workflows.prove.prove_transfer`.

        `minutes` is the time for all trainings together; None takes the time that the settings need.
        """
        return prove_transfer(
            self.folder,
            as_paths(data),
            Path(out),
            start=start,
            seeds=seeds,
            seed=seed,
            budget=None if minutes is None else Budget(minutes),
            machine=machine,
            progress=progress,
        )

    def learning_curve(
        self,
        data: Paths,
        out: str | Path,
        *,
        sizes: Sequence[int | None],
        repeats: int = 3,
        sources: Sequence[str] = ("scratch",),
        tune: str = "full",
        minutes_each: float | None = None,
        seed: int | None = None,
        machine: Machine | None = None,
        progress: Progress = silent,
    ) -> LearningCurve:
        """Train on subsets of `data`; see :func:`medvision.workflows.learning_curve.learning_curve`.

        Parameters
        ----------
        data, out, seed, machine, progress
            As of :meth:`train`; `out` takes the curve.
        sizes
            Numbers of cases to train on, in rising order; None is all of the training side.
        repeats
            Subsets of each size.
        sources
            Weights to start from, by pipeline, file or ``hf:ORG/REPO``; ``"scratch"`` is none. All are compared with
            the first.
        tune
            What of them is trained.
        minutes_each
            The time of each training; None takes the time that the settings need.
        """
        design = CurveDesign(tuple(sizes), repeats, ways_of(sources, tune), minutes_each)
        where = as_paths(data), Path(out)
        return learning_curve(self.folder, *where, design, seed=seed, machine=machine, progress=progress)

    def evaluate(
        self, out: str | Path, data: Paths, *, split: str | None = None, progress: Progress = silent
    ) -> Evaluation:
        """Compare results with the truth; see :func:`medvision.workflows.evaluate.evaluate`."""
        return evaluate(Path(out), self.folder, as_paths(data), split=split, progress=progress)

    def explain(
        self,
        inputs: Paths,
        out: str | Path,
        *,
        methods: Sequence[str] = (),
        split: str | None = None,
        reading: Reading = AS_IT_STANDS,
        engine: str = "auto",
        progress: Progress = silent,
    ) -> BatchResult:
        """Run with saliency methods; see :func:`medvision.workflows.explain.explain`."""
        return explain(
            self.folder,
            as_paths(inputs),
            Path(out),
            methods=methods,
            split=split,
            reading=reading,
            engine=engine,
            progress=progress,
        )

    def report(self, out: str | Path, *, progress: Progress = silent) -> Pages:
        """Write the pages of a run anew; see :func:`medvision.workflows.report.report`."""
        return report(Path(out), self.folder, progress=progress)


def train_by_name(
    pipeline: str | Path,
    data: Paths,
    out: str | Path,
    *,
    start: Start | None = None,
    seed: int | None = None,
    minutes: float | None = None,
    machine: Machine | None = None,
    progress: Progress = silent,
) -> TrainingResult:
    """Train a pipeline given by name or folder; the public ``medvision.train``. See :meth:`Pipeline.train`.

    Examples
    --------
    >>> import medvision as mv
    >>> mv.train("cxr-pneumonia", "pictures.npz", "mine", minutes=5)  # doctest: +SKIP
    """
    opened = Pipeline.open(pipeline)
    return opened.train(data, out, start=start, seed=seed, minutes=minutes, machine=machine, progress=progress)


def pretrain_by_name(
    pipeline: str | Path,
    data: Paths,
    out: str | Path,
    *,
    method: str | None = None,
    licence: str | None = None,
    seed: int | None = None,
    minutes: float | None = None,
    machine: Machine | None = None,
    progress: Progress = silent,
) -> PretrainingResult:
    """Pretrain a pipeline given by name or folder; the public ``medvision.pretrain``. See :meth:`Pipeline.pretrain`.

    Examples
    --------
    >>> import medvision as mv
    >>> from medvision.workflows.train import Start
    >>> mv.pretrain("mr-hippocampus", "scans/", "pretrained", minutes=30)  # doctest: +SKIP
    >>> mv.train("mr-hippocampus", "labelled/", "mine", start=Start("pretrained"))  # doctest: +SKIP
    """
    return Pipeline.open(pipeline).pretrain(
        data,
        out,
        method=method,
        licence=licence,
        seed=seed,
        minutes=minutes,
        machine=machine,
        progress=progress,
    )
