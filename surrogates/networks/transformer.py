"""Small transformer over element tokens, for compositions.

A composition is a set of elements with amounts, and what an element does depends on which others are there: each
element present becomes a token, tokens attend to each other, and the property is read from their mean over the atoms,
as in CrabNet (Wang et al., 2021, doi:10.1038/s41524-021-00545-1). Amounts weigh the attention as well as the mean, as
in Roost (Goodall & Lee, 2020, doi:10.1038/s41467-020-19964-7): an element attends to atoms, not to element symbols.
Hence everything is continuous where an element vanishes, splitting a token in two changes nothing, and what is not
there has no influence at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from surrogates.errors import SurrogateError
from surrogates.networks.activations import check_activation
from surrogates.networks.elements import first_elements, known_elements, property_table
from surrogates.networks.layers import BIAS, Dense, Layer, Parameters

_WAVES = 4
"""Cosines that a fraction is encoded with on each of two scales."""
_OWN = 0.3
"""Share of what an element does not have in common with elements of the same properties."""
_SMALL = 1e-3
"""Fractions that the logarithmic scale tells apart: dopants."""
_SLACK = 1e-6
"""Amounts below zero by no more than this are an optimiser's rounding."""
_MAX_SCORE = 30.0
"""Of absent elements, over the largest score of those present: exp(30) times nothing is still nothing."""


def encode_fraction(fraction: Tensor) -> Tensor:
    """Encode fractions ``(...)`` as ``(..., 8)`` cosines, half of them on a logarithmic scale.

    A function of the fraction learned from these has a finite derivative everywhere, at zero as well.
    """
    waves = torch.pi * torch.arange(1, _WAVES + 1, dtype=fraction.dtype, device=fraction.device)
    top = torch.log1p(torch.ones_like(fraction) / _SMALL)
    scales = torch.stack([fraction, torch.log1p(fraction / _SMALL) / top], -1)
    return torch.cos(scales.unsqueeze(-1) * waves).flatten(-2)


def _affine(parameters: Parameters, name: str, h: Tensor, fan_in: int, fan_out: int) -> Tensor:
    """Dense map of tokens ``(*L, N, T, fan_in)``; zero bias where the parameters have none."""
    weight = parameters[f"weight_{name}"]
    bias = parameters.get(f"{BIAS}_{name}")
    if bias is None:
        bias = weight.new_zeros(*weight.shape[:-2], fan_out)
    flat = h.flatten(-3, -2)
    out = Dense(name, fan_in, fan_out).affine({"weight": weight, BIAS: bias}, flat)
    return out.unflatten(-2, h.shape[-3:-1])


def _normalise(h: Tensor) -> Tensor:
    """Layer norm without gain or offset: what follows has its own weights."""
    return functional.layer_norm(h, h.shape[-1:])


@dataclass(frozen=True)
class ElementEmbedding:
    """From amounts to tokens: ``(*L, N, T, 2 + extra)`` to ``(*L, N, T, width + 1)``, the last being the fraction.

    A token is the sum of linear maps of the element's properties (so that elements alike begin alike, those that no
    training point holds too), of its encoded fraction and of the further inputs, and of a vector of the element's own.
    """

    name: str
    elements: tuple[str, ...]
    width: int
    extra: int = 0

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """See `Layer`."""
        found: dict[str, tuple[int, ...]] = {
            "weight_element": (len(self.elements), self.width),
            "weight_property": (property_table(self.elements).shape[1], self.width),
            "weight_fraction": (2 * _WAVES, self.width),
        }
        if self.extra:
            found["weight_extra"] = (self.extra, self.width)
        return {**found, BIAS: (self.width,)}

    def __call__(self, parameters: Parameters, h: Tensor) -> Tensor:
        """See `Layer`."""
        properties = torch.as_tensor(property_table(self.elements), dtype=h.dtype, device=h.device)
        of_property = properties @ (parameters["weight_property"] * properties.shape[1] ** -0.5)
        table = _OWN * parameters["weight_element"] + of_property + parameters[BIAS].unsqueeze(-2)  # (*L, E, width)
        wide = torch.broadcast_shapes(table.shape[:-2], h.shape[:-3])
        while h.ndim > 3 and (h.shape[0] == 1 or h.stride(0) == 0):  # expanded: the same points for all
            h = h[0]
        which, amount = h[..., 0].long(), h[..., 1]
        fraction = amount / amount.sum(-1, keepdim=True)
        if h.ndim == 3:
            token = table[..., which, :]
        else:
            index = which.flatten(-2).unsqueeze(-1).expand(*wide, -1, self.width)
            token = table.expand(*wide, -1, -1).gather(-2, index).unflatten(-2, which.shape[-2:])
        token = token + _affine(parameters, "fraction", encode_fraction(fraction), 2 * _WAVES, self.width)
        if self.extra:
            token = token + _affine(parameters, "extra", h[..., 2:], self.extra, self.width)
        token = token.expand(*wide, *token.shape[-3:])
        return torch.cat([token, fraction.unsqueeze(-1).expand(*token.shape[:-1], 1)], -1)


