"""Small networks with the tensor names and the arithmetic of other libraries, for tests: nothing of them is needed."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as f


def conv(dims: int, *given: Any, **named: Any) -> nn.Module:
    return (nn.Conv2d if dims == 2 else nn.Conv3d)(*given, **named)


def batch_norm(dims: int, features: int) -> nn.Module:
    """Return a norm that does something: statistics and factors are drawn."""
    norm = (nn.BatchNorm2d if dims == 2 else nn.BatchNorm3d)(features)
    for tensor in (norm.weight.data, norm.running_var):
        tensor.uniform_(0.5, 1.5)
    for tensor in (norm.bias.data, norm.running_mean):
        tensor.normal_(0, 0.1)
    return norm


def pooled(features: torch.Tensor) -> torch.Tensor:
    return features.flatten(2).mean(2)


class Basic(nn.Module):
    """Two convolutions and a shortcut, as in torchvision and MedicalNet (shortcut of type B)."""

    expansion = 1

    def __init__(self, dims: int, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv(dims, inputs, width, 3, stride, 1, bias=False)
        self.bn1 = batch_norm(dims, width)
        self.conv2 = conv(dims, width, width, 3, 1, 1, bias=False)
        self.bn2 = batch_norm(dims, width)
        if stride != 1 or inputs != width:
            self.downsample = nn.Sequential(conv(dims, inputs, width, 1, stride, bias=False), batch_norm(dims, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        beside = self.downsample(x) if hasattr(self, "downsample") else x
        return f.relu(self.bn2(self.conv2(f.relu(self.bn1(self.conv1(x))))) + beside)


class Bottleneck(nn.Module):
    """Three convolutions, the stride in the middle one, as in torchvision."""

    expansion = 4

    def __init__(self, dims: int, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        wide = 4 * width
        self.conv1 = conv(dims, inputs, width, 1, bias=False)
        self.bn1 = batch_norm(dims, width)
        self.conv2 = conv(dims, width, width, 3, stride, 1, bias=False)
        self.bn2 = batch_norm(dims, width)
        self.conv3 = conv(dims, width, wide, 1, bias=False)
        self.bn3 = batch_norm(dims, wide)
        if stride != 1 or inputs != wide:
            self.downsample = nn.Sequential(conv(dims, inputs, wide, 1, stride, bias=False), batch_norm(dims, wide))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        beside = self.downsample(x) if hasattr(self, "downsample") else x
        inner = f.relu(self.bn2(self.conv2(f.relu(self.bn1(self.conv1(x))))))
        return f.relu(self.bn3(self.conv3(inner)) + beside)


class ResNet(nn.Module):
    """The names of torchvision's and timm's ResNets, and in three dimensions those of MedicalNet."""

    def __init__(
        self,
        *,
        dims: int = 2,
        inputs: int = 3,
        classes: int = 5,
        widths: tuple[int, ...] = (4, 8, 8, 8),
        blocks: tuple[int, ...] = (1, 1, 1, 1),
        block: Any = Basic,
    ) -> None:
        super().__init__()
        self.conv1 = conv(dims, inputs, widths[0], 7, 2, 3, bias=False)
        self.bn1 = batch_norm(dims, widths[0])
        self.pool = (nn.MaxPool2d if dims == 2 else nn.MaxPool3d)(3, 2, 1)
        before = widths[0]
        for number, (width, depth) in enumerate(zip(widths, blocks, strict=True), 1):
            stage = nn.Sequential()
            for place in range(depth):
                stage.append(block(dims, before, width, 2 if number > 1 and place == 0 else 1))
                before = width * block.expansion
            self.add_module(f"layer{number}", stage)
        self.fc = nn.Linear(before, classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(f.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(pooled(self.features(x)))


class DenseLayer(nn.Module):
    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1 = batch_norm(2, inputs)
        self.conv1 = conv(2, inputs, 4 * growth, 1, bias=False)
        self.norm2 = batch_norm(2, 4 * growth)
        self.conv2 = conv(2, 4 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        new = self.conv2(f.relu(self.norm2(self.conv1(f.relu(self.norm1(x))))))
        return torch.cat([x, new], 1)


class DenseNet(nn.Module):
    """The names of torchvision's and timm's DenseNets."""

    def __init__(
        self,
        *,
        inputs: int = 3,
        classes: int = 5,
        blocks: tuple[int, ...] = (2, 1),
        growth: int = 4,
        width: int = 8,
    ) -> None:
        super().__init__()
        parts: dict[str, nn.Module] = {
            "conv0": conv(2, inputs, width, 7, 2, 3, bias=False),
            "norm0": batch_norm(2, width),
            "relu0": nn.ReLU(),
            "pool0": nn.MaxPool2d(3, 2, 1),
        }
        for number, layers in enumerate(blocks, 1):
            block = nn.Sequential()
            for layer in range(layers):
                block.add_module(f"denselayer{layer + 1}", DenseLayer(width, growth))
                width += growth
            parts[f"denseblock{number}"] = block
            if number < len(blocks):
                transition = nn.Sequential()
                transition.add_module("norm", batch_norm(2, width))
                transition.add_module("relu", nn.ReLU())
                transition.add_module("conv", conv(2, width, width // 2, 1, bias=False))
                transition.add_module("pool", nn.AvgPool2d(2))
                parts[f"transition{number}"] = transition
                width //= 2
        parts["norm5"] = batch_norm(2, width)
        self.features = nn.Sequential()
        for name, part in parts.items():
            self.features.add_module(name, part)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(pooled(f.relu(self.features(x))))


class Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gamma


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        return self.proj(f.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, width))


class TimmBlock(nn.Module):
    def __init__(self, width: int, heads: int, *, scaled: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.ls1 = Scale(width) if scaled else nn.Identity()
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential()
        self.mlp.add_module("fc1", nn.Linear(width, 4 * width))
        self.mlp.add_module("act", nn.GELU())
        self.mlp.add_module("fc2", nn.Linear(4 * width, width))
        self.ls2 = Scale(width) if scaled else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    def __init__(self, inputs: int, width: int, patch: int) -> None:
        super().__init__()
        self.proj = conv(2, inputs, width, patch, patch)


class TimmViT(nn.Module):
    """The names of timm's vision transformers, those of DINO and MAE too."""

    def __init__(
        self,
        *,
        inputs: int = 3,
        classes: int = 5,
        size: int = 16,
        patch: int = 4,
        width: int = 12,
        depth: int = 2,
        scaled: bool = False,
    ) -> None:
        super().__init__()
        tokens = (size // patch) ** 2 + 1
        self.cls_token = nn.Parameter(torch.randn(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, tokens, width))
        self.patch_embed = PatchEmbed(inputs, width, patch)
        self.blocks = nn.Sequential(*(TimmBlock(width, 3, scaled=scaled) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patch_embed.proj(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(tokens))[:, 0])


def as_torchvision_vit(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a timm transformer's tensors under torchvision's names."""
    words = {
        "cls_token": "class_token",
        "pos_embed": "encoder.pos_embedding",
        "patch_embed.proj": "conv_proj",
        ".attn.qkv.": ".self_attention.in_proj_",
        ".attn.proj.": ".self_attention.out_proj.",
        ".mlp.fc1.": ".mlp.0.",
        ".mlp.fc2.": ".mlp.3.",
        ".norm1.": ".ln_1.",
        ".norm2.": ".ln_2.",
        "blocks.": "encoder.layers.encoder_layer_",
        "head.": "heads.head.",
    }
    return {_spelled(f"encoder.ln.{n[5:]}" if n.startswith("norm.") else n, words): t for n, t in state.items()}


def as_hub_vit(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a timm transformer's tensors under the names of the Hugging Face hub's ViT, below ``vit.``."""
    words = {
        "cls_token": "embeddings.cls_token",
        "pos_embed": "embeddings.position_embeddings",
        "patch_embed.proj": "embeddings.patch_embeddings.projection",
        ".attn.proj.": ".attention.output.dense.",
        ".mlp.fc1.": ".intermediate.dense.",
        ".mlp.fc2.": ".output.dense.",
        ".norm1.": ".layernorm_before.",
        ".norm2.": ".layernorm_after.",
        "blocks.": "encoder.layer.",
        "norm.": "layernorm.",
    }
    result = {}
    for name, tensor in state.items():
        if name.startswith("head."):
            result[name.replace("head", "classifier")] = tensor
        elif ".attn.qkv." in name:
            for part, third in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                new = name.replace("attn.qkv", f"attention.attention.{part}").replace("blocks.", "encoder.layer.")
                result[f"vit.{new}"] = third.clone()
        else:
            result[f"vit.{_spelled(name, words)}"] = tensor
    return result


def _spelled(name: str, words: dict[str, str]) -> str:
    for old, new in words.items():
        if old.startswith(".") and old in name:
            name = name.replace(old, new)
    for old, new in words.items():
        if not old.startswith(".") and name.startswith(old):
            return new + name[len(old) :]
    return name


class ConvNorm(nn.Module):
    def __init__(self, dims: int, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv = conv(dims, inputs, outputs, 3, stride, 1)
        self.norm = (nn.InstanceNorm2d if dims == 2 else nn.InstanceNorm3d)(outputs, affine=True)
        self.norm.weight.data.uniform_(0.5, 1.5)
        self.norm.bias.data.normal_(0, 0.1)
        self.all_modules = nn.Sequential(self.conv, self.norm, nn.LeakyReLU(0.01))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.all_modules(x)


class Stacked(nn.Module):
    def __init__(self, dims: int, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(ConvNorm(dims, inputs, outputs, stride), ConvNorm(dims, outputs, outputs, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convs(x)


class PlainUNet(nn.Module):
    """The names of nnU-Net's plain U-Net: each tensor under several, and a bias before each norm."""

    def __init__(self, *, dims: int = 3, widths: tuple[int, ...] = (4, 6, 8), classes: int = 3) -> None:
        super().__init__()
        before = (1, *widths)
        self.encoder = nn.Module()
        self.encoder.stages = nn.Sequential(
            *(nn.Sequential(Stacked(dims, before[n], width, 1 if n == 0 else 2)) for n, width in enumerate(widths))
        )
        self.decoder = nn.Module()
        self.decoder.encoder = self.encoder
        up = nn.ConvTranspose2d if dims == 2 else nn.ConvTranspose3d
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.decoder.stages = nn.ModuleList([Stacked(dims, 2 * to, to, 1) for _, to in pairs])
        self.decoder.transpconvs = nn.ModuleList([up(here, to, 2, 2) for here, to in pairs])
        self.decoder.seg_layers = nn.ModuleList([conv(dims, to, classes, 1) for _, to in pairs])

    def bottom(self, x: torch.Tensor) -> torch.Tensor:
        return self.encoder.stages(x)
