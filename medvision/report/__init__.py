"""Pages and tables made from records: nothing is computed here that is not already a result.

`results_csv` gives the table of a batch.
"""

from medvision.report.facts import CohortRow, PipelineFacts
from medvision.report.table import results_csv

__all__ = ["CohortRow", "PipelineFacts", "results_csv"]
