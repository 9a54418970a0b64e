"""A campaign's findings as one self-contained HTML file and PNGs."""

from __future__ import annotations

from loop.report.html import write_report

__all__ = ["write_report"]
