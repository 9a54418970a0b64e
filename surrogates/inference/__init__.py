"""Engines that infer the Bayesian layers of a network: one interface (`base`), one engine a file."""
