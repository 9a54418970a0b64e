"""Recorded data sets of materials and molecules as tables of features and targets.

Features come from inputs alone, and so does their scaling: a pool's inputs are known before anything is measured.

    python benchmarks/datasets.py [--data DIR]      says what each table holds
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from simulators.errors import DataMissingError
from simulators.recorded import find_data
from surrogates.descriptors.formulas import parse_formulas
from surrogates.descriptors.statistics import element_features

CLIP = 2.0
"""Standard deviations from the mean that the unit cube's faces stand for."""

MOLECULE_DESCRIPTORS = (
    "MolWt",  # size
    "HeavyAtomCount",
    "MolMR",
    "LabuteASA",
    "BertzCT",
    "MolLogP",  # polarity (Crippen's sum over atoms)
    "TPSA",
    "NumHDonors",
    "NumHAcceptors",
    "NHOHCount",
    "NOCount",
    "NumHeteroatoms",
    "MaxEStateIndex",  # electronic state of the atoms
    "MinEStateIndex",
    "MaxAbsEStateIndex",
    "NumRotatableBonds",  # shape and flexibility
    "FractionCSP3",
    "RingCount",
    "NumAromaticRings",
    "NumAliphaticRings",
    "NumAromaticHeterocycles",
    "HallKierAlpha",
    "Kappa1",
    "Kappa2",
    "Kappa3",
    "BalabanJ",
    "fr_halogen",  # groups
    "fr_Al_OH",
    "fr_Ar_OH",
    "fr_C_O",
    "fr_COO",
    "fr_ester",
    "fr_ether",
    "fr_amide",
    "fr_NH0",
    "fr_NH1",
    "fr_NH2",
    "fr_nitro",
    "fr_nitrile",
    "fr_sulfide",
)
"""Of rdkit: two-dimensional, of a stated physical meaning, finite for every molecule."""


@dataclass(frozen=True, eq=False)
class UnitCubeScaling:
    """Maps features to the unit cube: mean to the centre, `CLIP` standard deviations to the faces, clipped there.

    Constant columns go, and all but the first of columns that are the same but for scale and shift.
    """

    columns: np.ndarray
    """``(d,)`` columns kept."""
    mean: np.ndarray
    sd: np.ndarray
    """``(d,)`` each, of the columns kept."""

    @classmethod
    def fit(cls, features: np.ndarray) -> UnitCubeScaling:
        """Take mean and standard deviation from features ``(n, k)``."""
        sd = features.std(0)
        varied = np.flatnonzero(sd > 1e-9 * (1e-300 + np.abs(features).max(0)))
        z = (features[:, varied] - features[:, varied].mean(0)) / sd[varied]
        correlation = np.abs(z.T @ z) / len(z)
        kept = [j for j in range(len(varied)) if not (correlation[j, :j] > 1 - 1e-9).any()]
        columns = varied[kept]
        return cls(columns, features[:, columns].mean(0), sd[columns])

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Map ``(n, k)`` to ``(n, d)``."""
        z = (features[:, self.columns] - self.mean) / self.sd
        return (np.clip(z, -CLIP, CLIP) + CLIP) / (2 * CLIP)


@dataclass(frozen=True, eq=False)
class Table:
    """One data set, ready for a surrogate."""

    name: str
    X: np.ndarray
    """``(n, d)`` float64 in the unit cube: `scaling` of `raw`."""
    feature_names: tuple[str, ...]
    """``(d,)``."""
    y: np.ndarray
    """``(n,)``."""
    y_unit: str
    groups: np.ndarray
    """``(n,)`` of text: what must not be split between training and test."""
    y_low: np.ndarray
    """``(n,)`` the same quantity by a cheaper method; NaN where there is none."""
    citation: str
    raw: np.ndarray
    """``(n, k)`` features before scaling. Of two sets with the same kind of features, the same columns."""
    raw_names: tuple[str, ...]
    scaling: UnitCubeScaling

    def rescaled(self, scaling: UnitCubeScaling) -> Table:
        """Return the table with another set's scaling, to use the two together."""
        names = tuple(self.raw_names[j] for j in scaling.columns)
        return replace(self, X=scaling(self.raw), feature_names=names, scaling=scaling)


Parts = tuple[np.ndarray, Sequence[str], np.ndarray, str, Sequence[object], np.ndarray | None]
"""Raw features, their names, targets, unit, groups, low-fidelity targets."""


