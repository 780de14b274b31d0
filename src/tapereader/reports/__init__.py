"""What people read: charts, and one page about a model that needs nothing but itself.

Drawing needs the extra ``report``; a page without it leaves its charts out and says so.
"""

from tapereader.reports.charts import (
    confusion_chart,
    coverage_chart,
    learning_chart,
    metric_chart,
    model_charts,
    reliability_chart,
    to_png,
    to_svg,
)
from tapereader.reports.explanation import explanation_page
from tapereader.reports.pages import headline, model_page
from tapereader.reports.pdf import page_pdf

__all__ = [
    "confusion_chart",
    "coverage_chart",
    "explanation_page",
    "headline",
    "learning_chart",
    "metric_chart",
    "model_charts",
    "model_page",
    "page_pdf",
    "reliability_chart",
    "to_png",
    "to_svg",
]
