"""Networks of attention. Without pretraining they need more data than convolutions do: on small data, prefer those."""

from __future__ import annotations

import functools
from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from medvision.errors import PipelineError
from medvision.frameworks import monai_module
from medvision.parts import Parts
from medvision.strict import STRICT

_Four = tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]


@dataclass(frozen=True, config=STRICT)
class ViT:
    """A vision transformer (Dosovitskiy et al., ICLR 2021), in 2D or 3D (MONAI ``ViT``).

    MONAI's gives a tuple, and by default puts a tanh behind the logits, which would flatten every answer; this one
    gives the plain logits of the class token.

    Parameters
    ----------
    use
        ``"vit"``.
    image_size
        Size of the images along each axis; others are refused. A step `resize` gives all images one.
    patch_size
        Size of a patch along each axis, of which `image_size` is a multiple. A patch is a token.
    channels
        Numbers a token has, a multiple of `heads`; 192, 384 and 768 are those of ViT-Ti, -S and -B.
    blocks
        Blocks of attention.
    heads
        Heads of each block; 3, 6 and 12 are those of ViT-Ti, -S and -B.
    expansion
        By how much the layer between two tokens' channels is wider than they.
    dropout
        Share of features dropped in each block, 0 to 1.

    Raises
    ------
    ValueError
        `patch_size` does not divide `image_size`, or `heads` does not divide `channels`; or the sizes are not of 2 or 3
        axes, the same for both.
    """

    tasks: ClassVar[tuple[str, ...]] = ("classification", "multilabel", "regression")
    divisor: ClassVar[int] = 1
    image_size: tuple[PositiveInt, ...]
    use: Literal["vit"] = "vit"
    patch_size: tuple[PositiveInt, ...] = (16, 16)
    channels: int = Field(default=384, ge=1)
    blocks: int = Field(default=12, ge=1)
    heads: int = Field(default=6, ge=1)
    expansion: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)

    def __post_init__(self) -> None:
        if len(self.image_size) not in (2, 3) or len(self.patch_size) != len(self.image_size):
            raise ValueError("image_size and patch_size have 2 or 3 numbers, the one as many as the other")
        if any(whole % part for whole, part in zip(self.image_size, self.patch_size, strict=True)):
            raise ValueError("patch_size must divide image_size along every axis, or a rim would not be seen")
        if self.channels % self.heads:
            raise ValueError("heads must divide channels")

    @property
    def parts(self) -> Parts:
        """The stages from stem to head, the encoder before it; the norm behind the last block is of its stage."""
        inner = [(f"block {n + 1}", (f"blocks.{n}",)) for n in range(self.blocks - 1)]
        last = (f"block {self.blocks}", (f"blocks.{self.blocks - 1}", "norm"))
        stages = (("stem", ("patch_embedding", "cls_token")), *inner, last, ("head", ("classification_head",)))
        return Parts(
            stages,
            encoding=self.blocks + 1,
            image=("patch_embedding.patch_embeddings.weight",),
            positions="patch_embedding.position_embeddings",
        )

    def build(self, *, in_channels: int, out_channels: int, dimensions: int) -> Any:
        """Return the module: (B, in_channels, *image_size) to logits (B, out_channels).

        Raises
        ------
        PipelineError
            `image_size` has another number of axes; and from the module, where an image has another size.
        """
        if dimensions != len(self.image_size):
            message = f"image_size has {len(self.image_size)} numbers, the pipeline {dimensions} dimensions"
            raise PipelineError("pipeline-invalid", message)
        return _vit_class()(
            in_channels=in_channels,
            img_size=self.image_size,
            patch_size=self.patch_size,
            hidden_size=self.channels,
            mlp_dim=self.expansion * self.channels,
            num_layers=self.blocks,
            num_heads=self.heads,
            classification=True,
            num_classes=out_channels,
            dropout_rate=self.dropout,
            spatial_dims=dimensions,
            post_activation=None,
            qkv_bias=True,
        )


