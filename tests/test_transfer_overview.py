"""Many tensors are told in few lines, and none is lost from the counts."""

from __future__ import annotations

import pytest
import torch
from foreign_weights import ResNet, TimmViT
from hypothesis import given
from hypothesis import strategies as st

from medvision import networks as ours
from medvision.transfer import Foreign, Match, Origin, match
from medvision.transfer.overview import groups, reasons, stages

SETTINGS = ours.ResNet(blocks=(1, 1, 1, 1), channels=(4, 8, 8, 8))


@pytest.fixture
def matched() -> Match:
    state = dict(ResNet(classes=1000).state_dict())
    del state["layer4.0.bn2.weight"]
    state["layer3.0.conv1.weight"] = torch.zeros(8, 8, 5, 5)
    network = SETTINGS.build(in_channels=1, out_channels=2, dimensions=2)
    return match(Foreign(state, Origin("a.pth", "torch", "0", None)), network, SETTINGS.parts)


def shapes_of(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def test_a_file_is_told_by_its_parts_and_what_holds_most_by_what_is_in_it() -> None:
    assert [group.name for group in groups(shapes_of(ResNet()))] == [
        "conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc",
    ]  # fmt: skip
    found = groups({f"module.{name}": shape for name, shape in shapes_of(TimmViT(depth=12)).items()})
    assert [group.name for group in found] == [
        *(f"module.{name}" for name in ("cls_token", "pos_embed", "patch_embed")),
        *(f"module.blocks.{number}" for number in range(12)),
        *(f"module.{name}" for name in ("norm", "head")),
    ]
    assert len({(group.tensors, group.parameters) for group in found[3:15]}) == 1


def test_a_group_of_very_many_stays_one_line() -> None:
    assert [(group.name, group.tensors) for group in groups({f"a.{n}.w": (1,) for n in range(100)})] == [("a", 100)]


@given(st.lists(st.text("ab.", max_size=6), min_size=1, max_size=40, unique=True))
def test_every_tensor_is_of_one_group_whatever_the_names(names: list[str]) -> None:
    found = groups(dict.fromkeys(names, (2, 3)))
    assert sum(group.tensors for group in found) == len(names)
    assert sum(group.parameters for group in found) == 6 * len(names)
    assert len({group.name for group in found}) == len(found)


def test_stages_hold_every_tensor_of_the_network_once_from_stem_to_head(matched: Match) -> None:
    found = stages(matched, SETTINGS.parts)
    assert [stage.name for stage in found] == ["stem", "stage 1", "stage 2", "stage 3", "stage 4", "head"]
    for state in ("loaded", "adapted", "skipped", "missing"):
        assert sum(stage.counts[state] for stage in found) == matched.counts[state]
    assert [stage.part for stage in found] == ["encoder"] * 5 + ["head"]
    third, fourth, head = found[3:]
    assert (third.counts["skipped"], third.parameters - third.taken) == (1, 8 * 8 * 3 * 3)
    assert (fourth.counts["missing"], fourth.parameters - fourth.taken) == (1, 8)
    assert (head.counts["skipped"], head.taken) == (2, 0)


def test_reasons_are_told_once_with_the_names_that_they_hold_of(matched: Match) -> None:
    found = [(reason.state, reason.why, reason.names) for reason in reasons(matched)]
    assert ("skipped", "another number of classes", ("fc.weight", "fc.bias")) in found
    assert ("missing", "the source has no such tensor", ("layer4.0.bn2.weight",)) in found
    assert [state for state, _, _ in found] == sorted(
        (state for state, _, _ in found), key=["adapted", "skipped", "missing"].index
    )
    told = sum(len(names) for _, _, names in found)
    assert told == sum(count for state, count in matched.counts.items() if state != "loaded")
