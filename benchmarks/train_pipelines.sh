#!/usr/bin/env bash
# Train the shipped pipelines as they were trained, from a folder of public data:
#   benchmarks/train_pipelines.sh DATA OUT
# DATA holds msd_hippocampus/ (Medical Segmentation Decathlon, Task04, with `subject` in its dataset.json) and
# pneumoniamnist/pneumoniamnist_trainval.npz and adrenalmnist3d_64/adrenalmnist3d_64_trainval.npz (MedMNIST v2, the
# official train and val splits).
# Then copy pipeline.toml, weights.safetensors, weights.json, card.md, fingerprint.json and seen.json of each from OUT to
# pipelines/: of mr-hippocampus the network of all cases, of the others those of the folder ensemble there, the networks of
# their folds, which answer together.
set -euo pipefail
data=$1 out=$2
time medvision train mr-hippocampus "$data/msd_hippocampus" --folds 5 --out "$out/mr-hippocampus"
time medvision train cxr-pneumonia "$data/pneumoniamnist/pneumoniamnist_trainval.npz" --folds 5 --out "$out/cxr-pneumonia"
time medvision train ct-adrenal "$data/adrenalmnist3d_64/adrenalmnist3d_64_trainval.npz" --folds 5 --out "$out/ct-adrenal"
