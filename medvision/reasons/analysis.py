"""Why labels, a data set or a case's result are refused, or told of."""

from __future__ import annotations

from collections.abc import Mapping

from medvision.reasons.reason import Reason

LABELS: Mapping[str, Reason] = {
    "bad-labels": Reason(
        "The label image is not made of the expected whole numbers.",
        "Structures would be taken for each other, or for background.",
        "Export labels as integers with known names.",
    ),
    "grid-differs": Reason(
        "Two images that belong together do not lie on the same grid.",
        "A label would lie beside what it marks.",
        "Resample one onto the other, and look at it.",
    ),
    "label-of-another": Reason(
        "The label states another frame of reference, or another series, than its image.",
        "Another scan, or another patient, can lie on an equal grid: the label would mark what it never saw.",
        "Name the series that it was drawn on; or store it as NIfTI, if you know that both belong together.",
    ),
    "segments-overlap": Reason(
        "Segments of a segmentation overlap, and a voxel has one label.",
        "One of them would lose voxels.",
        "Export them apart, or decide which one holds.",
    ),
    "label-empty": Reason(
        "No voxel of a label image has a label.",
        "An unfinished case would teach, or count, that nothing is there.",
        "Check that it is finished, and whose it is.",
    ),
    "label-absent": Reason(
        "A label that others have is absent, or one has none that a case is without.",
        "If it was forgotten, a right answer counts as wrong; what all cases share cannot be learnt.",
        "Look whether it was forgotten, or add cases that differ in it.",
    ),
    "label-names-differ": Reason(
        "A data set gives labels other names than the pipeline does.",
        "Where another structure is meant, a network learns it under a wrong name.",
        "Look whether the same is meant, and use one name for it in the data set and in the pipeline.",
    ),
    "labels-contradict": Reason(
        "The same image is there with labels that differ.",
        "Not all of them are right: a network learns each of them, and held-out figures take a right answer for wrong.",
        "Keep the right one; of labels by several readers keep one, or join them.",
    ),
    "label-lost": Reason(
        "The steps leave no voxel of a label that the stored image has.",
        "It is resampled away: the network never sees it, and its figures count it as absent.",
        "Resample to a finer spacing in [[steps]].",
    ),
    "label-as-image": Reason(
        "A label image stands among the images to learn from.",
        "A network would learn what outlines look like, and not what images do.",
        "Nothing to do; an image that is meant needs a name that does not say so, and more than 16 values.",
    ),
    "label-at-edge": Reason(
        "A label reaches the edge of the image.",
        "Its volume and lengths may be cut off.",
        "Look at the page; do not use the volume if the structure goes on.",
    ),
}

DATA_SETS: Mapping[str, Reason] = {
    "bad-manifest": Reason(
        "The list of cases cannot be used as it stands.",
        "Images would be joined with another patient's label or split.",
        "Mend the line or column that is named.",
    ),
    "label-missing": Reason(
        "A case has no label to learn from or compare with.",
        "It would count as one without findings.",
        "Add the label, or drop the case.",
    ),
    "case-unmatched": Reason(
        "A labelled case has no result of its name.",
        "Cases are compared by name: what has no partner would be left out of the figures, or all of them.",
        "Run the list that states the labels: names come from its column `id`, else from the files' names.",
    ),
    "split-leak": Reason(
        "An image or a patient stands on both sides of a split.",
        "Held-out figures would be too good: the network has seen the answers.",
        "Remove one, or group by patient with the column `patient`.",
    ),
    "budget": Reason(
        "The training was fitted into a time.",
        "Another time gives another number of steps, and other weights.",
        "Give more minutes, or none, to train as the settings say.",
    ),
    "budget-cut": Reason(
        "Something was cut so that the training fits into its time.",
        "A smaller network or patch, or fewer samples a step, can be less accurate.",
        "Give more minutes, or none, to train as the settings say.",
    ),
    "checkpoint-damaged": Reason(
        "A checkpoint of the training is damaged.",
        "It was passed over, and an older state is used: nothing is lost but time.",
        "See that the disk is sound and not full.",
    ),
    "training-ended-early": Reason(
        "The training ended before its last epoch.",
        "Its schedule did not run to the end.",
        "Raise early_stopping in [train], or set it to 0.",
    ),
    "stages-untrained": Reason(
        "A training by stages ended, or was best, before some of its stages had their turn.",
        "Those are as they were at the start, whatever --tune names.",
        "Give it more time, raise early_stopping in [train], or choose another --tune.",
    ),
    "split-ungrouped": Reason(
        "No patient is named, so the split cannot keep patients together.",
        "Held-out figures may be too good.",
        "Add a column `patient` to the list of cases.",
    ),
    "patients-alike": Reason(
        "Names of patients differ in upper and lower case or leading zeros alone.",
        "One patient under two names can be trained on and held out, and figures may be too good.",
        "Write each patient's name in one way.",
    ),
    "too-few-cases": Reason(
        "There are too few cases for this.",
        "A figure from so few says next to nothing.",
        "Add cases.",
    ),
    "duplicate": Reason(
        "The same image is there more than once.",
        "It counts twice, and can stand on both sides of a split.",
        "Remove the copy.",
    ),
    "near-duplicate": Reason(
        "Two images are nearly the same.",
        "They may be one patient's, and stand on both sides of a split.",
        "Look at both; remove one, or name the patient.",
    ),
    "spacing-outlier": Reason(
        "The spacing is unlike that of the other cases.",
        "A wrong unit or a lost header makes volumes wrong by a factor.",
        "Check the header, and its unit.",
    ),
    "size-outlier": Reason(
        "The field of view is unlike that of the other cases.",
        "It may be another body part, a localizer or a crop.",
        "Look at the image.",
    ),
    "intensity-outlier": Reason(
        "The values are unlike those of the other cases.",
        "A lost rescale or a window that was burned in changes what a network sees.",
        "Check unit, rescale and window.",
    ),
    "volume-outlier": Reason(
        "A label's size is unlike that in the other cases.",
        "It may be unfinished, or the label of another structure.",
        "Look at the label.",
    ),
    "sides-swapped": Reason(
        "A label named left lies to the right of the one named right.",
        "The images are mirrored, or the labels are: a network learns the wrong side.",
        "Look at a case whose side you know; mend the headers, or swap the labels.",
    ),
    "classes-imbalanced": Reason(
        "A class is rare, or absent from a split.",
        "Accuracy is high for a network that never names it.",
        "Judge results class by class.",
    ),
}

