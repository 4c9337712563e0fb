"""Pages and tables made from records: nothing is computed here that is not already a result.

`render_case` gives one page a case, `render_cohort` the page that links them, `results_csv` the table,
`overlay_png` a map over its image; `training_page` and `crossvalidation_page` show how a pipeline was made.
The pages are single files without scripts or outside resources, and the same input gives the same bytes.
"""

from medvision.report.case import render_case
from medvision.report.cohort import render_cohort
from medvision.report.crossvalidation import CrossvalidationValues, crossvalidation_page
from medvision.report.facts import CaseFigures, CohortRow, Figure, FoldFacts, PipelineFacts
from medvision.report.inventory import InventoryRow, Thumbnail, render_inventory, thumbnail
from medvision.report.overlay import overlay_png
from medvision.report.table import results_csv
from medvision.report.training import TrainingValues, training_page

__all__ = [
    "CaseFigures",
    "CohortRow",
    "CrossvalidationValues",
    "Figure",
    "FoldFacts",
    "InventoryRow",
    "PipelineFacts",
    "Thumbnail",
    "TrainingValues",
    "crossvalidation_page",
    "overlay_png",
    "render_case",
    "render_cohort",
    "render_inventory",
    "results_csv",
    "thumbnail",
    "training_page",
]
