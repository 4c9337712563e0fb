"""Which engine analyses a batch: tried on its own images once, and kept for this machine."""

from __future__ import annotations

import contextlib
import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision import io
from medvision.engines import (
    AUTO,
    NAMES,
    REFERENCE,
    Choice,
    Model,
    Terms,
    choose,
    kept_choice,
    open_engine,
    user_cache,
    versions_of,
)
from medvision.errors import MedvisionError
from medvision.files import sha256_of_text
from medvision.frameworks import import_monai_for_networks
from medvision.pipeline import PipelineFolder
from medvision.predict import input_sizes, inputs_of
from medvision.steps import SPATIAL, Resize, apply, as_float32
from medvision.study import Case
from medvision.workers import Terms as WorkerTerms
from medvision.workers import in_processes
from medvision.workflows.cases.network import ReadyNetwork

_INPUTS = 4  # that engines are compared on
_CASES = 8  # that are read for them, at most


def digest_with(pipeline: PipelineFolder, engine: str | None) -> str:
    """Return the SHA-256 of all that a result depends on besides its input, the engine included; None: the reference.

    That of the reference is the pipeline's own.
    """
    if engine is None or engine == REFERENCE:
        return pipeline.digest
    return sha256_of_text([pipeline.digest, engine, json.dumps(versions_of(engine), sort_keys=True)])


def digests_of(pipeline: PipelineFolder, wanted: str) -> set[str]:
    """Return the hashes of which a result need not be made again: of any engine, but where one is asked for by name."""
    return {digest_with(pipeline, name) for name in (NAMES if wanted == AUTO else (wanted,))}


@dataclass(frozen=True)
class Engines:
    """How a pipeline's network is computed.

    Parameters
    ----------
    pipeline
        With its weights.
    wanted
        ``"auto"``, or the name of an engine.
    threads
        How many inputs are computed at once.
    ours
        Whether this process does nothing else: MONAI is then imported for its networks alone.
    """

    pipeline: PipelineFolder
    wanted: str = AUTO
    threads: int = 1
    ours: bool = False

    def choose(self, cases: Iterable[Case]) -> Choice:
        """Return which engine is used, tried on what the network sees of the first cases that can be read.

        Raises
        ------
        PipelineError, ExtraMissingError, UsageError
            The engine that was asked for cannot be used; see :func:`medvision.engines.choose`.
        """
        inputs = list(islice(self._inputs(cases), _INPUTS))
        settings = self.pipeline.settings
        if not inputs:
            inputs = [np.zeros((len(settings.contract.channels), *self._least_shape()), dtype=np.float32)]
        inputs = [each for each in inputs if each.shape == inputs[0].shape]
        return choose(
            self._model(), inputs, self._terms(), wanted=self.wanted, threads=self.threads, cache=user_cache()
        )

    def kept(self) -> Choice | None:
        """Return the choice that was made on this machine before, without torch and without an image; None: none."""
        shape = self._shape()
        if shape is None:
            return None
        return kept_choice(self._model(), shape, self._terms(), wanted=self.wanted, cache=user_cache())

    def ready(self, choice: Choice | None) -> ReadyNetwork:
        """Return the network, computed by the engine that was chosen; by torch in fp32 where none was.

        Raises
        ------
        PipelineError
            The weights are not those that belong to the pipeline.
        ExtraMissingError, UsageError
            The engine cannot run here.
        """
        model, name = self._model(), REFERENCE if choice is None else choice.engine
        engine = open_engine(name, model, threads=self.threads, cache=user_cache())
        return ReadyNetwork(engine, model.build, {} if choice is None else choice.for_record())

    def _model(self) -> Model:
        pipeline = self.pipeline
        identity = sha256_of_text([pipeline.require_weights().sha256, pipeline.settings_sha256])
        return Model(partial(_built, pipeline, ours=self.ours), identity, pipeline.settings.task)

    def _terms(self) -> Terms:
        tolerance = self.pipeline.settings.predict.tolerance
        return Terms(tolerance.labels, tolerance.probability, fixed=self._is_of_one_shape())

    def _is_of_one_shape(self) -> bool:
        return self.pipeline.settings.predict.window is not None or self._resized() is not None

    def _resized(self) -> tuple[int, ...] | None:
        """Return the sizes to which every image is brought; None where there are none."""
        spatial = [step for step in self.pipeline.settings.steps if isinstance(step, SPATIAL)]
        return spatial[-1].shape if spatial and isinstance(spatial[-1], Resize) else None

    def _shape(self) -> tuple[int, ...] | None:
        """Return the shape of what the network sees, (C, *spatial); None where images decide it."""
        settings = self.pipeline.settings
        dimensions, divisor = settings.contract.dimensions, settings.network.divisor
        sizes = self._resized()
        if settings.task == "segmentation":
            sizes = input_sizes(sizes, settings.predict, dimensions=dimensions, divisor=divisor)
        return None if sizes is None else (len(settings.contract.channels), *sizes[:dimensions])

    def _least_shape(self) -> tuple[int, ...]:
        """Return a shape that the network takes, for batches of which no image can be read."""
        settings = self.pipeline.settings
        axes, divisor = settings.contract.dimensions, settings.network.divisor
        each = (divisor,) * axes if isinstance(divisor, int) else tuple(divisor)
        return tuple(max(32, size) for size in each)

    def _inputs(self, cases: Iterable[Case]) -> Iterator[NDArray[np.float32]]:
        for case in islice(cases, _CASES):
            with contextlib.suppress(MedvisionError, OSError):  # why it cannot be read is told when it is analysed
                yield from _most_varied(self._seen(case))

    def _seen(self, case: Case) -> Iterator[NDArray[np.float32]]:
        settings = self.pipeline.settings
        voxels = as_float32(apply(settings.steps, io.read_volume(case)).voxels)
        dimensions = settings.contract.dimensions
        if settings.task != "segmentation":
            yield voxels if dimensions == 3 else voxels[..., 0]
            return
        yield from inputs_of(voxels, settings.predict, dimensions=dimensions, divisor=settings.network.divisor)


def _most_varied(inputs: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Yield the inputs in which there is most to see, in their order; no more than these are held."""
    found = heapq.nlargest(_INPUTS, enumerate(inputs), key=lambda pair: (float(pair[1].std()), -pair[0]))
    for _, each in sorted(found, key=lambda pair: pair[0]):
        yield each


def _built(pipeline: PipelineFolder, *, ours: bool) -> Any:
    if ours:
        import_monai_for_networks()
    return pipeline.load_network()


def chosen_engine(engines: Engines, cases: Sequence[Case], *, alone: bool) -> Choice:
    """Return which engine analyses cases; engines are tried in a process of their own, where `alone`.

    Raises
    ------
    PipelineError, ExtraMissingError, UsageError, WorkerError
        As :meth:`Engines.choose`; the process cannot begin.
    """
    kept = engines.kept()
    if kept is not None:
        return kept
    if not alone:
        return engines.choose(cases)
    ours = replace(engines, ours=True)
    with contextlib.closing(
        in_processes(ours.choose, [tuple(cases[:_CASES])], 1, terms=WorkerTerms(threads=engines.threads))
    ) as found:
        return next(found).result()