def molecule_features(smiles: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    """Compute `MOLECULE_DESCRIPTORS` ``(n, k)``, their names, and the canonical SMILES without stereochemistry."""
    from rdkit import Chem
    from rdkit.Chem import Descriptors

    functions = dict(Descriptors.descList)
    rows, canonical = [], []
    for row, text in enumerate(smiles):
        molecule = Chem.MolFromSmiles(str(text).strip())
        if molecule is None:
            raise ValueError(f"row {row}: {text!r} is no SMILES that rdkit can read")
        rows.append([float(functions[name](molecule)) for name in MOLECULE_DESCRIPTORS])
        canonical.append(Chem.MolToSmiles(molecule, isomericSmiles=False))
    return np.array(rows), MOLECULE_DESCRIPTORS, canonical


def _esol(frame: pd.DataFrame) -> Parts:
    # Delaney's own prediction was fitted to these molecules: no lower fidelity, but the answer.
    features, names, molecules = molecule_features(frame["smiles"].tolist())
    return features, names, frame["log_s"].to_numpy(float), "log10(mol/L)", molecules, None


def _freesolv(frame: pd.DataFrame) -> Parts:
    features, names, molecules = molecule_features(frame["smiles"].tolist())
    low = frame["dg_calc"].to_numpy(float)
    return features, names, frame["dg_expt"].to_numpy(float), "kcal/mol", molecules, low


def _steel(frame: pd.DataFrame) -> Parts:
    target, group = "fatigue_strength_mpa", "heat_id"
    columns = [c for c in frame.columns if c not in (target, group)]
    return frame[columns].to_numpy(float), columns, frame[target].to_numpy(float), "MPa", frame[group].tolist(), None


def _band_gap_expt(frame: pd.DataFrame) -> Parts:
    composition = element_features(frame["formula"].tolist())
    # The median over the polymorphs: known for more compositions than the gap of the stablest one, and closer.
    low = frame["mp_gap_median"].to_numpy(float)
    return (
        composition.values,
        composition.names,
        frame["gap_expt"].to_numpy(float),
        "eV",
        frame["chemsys"].tolist(),
        low,
    )


def _band_gap_dft(frame: pd.DataFrame) -> Parts:
    composition = element_features(frame["cell_formula"].tolist())
    return (
        composition.values,
        composition.names,
        frame["gap_pbe"].to_numpy(float),
        "eV",
        frame["chemsys"].tolist(),
        None,
    )


def _conductivity(frame: pd.DataFrame) -> Parts:
    frame = frame[frame["conductivity_consistent"]]
    parsed = parse_formulas(frame["formula"].tolist())
    composition = element_features(parsed)
    features = np.column_stack([composition.values, frame["temperature_k"].to_numpy(float)])
    target = np.log10(frame["electrical_conductivity_s_m"].to_numpy(float))
    return features, [*composition.names, "temperature"], target, "log10(S/m)", parsed.chemical_systems(), None


LOADERS: dict[str, Callable[[pd.DataFrame], Parts]] = {
    "esol": _esol,
    "freesolv": _freesolv,
    "steel_fatigue_nims": _steel,
    "band_gap_expt": _band_gap_expt,
    "band_gap_dft_mp": _band_gap_dft,
    "estm_conductivity": _conductivity,
}


def load(name: str, data_dir: str | Path | None = None) -> Table:
    """Read a data set and compute its features.

    Parameters
    ----------
    name
        One of `LOADERS`.
    data_dir
        Where the sets lie, each a folder with ``dev.parquet`` or one other parquet file; see `find_data`.

    Raises
    ------
    DataMissingError
        If the set is not there.
    """
    folder = find_data(name, data_dir)
    files = sorted(folder.glob("*.parquet"))
    preferred = folder / "dev.parquet"
    if preferred not in files and len(files) != 1:
        raise DataMissingError(f"{folder} must hold dev.parquet or exactly one other parquet file")
    frame = pd.read_parquet(preferred if preferred in files else files[0])
    raw, names, y, unit, groups, low = LOADERS[name](frame)
    scaling = UnitCubeScaling.fit(raw)
    return Table(
        name=name,
        X=scaling(raw),
        feature_names=tuple(names[j] for j in scaling.columns),
        y=y,
        y_unit=unit,
        groups=np.array([str(group) for group in groups]),
        y_low=np.full(len(y), np.nan) if low is None else low,
        citation=_citation(folder / "README.md"),
        raw=raw,
        raw_names=tuple(names),
        scaling=scaling,
    )


def _citation(readme: Path) -> str:
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    found = re.search(r"^## Citation\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    return found.group(1).strip() if found else ""


def main() -> None:
    """Say what each table holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    for name in LOADERS:
        began = time.perf_counter()
        try:
            table = load(name, arguments.data)
        except DataMissingError as error:
            print(f"{name}: {error}")
            continue
        clipped = ((table.X == 0) | (table.X == 1)).mean()
        print(
            f"{name:20s} n = {len(table.y)}, d = {table.X.shape[1]} of {table.raw.shape[1]}, "
            f"{len(set(table.groups))} groups, y = {table.y.mean():.3g} ± {table.y.std():.3g} {table.y_unit}, "
            f"{np.isfinite(table.y_low).mean():.0%} with a lower fidelity, {clipped:.1%} clipped, "
            f"{time.perf_counter() - began:.1f} s"
        )


if __name__ == "__main__":
    main()
