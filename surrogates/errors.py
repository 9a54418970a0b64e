"""What can go wrong in a surrogate, said so that a person can mend it."""


class SurrogateError(Exception):
    """Base of everything that the surrogates raise on purpose."""
