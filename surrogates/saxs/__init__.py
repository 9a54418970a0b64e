"""Classifier of SAXS curves: which defect, how sure, and whether it is like anything it was trained on."""
