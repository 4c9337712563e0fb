"""Sides and orientations: mirrored before and back after, detected where not stated, doubted where they disagree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from phantoms import sphere

from medvision.contract import Contract
from medvision.explain import SegHiResCam
from medvision.geometry import Geometry
from medvision.networks import DynUNet
from medvision.pipeline import Settings
from medvision.predict import Prediction
from medvision.steps import Reorient
from medvision.study import Case, Source
from medvision.training import Augmentation, Training
from medvision.volume import Volume
from medvision.workflows.cases.network import ReadyNetwork
from medvision.workflows.cases.segment import MIRRORED, TURNS, segment

GRID = Geometry.from_spacing((1, 1, 1), (16, 20, 12))
FRONT, BACK = (10.0, 15.0, 6.0), (5.0, 5.0, 6.0)  # the front part lies at the greater x, as in a left hippocampus


class KnowsOneSide(torch.nn.Module):
    """A stand-in for a network that has learned one side: sure of the parts where it knows them, unsure elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        known = np.stack([sphere(GRID, FRONT, 5), sphere(GRID, BACK, 5)])
        self.register_buffer("known", torch.from_numpy(known).float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bright = torch.stack([(x[0, 0] == 1).float(), (x[0, 0] == 2).float()])
        score = 2 * bright * (1 + 3 * self.known[:, : x.shape[2], : x.shape[3], : x.shape[4]]) - 1
        return torch.cat([torch.zeros_like(score[:1]), score])[None] + self.weight


def knowing() -> ReadyNetwork:
    return ReadyNetwork.in_torch(KnowsOneSide().eval())


def settings(**contract: object) -> Settings:
    return Settings(
        name="parts",
        task="segmentation",
        description="Two parts",
        contract=Contract(shows="two parts", **contract),  # type: ignore[arg-type]
        labels={1: "front", 2: "back"},
        network=DynUNet(channels=(8, 8, 8)),
        steps=(Reorient(orientation="RAS"),),
    )


def image_of(turn: tuple[int, int, int] = (1, 1, 1)) -> Volume:
    """Return the two parts as they lie, mirrored or turned about the middle of the field of view."""
    values = sphere(GRID, FRONT, 4) * 1.0 + sphere(GRID, BACK, 4) * 2.0
    flipped = np.flip(values, [axis for axis in range(3) if turn[axis] < 0])
    return Volume(flipped[None].astype(np.float32), GRID)


def case(**attributes: str) -> Case:
    return Case("one", (Source("nifti", (Path("one.nii"),)),), attributes=attributes)


def codes(found: object) -> list[str]:
    return [finding.code for finding in found.findings]  # type: ignore[attr-defined]


@pytest.mark.parametrize("orientation", ["RAS", "LPI", "SAR"])
def test_a_right_side_is_mirrored_before_and_its_mask_back_after(orientation: str) -> None:
    image = image_of((-1, 1, 1))
    stored = image.onto(GRID.reoriented(orientation))
    found = segment(stored, case(side="right"), settings(side="left"), knowing())
    assert np.array_equal(found.segmentation.labels.onto(GRID).voxels, image.voxels[0].astype(np.uint8))
    assert found.segmentation.labels.geometry.matches(stored.geometry)
    assert found.checks["orientation"] == MIRRORED
    assert codes(found) == ["side-mirrored"]


def test_a_left_side_is_left_as_it_is() -> None:
    found = segment(image_of(), case(side="left"), settings(side="left"), knowing())
    assert np.array_equal(found.segmentation.labels.voxels, image_of().voxels[0].astype(np.uint8))
    assert found.checks == {"orientation": "as stored"}


@pytest.mark.parametrize(("turn", "side"), [((1, 1, 1), "left"), ((-1, 1, 1), "right")])
def test_a_side_that_is_not_stated_is_detected_and_said(turn: tuple[int, int, int], side: str) -> None:
    found = segment(image_of(turn), case(), settings(side="left"), knowing())
    assert codes(found) == ["side-detected"]
    assert f"looks like a {side} one" in found.findings[0].message
    assert np.array_equal(found.segmentation.labels.voxels, image_of(turn).voxels[0].astype(np.uint8))


def test_a_side_that_cannot_be_told_is_for_review() -> None:
    unclear = settings(side="left", orientation_margin=0.9)
    found = segment(image_of(), case(), unclear, knowing())
    assert codes(found) == ["side-uncertain"]
    assert found.findings[0].grade == "warning"


def test_a_side_that_is_stated_wrongly_is_doubted() -> None:
    wrong = settings(side="left", orientation_check=True)
    found = segment(image_of((-1, 1, 1)), case(side="left"), wrong, knowing())
    assert codes(found) == ["orientation-doubted"]
    assert found.findings[0].grade == "warning"


@pytest.mark.parametrize("turn", [turn for name, turn in TURNS.items() if turn[1] < 0])
def test_an_image_that_lies_otherwise_than_its_header_says_is_doubted(turn: tuple[int, int, int]) -> None:
    found = segment(
        image_of(turn),
        case(),
        settings(side="left", orientation_check=True),
        knowing(),
    )
    assert "orientation-doubted" in codes(found)
    assert set(found.checks["agreement"]) == set(TURNS)


def test_a_network_that_disagrees_with_itself_more_than_ever_before_is_for_review() -> None:
    found = segment(image_of(), case(), settings(least_agreement=0.999), knowing())
    assert codes(found) == ["agreement-low"]
    assert codes(segment(image_of(), case(), settings(least_agreement=0.05), knowing())) == []


def test_without_a_side_in_the_contract_nothing_is_mirrored() -> None:
    found = segment(image_of(), case(side="right"), settings(), knowing())
    assert found.checks == {"orientation": "as stored"}


def test_the_entropy_is_in_bits_and_confidence_is_the_mean_probability() -> None:
    found = segment(image_of(), case(), settings(), knowing())
    assert found.segmentation.entropy.unit == "bit"
    assert 0 < float(found.segmentation.entropy.values.max()) <= np.log2(3) + 1e-6
    assert all(0.5 < value <= 1 for value in found.segmentation.confidence.values())


def test_the_map_is_of_the_same_mirrored_and_padded_images_as_the_answer() -> None:
    """13 voxels are padded to 16; the last are brighter than the first, so that the order of the two matters."""
    grid = Geometry.from_spacing((1, 1, 1), (13, 8, 8))
    image = Volume(np.linspace(0, 1, 13 * 8 * 8, dtype=np.float32).reshape(1, 13, 8, 8), grid)
    mirrored = Augmentation(mirror_axes=(0,))
    asked = replace(
        settings(),
        network=DynUNet(channels=(4, 4, 4)),
        predict=Prediction(mirror_axes=(0,)),
        explain=(SegHiResCam(),),
        train=Training(augmentation=mirrored),
    )
    torch.manual_seed(0)
    network = asked.network.build(in_channels=1, out_channels=3, dimensions=3).eval()
    seen: list[bytes] = []
    network.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().numpy().tobytes()))
    found = segment(image, case(), asked, ReadyNetwork.in_torch(network))
    assert found.saliency[1].parameters["mirrored"] == 2
    answered, explained = seen[:2], seen[2:]
    assert len(set(answered)) == 2
    assert set(explained) == set(answered)


def test_the_callers_volume_is_not_changed() -> None:
    volume = image_of()
    before = volume.voxels.copy()
    segment(volume, case(), settings(side="left", orientation_check=True), knowing())
    assert np.array_equal(volume.voxels, before)
