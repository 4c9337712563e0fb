"""Opens a pipeline: one folder that holds everything needed to run it again elsewhere.

``pipeline.toml`` holds the settings, ``weights.safetensors`` the weights, ``weights.json`` what these are, and
``card.md`` what a person must know. The TOML is data: nothing in it is ever executed.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as settings_dataclass

from medvision.contract import Contract
from medvision.errors import OutputError, PipelineError
from medvision.explain import Method
from medvision.files import sha256_of, sha256_of_text, write_bytes
from medvision.frameworks import versions
from medvision.geometry import Triple
from medvision.networks import Network, WeightsCard, load_weights
from medvision.predict import Prediction
from medvision.steps import Step
from medvision.training import Training

_STRICT = ConfigDict(extra="forbid")


@settings_dataclass(frozen=True, config=_STRICT)
class Card:
    """What a person must know about a pipeline: its ``[card]`` table.

    Parameters
    ----------
    intended_use
        What it is for.
    training_data
        What it was trained on, with the source and the citation.
    licence
        The terms for the use of the weights.
    limits
        What it cannot do, and where it is known to fail; a sentence each.
    """

    intended_use: str = "Not stated."
    training_data: str = "Not stated."
    licence: str = "Not stated."
    limits: tuple[str, ...] = ()


@settings_dataclass(frozen=True, config=_STRICT)
class Settings:
    """All of a ``pipeline.toml``, in the order of the data.

    Parameters
    ----------
    name
        The pipeline's name.
    task
        ``"segmentation"`` or ``"classification"``.
    description
        One line for lists.
    contract
        What it was made for.
    labels
        The name of each label: from 1 for a segmentation (0 is background), from 0 for a classification.
    network
        The network, by name and with its settings.
    version
        The pipeline's version.
    steps
        What is done to an image before the network, in order.
    predict
        How the network is applied.
    explain
        The saliency maps that a run makes. A segmentation's entropy is always written.
    train
        How the network is trained.
    card
        What a person must know.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    task: Literal["segmentation", "classification"]
    description: str
    contract: Contract
    labels: Mapping[int, str]
    network: Network
    version: str = "1.0.0"
    steps: tuple[Step, ...] = ()
    predict: Prediction = Field(default_factory=Prediction)
    explain: tuple[Method, ...] = ()
    train: Training = Field(default_factory=Training)
    card: Card = Field(default_factory=Card)

    def __post_init__(self) -> None:
        first = 1 if self.task == "segmentation" else 0
        if sorted(self.labels) != list(range(first, first + len(self.labels))) or not self.labels:
            raise ValueError(f"labels of a {self.task} are numbered from {first} without gaps")
        if len(set(self.labels.values())) != len(self.labels):
            raise ValueError("two labels have the same name")
        if self.network.task != self.task:
            raise ValueError(f"the network {self.network.use!r} is made for {self.network.task}, not for {self.task}")
        if self.task == "classification" and len(self.labels) < 2:
            raise ValueError("a classification needs two labels or more")
        wrong = [method.use for method in self.explain if method.task != self.task]
        if wrong:
            raise ValueError(f"the method {wrong[0]!r} does not explain a {self.task}")

    @property
    def outputs(self) -> int:
        """Number of the network's outputs: the labels, and background for a segmentation."""
        return len(self.labels) + (1 if self.task == "segmentation" else 0)

    def meaning(self) -> dict[str, Any]:
        """Return, as JSON values, the settings without which the weights mean nothing."""
        everything: dict[str, Any] = _SETTINGS.dump_python(self, mode="json")
        contract = {key: everything["contract"][key] for key in ("dimensions", "channels", "side")}
        return {key: everything[key] for key in ("task", "labels", "steps", "network")} | {"contract": contract}


_SETTINGS: TypeAdapter[Settings] = TypeAdapter(Settings)


