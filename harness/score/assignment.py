"""Pairing predicted with expected calls: the most pairs, or the heaviest. Small, exact, no dependency."""

from __future__ import annotations

from collections.abc import Callable, Sequence

MAX_EXACT = 48
"""Largest side that is paired optimally; beyond it (a runaway reply) pairs are taken greedily, heaviest first."""


def perfect_matching(size: int, fits: Callable[[int, int], bool]) -> bool:
    """Return whether `size` expected and `size` predicted calls can be paired so that every pair fits (Kuhn)."""
    if size > 4 * MAX_EXACT:
        return all(fits(index, index) for index in range(size))
    options = [[column for column in range(size) if fits(row, column)] for row in range(size)]
    owner: dict[int, int] = {}

    def place(row: int, tried: set[int]) -> bool:
        for column in options[row]:
            if column in tried:
                continue
            tried.add(column)
            if column not in owner or place(owner[column], tried):
                owner[column] = row
                return True
        return False

    return all(place(row, set()) for row in range(size))


def heaviest_pairs(weights: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Return the one-to-one pairs (row, column) of maximum total weight, as many as the shorter side has."""
    rows, columns = len(weights), len(weights[0]) if weights else 0
    if not rows or not columns:
        return []
    if rows == 1 or columns == 1:
        cells = [(row, column) for row in range(rows) for column in range(columns)]
        return [max(cells, key=lambda cell: (weights[cell[0]][cell[1]], -cell[0] - cell[1]))]
    if max(rows, columns) > MAX_EXACT:
        return _greedy_pairs(weights)
    if rows > columns:
        turned = [[weights[row][column] for row in range(rows)] for column in range(columns)]
        return sorted((row, column) for column, row in _hungarian(turned))
    return sorted(_hungarian(weights))


def _greedy_pairs(weights: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    cells = [(-weight, row, column) for row, line in enumerate(weights) for column, weight in enumerate(line)]
    rows: set[int] = set()
    columns: set[int] = set()
    pairs = []
    for _, row, column in sorted(cells):
        if row not in rows and column not in columns:
            pairs.append((row, column))
            rows.add(row)
            columns.add(column)
    return sorted(pairs)


def _hungarian(weights: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Kuhn-Munkres with potentials, O(rows² · columns), rows <= columns; costs are negated weights."""
    rows, columns = len(weights), len(weights[0])
    row_potential = [0] * (rows + 1)
    column_potential = [0] * (columns + 1)
    owner = [0] * (columns + 1)
    for row in range(1, rows + 1):
        owner[0] = row
        column = 0
        slack = [float("inf")] * (columns + 1)
        came_from = [0] * (columns + 1)
        used = [False] * (columns + 1)
        while owner[column]:
            used[column] = True
            current, step, nearest = owner[column], float("inf"), 0
            for other in range(1, columns + 1):
                if used[other]:
                    continue
                reduced = -weights[current - 1][other - 1] - row_potential[current] - column_potential[other]
                if reduced < slack[other]:
                    slack[other], came_from[other] = reduced, column
                if slack[other] < step:
                    step, nearest = slack[other], other
            for other in range(columns + 1):
                if used[other]:
                    row_potential[owner[other]] += int(step)
                    column_potential[other] -= int(step)
                else:
                    slack[other] -= step
            column = nearest
        while column:
            owner[column] = owner[came_from[column]]
            column = came_from[column]
    return [(owner[column] - 1, column - 1) for column in range(1, columns + 1) if owner[column]]
