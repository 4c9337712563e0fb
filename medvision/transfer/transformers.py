"""What vision transformers store in other pieces than ours: joined, folded or taken apart, with the same answers."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from medvision.transfer.named import Named

_POSITIONS = "patch_embedding.position_embeddings"
_TOKEN = "cls_token"  # noqa: S105 - a tensor of features, no secret


def fused_qkv(values: dict[str, Named]) -> dict[str, Named]:
    """Join query, key and value of each block, which some layouts keep apart, into the one matrix (3 D, D) of ours."""
    import torch

    result = {name: value for name, value in values.items() if not re.search(r"\.attn\.(query|key|value)\.", name)}
    for name, query in values.items():
        if ".attn.query." not in name:
            continue
        parts = [query, *(values.get(name.replace("query", other)) for other in ("key", "value"))]
        there = [part for part in parts if part is not None and part.tensor is not None]
        if len(there) == 3:
            joined = torch.cat([part.tensor for part in there])
            sources = tuple(source for part in there for source in part.sources)
            result[name.replace("query", "qkv")] = Named(joined, sources, ("query, key and value joined",))
    return result


def scales_folded(values: dict[str, Named]) -> dict[str, Named]:
    """Multiply the scale of each residual branch (LayerScale, Touvron et al., ICCV 2021) into the layer before it."""
    result = dict(values)
    for name, scale in values.items():
        found = re.fullmatch(r"(blocks\.\d+\.)ls([12])\.gamma", name)
        if found is None:
            continue
        del result[name]
        layer = found[1] + ("attn.out_proj." if found[2] == "1" else "mlp.linear2.")
        for part in ("weight", "bias"):
            before = result.get(layer + part)
            if before is None or before.tensor is None or scale.tensor is None:
                continue
            factor = scale.tensor[:, None] if part == "weight" else scale.tensor
            sources = (*before.sources, *scale.sources)
            result[layer + part] = Named(before.tensor * factor, sources, (*before.notes, "scale of the branch folded"))
    return result


def class_token_apart(values: dict[str, Named]) -> dict[str, Named]:
    """Add the class token's position to the token, and leave (1, patches, D) with the axes of the grid turned to ours.

    Foreign positions stand by rows of a square picture; ours by columns. Where no square grid follows the class
    token, the positions cannot be told, and are dropped with the reason.
    """
    positions, token = values.get(_POSITIONS), values.get(_TOKEN)
    if positions is None or positions.tensor is None or positions.tensor.ndim != 3:
        return values
    result = dict(values)
    count = positions.tensor.shape[1]
    first = next((ahead for ahead in (0, 1) if _is_square(count - ahead)), None)
    if first is None:
        reason = f"{count} positions are no square grid, with or without a class token"
        return result | {_POSITIONS: Named(None, positions.sources, (reason,))}
    if first == 1 and token is not None and token.tensor is not None:
        summed = token.tensor + positions.tensor[:, :1]
        result[_TOKEN] = Named(summed, (*token.sources, *positions.sources), ("its position added",))
    side = math.isqrt(count - first)
    grid = positions.tensor[:, first:].reshape(1, side, side, -1).transpose(1, 2).reshape(1, side * side, -1)
    result[_POSITIONS] = replace(positions, tensor=grid, notes=("axes turned to ours",))
    return result


def _is_square(number: int) -> bool:
    return number > 0 and math.isqrt(number) ** 2 == number
