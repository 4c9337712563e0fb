"""A training of minutes instead of days, for nnU-Net to find by ``nnUNet_extTrainer`` (runs in its environment)."""

from __future__ import annotations

from typing import Any

import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class ShortTrainer(nnUNetTrainer):  # type: ignore[misc]
    """nnU-Net's trainer with few iterations, on one thread of a CPU.

    Adam, because nnU-Net's SGD has learnt nothing after so few iterations; bfloat16, because it takes half the time
    (the weights stay float32). There is no validation at the end: the cases kept apart are what it is judged by.
    """

    def __init__(
        self,
        plans: dict,  # type: ignore[type-arg]
        configuration: str,
        fold: int,
        dataset_json: dict,  # type: ignore[type-arg]
        device: torch.device = torch.device("cpu"),  # noqa: B008 (nnU-Net's own signature)
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        torch.set_num_threads(1)
        self.initial_lr = 1e-3
        self.num_epochs = 16
        self.num_iterations_per_epoch = 10
        self.num_val_iterations_per_epoch = 2
        self.save_every = 1  # an interrupted training goes on with --c

    def configure_optimizers(self) -> tuple[Any, Any]:
        """Return Adam and nnU-Net's falling learning rate."""
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=self.initial_lr, weight_decay=self.weight_decay)
        return optimizer, PolyLRScheduler(optimizer, self.initial_lr, self.num_epochs)

    def train_step(self, batch: dict) -> dict:  # type: ignore[type-arg]
        """Do nnU-Net's step, the network in bfloat16."""
        with torch.autocast("cpu", torch.bfloat16):
            return dict(super().train_step(batch))

    def validation_step(self, batch: dict) -> dict:  # type: ignore[type-arg]
        """Do nnU-Net's step, the network in bfloat16."""
        with torch.autocast("cpu", torch.bfloat16):
            return dict(super().validation_step(batch))

    def _build_loss(self) -> Any:
        loss = super()._build_loss()
        return lambda outputs, targets: loss([output.float() for output in outputs], targets)

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Do nothing."""


# So that the folder it leaves is that of an ordinary training: nnUNetv2_predict then needs no search for a trainer.
ShortTrainer.__name__ = "nnUNetTrainer"
