"""Item-based nearest neighbors by slow loops: nothing shared with the library."""

import math


def similarity(histories: list[list[int]], item: int, other: int) -> float:
    """Cosine of the sets of users who took either item."""
    users = {user for user, history in enumerate(histories) if item in history}
    other_users = {user for user, history in enumerate(histories) if other in history}
    if not users or not other_users:
        return 0.0
    return len(users & other_users) / math.sqrt(len(users) * len(other_users))


def neighbors(
    histories: list[list[int]], item: int, num_items: int, num_neighbors: int
) -> dict[int, float]:
    """The most similar items but the item itself, the lower id first where equal."""
    found = []
    for other in range(1, num_items + 1):
        value = similarity(histories, item, other)
        if other != item and value > 0:
            found.append((-value, other))
    return {other: -value for value, other in sorted(found)[:num_neighbors]}


def score_candidates(
    histories: list[list[int]],
    history: list[int],
    num_items: int,
    num_last: int,
    num_neighbors: int,
) -> list[float]:
    """What each item scores for one user, before ties are broken."""
    scores = [0.0] * num_items
    for place, item in enumerate(reversed(history[-num_last:]), start=1):
        similar = neighbors(histories, item, num_items, num_neighbors)
        for candidate, value in similar.items():
            scores[candidate - 1] += value / place
    return scores
