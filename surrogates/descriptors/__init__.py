"""Numbers that stand for a material: what a surrogate sees of a formula or a structure."""