@dataclass(frozen=True)
class PipelineFolder:
    """An opened pipeline folder.

    Parameters
    ----------
    folder
        Where it lies.
    settings
        Its ``pipeline.toml``, checked.
    weights
        The card of its weights; None where it has not been trained.
    """

    folder: Path
    settings: Settings
    weights: WeightsCard | None

    @classmethod
    def open(cls, name: str | Path) -> PipelineFolder:
        """Open a pipeline by the name of a shipped one, by its folder, or by its ``pipeline.toml``.

        Raises
        ------
        PipelineError
            There is none of that name; the file is not valid; the weights belong to other settings.
        """
        folder = find(name)
        settings = read_settings(folder / "pipeline.toml")
        card = folder / "weights.json"
        opened = cls(folder, settings, WeightsCard.open(card) if card.is_file() else None)
        if opened.weights is not None:
            opened._compare_meaning(opened.weights)
        return opened

    @property
    def name(self) -> str:
        """Name and version."""
        return f"{self.settings.name} {self.settings.version}"

    @property
    def weights_path(self) -> Path:
        """The weights, whether or not they are there."""
        return self.folder / "weights.safetensors"

    @property
    def settings_sha256(self) -> str:
        """SHA-256 of the settings as they are in force, whatever the file's comments and defaults."""
        return sha256_of_text([json.dumps(_SETTINGS.dump_python(self.settings, mode="json"), sort_keys=True)])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that a result depends on besides its input: settings, weights, versions."""
        weights = sha256_of(self.weights_path) if self.weights_path.is_file() else ""
        return sha256_of_text([self.settings_sha256, weights, json.dumps(dict(versions()), sort_keys=True)])

    def require_weights(self) -> WeightsCard:
        """Return the weights' card; PipelineError where the pipeline has not been trained."""
        if self.weights is None or not self.weights_path.is_file():
            raise PipelineError("weights-missing", f"{self.settings.name} has no weights yet", path=self.folder)
        return self.weights

    def check_weights(self) -> None:
        """Raise PipelineError where weights are there and are not those that their card describes."""
        if self.weights is not None and sha256_of(self.weights_path) != self.weights.sha256:
            message = "the file is not the one that its card describes (SHA-256)"
            raise PipelineError("weights-mismatch", message, path=self.weights_path)

    def build_network(self) -> Any:
        """Return the network with fresh weights, drawn by the training's seed; the caller's seed stays as it was."""
        import torch

        settings = self.settings
        with torch.random.fork_rng():
            torch.manual_seed(settings.train.seed)
            return settings.network.build(
                in_channels=len(settings.contract.channels),
                out_channels=settings.outputs,
                dimensions=settings.contract.dimensions,
            )

    def load_network(self, device: str = "cpu") -> Any:
        """Return the trained network on `device`, in evaluation mode, after its hash has been checked."""
        card = self.require_weights()
        network = self.build_network()
        load_weights(network, self.weights_path, sha256=card.sha256)
        return network.eval().to(device)

    def _compare_meaning(self, card: WeightsCard) -> None:
        """Refuse weights that were trained with other settings; settings that are newer than they may be added."""
        differing = list(_differences(card.meaning, self.settings.meaning()))
        if differing:
            place, trained, stands = differing[0]
            raise PipelineError(
                "weights-mismatch",
                f"{place} is {json.dumps(stands)}, but the weights were trained with {json.dumps(trained)}",
                path=self.folder / "pipeline.toml",
            )


def builtin_folder() -> Path:
    """Return the folder of the pipelines that ship with medvision."""
    here = Path(__file__).parent
    installed = here / "_pipelines"
    return installed if installed.is_dir() else here.parent / "pipelines"


def builtin_names() -> list[str]:
    """Return the names of the pipelines that ship with medvision."""
    return sorted(path.parent.name for path in builtin_folder().glob("*/pipeline.toml"))


