"""TF-IDF and logistic regression, fitted with scikit-learn, kept and applied as plain numbers.

A fitted model scores one reply at a time by adding up floats in the reply's own order: the same bits alone, in a batch,
and in any process.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.persona.style.libraries import load_sklearn, one_thread

Tokens = Sequence[str]
Blocks = tuple[Tokens, ...]
"""A text's features, in one or more blocks, each of which is brought to length 1 by itself."""
Features = Callable[[str], Blocks]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearModel:
    """weights[b][token] = (idf, idf · coefficient) of block b; tokens not seen in fitting count for nothing."""

    weights: tuple[Mapping[str, tuple[float, float]], ...] = field(repr=False)
    intercept: float

    def decision(self, blocks: Blocks) -> float:
        """Return the log odds before calibration: above 0 for the positive class, balanced classes assumed."""
        total = self.intercept
        for weights, tokens in zip(self.weights, blocks, strict=True):
            norm = inner = 0.0
            for token, count in Counter(tokens).items():
                weight = weights.get(token)
                if weight is not None:
                    term = 1.0 + math.log(count)
                    norm += (term * weight[0]) ** 2
                    inner += term * weight[0] * weight[1]
            if norm:
                total += inner / math.sqrt(norm)
        return total


def fit_linear_model(
    texts: Sequence[Blocks], labels: Sequence[bool], *, strength: float = 10.0, min_count: int = 1
) -> LinearModel:
    """Return the model of balanced classes: sublinear TF-IDF per block, L2 logistic regression with C = `strength`.

    Raises ValueError if only one class is there, MissingDependency without scikit-learn.
    """
    if len(set(labels)) != 2:
        raise ValueError("a classifier needs both classes")
    sklearn = load_sklearn()
    import numpy as np
    from scipy.sparse import hstack

    with one_thread():
        vectorizers, matrices = [], []
        for block in range(len(texts[0])):
            vectorizer = sklearn.feature_extraction.text.TfidfVectorizer(
                analyzer=_block(block), sublinear_tf=True, min_df=min_count
            )
            matrices.append(vectorizer.fit_transform(texts))
            vectorizers.append(vectorizer)
        regression = sklearn.linear_model.LogisticRegression(
            C=strength, class_weight="balanced", max_iter=2000
        )
        regression.fit(hstack(matrices, format="csr"), np.asarray(labels, dtype=bool))
    return _exported(vectorizers, regression)


def _block(index: int) -> Callable[[Blocks], Tokens]:
    return lambda blocks: blocks[index]


def _exported(vectorizers: Sequence[Any], regression: Any) -> LinearModel:
    weights = []
    place = 0
    for vectorizer in vectorizers:
        names = vectorizer.get_feature_names_out()
        idf = vectorizer.idf_.tolist()
        coefficients = regression.coef_[0, place : place + len(names)].tolist()
        place += len(names)
        weights.append({str(name): pair for name, *pair in zip(names, idf, coefficients, strict=True)})
    return LinearModel(
        weights=tuple({name: (pair[0], pair[1]) for name, pair in block.items()} for block in weights),
        intercept=float(regression.intercept_[0]),
    )


def grouped_folds(groups: Sequence[str], folds: int) -> list[int]:
    """Return each item's fold: whole groups, dealt out in order of first appearance, as evenly as their sizes allow.

    References stand in files by category, so dealing them out in turn puts every category into every fold.
    """
    order = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    return [order[group] % folds for group in groups]
