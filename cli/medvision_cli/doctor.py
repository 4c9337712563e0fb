"""The command `medvision doctor`."""

from __future__ import annotations

import typer

from medvision_cli import shell


def command(as_json: shell.JsonOption = False) -> None:
    """Tell what this machine has (versions, processor, GPU, memory, extras), and what to do about it."""
    from medvision.workflows.doctor import doctor

    found = doctor()
    if as_json:
        shell.print_json(found.to_json())
        return
    lines = {
        "medvision": found.medvision,
        "packages": ", ".join(f"{name} {version}" for name, version in found.versions.items()),
        "system": found.system,
        "processor": f"{found.processor}, {found.cores} cores, {', '.join(found.features) or 'no known features'}",
        "GPU": ", ".join(found.gpus) or "none",
        "training in": found.training_precision,
        "memory free": f"{found.memory_free_gb} GB" if found.memory_free_gb is not None else "unknown",
        "disk free here": f"{found.disk_free_gb} GB",
        "extras": ", ".join(f"{name} {'installed' if here else 'absent'}" for name, here in found.extras.items()),
    }
    for name, value in lines.items():
        typer.echo(f"{name:>15}  {value}")
    for sentence in found.advice:
        typer.echo(f"{'->':>15}  {sentence}")