CASES: Mapping[str, Reason] = {
    "series-ambiguous": Reason(
        "Several series of one study meet the pipeline's rules, and one is wanted.",
        "Which one is analysed would be left to chance.",
        "Tell them apart in [select], or name the folder of the one that is meant.",
    ),
    "series-none": Reason(
        "No series of a study meets the pipeline's rules.",
        "The study would be missing from the result, and nobody would know.",
        "Compare [select] with what `medvision check` lists, or name the series.",
    ),
    "not-selected": Reason(
        "A series was not chosen, by the pipeline's rules.",
        "It is told so that a rule that leaves out too much is noticed.",
        "Nothing to do, if another series is the one that is meant.",
    ),
    "several-volumes": Reason(
        "Images hold several volumes: time points, echoes, b-values or frames.",
        "Each counts as a case of its own, and there can be hundreds.",
        "Nothing to do; the rule `volumes` of [select] leaves out such series.",
    ),
    "modality-differs": Reason(
        "The image's modality is not the one that is stated or wanted.",
        "The network has never seen such values.",
        "Use a pipeline made for this modality, or mend what is stated.",
    ),
    "modality-unknown": Reason(
        "The file states no modality.",
        "Whether the image is of the kind that is wanted cannot be checked.",
        "Check it; state it in the column `modality`, or with `medvision convert --modality`.",
    ),
    "unit-differs": Reason(
        "The values are in another unit than those of the training data.",
        "The same number means something else: the network would see other tissue, or another uptake.",
        "Convert the values to the unit of the training data.",
    ),
    "channels-differ": Reason(
        "The number of channels is not the pipeline's.",
        "One sequence would be taken for another.",
        "Give the channels that the card names, in their order.",
    ),
    "spacing-outside": Reason(
        "The spacing lies outside what the pipeline was tried on, or is not known.",
        "How good the result is was never measured.",
        "Look at the result before use.",
    ),
    "size-outside": Reason(
        "The field of view lies outside what the pipeline was tried on.",
        "It may be another body part, or have a wrong unit of length.",
        "Look at the result; crop, or choose another pipeline.",
    ),
    "values-outside": Reason(
        "The values are not those that the pipeline knows.",
        "The network sees an image unlike any that it learned from.",
        "Check the image's number of bits, its unit and its scale.",
    ),
    "sheared": Reason(
        "The voxels' axes are not at right angles.",
        "Pictures of slices look sheared, and networks learned from straight ones.",
        "Look at the result, or run it again with --orthogonal.",
    ),
    "side-mirrored": Reason(
        "The case was mirrored for the network, and its result mirrored back.",
        "It is told so that the side can be checked.",
        "Nothing to do.",
    ),
    "side-assumed": Reason(
        "A case to learn from states no side; it is taken to look like the contract's.",
        "A network that learns from mirrored cases confuses the sides.",
        "State it in the column `side` of the list of cases.",
    ),
    "side-detected": Reason(
        "The side was not stated; it was detected from the image.",
        "A wrong detection mirrors the image, and the result with it.",
        "State it in the column `side` of a list of cases.",
    ),
    "side-uncertain": Reason(
        "Left or right could not be told.",
        "The result may be that of the mirrored image.",
        "State it in the column `side` of a list of cases.",
    ),
    "orientation-doubted": Reason(
        "The network agrees better with a turned image, the rows run upwards, or training had no directions.",
        "The header may be wrong, and then sides and places are too; or the network saw other axes.",
        "Check the orientation in the file's header, and that of the training data.",
    ),
    "agreement-low": Reason(
        "The network agrees with itself less than on any image that it was tried on.",
        "How good a mask is at so little agreement was never measured.",
        "Look at the result before use.",
    ),
    "no-foreground": Reason(
        "No voxel counts as foreground.",
        "Nothing is left to normalise or to crop by.",
        "Compare the image's values with the threshold of the step.",
    ),
    "nothing-found": Reason(
        "The network found none of its labels, or not all of them.",
        "Absent in the mask is not absent in the patient.",
        "Look at the image; check the field of view.",
    ),
    "value-outside-training": Reason(
        "The value lies outside those that the network has seen in its training.",
        "A network is not tested there, and often wrong.",
        "Have a person decide.",
    ),
    "probability-near-threshold": Reason(
        "The probability is close to the decision.",
        "A little noise would turn the answer.",
        "Have a person decide.",
    ),
}
