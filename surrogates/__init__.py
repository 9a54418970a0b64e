"""What beamloop believes: Bayesian surrogates on torch, Pyro, GPyTorch and BoTorch. Never hardware."""
