"""Tables of descriptors, from the code."""

from __future__ import annotations

from collections.abc import Iterator


def _words(name: str) -> str:
    return name.replace("_", " ").replace("mendeleev", "Mendeleev")


def composition_descriptors() -> Iterator[str]:
    """All 1994 columns, histogram by histogram."""
    from surrogates.descriptors.histograms import HISTOGRAMS
    from surrogates.descriptors.pairs import PAIR_HISTOGRAMS

    yield "## Histograms\n"
    yield "| columns | property | bins | first | last | step | triangle | first name |"
    yield "|---|---|---:|---:|---:|---:|---:|---|"
    at = 0
    for histogram in HISTOGRAMS:
        unit = "" if histogram.unit == "1" else f" {histogram.unit}"
        triangle = f"±{histogram.half_width * histogram.step:g}{unit}" if histogram.half_width > 1 else "none"
        yield (
            f"| {at} to {at + histogram.bins - 1} | {_words(histogram.quantity)} | {histogram.bins} "
            f"| {histogram.first:g}{unit} | {histogram.last:g}{unit} | {histogram.step:g} | {triangle} "
            f"| `{histogram.features()[0].name}` |"
        )
        at += histogram.bins
    yield "\n## Pairs\n"
    yield "| columns | kind | shells | bins | first name | last name | meaning of the last |"
    yield "|---|---|---|---:|---|---|---|"
    for pair in PAIR_HISTOGRAMS:
        features = pair.features()
        kind = {"matrix": "SPDF matrix", "difference": "spdf − spdf", "product": "spdf × spdf"}[pair.kind]
        yield (
            f"| {at} to {at + len(features) - 1} | {kind} | {pair.a}, {pair.b} | {len(features)} "
            f"| `{features[0].name}` | `{features[-1].name}` | {features[-1].meaning} |"
        )
        at += len(features)
    yield f"\n{at} columns in all.\n"


def structure_descriptors() -> Iterator[str]:
    """All 136 columns."""
    from surrogates.descriptors.structure import StructureDescriptor

    yield "| column | name | unit | meaning |\n|---:|---|---|---|"
    for i, feature in enumerate(StructureDescriptor().feature_table()):
        yield f"| {i} | `{feature.name}` | {feature.unit} | {feature.meaning} |"
