"""Losses: what is to become small. Each is chosen by `use`, as steps are, and says for which tasks it is.

Every loss is made of sums over the batch, and each sum goes through `gather` before anything is divided. Where several
processes share a batch, `gather` adds up their sums, so that each of them has the loss of the whole batch. That is why
Dice, Tversky and focal are written here: MONAI's divide before anything could be gathered. The tests hold them to
MONAI's in one process.

With a `gather` whose gradient is the sum over the processes too (``torch.distributed.nn.functional.all_reduce``), and
gradients that are averaged over the processes afterwards, as DDP does, the gradient is also that of the whole batch.

In all of them `outputs` are logits (B, K, *spatial) or (B, K), and all sums are in fp32. Of the settings of the
training, `class_weights` are (K,) numbers, one a class or label, and `label_smoothing` is the share of the target that
is spread over all classes; both come in a :class:`Weighing`. A loss whose `weighs_classes` is false has no use for
them, and a pipeline that sets them is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from medvision.errors import PipelineError
from medvision.training.losses.depths import supervised as supervised
from medvision.training.losses.entropy import BinaryCrossEntropy as BinaryCrossEntropy
from medvision.training.losses.entropy import CrossEntropy as CrossEntropy
from medvision.training.losses.entropy import Focal as Focal
from medvision.training.losses.overlap import DiceCE as DiceCE
from medvision.training.losses.overlap import Tversky as Tversky
from medvision.training.losses.sums import Gather as Gather
from medvision.training.losses.sums import Weighing as Weighing
from medvision.training.losses.values import Huber as Huber
from medvision.training.losses.values import MeanSquared as MeanSquared

AnyLoss = DiceCE | Tversky | Focal | CrossEntropy | BinaryCrossEntropy | Huber | MeanSquared
Loss = Annotated[AnyLoss, Field(discriminator="use")]
"""Any loss; its field `use` tells which."""

LOSSES: Mapping[str, type[AnyLoss]] = MappingProxyType(
    {
        "dice-ce": DiceCE,
        "tversky": Tversky,
        "focal": Focal,
        "cross-entropy": CrossEntropy,
        "binary-cross-entropy": BinaryCrossEntropy,
        "huber": Huber,
        "mean-squared": MeanSquared,
    }
)
"""The losses by name."""


def default_loss(task: str) -> AnyLoss:
    """Return the loss that a task has where none is chosen.

    >>> default_loss("segmentation").use
    'dice-ce'

    Raises
    ------
    PipelineError
        There is no such task.
    """
    own: Mapping[str, AnyLoss] = {
        "segmentation": DiceCE(),
        "classification": CrossEntropy(),
        "multilabel": BinaryCrossEntropy(),
        "regression": Huber(),
    }
    if task not in own:
        raise PipelineError("pipeline-invalid", f"no loss is known for the task {task!r}; known are {', '.join(own)}")
    return own[task]
