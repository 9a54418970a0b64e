"""The groups of columns that `surrogates.descriptors.structure` is made of, and the batch they are computed on."""