@dataclass(frozen=True)
class Attention:
    """Multi-head self-attention over atoms, added to its input: ``(*L, N, T, width + 1)`` to the same shape."""

    name: str
    width: int
    heads: int

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """See `Layer`; keys have no bias, which would cancel."""
        square, row = (self.width, self.width), (self.width,)
        return {
            "weight_query": square,
            "weight_key": square,
            "weight_value": square,
            "weight_out": square,
            f"{BIAS}_query": row,
            f"{BIAS}_value": row,
            f"{BIAS}_out": row,
        }

    def __call__(self, parameters: Parameters, h: Tensor) -> Tensor:
        """See `Layer`."""
        tokens, fraction = h[..., :-1], h[..., -1]
        inner = _normalise(tokens)

        def split(name: str) -> Tensor:
            z = _affine(parameters, name, inner, self.width, self.width)
            return z.unflatten(-1, (self.heads, -1)).transpose(-2, -3)  # (*L, N, heads, T, width / heads)

        query, key, value = split("query"), split("key"), split("value")
        # Divided by the width of a head, not by its root: scores of O(1) leave the function smooth at any prior width
        # (Yang et al., 2022, arXiv:2203.03466).
        scores = query @ key.mT / (self.width // self.heads)
        weight = fraction.unsqueeze(-2).unsqueeze(-2)  # of the atoms attended to
        # The weights, not their logarithms added to the scores: these have no derivative at zero.
        present = torch.where(weight > 0, scores, -torch.inf)
        scores = (scores - present.amax(-1, keepdim=True).detach()).clamp_max(_MAX_SCORE)
        scores = weight * scores.exp()
        mixed = scores / scores.sum(-1, keepdim=True) @ value
        mixed = mixed.transpose(-2, -3).flatten(-2)
        tokens = tokens + _affine(parameters, "out", mixed, self.width, self.width)
        return torch.cat([tokens, fraction.unsqueeze(-1).expand(*tokens.shape[:-1], 1)], -1)


@dataclass(frozen=True)
class FeedForward:
    """One hidden layer, added to its input: ``(*L, N, T, width + 1)`` to the same shape."""

    name: str
    width: int
    inner: int
    activation: str
    pool: bool = False
    """Return the normalised tokens' mean over the atoms, ``(*L, N, width)``, instead."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """See `Layer`."""
        return {
            "weight_in": (self.width, self.inner),
            "weight_out": (self.inner, self.width),
            f"{BIAS}_in": (self.inner,),
            f"{BIAS}_out": (self.width,),
        }

    def __call__(self, parameters: Parameters, h: Tensor) -> Tensor:
        """See `Layer`."""
        tokens, fraction = h[..., :-1], h[..., -1:]
        z = _affine(parameters, "in", _normalise(tokens), self.width, self.inner)
        z = Dense("hidden", self.width, self.inner, self.activation).activate(z)
        tokens = tokens + _affine(parameters, "out", z, self.inner, self.width)
        if self.pool:
            return (fraction * _normalise(tokens)).sum(-2)
        return torch.cat([tokens, fraction.expand(*tokens.shape[:-1], 1)], -1)


@dataclass(frozen=True)
class ElementTransformer:
    """Layers ``embedding``, then ``block0.attention``, ``block0.feedforward`` ... and ``output``.

    A point is the amounts of `elements`, which are divided by their sum, and then `extra` further inputs (a
    temperature, say), which are added to every token: what they do depends on the elements from the first block on.
    """

    n_inputs: int
    n_outputs: int = 1
    elements: tuple[str, ...] | None = None
    """Symbols, in the order of the columns; by default the first ``n_inputs - extra`` elements of the periodic
    table."""
    extra: int = 0
    """Inputs after the elements' amounts, in the unit cube."""
    width: int = 32
    heads: int = 4
    blocks: int = 2
    max_tokens: int = 8
    """Elements that a point may hold at most. It changes the effort and no value.

    With as many tokens as elements the derivative by the amount of an absent element is that of adding it; with fewer
    it is zero.
    """
    activation: str = "gelu"

    def __post_init__(self) -> None:
        check_activation(self.activation)
        if self.elements is not None:
            object.__setattr__(self, "elements", tuple(self.elements))
        if min(self.n_outputs, self.width, self.heads, self.blocks, self.max_tokens) < 1 or self.extra < 0:
            raise SurrogateError(
                f"outputs, width, heads, blocks and max_tokens must be at least 1 and extra at least 0, got {self}"
            )
        if self.width < 2 or self.width % self.heads:
            raise SurrogateError(
                f"width must be a multiple of heads and at least 2, got width = {self.width} and heads = {self.heads}"
            )
        columns = self.n_inputs - self.extra
        if self.elements is None:
            first_elements(columns)
        elif len(self.elements) != columns:
            raise SurrogateError(
                f"{len(self.elements)} elements and {self.extra} further inputs do not make the {self.n_inputs} inputs "
                "that a point has: name an element for every column of amounts, and count the columns after them in "
                "extra"
            )
        else:
            known_elements(self.elements)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Element of each column of amounts."""
        return first_elements(self.n_inputs - self.extra) if self.elements is None else self.elements

    @property
    def layers(self) -> tuple[Layer, ...]:
        """See `Architecture`."""
        made: list[Layer] = [ElementEmbedding("embedding", self.symbols, self.width, self.extra)]
        for i in range(self.blocks):
            made.append(Attention(f"block{i}.attention", self.width, self.heads))
            made.append(
                FeedForward(
                    f"block{i}.feedforward", self.width, 2 * self.width, self.activation, pool=i == self.blocks - 1
                )
            )
        return (*made, Dense("output", self.width, self.n_outputs))

    def enter(self, X: Tensor) -> Tensor:
        """Gather the elements present as ``(N, T, 2 + extra)``: column, amount, and the further inputs in [-1, 1].

        Raises
        ------
        SurrogateError
            If a point has a negative amount, no element, or more than `max_tokens` elements.
        """
        count = self.n_inputs - self.extra
        raw = X[..., :count]
        self._check(raw.detach())
        amounts = raw.clamp_min(0.0)
        if count <= self.max_tokens:
            which = torch.arange(count, dtype=X.dtype, device=X.device).expand_as(amounts)
        else:
            most = int((amounts > 0).sum(-1).max()) if len(amounts) else 1
            amounts, index = amounts.topk(most, dim=-1)
            which = index.to(X.dtype)
            amounts = torch.where(amounts > 0, amounts, torch.zeros_like(amounts))
        further = (2 * X[..., count:] - 1).unsqueeze(-2).expand(*amounts.shape, self.extra)
        return torch.cat([which.unsqueeze(-1), amounts.unsqueeze(-1), further], -1)

    def _check(self, raw: Tensor) -> None:
        present = (raw > 0).sum(-1)
        for bad, problem in (
            ((raw < -_SLACK).any(-1), "an amount below zero"),
            (present == 0, "no element: at least one amount must be above zero"),
            (present > self.max_tokens, f"more elements than max_tokens = {self.max_tokens}: raise max_tokens"),
        ):
            if bad.any():
                rows = torch.nonzero(bad).flatten().tolist()
                raise SurrogateError(
                    f"{len(rows)} of {len(raw)} compositions have {problem}; the first is point {rows[0]} with amounts "
                    + self._describe(raw[rows[0]])
                )

    def _describe(self, amounts: Tensor) -> str:
        found = {s: a for s, a in zip(self.symbols, amounts.tolist(), strict=True) if a != 0}
        return ", ".join(f"{symbol} {amount:g}" for symbol, amount in found.items()) or "all zero"
