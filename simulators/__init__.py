"""A world to measure: scattering physics, sample scenarios, detector, replay of recorded data."""
