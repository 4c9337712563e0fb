"""The choice of an engine: every candidate tried on real inputs, and the fastest taken that says the same as torch."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medvision.engines.cache import NOTHING_KEPT, Cache
from medvision.engines.choice import Choice, Row
from medvision.engines.closeness import Closeness, closeness
from medvision.engines.openvino_cpu import UNCALIBRATED
from medvision.engines.protocol import Array, Model
from medvision.engines.table import NAMES, REFERENCE, Candidate, candidates, require
from medvision.engines.trial import Trial, try_engine
from medvision.errors import MedvisionError, PipelineError

AUTO = "auto"
"""What to ask for to have the engine chosen."""

SECONDS = 20.0
"""How long engines are tried for, about: what has begun is ended. Three times as long while none but the reference is
within the tolerance: a choice is kept, and one that was cut short on a busy machine would make every run slow."""

_TIE = 1.05  # of two engines that differ by less in time, the more exact one: noise shall not choose
# The fastest of most networks first: the others are then stopped early, or not tried when the time is up.
_ORDER = ("cuda-amp", "cuda-fp32", "openvino-int8", "openvino-bf16", "openvino-fp32", "torch-bf16", "onnx-fp32")
_OF_ONE_SHAPE = ("openvino", "onnx")


@dataclass(frozen=True)
class Terms:
    """What an engine must keep to.

    Parameters
    ----------
    labels
        Least share of voxels, or of inputs, with the same label as the reference gives.
    probability
        Largest difference of a probability, or of a standardised value, from the reference.
    fixed
        Whether all inputs will have the shape of those that the engines are tried on. Where they have not, engines
        that make a model for each shape are left out: they would make one for nearly every image.
    """

    labels: float
    probability: float
    fixed: bool = True


def choose(
    model: Model,
    inputs: Sequence[Array],
    terms: Terms,
    *,
    wanted: str = AUTO,
    threads: int = 1,
    cache: Cache = NOTHING_KEPT,
    seconds: float = SECONDS,
) -> Choice:
    """Return which engine computes a network on this machine; a choice that the cache has is not made again.

    Parameters
    ----------
    model
        The network; its identity and the shape of the inputs are what the cache goes by.
    inputs
        Real ones (C, *spatial) of one shape, as many as are to be compared; two or more, so that agreement is not that
        of one image.
    terms
        The tolerance.
    wanted
        ``"auto"``, or the name of an engine, which is then compared with the reference and no other is.
    threads
        How many inputs are computed at once.
    seconds
        About how long engines are tried for.

    Raises
    ------
    PipelineError
        ``engine-inexact``: the engine that was asked for is beyond the tolerance; ``not-convertible``: it cannot take
        the network.
    ExtraMissingError, UsageError
        The engine that was asked for cannot run here.
    ValueError
        There is no input.
    """
    if not inputs:
        raise ValueError("engines are tried on one input or more")
    if wanted != AUTO:
        require(wanted)
    shape = inputs[0].shape
    kept = kept_choice(model, shape, terms, wanted=wanted, cache=cache)
    if kept is not None:
        return kept
    key = _key(model, shape, terms, wanted)
    once = replace(model, build=functools.cache(model.build))
    trials = _Trials(once, inputs, terms, threads, cache, seconds, time.monotonic() + seconds)
    rows = tuple(trials.row(each, wanted) for each in _in_order(wanted))
    chosen = _named(rows, wanted) if wanted != AUTO else _fastest(rows)
    choice = Choice(chosen.name, wanted, threads, len(inputs), _explained(rows, chosen))
    cache.save(key, {"choice": np.frombuffer(json.dumps(choice.to_json()).encode(), np.uint8)})
    return choice


@dataclass
class _Trials:
    """The trials so far: the reference's outputs, the fastest within the tolerance, and whether OpenVINO ran at all.

    Parameters
    ----------
    seconds, until
        How long to try, and until when.
    found
        Whether an engine is faster than the reference and within the tolerance.
    """

    model: Model
    inputs: Sequence[Array]
    terms: Terms
    threads: int
    cache: Cache
    seconds: float
    until: float
    reference: tuple[Array, ...] = ()
    best: Trial | None = None
    found: bool = False
    took_openvino: bool = False

    def row(self, candidate: Candidate, wanted: str) -> Row:
        """Return what is found of an engine; `why_not` where it is clear already that it is not used."""
        name = candidate.name
        why_not = candidate.lacks or self._passed_over(name, wanted)
        if why_not is not None:
            return Row(name, why_not)
        try:
            trial = self._trial(name, self.best if wanted == AUTO else None)
        except MedvisionError as error:
            if name in (wanted, REFERENCE):
                raise
            return Row(name, error.finding.message)
        except (RuntimeError, MemoryError) as error:  # of the engines' own libraries; their words can hold paths
            if name in (wanted, REFERENCE):
                raise
            return Row(name, f"it failed ({type(error).__name__})")
        return self._measured(name, trial)

    def _passed_over(self, name: str, wanted: str) -> str | None:
        if name == REFERENCE:
            return None
        if wanted not in (AUTO, name):
            return f"{wanted} was asked for"
        if wanted == AUTO and name.endswith("int8") and self.model.calibration is None:
            return UNCALIBRATED
        if wanted == AUTO and not self.terms.fixed and name.startswith(_OF_ONE_SHAPE):
            return "it makes a model for each shape, and images differ in theirs"
        if wanted == AUTO and name.startswith("onnx") and self.took_openvino:
            # On every network measured here it took as long or longer, and its conversion takes up to a minute.
            return "not tried: OpenVINO takes the network"
        left = self._left() + (0 if self.found else 2 * self.seconds)
        return "the time for trying engines was up" if wanted == AUTO and left <= 0 else None

    def _trial(self, name: str, best: Trial | None) -> Trial:
        return try_engine(
            name,
            self.model,
            self.inputs,
            threads=self.threads,
            cache=self.cache,
            best=best,
            seconds_left=self._left,
        )

    def _measured(self, name: str, trial: Trial) -> Row:
        self.reference = self.reference or trial.outputs
        self.took_openvino |= name.startswith("openvino")
        close = closeness(trial.outputs, self.reference[: len(trial.outputs)], self.model.task)
        row = Row(name, None, trial.seconds, trial.memory, close)
        if name != REFERENCE and (close is None or not self._close_enough(close)):
            return replace(row, why_not=f"beyond the tolerance: {close or 'values that are not finite'}", inexact=True)
        if trial.seconds is None:
            return replace(row, why_not="much slower than another: stopped after one input")
        if self.best is None or self.best.seconds is None or trial.seconds < self.best.seconds:
            self.best = trial
            self.found = name != REFERENCE
        return row

    def _close_enough(self, close: Closeness) -> bool:
        return close.within(labels=self.terms.labels, probability=self.terms.probability)

    def _left(self) -> float:
        return self.until - time.monotonic()


def _in_order(wanted: str) -> list[Candidate]:
    """Return the candidates in the order in which they are tried, the reference first."""
    found = {each.name: each for each in candidates()}
    return [found[name] for name in (REFERENCE, *sorted(found.keys() - {REFERENCE}, key=_ORDER.index))]


def _fastest(rows: Sequence[Row]) -> Row:
    """Return the fastest engine, or the most exact of those that are as fast but for noise."""
    timed = [(row, row.seconds) for row in rows if row.why_not is None and row.seconds is not None]
    least = min(seconds for _, seconds in timed)
    tied = [row for row, seconds in timed if seconds <= _TIE * least]
    return min(tied, key=lambda row: (row.closeness.mean if row.closeness else 0.0, NAMES.index(row.name)))


def _named(rows: Sequence[Row], wanted: str) -> Row:
    """Return the engine that was asked for; PipelineError where it is beyond the tolerance."""
    row = next(each for each in rows if each.name == wanted)
    if row.inexact:
        raise PipelineError("engine-inexact", f"the engine {wanted} is {row.why_not}")
    return row


def _explained(rows: Sequence[Row], chosen: Row) -> tuple[Row, ...]:
    """Return the rows in the order of the names, each but the chosen one with why it is not used."""
    said = [
        row if row is chosen or row.why_not is not None else replace(row, why_not=f"{chosen.name} is used")
        for row in rows
    ]
    return tuple(sorted(said, key=lambda row: NAMES.index(row.name)))


def kept_choice(
    model: Model, shape: Sequence[int], terms: Terms, *, wanted: str = AUTO, cache: Cache = NOTHING_KEPT
) -> Choice | None:
    """Return the choice that the cache has; None where engines are still to be tried. Neither needs an input.

    Parameters
    ----------
    shape
        Of the inputs: (C, *spatial).
    """
    arrays = cache.load(_key(model, shape, terms, wanted))
    if arrays is None:
        return None
    try:
        return Choice.from_json(json.loads(arrays["choice"].tobytes()))
    except (KeyError, ValueError):  # whole, but of another form
        return None


def _key(model: Model, shape: Sequence[int], terms: Terms, wanted: str) -> Mapping[str, str]:
    here = ",".join(each.name for each in candidates() if each.lacks is None)
    of_inputs = str(tuple(map(int, shape))) if terms.fixed else "any"
    tolerance = f"{terms.labels!r} {terms.probability!r}"
    calibration = model.calibration.identity if model.calibration else ""
    told = {
        "what": "choice",
        "network": model.identity,
        "task": model.task,
        "shape": of_inputs,
        "calibration": calibration,
    }
    return {**told, "tolerance": tolerance, "wanted": wanted, "candidates": here}
