"""Why a pipeline, a model of another program, weights or an engine are refused, or told of."""

from __future__ import annotations

from collections.abc import Mapping

from medvision.reasons.reason import Reason

PIPELINES: Mapping[str, Reason] = {
    "pipeline-unknown": Reason(
        "There is no pipeline of that name.",
        "Another one would analyse the images.",
        "Choose one of `medvision pipelines list`, or name a folder.",
    ),
    "pipeline-invalid": Reason(
        "The pipeline file is not valid.",
        "A setting with a wrong name would be ignored, and another one be used.",
        "Mend the place that `medvision pipelines check` names.",
    ),
    "fingerprint-invalid": Reason(
        "The fingerprint of the training data cannot be read.",
        "New cases could not be compared with those that the pipeline was trained on.",
        "Copy the pipeline's folder again, or train again.",
    ),
    "weights-missing": Reason(
        "The pipeline has no weights.",
        "A network without them answers at random.",
        "Train it: `medvision train`.",
    ),
    "weights-mismatch": Reason(
        "The weights do not belong to this pipeline.",
        "The network would see other values, or name other labels, than it learned.",
        "Restore the pipeline.toml of the training, or train again.",
    ),
    "weights-unreadable": Reason(
        "A file of weights cannot be read, or holds what no weights are.",
        "A network that starts from a part of them, or from numbers that are not finite, learns nothing.",
        "Copy or download it again; compare its size or SHA-256 with the source.",
    ),
    "weights-unsafe": Reason(
        "A file of weights asks for more than tensors: reading it in full would run code.",
        "Whoever made the file could do anything on this machine.",
        "Store its tensors as safetensors, on a machine where you would run the source's own program.",
    ),
    "weights-layout": Reason(
        "Which network a file of weights belongs to cannot be told.",
        "Weights would go to layers that they were not learned for.",
        "Compare its names with those of the known families: `medvision weights inspect FILE`.",
    ),
    "weights-axes": Reason(
        "Whose axes the kernels of a file have, its names do not tell.",
        "Kernels that are turned by mistake look for edges across those that they were learned for.",
        "Name the pipeline's folder or a MONAI bundle (a folder with models/model.pt), which say it.",
    ),
    "start-differs": Reason(
        "The weights that a training starts from were learned on other input, for other labels or by another network.",
        "Less of what they know holds here; a head for other labels would begin by taking them for each other.",
        "Compare the cards, or start from weights of the same input.",
    ),
    "start-unknown": Reason(
        "No card says what the weights that a training starts from have seen, or what their head answers.",
        "They may know held-out images, whose figures are then too good, or name the labels in another order.",
        "Start from the folder of a pipeline or a pretraining, or make sure of both.",
    ),
    "weights-partial": Reason(
        "Too little of the network's encoder is in the file.",
        "A training would start from chance, and be called one that started from these weights.",
        "Choose a network with the file's blocks and channels, or take what fits: --partial.",
    ),
    "pretraining-only": Reason(
        "A folder holds a pretraining: a network that has learned from images alone.",
        "It knows no label, so that whatever it answered would mean nothing.",
        "Train a pipeline from it: `medvision train PIPELINE DATA --from DIR`.",
    ),
    "pretraining-collapsed": Reason(
        "A pretraining ended with nearly the same answer for all images.",
        "It has learned nothing, and a training that starts from it is worse off than one from chance.",
        "Give it more images, more time, or a larger `batch` in [train]; or lower `learning_rate`.",
    ),
    "training-diverged": Reason(
        "The loss or the score of a training is not finite.",
        "Its weights are lost, and what they answer means nothing.",
        "Lower `learning_rate`, set `warmup`, or bring the images' values near 0; then train into another folder.",
    ),
    "score-undefined": Reason(
        "The score that chooses the weights is not defined on the cases held out.",
        "Which epoch is best cannot be told, so that the last weights are kept.",
        "Hold out cases that have what is scored: both classes for an AUC, a label for a Dice, a value for an error.",
    ),
    "weights-unreachable": Reason(
        "Weights cannot be fetched from the hub.",
        "A training would start without them.",
        "Download the file on a machine with a network, and name the file instead.",
    ),
    "import-invalid": Reason(
        "A file of another program's model is missing, cannot be read, or does not say what it should.",
        "What was guessed in its place could be another network, other labels or other values.",
        "Copy the model's folder again, whole.",
    ),
    "import-unsupported": Reason(
        "A model of another program does what no pipeline here does.",
        "Without it the results would be others than those of the program that trained the model.",
        "Run the model with its own program.",
    ),
    "export-unsupported": Reason(
        "A pipeline does what the format that it is exported to cannot hold.",
        "What is left out there would be missing in every result of the other program.",
        "Export to another format, or run the pipeline here.",
    ),
    "export-differs": Reason(
        "Another program does a step of an exported pipeline a little otherwise.",
        "Its results can differ from the pipeline's, whose figures then hold only nearly.",
        "Compare results of both on own cases.",
    ),
    "import-differs": Reason(
        "A step of another program's model is done here in a way that can give another result at borders.",
        "Figures that were measured with that program hold here only as far as this does not matter.",
        "Nothing to do; measure on own cases: `medvision evaluate`.",
    ),
    "engine-unavailable": Reason(
        "The engine that was asked for cannot run on this machine.",
        "Another one would give other last digits than those that were wanted.",
        "Choose another --engine, or auto.",
    ),
    "engine-inexact": Reason(
        "An engine differs from torch in fp32 by more than the pipeline's tolerance.",
        "The pipeline's figures were measured with another arithmetic: they would not hold.",
        "Choose another --engine, or auto; or judge by the figures whether `tolerance` in [predict] is too strict.",
    ),
    "not-convertible": Reason(
        "A network cannot be converted to the form that an engine or an export needs.",
        "A model that says something else than the network would be wrong without a word.",
        "Choose another --engine; torch takes every network.",
    ),
    "not-explainable": Reason(
        "No saliency map can be made.",
        "A map of the wrong layer shows nothing about the answer.",
        "Name another layer, or use another method.",
    ),
}
