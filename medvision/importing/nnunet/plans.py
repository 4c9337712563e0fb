"""What ``plans.json`` says: how images are prepared, and which network they go to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from medvision.errors import PipelineError
from medvision.importing.nnunet.documents import FOREIGN, as_value, unsupported

Row = tuple[PositiveInt, ...]
Rows = PositiveInt | tuple[PositiveInt | Row, ...]
_Axis = Literal[0, 1, 2]
_Length = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, config=FOREIGN)
class Intensities:
    """Values of a channel within the labels of the training data."""

    mean: float
    std: float
    percentile_00_5: float
    percentile_99_5: float


@dataclass(frozen=True, config=FOREIGN)
class Architecture:
    """A network by its class, and the arguments that make it."""

    network_class_name: str
    arch_kwargs: Mapping[str, Any]


@dataclass(frozen=True, config=FOREIGN)
class Configuration:
    """One way in which images of a data set are prepared and seen; plans before nnU-Net 2.5 state no `architecture`.

    All lists along axes are in the order of the network's axes.
    """

    patch_size: Annotated[tuple[PositiveInt, ...], Field(min_length=2, max_length=3)]
    spacing: Annotated[tuple[_Length, ...], Field(min_length=2, max_length=3)]
    normalization_schemes: tuple[str, ...]
    use_mask_for_norm: tuple[bool, ...]
    resampling_fn_data: str
    resampling_fn_probabilities: str
    preprocessor_name: str = "DefaultPreprocessor"
    resampling_fn_data_kwargs: Mapping[str, Any] = field(default_factory=dict)
    resampling_fn_probabilities_kwargs: Mapping[str, Any] = field(default_factory=dict)
    previous_stage: str | None = None
    architecture: Architecture | None = None
    UNet_class_name: str | None = None
    UNet_base_num_features: PositiveInt | None = None
    unet_max_num_features: PositiveInt | None = None
    n_conv_per_stage_encoder: Row | None = None
    n_conv_per_stage_decoder: Row | None = None
    pool_op_kernel_sizes: Rows | None = None
    conv_kernel_sizes: Rows | None = None

    @property
    def dimensions(self) -> int:
        """Number of axes that the network sees."""
        return len(self.patch_size)


@dataclass(frozen=True, config=FOREIGN)
class Plans:
    """All configurations of a data set, and what they share."""

    dataset_name: str
    image_reader_writer: str
    transpose_forward: tuple[_Axis, _Axis, _Axis]
    configurations: Mapping[str, Mapping[str, Any]]
    plans_name: str = "not stated"
    label_manager: str = "LabelManager"
    foreground_intensity_properties_per_channel: Mapping[str, Intensities] | None = None
    foreground_intensity_properties_by_modality: Mapping[str, Intensities] | None = None

    @property
    def intensities(self) -> Mapping[str, Intensities]:
        """The values of each channel by its number, under the name that the plans' version has for them."""
        named = self.foreground_intensity_properties_per_channel, self.foreground_intensity_properties_by_modality
        return next((each for each in named if each is not None), {})

    def configuration(self, name: str, path: Path) -> Configuration:
        """Return a configuration with all that it inherits.

        Raises
        ------
        PipelineError
            ``import-invalid``: there is none of that name, or it inherits from itself, or does not say what it should;
            ``import-unsupported``: it is a cascade.
        """
        merged, visited, parent = dict[str, Any](), list[str](), str(name)
        while parent:
            if parent in visited:
                raise PipelineError("import-invalid", f"configurations.{parent} inherits from itself", path=path)
            if parent not in self.configurations:
                there = ", ".join(self.configurations)
                raise PipelineError("import-invalid", f"no configuration {parent!r}; there are {there}", path=path)
            visited.append(parent)
            table = self.configurations[parent]
            merged = {**table, **merged}
            parent = str(table.get("inherits_from") or "")
        if merged.get("previous_stage"):
            message = f"{name} is a cascade: beside the image it sees what {merged['previous_stage']} made of it"
            raise unsupported(message, path, cure="Import 3d_fullres or 3d_lowres, each of which works by itself.")
        return as_value(merged, Configuration, path, f"configurations.{name}")
