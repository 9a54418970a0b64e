"""What the columns need to know of the elements, as arrays by atomic number."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from surrogates.descriptors.elements import element_table

ElementArrays = Mapping[str, np.ndarray]
"""Arrays ``(119,)`` by name; index 0 stands for nothing."""


@functools.cache
def element_arrays() -> ElementArrays:
    """Return the properties of `elements.element_table`, gaps filled by its rule, and three that follow from them.

    * ``metal``: 1 for what pymatgen calls a metal, else 0; metalloids are none.
    * ``electrons_to_give``: s, p and d electrons beyond the noble gas core, without a full d shell.
    * ``electrons_to_take``: what is missing for eight s and p electrons, at most 4; 1 for hydrogen.
    """
    from pymatgen.core import Element

    table = element_table()
    found = {prop.name: table[prop.name] for prop in table.properties}
    outer, d = found["valence_s"] + found["valence_p"], found["valence_d"]
    found["metal"] = np.array([np.nan, *(float(Element.from_Z(z).is_metal) for z in range(1, len(d)))])
    found["electrons_to_give"] = outer + np.where(d < 10, d, 0)
    found["electrons_to_take"] = np.clip(8 - outer, 0, 4)
    found["electrons_to_take"][1] = 1
    return found
