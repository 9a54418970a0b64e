"""Acquisition functions: what a candidate point is worth. One file per family; `registry` finds them by name.

Nothing is imported here, so that asking for the names alone does not load torch.
"""
