"""Matches foreign tensors with a network: what is loaded, adapted, skipped or missing, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from medvision.errors import Finding, PipelineError
from medvision.frameworks import state_of
from medvision.parts import Part, Parts
from medvision.transfer.adapt import Adapted, adapt_kernel, adapt_positions
from medvision.transfer.families import Found, longest_prefix, recognise
from medvision.transfer.foreign import Foreign
from medvision.transfer.named import Named

State = Literal["loaded", "adapted", "skipped", "missing"]
STATES: tuple[State, ...] = ("loaded", "adapted", "skipped", "missing")


_LEAST = 0.8
"""Share of the encoder's parameters that must be taken to start from weights."""


@dataclass(frozen=True)
class Row:
    """What became of one tensor of the network.

    Parameters
    ----------
    name
        Its name in the network.
    source_name
        The names that its values have in the source, joined; None where there are none.
    state
        ``"loaded"`` as it was, ``"adapted"``, ``"skipped"``: there, and of no use, or ``"missing"``.
    shape, source_shape
        In the network, and in the source.
    part
        What it is for.
    why
        What was done, or why nothing was; empty for one that was loaded as it was.
    """

    name: str
    source_name: str | None
    state: State
    shape: tuple[int, ...]
    source_shape: tuple[int, ...] | None
    part: Part
    why: str = ""

    @property
    def taken(self) -> bool:
        """Whether the network's values become those of the source."""
        return self.state in ("loaded", "adapted")

    @property
    def numbers(self) -> int:
        """How many numbers the tensor has."""
        product = 1
        for side in self.shape:
            product *= side
        return product


@dataclass(frozen=True, eq=False)
class Match:
    """Foreign weights beside a network.

    Parameters
    ----------
    rows
        One for each tensor of the network that holds real numbers, in the network's order. Whole numbers, as those
        that index windows or count steps, are always the network's own.
    values
        What the tensors that are taken become, by the network's names.
    unused
        Names of the source that have no place in the network.
    family
        The source's key layout; None for one that is told by the network's own names.
    findings
        What was taken for granted.
    """

    rows: tuple[Row, ...]
    values: Mapping[str, Any] = field(repr=False)
    unused: tuple[str, ...] = ()
    family: str | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def counts(self) -> dict[State, int]:
        """Number of tensors in each state."""
        return {state: sum(row.state == state for row in self.rows) for state in STATES}

    @property
    def share_of_tensors(self) -> float:
        """Share of the encoder's tensors that are taken, 0 to 1."""
        encoder = [row for row in self.rows if row.part == "encoder"]
        return sum(row.taken for row in encoder) / len(encoder) if encoder else 0.0

    @property
    def share_of_parameters(self) -> float:
        """Share of the encoder's numbers that are taken, 0 to 1."""
        encoder = [row for row in self.rows if row.part == "encoder"]
        total = sum(row.numbers for row in encoder)
        return sum(row.numbers for row in encoder if row.taken) / total if total else 0.0

    def load(self, network: Any) -> None:
        """Copy what is taken into the network, in place; everything else of it stays.

        Raises
        ------
        PipelineError
            The network is not the one that was matched.
        """
        own = state_of(network)
        shapes = {name: tuple(own[name].shape) for name in self.values if name in own}
        if shapes != {row.name: row.shape for row in self.rows if row.taken}:
            raise PipelineError("weights-mismatch", "the network is not the one that the weights were matched with")
        for name, value in self.values.items():
            own[name].copy_(value)

    def to_json(self) -> dict[str, Any]:
        """Return all but the values as JSON values."""
        return {
            "family": self.family,
            "counts": dict(self.counts),
            "share_of_encoder_tensors": self.share_of_tensors,
            "share_of_encoder_parameters": self.share_of_parameters,
            "tensors": [asdict(row) for row in self.rows],
            "unused": list(self.unused),
            "findings": [finding.to_json() for finding in self.findings],
        }


def match(
    foreign: Foreign,
    network: Any,
    parts: Parts,
    *,
    grid: Sequence[int] | None = None,
    fresh_head: str | None = None,
) -> Match:
    """Find for each tensor of a network its values in the source; nothing is changed yet.

    Parameters
    ----------
    foreign
        Tensors under the names of their source.
    network
        The module; its values do not matter.
    parts
        What its tensors are for.
    grid
        A transformer's number of patches along each axis; None takes equal sides.
    fresh_head
        Why the head is not taken even where it would fit, in words; None takes it.

    Raises
    ------
    PipelineError
        ``weights-layout``: the file holds several networks, and which is meant is not told.
    """
    found = recognise(foreign.tensors)
    own = {name: tensor for name, tensor in state_of(network).items() if tensor.is_floating_point()}
    named, sides = _named(foreign, found, own), tuple(grid) if grid is not None else None
    pair = _Pair(named, own, parts, _seen_along_k(network), sides, fresh_head)
    rows: list[Row] = []
    values: dict[str, Any] = {}
    for name in own:
        outcome = pair.outcome(name, values)
        if isinstance(outcome, Adapted):
            values[name] = outcome.tensor
        rows.append(pair.row(name, outcome))
    used = {source for name in values if name in pair.named for source in pair.named[name].sources}
    unused = tuple(n for n, t in foreign.tensors.items() if n not in used and t.is_floating_point())
    return Match(tuple(rows), values, unused, found.family.name if found else None, _assumed(foreign, found))


