"""The limits of the checks of a data set, each with what it rests on.

The figures were measured on 200 MR crops of the hippocampus (35 x 50 x 36 voxels), 5,232 chest radiographs of 28 x 28
pixels and 1,286 binary shapes of the adrenal gland (64 x 64 x 64); ``tests/test_quality_data.py`` measures them again
(every fourth of the shapes).
"""

LEAST_COHORT = 8
"""Cases of one kind needed to call one of them an outlier: with fewer, the median deviation says next to nothing."""

FAR = 5.0
"""Robust standard deviations (1.4826 x the median absolute deviation) from the median to an outlier.

A normal distribution has one value in two million out there. On the crops it finds those stored in another range of
values (x 400, and 8 bits), the farthest 19 away, and nothing else: sizes reach 4.2, volumes of labels 2.9.
"""

LEAST_FACTOR = 1.5
"""Factor from the median below which nothing is an outlier, however alike the other cases are."""

LEAST_SHIFT = 0.5
"""The same for values that can be zero or negative, in standard deviations of a typical image."""

LEAST_SHARE = 0.25
"""The same for shares of an image."""

RARELY_ABSENT = 0.05
"""Share of cases without a label up to which its absence is called unusual."""

IMBALANCED = 0.1
"""Cases of the rarest class for each of the most frequent, below which it is told."""

SAME_PICTURE = 0.90
"""Similarity (registered, whitened correlation) above which two images are near duplicates.

Different images reach 0.71 on the crops, 0.88 on the radiographs and 0.88 on the shapes: no false alarm among 14.5
million pairs. Of 100 copies of each kind with other values (rescale, gamma 0.8, 4 bits, JPEG of quality 50, noise of
20 % of the standard deviation), mirrored or resampled by 1.3, 99 or 100 are found; shifted by one voxel along i at
least 97, along i, j and k 100 (crops), 68 (radiographs, of 28 pixels) and 40 (shapes); resampled by 2 at least 85;
cropped by one voxel on all sides 40, 1 and 100.
"""

LIKELY = 0.7
"""Similarity of the coarse patterns below which a pair is not compared in detail: copies shifted or cropped by a voxel
keep 0.72 or more even at 28 x 28 pixels."""

NEIGHBOURS = 10
"""Most similar later images that each is compared with in detail: a copy shifted by one of 28 pixels is among them in
98 of 100 cases, one with other values always."""
