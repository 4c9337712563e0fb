"""An environment with nnU-Net in it, and with MONAI.

python -m benchmarks.nnunet.environment FOLDER     # makes it (minutes, 2 GB)
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PACKAGES = ("torch==2.13.0", "nnunetv2==2.8.1", "monai==1.6.1")
TRAINERS = Path(__file__).resolve().parent / "trainer"

_SHIM = '''"""Name torchvision's operators before torchvision is imported.

A torchvision that was built for CUDA cannot load them beside a torch for the CPU, and dies at its import because they
have no name. nnU-Net imports it (by timm) and uses none of them.
"""
import sys


class _BeforeTorchvision:
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            self.kept = torch.library.Library("torchvision", "FRAGMENT")
            for operator in ("nms", "qnms"):
                self.kept.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            globals()["_kept"] = self


sys.meta_path.insert(0, _BeforeTorchvision())
'''


def environment(folder: Path) -> Path:
    """Return the interpreter of an environment with nnU-Net; it is made where there is none (minutes)."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        for packages in PACKAGES:  # torch first: else its build for CUDA might come with the rest
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", packages], check=True)
    _shim(folder)
    return python


def variables(root: Path, *, threads: int | None = None) -> dict[str, str]:
    """Return the process environment in which nnU-Net keeps all it writes below a folder."""
    own = {f"nnUNet_{name}": str(root / name) for name in ("raw", "preprocessed", "results")}
    own |= {"nnUNet_extTrainer": str(TRAINERS)}
    if threads is not None:
        own |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    return {**os.environ, **own}


def _shim(folder: Path) -> None:
    shim = next(folder.glob("lib/python3*/site-packages")) / "sitecustomize.py"
    if not shim.exists() or shim.read_text(encoding="utf-8") != _SHIM:
        shim.write_text(_SHIM, encoding="utf-8")


if __name__ == "__main__":
    print(environment(Path(sys.argv[1]).absolute()))
