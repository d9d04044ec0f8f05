"""What a run writes unasked: pictures, report.html, metrics.csv, summary.json. A file here is a section of the report.

Reads a finished or interrupted run and changes nothing of it; knows no particular task, only what tasks promise.
"""

from legato.reports.compare import curves, html_summary, summary
from legato.reports.writing import write

__all__ = ["curves", "html_summary", "summary", "write"]
