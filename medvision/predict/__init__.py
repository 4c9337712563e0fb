"""A network applied to one prepared image: whole, or through a sliding window; labels, classes or values from it."""

from __future__ import annotations

from medvision.predict.answers import class_probabilities, label_probabilities, standardised_values
from medvision.predict.labelling import Labelling, labelled
from medvision.predict.mirrors import mirrors
from medvision.predict.settings import Prediction, Quantity, Tolerance
from medvision.predict.sliding import (
    Demand,
    Over,
    Slab,
    demand,
    input_sizes,
    inputs_of,
    probabilities,
    slab_axis,
    slabs,
    whole,
)
from medvision.predict.tensors import from_tensor, padded_to, parts_of, to_tensor

__all__ = [
    "Demand",
    "Labelling",
    "Over",
    "Prediction",
    "Quantity",
    "Slab",
    "Tolerance",
    "class_probabilities",
    "demand",
    "from_tensor",
    "input_sizes",
    "inputs_of",
    "label_probabilities",
    "labelled",
    "mirrors",
    "padded_to",
    "parts_of",
    "probabilities",
    "slab_axis",
    "slabs",
    "standardised_values",
    "to_tensor",
    "whole",
]