def require(matched: Match, *, partial: bool = False) -> Match:
    """Return the match where it is enough to start from.

    Parameters
    ----------
    matched
        What was found.
    partial
        Take any share but none.

    Raises
    ------
    PipelineError
        ``weights-partial``: less is taken; the first reasons are named.
    """
    share = matched.share_of_parameters
    if share >= _LEAST or (partial and share > 0):
        return matched
    left = sorted((row for row in matched.rows if row.part == "encoder" and not row.taken), key=lambda r: -r.numbers)
    reasons = "; ".join(f"{row.name}: {row.state}, {row.why}" for row in left[:3])
    family = f"the file holds a {matched.family}; " if matched.family else "the file's layout is not known; "
    message = f"{family}{share:.0%} of the encoder's parameters were found, and {_LEAST:.0%} are wanted. {reasons}"
    if partial:
        message = f"{family}nothing of the encoder was found. {reasons}"
    raise PipelineError("weights-partial", message)


def _seen_along_k(network: Any) -> dict[str, float]:
    """Return for the kernels of transposed convolutions how many of their weights along k an output sees."""
    from torch.nn import ConvTranspose3d

    modules = network.named_modules(remove_duplicate=False)
    return {
        f"{name}.weight": module.kernel_size[-1] / module.stride[-1]
        for name, module in modules
        if isinstance(module, ConvTranspose3d)
    }


@dataclass(frozen=True, eq=False)
class _Pair:
    """The two sides of a match, both under the network's names."""

    named: Mapping[str, Named]
    own: Mapping[str, Any]
    parts: Parts
    seen_along_k: Mapping[str, float]
    grid: tuple[int, ...] | None
    fresh_head: str | None

    def outcome(self, name: str, taken: Mapping[str, Any]) -> Adapted | str:
        """Return the values of one tensor of the network, or why it has none."""
        value, tensor = self.named.get(name), self.own[name]
        if value is None:
            return self._absent(name, taken)
        if value.tensor is None:
            return "; ".join(value.notes)
        wanted, came = tuple(tensor.shape), tuple(value.tensor.shape)
        if self.parts.of(name) == "head" and (came[:1] != wanted[:1] or self.fresh_head):
            return "another number of classes" if came[:1] != wanted[:1] else str(self.fresh_head)
        if name == self.parts.positions and len(came) == 3 and came[2] == wanted[2]:
            fitted = self._on_grid(value, wanted[1])
        else:
            reads_image, seen = name in self.parts.image, self.seen_along_k.get(name)
            fitted = adapt_kernel(value.tensor, wanted, reads_image=reads_image, seen_along_k=seen)
        return fitted if isinstance(fitted, str) else Adapted(fitted.tensor, (*value.notes, *fitted.notes))

    def row(self, name: str, outcome: Adapted | str) -> Row:
        """Return what became of a tensor, for the table."""
        value = self.named.get(name, Named(None, ()))
        state: State = "skipped" if value.sources else "missing"
        if isinstance(outcome, Adapted):
            state = "adapted" if outcome.notes else "loaded"
        return Row(
            name=name,
            source_name=" + ".join(value.sources) or None,
            state=state,
            shape=tuple(self.own[name].shape),
            source_shape=tuple(value.tensor.shape) if value.tensor is not None else None,
            part=self.parts.of(name),
            why=outcome if isinstance(outcome, str) else "; ".join(outcome.notes),
        )

    def _absent(self, name: str, taken: Mapping[str, Any]) -> Adapted | str:
        """Return zeros for a bias that the source's layer has not, which is the same; else that it is not there."""
        import torch

        if name.endswith(".bias") and name.removesuffix("bias") + "weight" in taken:
            note = "the source's layer has no bias, which is a bias of 0"
            return Adapted(torch.zeros_like(self.own[name]), (note,))
        return "the source has no such tensor"

    def _on_grid(self, value: Named, count: int) -> Adapted | str:
        source = _dimensions({name: other.tensor for name, other in self.named.items()}, self.parts)
        ours = _dimensions(self.own, self.parts)
        if source is None or ours is None:
            return "the dimensions of the positions' grid are not known"
        sides = self.grid or (round(count ** (1 / ours)),) * ours
        if value.tensor.shape[1] == count and source == ours and not value.notes:
            # Our own layout states no grid. As many positions are the same one, unless two images have swapped sides.
            return Adapted(
                value.tensor, () if len(set(sides)) == 1 else ("as many positions: taken for the same grid",)
            )
        return adapt_positions(value.tensor, count, source_dimensions=source, grid=sides)


def _named(foreign: Foreign, found: Found | None, own: Mapping[str, Any]) -> dict[str, Named]:
    """Return the tensors under our names: by their family, or where none is known, as those after a common prefix."""
    if found is not None:
        return found.named(foreign.tensors, axes_are_ours=foreign.axes_are_ours, wanted=own)
    prefix = longest_prefix(foreign.tensors, list(own))
    if prefix is None:
        return {}
    return {n[len(prefix) :]: Named(t, (n,)) for n, t in foreign.tensors.items() if n.startswith(prefix)}


def _assumed(foreign: Foreign, found: Found | None) -> tuple[Finding, ...]:
    if found is None or foreign.axes_are_ours or not found.is_doubtful(foreign.tensors):
        return ()
    text = (
        f"{foreign.origin.source}: its kernels were turned, as those of a {found.family.name}; by its names it could be"
        " a network of MONAI, whose axes are ours"
    )
    cure = "If a training with MONAI made it, put it into a folder as models/model.pt, and name the folder."
    return (Finding("weights-axes", "warning", text, cure=cure),)


def _dimensions(tensors: Mapping[str, Any], parts: Parts) -> int | None:
    """Return the number of spatial axes, by the layer that reads the image."""
    reading = [tensors[name] for name in parts.image if tensors.get(name) is not None]
    return int(reading[0].ndim) - 2 if reading else None
