"""The assignment of least cost: rows to columns, each at most once (Kuhn 1955; here by shortest augmenting paths, as in
Jonker and Volgenant, Computing 38, 1987). O(n^2 m) for n rows and m columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def assign(cost: NDArray[np.floating]) -> list[tuple[int, int]]:
    """The min(n, m) pairs (row, column) of finite costs (n, m) whose sum is least, in the order of the rows.

    ValueError for costs that are not finite or have not two dimensions.
    """
    if cost.ndim != 2 or not np.isfinite(cost).all():
        raise ValueError(f"costs to assign by are finite and (rows, columns), not {cost.shape}; use a large number")
    if cost.shape[0] > cost.shape[1]:
        return sorted((row, column) for column, row in assign(cost.T))
    rows, columns = cost.shape
    price_row, price_column = np.zeros(rows), np.zeros(columns)
    row_of = np.full(columns, -1)
    for start in range(rows):
        # Dijkstra over columns, by reduced costs, from this row to the nearest column that is free.
        best = np.full(columns, np.inf)
        came_from = np.full(columns, -1)
        done = np.zeros(columns, bool)
        row, at, reached = start, -1, 0.0
        while True:
            through = reached + cost[row] - price_row[row] - price_column
            nearer = ~done & (through < best)
            best[nearer], came_from[nearer] = through[nearer], at
            at = int(np.where(done, np.inf, best).argmin())
            reached, done[at] = float(best[at]), True
            if row_of[at] < 0:
                break
            row = int(row_of[at])
        price_row[start] += reached
        for column in np.flatnonzero(done):
            if column != at:
                price_row[row_of[column]] += reached - best[column]
            price_column[column] -= reached - best[column]
        while at >= 0:
            before = int(came_from[at])
            row_of[at] = start if before < 0 else row_of[before]
            at = before
    return sorted((int(row), column) for column, row in enumerate(row_of) if row >= 0)
