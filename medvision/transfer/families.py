"""The families of key layouts that are known: how to tell them, and how they become our names and axes.

A family is told by tensors that it always has, its anchors. What stands before the anchors, such as ``module.`` or
``backbone.``, is left out. Nothing is told by shapes alone: a matrix that would have to be turned never fits by chance.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medvision.errors import PipelineError
from medvision.transfer.named import Named, renamed
from medvision.transfer.nnunet import unet_rules
from medvision.transfer.transformers import class_token_apart, fused_qkv, scales_folded
from medvision.transfer.unwrap import AVERAGED, WRAPPERS

Tensors = Mapping[str, Any]
Rule = tuple[str, str]
"""A pattern that a name begins with, and what stands there with us."""
Rules = tuple[Rule, ...] | Callable[[Iterable[str]], tuple[Rule, ...]]
"""Rules, or a function of all names that gives them."""

_PREFIX_WORDS = (*WRAPPERS, "module", "backbone", "encoder", "base_model", "image_encoder", "visual", "_orig_mod")


@dataclass(frozen=True)
class Family:
    """A key layout.

    Parameters
    ----------
    name
        For tables.
    network
        The one of our networks that it is, by its ``use``.
    anchors
        Names that it always has, after one and the same prefix.
    rules
        How names change: the first pattern that a name matches from its beginning is replaced. Names that match none
        have no place with us, and stay out; no rules keep all names.
    others
        The rules for each further network of ours that the layout can be, by its ``use``. Which one is meant, the names
        of the network tell that is to be filled.
    axes
        ``"ours"``: kernels have the axes (i, j[, k]), as those of MONAI and of nibabel do. ``"pictures"``: they are
        (rows, columns), as those of picture libraries; ``"itk"``: (k, j, i) or (j, i). These are turned.
    tells
        What else must hold, to tell it from another family with the same anchors.
    composed
        What is made of several tensors, after the names are ours.
    doubtful
        Whether a network of ours could have the same names, so that nothing tells whose axes the kernels have.
    """

    name: str
    network: str
    anchors: tuple[str, ...]
    rules: Rules = ()
    axes: str = "ours"
    others: Mapping[str, Rules] = field(default_factory=dict)
    tells: Callable[[Tensors], bool] = field(default=lambda tensors: True)
    composed: tuple[Callable[[dict[str, Named]], dict[str, Named]], ...] = ()
    doubtful: Callable[[Tensors], bool] = field(default=lambda tensors: False)


@dataclass(frozen=True)
class Found:
    """The family of a file's tensors.

    Parameters
    ----------
    family
        The layout.
    prefix
        What stands before its names.
    """

    family: Family
    prefix: str

    def is_doubtful(self, tensors: Tensors) -> bool:
        """Whether the names could be those of a network of ours too, whose kernels must not be turned."""
        own = {name[len(self.prefix) :]: value for name, value in tensors.items() if name.startswith(self.prefix)}
        return self.family.doubtful(own)

    def named(self, tensors: Tensors, *, axes_are_ours: bool = False, wanted: Iterable[str] = ()) -> dict[str, Named]:
        """Return the tensors under our names, with our axes, each with its source and what was done.

        Parameters
        ----------
        tensors
            Those of the file.
        axes_are_ours
            Whether the file comes from a training whose images had our axes, whatever the family's usual ones are.
        wanted
            The names of the network that is to be filled.
        """
        outer = self.prefix.removesuffix("swinViT.") if self.family.network == "swin-unetr" else self.prefix
        own = {name[len(outer) :]: (name, tensor) for name, tensor in tensors.items() if name.startswith(outer)}
        turn = self.family.axes != "ours" and not axes_are_ours
        values = {
            short: Named(_turned(tensor), (name,), ("axes turned to ours",))
            if turn and _has_area(tensor)
            else Named(tensor, (name,))
            for short, (name, tensor) in own.items()
        }
        names = set(wanted)
        choices = (self.family.rules, *self.family.others.values())
        results = [renamed(values, rules(own) if callable(rules) else rules) for rules in choices]
        result = max(results, key=lambda result: len(names & result.keys()))  # of several, the first
        for step in self.family.composed:
            result = step(result)
        return result


def recognise(tensors: Tensors) -> Found | None:
    """Return the family of the tensors; None where none is known.

    Raises
    ------
    PipelineError
        ``weights-layout``: the anchors of a family, or of several, stand there more than once, and no rule says which
        is meant.
    """
    found = [Found(family, prefix) for family in FAMILIES for prefix in _prefixes(family, tensors)]
    if not found:
        return None
    best = min(map(_rank, found))
    meant = [one for one in found if _rank(one) == best]
    if len(meant) > 1:
        shown = ", ".join(f"{one.family.name} under {one.prefix or 'no prefix'!r}" for one in meant[:4])
        message = f"the file holds {len(meant)} networks, and which is meant is not told: {shown}"
        raise PipelineError("weights-layout", message, cure="Store the one that is meant in a file of its own.")
    return meant[0]


def longest_prefix(tensors: Iterable[str], wanted: Sequence[str]) -> str | None:
    """Return what stands before most of the `wanted` names among those of a file; None where fewer than half are there.

    >>> longest_prefix(["module.a.weight", "module.b.weight", "c"], ["a.weight", "b.weight"])
    'module.'
    """
    names = set(tensors)
    counts: dict[str, int] = {}
    for name in names:
        for own in wanted:
            if name == own or name.endswith(f".{own}"):
                prefix = name[: len(name) - len(own)]
                counts[prefix] = counts.get(prefix, 0) + 1
    best = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    alone = len(best) == 1 or (len(best) > 1 and best[0][1] > best[1][1])
    return best[0][0] if best and alone and 2 * best[0][1] >= len(wanted) else None


def _prefixes(family: Family, tensors: Tensors) -> list[str]:
    first = family.anchors[0]
    starts = [name[: len(name) - len(first)] for name in tensors if name == first or name.endswith(f".{first}")]
    return [
        start
        for start in starts
        if all(start + anchor in tensors for anchor in family.anchors)
        and family.tells({name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)})
    ]


def _rank(found: Found) -> int:
    """Return 0 for an average of weights, 1 for no prefix or known words alone, 2 for others."""
    words = [word for word in found.prefix.split(".") if word]
    if any(word in AVERAGED for word in words):
        return 0
    return 1 if all(word in _PREFIX_WORDS for word in words) else 2


def _has_area(tensor: Any) -> bool:
    """Whether a tensor is a kernel that looks different when its spatial axes are turned."""
    return tensor.ndim in (4, 5) and any(side > 1 for side in tensor.shape[2:])


def _turned(tensor: Any) -> Any:
    """Return a kernel (O, I, *spatial) with its spatial axes in the opposite order."""
    return tensor.permute(0, 1, *reversed(range(2, tensor.ndim)))


def _nnunet_rules(names: Iterable[str]) -> tuple[Rule, ...]:
    """Return the rules for a plain U-Net of nnU-Net, whose stages are numbered, ours named."""
    numbers = {int(found[1]) for name in names if (found := re.match(r"encoder\.stages\.(\d+)\.", name))}
    last = max(numbers)
    ours = {0: "input_block", last: "bottleneck"} | {n: f"downsamples.{n - 1}" for n in range(1, last)}
    rules: list[Rule] = [(r"decoder\.transpconvs\.(\d+)\.", r"upsamples.\1.transp_conv.conv.")]
    for part in (0, 1):
        for theirs, own in (("conv", f"conv{part + 1}.conv."), ("norm", f"norm{part + 1}.")):
            rules += [
                (rf"encoder\.stages\.{n}\.0\.convs\.{part}\.{theirs}\.", f"{ours[n]}.{own}") for n in sorted(ours)
            ]
            rules.append((rf"decoder\.stages\.(\d+)\.convs\.{part}\.{theirs}\.", rf"upsamples.\1.conv_block.{own}"))
    return tuple(rules)


def _has_bias_in_shortcut(tensors: Tensors) -> bool:
    return any(name.endswith("downsample.0.bias") for name in tensors)


def _pictures(tensors: Tensors) -> bool:
    return bool(tensors["conv1.weight"].ndim == 4) and not _has_bias_in_shortcut(tensors)


def _not_of_photographs(tensors: Tensors) -> bool:
    """Whether a ResNet is not one of colour photographs and a thousand classes, which picture libraries give.

    MONAI's has the same names where its shortcuts have no bias.
    """
    head = tensors.get("fc.weight")
    return head is None or head.shape[0] < _PHOTOGRAPHS or tensors["conv1.weight"].shape[1] != _COLOURS


def _volumes(tensors: Tensors) -> bool:
    return bool(tensors["conv1.weight"].ndim == 5) and not _has_bias_in_shortcut(tensors)


_PHOTOGRAPHS, _COLOURS = 1000, 3
_RESNET = ("conv1.weight", "layer1.0.conv1.weight", "layer4.0.conv1.weight")
_DENSE_LAYER = r"(features\.denseblock\d+\.denselayer\d+\.)"
_BLOCK = r"blocks\.(\d+)\."

_TIMM_VIT: tuple[Rule, ...] = (
    (r"patch_embed\.proj\.", "patch_embedding.patch_embeddings."),
    (r"pos_embed$", "patch_embedding.position_embeddings"),
    (r"(cls_token|reg_token)$", r"\1"),
    (_BLOCK + r"attn\.proj\.", r"blocks.\1.attn.out_proj."),
    (_BLOCK + r"mlp\.fc([12])\.", r"blocks.\1.mlp.linear\2."),
    (_BLOCK + r"(attn\.qkv|norm1|norm2|ls1|ls2)\.", r"blocks.\1.\2."),
    (r"norm\.", "norm."),
    (r"head\.", "classification_head."),
)
_TORCHVISION_BLOCK = r"encoder\.layers\.encoder_layer_(\d+)\."
_TORCHVISION_VIT: tuple[Rule, ...] = (
    (r"conv_proj\.", "patch_embedding.patch_embeddings."),
    (r"encoder\.pos_embedding$", "patch_embedding.position_embeddings"),
    (r"class_token$", "cls_token"),
    (_TORCHVISION_BLOCK + r"ln_([12])\.", r"blocks.\1.norm\2."),
    (_TORCHVISION_BLOCK + r"self_attention\.in_proj_", r"blocks.\1.attn.qkv."),
    (_TORCHVISION_BLOCK + r"self_attention\.out_proj\.", r"blocks.\1.attn.out_proj."),
    (_TORCHVISION_BLOCK + r"mlp\.(?:0|linear_1)\.", r"blocks.\1.mlp.linear1."),
    (_TORCHVISION_BLOCK + r"mlp\.(?:3|linear_2)\.", r"blocks.\1.mlp.linear2."),
    (r"encoder\.ln\.", "norm."),
    (r"heads\.head\.", "classification_head."),
)
_HUB_BLOCK = r"encoder\.layer\.(\d+)\."
_HUB_VIT: tuple[Rule, ...] = (
    (r"embeddings\.patch_embeddings\.projection\.", "patch_embedding.patch_embeddings."),
    (r"embeddings\.position_embeddings$", "patch_embedding.position_embeddings"),
    (r"embeddings\.cls_token$", "cls_token"),
    (_HUB_BLOCK + r"attention\.attention\.(query|key|value)\.", r"blocks.\1.attn.\2."),
    (_HUB_BLOCK + r"attention\.output\.dense\.", r"blocks.\1.attn.out_proj."),
    (_HUB_BLOCK + r"(?:intermediate\.dense|mlp\.fc1)\.", r"blocks.\1.mlp.linear1."),
    (_HUB_BLOCK + r"(?:output\.dense|mlp\.fc2)\.", r"blocks.\1.mlp.linear2."),
    (_HUB_BLOCK + r"(?:layernorm_before|norm1)\.", r"blocks.\1.norm1."),
    (_HUB_BLOCK + r"(?:layernorm_after|norm2)\.", r"blocks.\1.norm2."),
    (_HUB_BLOCK + r"layer_scale([12])\.lambda1$", r"blocks.\1.ls\2.gamma"),
    (r"layernorm\.", "norm."),
)
_VIT_STEPS = (fused_qkv, scales_folded, class_token_apart)

_SWIN: tuple[Rule, ...] = (
    (r"(?:swinViT\.)?((?:patch_embed|layers\d)\..*)mlp\.fc([12])\.", r"swinViT.\1mlp.linear\2."),
    (r"(?:swinViT\.)?((?:patch_embed|layers\dc?)\.)", r"swinViT.\1"),
    (r"((?:encoder|decoder)\d+\.|out\.)", r"\1"),
)
FAMILIES: tuple[Family, ...] = (
    Family(
        "torchvision or timm ResNet",
        "resnet",
        _RESNET,
        axes="pictures",
        tells=_pictures,
        doubtful=_not_of_photographs,
    ),
    Family("MedicalNet ResNet", "resnet", _RESNET, tells=_volumes),
    Family("MONAI ResNet", "resnet", _RESNET, tells=_has_bias_in_shortcut),
    Family(
        "torchvision or timm DenseNet",
        "densenet",
        ("features.conv0.weight", "features.denseblock1.denselayer1.conv1.weight"),
        rules=(
            (_DENSE_LAYER, r"\1layers."),
            (r"features\.", "features."),
            (r"classifier\.", "class_layers.out."),
        ),
        axes="pictures",
    ),
    Family(
        "torchvision DenseNet as first published",
        "densenet",
        ("features.conv0.weight", "features.denseblock1.denselayer1.conv.1.weight"),
        rules=(
            (_DENSE_LAYER + r"(norm|conv)\.(\d)\.", r"\1layers.\2\3."),
            (r"features\.", "features."),
            (r"classifier\.", "class_layers.out."),
        ),
        axes="pictures",
    ),
    Family(
        "MONAI DenseNet", "densenet", ("features.conv0.weight", "features.denseblock1.denselayer1.layers.conv1.weight")
    ),
    Family(
        "timm ViT",
        "vit",
        ("patch_embed.proj.weight", "blocks.0.attn.qkv.weight"),
        _TIMM_VIT,
        "pictures",
        composed=_VIT_STEPS,
    ),
    Family(
        "torchvision ViT",
        "vit",
        ("conv_proj.weight", "encoder.layers.encoder_layer_0.self_attention.in_proj_weight"),
        _TORCHVISION_VIT,
        "pictures",
        composed=_VIT_STEPS,
    ),
    Family(
        "Hugging Face ViT",
        "vit",
        ("embeddings.patch_embeddings.projection.weight", "encoder.layer.0.attention.attention.query.weight"),
        _HUB_VIT,
        "pictures",
        composed=_VIT_STEPS,
    ),
    Family("MONAI ViT", "vit", ("patch_embedding.patch_embeddings.weight", "blocks.0.attn.qkv.weight")),
    Family(
        "SwinUNETR or its self-supervised encoder",
        "swin-unetr",
        ("patch_embed.proj.weight", "layers1.0.blocks.0.attn.qkv.weight"),
        _SWIN,
    ),
    Family(
        "nnU-Net plain U-Net",
        "dynunet",
        ("encoder.stages.0.0.convs.0.conv.weight",),
        _nnunet_rules,
        "itk",
        others={"plain-unet": unet_rules},
    ),
    Family("nnU-Net residual U-Net", "resenc-unet", ("encoder.stem.convs.0.conv.weight",), unet_rules, "itk"),
    Family("our plain U-Net", "plain-unet", ("encoder.0.0.conv.weight", "up.0.weight", "head.weight")),
    Family("our residual U-Net", "resenc-unet", ("stem.conv.weight", "encoder.0.0.first.conv.weight", "up.0.weight")),
    Family(
        "MONAI DynUNet",
        "dynunet",
        ("input_block.conv1.conv.weight", "bottleneck.conv1.conv.weight"),
        ((r"(?!skip_layers\.)(?=.)", ""),),  # those are second names of the same tensors
    ),
    Family("MONAI UNet", "residual-unet", ("model.0.conv.unit0.conv.weight", "model.2.1.conv.unit0.conv.weight")),
    Family("MONAI SegResNet", "segresnet", ("convInit.conv.weight", "down_layers.0.1.conv1.conv.weight")),
)
