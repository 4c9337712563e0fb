"""What a training keeps of itself beside its weights, in files of JSON: read again, or refused where it is damaged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medvision.errors import MedvisionError, PipelineError

CHECKPOINTS = "checkpoints"
"""The folder, in that of a training, of where it stands; of one that is done, of what it was."""
RESULT, PRETRAINED = "training.json", "pretraining.json"
"""What a training and a pretraining came to, in the folder of one that has come to its end."""
WEIGHTS = "weights.safetensors"
"""What it leaves."""
_DAMAGE = (OSError, RecursionError, ValueError, LookupError, TypeError, AttributeError)


@contextmanager
def state_in(path: Path) -> Iterator[dict[str, Any]]:
    """Give the content of a file, for a block that takes what it needs of it and does no more.

    Raises
    ------
    PipelineError
        The file cannot be read, or the block does not find in it what it looks for: it is damaged, or not one of ours.
    """
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise TypeError
        yield content
    except MedvisionError:  # what the block itself refuses
        raise
    except _DAMAGE as error:
        message = "what is kept here of a training cannot be read"
        cure = "Choose another --out, or remove this one."
        raise PipelineError("weights-mismatch", message, path=path, cure=cure) from error