@dataclass(frozen=True, config=STRICT)
class SwinUNETR:
    """Attention in shifted windows, with a decoder of convolutions (Hatamizadeh et al., 2022; MONAI ``SwinUNETR``).

    Parameters
    ----------
    use
        ``"swin-unetr"``.
    channels
        Feature maps of the first stage, a multiple of 12; each further stage doubles them and halves the grid.
        Published weights have 48.
    blocks
        Blocks of attention of each stage.
    heads
        Heads of each stage, which divide its feature maps.
    window
        Side of the windows.
    residual
        Whether a residual convolution begins each stage, as in SwinUNETR-V2.
    dropout, attention_dropout
        Share of features, and of attention, dropped in each block, 0 to 1.
    path_dropout
        Stochastic depth: how often the last block is passed over in a training step, 0 to 1; earlier ones are less
        often, in proportion to their depth (Huang et al., ECCV 2016).

    Raises
    ------
    ValueError
        `heads` do not divide the feature maps of their stages.
    """

    tasks: ClassVar[tuple[str, ...]] = ("segmentation",)
    divisor: ClassVar[int] = 32
    use: Literal["swin-unetr"] = "swin-unetr"
    channels: int = Field(default=24, ge=12, multiple_of=12)
    blocks: _Four = (2, 2, 2, 2)
    heads: _Four = (3, 6, 12, 24)
    window: int = Field(default=7, ge=2)
    residual: bool = False
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    attention_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    path_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)

    def __post_init__(self) -> None:
        if any(self.channels * 2**stage % heads for stage, heads in enumerate(self.heads)):
            raise ValueError("heads must divide the feature maps of their stages, which double from stage to stage")

    @property
    def parts(self) -> Parts:
        """The stages from stem to head: encoder, the convolutions beside it, decoder, and what gives the logits."""
        down = [(f"encoder {n}", (f"swinViT.layers{n}", f"swinViT.layers{n}c")) for n in range(1, 5)]
        beside = ("skips", tuple(f"encoder{n}" for n in (1, 2, 3, 4, 10)))
        up = [(f"decoder {6 - n}", (f"decoder{n}",)) for n in (5, 4, 3, 2, 1)]
        stages = (("stem", ("swinViT.patch_embed",)), *down, beside, *up, ("head", ("out",)))
        beside_image = tuple(f"encoder1.layer.{name}.conv.weight" for name in ("conv1", "conv3"))
        return Parts(stages, encoding=5, image=("swinViT.patch_embed.proj.weight", *beside_image))

    def build(self, *, in_channels: int, out_channels: int, dimensions: int) -> Any:
        """Return the module: (B, in_channels, *spatial) to logits (B, out_channels, *spatial)."""
        return monai_module("networks.nets").SwinUNETR(
            in_channels=in_channels,
            out_channels=out_channels,
            depths=self.blocks,
            num_heads=self.heads,
            window_size=self.window,
            feature_size=self.channels,
            drop_rate=self.dropout,
            attn_drop_rate=self.attention_dropout,
            dropout_path_rate=self.path_dropout,
            use_v2=self.residual,
            spatial_dims=dimensions,
        )


@functools.cache
def _vit_class() -> Any:
    """Return the class; made here since its base is imported late, and once, so that copies are of one type."""
    from torch import nn

    class PlainViT(monai_module("networks.nets").ViT):  # type: ignore[misc]
        def __init__(self, *, img_size: tuple[int, ...], **given: Any) -> None:
            super().__init__(img_size=img_size, **given)
            self.image_size = img_size
            for part in self.modules():
                if isinstance(part, nn.LayerNorm):
                    part.eps = 1e-6  # as published weights were trained; torch's own is ten times as much
            for block in self.blocks:
                # made for an attention to something else, which there is not: weights that no image ever reaches
                block.norm_cross_attn = nn.Identity()

        def forward(self, image: Any) -> Any:
            size = tuple(image.shape[2:])
            if size != self.image_size:
                # as many patches in another order would go through, each with a wrong position
                message = f"the network takes images of {list(self.image_size)} voxels, got {list(size)}"
                raise PipelineError("pipeline-invalid", message, cure="Add a step `resize` to that size.")
            return super().forward(image)[0]

    return PlainViT