def find(name: str | Path) -> Path:
    """Return the folder of a pipeline, given its name, its folder or its ``pipeline.toml``."""
    path = Path(name)
    if path.name == "pipeline.toml" and path.is_file():
        return path.parent
    if (path / "pipeline.toml").is_file():
        return path
    shipped = builtin_names()
    if str(name) in shipped:
        return builtin_folder() / str(name)
    close = difflib.get_close_matches(str(name), shipped, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise PipelineError(
        "pipeline-unknown", f"no pipeline {str(name)!r}: no such folder, and shipped are {', '.join(shipped)}{hint}"
    )


def copy(name: str | Path, folder: Path, *, weights: bool = False) -> list[Path]:
    """Copy a pipeline's settings, and on request its weights and cards, to a new folder; return what was written.

    Raises
    ------
    OutputError
        Something of that name is there already, or the folder cannot be written.
    """
    source = find(name)
    names = ["pipeline.toml", *(["weights.safetensors", "weights.json", "card.md"] if weights else [])]
    wanted = [part for part in names if (source / part).is_file()]
    for part in wanted:
        if (folder / part).exists():
            message = "there is such a file already"
            raise OutputError("output-unwritable", message, path=folder / part, cure="Choose another folder.")
    for part in wanted:
        write_bytes(folder / part, (source / part).read_bytes())
    return [folder / part for part in wanted]


def read_settings(path: Path) -> Settings:
    """Read and check a ``pipeline.toml``.

    Raises
    ------
    PipelineError
        It cannot be read, is no TOML, or says what is not allowed; every place is named, with what it may say.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError("pipeline-invalid", "the file cannot be read", path=path) from error
    except tomllib.TOMLDecodeError as error:
        raise PipelineError("pipeline-invalid", f"this is no TOML: {error}", path=path) from error
    try:
        return _SETTINGS.validate_python(content)
    except ValidationError as error:
        places = "; ".join(_explained(problem) for problem in error.errors(include_url=False))
        raise PipelineError("pipeline-invalid", places, path=path) from error


def schema() -> dict[str, Any]:
    """Return the JSON schema of ``pipeline.toml``, for editors."""
    content = _SETTINGS.json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **content, "title": "medvision pipeline.toml"}


def input_spacing_mm(settings: Settings) -> Triple | None:
    """Return the spacing that the network sees; None where no step sets it."""
    set_by = [step.spacing_mm for step in settings.steps if step.use == "resample"]
    return set_by[-1] if set_by else None


def _explained(problem: Any) -> str:
    """Return one problem as place, what is wrong, and what is allowed."""
    parts = (part + 1 if isinstance(part, int) else part for part in problem["loc"])  # people count from 1
    place = ".".join(map(str, parts)) or "the file"
    kind = problem["type"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        allowed = _allowed_keys(problem["loc"][:-1])
        close = difflib.get_close_matches(str(problem["loc"][-1]), allowed, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        return f"{place}: there is no such key{hint}; there are {', '.join(allowed)}"
    if kind == "union_tag_invalid":
        context = problem["ctx"]
        return f"{place}: nothing is called {context['tag']!r}; there are {context['expected_tags']}"
    if kind == "union_tag_not_found":
        return f"{place}: the key 'use' is missing; it names what is used"
    given = problem["input"]
    shown = f", got {given!r}" if isinstance(given, str | int | float | bool) else ""
    return f"{place}: {problem['msg']}{shown}"


def _allowed_keys(place: Sequence[str | int]) -> list[str]:
    """Return the keys that the table at `place` may hold, by walking the schema."""
    whole = schema()
    node: dict[str, Any] = whole
    for part in place:
        node = _inside(node, part, whole)
    return sorted(_resolved(node, whole).get("properties", {}))


def _inside(node: dict[str, Any], part: str | int, whole: dict[str, Any]) -> dict[str, Any]:
    node = _resolved(node, whole)
    if isinstance(part, int):
        found = node.get("items", {})
    elif "discriminator" in node:
        found = {"$ref": node["discriminator"]["mapping"].get(part, "")}
    else:
        found = node.get("properties", {}).get(part, {})
    return dict(found)


def _resolved(node: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = whole["$defs"].get(node["$ref"].removeprefix("#/$defs/"), {})
    return node


def _differences(trained: Any, stands: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield every place where settings differ from those of the training."""
    if isinstance(trained, Mapping) and isinstance(stands, Mapping):
        for key, value in trained.items():
            yield from _differences(value, stands.get(key), f"{place}.{key}".lstrip("."))
    elif isinstance(trained, list) and isinstance(stands, list) and len(trained) == len(stands):
        for number, (old, new) in enumerate(zip(trained, stands, strict=True), 1):
            yield from _differences(old, new, f"{place}.{number}")
    elif trained != stands:
        yield place, trained, stands
