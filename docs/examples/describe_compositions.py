"""Formulas as named numbers."""

import pandas as pd

from surrogates.descriptors.composition import CompositionDescriptor

table = pd.DataFrame({"formula": ["Fe2O3", "LiFePO4", "CuSO4·5H2O", "X2O3"]})

descriptor = CompositionDescriptor(on_error="nan").set_output(transform="pandas")
numbers = descriptor.fit_transform(table["formula"])

print(numbers.shape)
print(numbers[["atomic_number 26", "melting_point 1800 K", "spdf_matrix p4 d6"]].round(4))
print(descriptor.errors_)

for feature in descriptor.feature_table()[:2]:
    print(f"{feature.name} [{feature.unit}]: {feature.meaning}")
