#!/usr/bin/env bash
# The whole round on AdrenalMNIST3D (64 voxels): train, run, evaluate, explain, report.
#   benchmarks/adrenal/round.sh adrenalmnist3d_64_trainval.npz OUT
set -euo pipefail
data=$1 out=$2
here=$(dirname "$0")
time medvision train "$here" "$data" --out "$out/pipeline"
time medvision run "$out/pipeline" "$data" --split val --out "$out/results"
medvision evaluate "$out/pipeline" "$out/results" "$data" --split val
medvision explain "$out/pipeline" "$data" --split val --method smoothed-gradient --out "$out/explained"
medvision report "$out/pipeline" "$out/results"
