"""Values of samples changed: noise, blur, brightness, contrast, resolution, gamma, and boxes erased."""

from __future__ import annotations

import math
from typing import Any

from medvision.training.augment.variation import Variation


def change(variation: Variation, images: Any) -> None:
    """Change the values of `images` (B, C, *spatial), float32 and contiguous, in place, in nnU-Net's order."""
    channels, planes = images.shape[1], images.flatten(0, 1)
    _add_noise(variation, images)
    _blur(planes, _each(variation.blur, channels))
    _scale(planes, _each(variation.brightness, channels))
    _stretch(planes, _each(variation.contrast, channels), keeps_range=variation.keeps_range)
    _coarsen(planes, _each(variation.low_resolution, channels))
    inverted = _each(variation.gamma_inverted, channels)
    _bend(planes, inverted, sign=-1, keeps_statistics=variation.keeps_statistics)
    _bend(planes, _each(variation.gamma, channels), sign=1, keeps_statistics=variation.keeps_statistics)
    _erase(variation.erased, images)


def gaussian(deviations: Any) -> Any:
    """Return (N, 2r + 1) weights of N standard deviations in voxels, each cut off at three and of sum 1.

    Each row ends at its own third deviation, so that it does not depend on the rows beside it.
    """
    import torch

    wide = deviations.double()  # rounded to fp32 at the end, so that a longer sum of zeros does not show
    reach = max(math.ceil(3 * float(wide.max())), 1)
    away = torch.arange(-reach, reach + 1).abs()
    own = (3 * wide).ceil().clamp_min(1).unsqueeze(1)
    weights = torch.exp(-0.5 * (away / wide.clamp_min(1e-3).unsqueeze(1)) ** 2) * (away <= own)
    return (weights / weights.sum(1, keepdim=True)).float()


def _each(parameter: Any, channels: int) -> Any:
    """Return the rows (B * C, ...) of a parameter (B, C or 1, ...)."""
    return parameter.expand(-1, channels, *parameter.shape[2:]).flatten(0, 1)


def _chosen(planes: Any, parameter: Any, neutral: float) -> tuple[Any, Any]:
    """Return which planes a parameter changes, and its values there, in a shape that goes with the planes'."""
    rows = (parameter != neutral).nonzero().squeeze(1)
    column = (-1, *[1] * (planes.ndim - 1))
    return rows.to(planes.device), parameter[rows].to(planes.device).reshape(column)


def _add_noise(variation: Variation, images: Any) -> None:
    """Add noise that is drawn on the CPU, from each sample's own seed: the same on every device, in every batch."""
    import torch

    for row in variation.noise.nonzero().squeeze(1).tolist():
        random = torch.Generator().manual_seed(int(variation.seeds[row]))
        noise = torch.randn(images.shape[1:], generator=random) * variation.noise[row]
        images[row] += noise.to(images.device)


def _blur(planes: Any, deviations: Any) -> None:
    """Blur along each axis in turn; sums of shifted copies, which are exact in fp32 where convolutions may not be."""
    import torch

    rows = deviations.any(1).nonzero().squeeze(1)
    if not len(rows):
        return
    place = rows.to(planes.device)
    values = planes[place]
    for axis in range(1, planes.ndim):
        weights = gaussian(deviations[rows, axis - 1])
        reach, size = weights.shape[1] // 2, values.shape[axis]
        beyond = torch.arange(-reach, size + reach, device=planes.device).clamp(0, size - 1)
        padded = values.index_select(axis, beyond)
        column = (-1, *[1] * (planes.ndim - 1))
        taps = [weight.to(planes.device).reshape(column) for weight in weights.unbind(1)]
        values = padded.narrow(axis, 0, size) * taps[0]
        for start, weight in enumerate(taps[1:], 1):
            values += padded.narrow(axis, start, size) * weight
    planes[place] = values


def _scale(planes: Any, factors: Any) -> None:
    rows, factor = _chosen(planes, factors, 1.0)
    if len(rows):
        planes[rows] = planes[rows].mul_(factor)


def _stretch(planes: Any, factors: Any, *, keeps_range: bool) -> None:
    """Change the distance to the mean."""
    rows, factor = _chosen(planes, factors, 1.0)
    if not len(rows):
        return
    values = planes[rows]
    mean, (low, high) = _mean(values), _range(values)
    values.sub_(mean).mul_(factor).add_(mean)
    planes[rows] = values.clamp_(low, high) if keeps_range else values


def _coarsen(planes: Any, shares: Any) -> None:
    """Sample down to a share of each axis' voxels, and up again."""
    from torch.nn import functional

    shape = planes.shape[1:]
    for row in (shares < 1).nonzero().squeeze(1).tolist():
        smaller = [max(round(size * float(shares[row])), 1) for size in shape]
        coarse = functional.interpolate(planes[row][None, None], smaller, mode="nearest-exact")
        mode = "bilinear" if len(shape) == 2 else "trilinear"
        planes[row] = functional.interpolate(coarse, shape, mode=mode, align_corners=False)[0, 0]


def _bend(planes: Any, exponents: Any, *, sign: int, keeps_statistics: bool) -> None:
    """Raise values, scaled to 0 to 1 by their plane's range and turned over for a `sign` of -1, to the exponents."""
    rows, exponent = _chosen(planes, exponents, 1.0)
    if not len(rows):
        return
    values = planes[rows].mul_(sign)
    low, high = _range(values)
    span = (high - low).clamp_min_(1e-7)
    mean, deviation = _mean(values), _deviation(values)
    values.sub_(low).div_(span).clamp_(0, 1).pow_(exponent).mul_(span).add_(low)
    if keeps_statistics:
        factor = deviation / _deviation(values).clamp_min_(1e-7)
        values.sub_(_mean(values)).mul_(factor).add_(mean)
    planes[rows] = values.mul_(sign)


def _erase(boxes: Any, images: Any) -> None:
    """Fill each sample's box with the mean of each channel."""
    for row in (boxes[:, :, 1] > 0).all(1).nonzero().squeeze(1).tolist():
        sides = zip(boxes[row].tolist(), images.shape[2:], strict=True)
        box = tuple(slice(round(start * n), round((start + length) * n)) for (start, length), n in sides)
        images[(row, slice(None), *box)] = _mean(images[row])


def _mean(planes: Any) -> Any:
    """Return the mean of each plane: summed in fp64, so that no number of threads or planes shows in fp32."""
    import torch

    return planes.flatten(1).mean(1, dtype=torch.float64).float().reshape(-1, *[1] * (planes.ndim - 1))


def _deviation(planes: Any) -> Any:
    """Return the standard deviation of each plane; in two passes, as torch's own takes far longer on a CPU."""
    return _mean((planes - _mean(planes)).square_()).sqrt_()


def _range(planes: Any) -> tuple[Any, Any]:
    """Return the least and the greatest value of each plane; two passes, as ``aminmax`` takes far longer on a CPU."""
    column = (-1, *[1] * (planes.ndim - 1))
    flat = planes.flatten(1)
    return flat.amin(1).reshape(column), flat.amax(1).reshape(column)
