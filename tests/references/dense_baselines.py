"""The baselines with all scores written out, and ranks and lists by sorting them.

Shares no code with the library. Scores are added up in the library's order, so that what ties here
ties there.
"""

import itertools

import numpy as np


def popularity_scores(train: list[list[int]], num_items: int) -> np.ndarray:
    """How often each item occurs: float64 [V]."""
    counts = np.zeros(num_items)
    for history in train:
        for item in history:
            counts[item - 1] += 1
    return counts


def markov_scores(train: list[list[int]], history: list[int], num_items: int) -> np.ndarray:
    """How often each item came after the history's last one; then popularity."""
    counts = np.zeros(num_items)
    for items in train:
        for item, following in itertools.pairwise(items):
            counts[following - 1] += bool(history) and item == history[-1]
    popularity = popularity_scores(train, num_items)
    return counts + popularity / (1.0 + popularity.max(initial=0.0))


def item_similarities(
    train: list[list[int]], num_items: int, num_neighbors: int
) -> tuple[np.ndarray, float]:
    """Cosines of the sets of users, those of the neighbors alone, and the least of them."""
    is_taken = np.zeros((num_items, len(train)))
    for user, history in enumerate(train):
        is_taken[np.array(history, int) - 1, user] = 1.0
    counts = is_taken.sum(axis=1)
    similarities = np.zeros((num_items, num_items))
    for item in range(num_items):
        pairs = (is_taken @ is_taken[item]).astype(np.float64)
        pairs[item] = 0.0
        values = pairs / np.maximum(np.sqrt(counts[item] * counts), 1e-300)
        kept = np.argsort(-values, kind="stable")[:num_neighbors]
        similarities[item, kept] = values[kept]
    return similarities, similarities[similarities > 0].min(initial=1.0)


def item_knn_scores(
    train: list[list[int]], history: list[int], num_items: int, num_last: int, num_neighbors: int
) -> np.ndarray:
    """The similarities of the last items, each divided by its place from the end."""
    similarities, smallest = item_similarities(train, num_items, num_neighbors)
    weights = np.zeros(num_items)
    for place, item in enumerate(reversed(history[-num_last:]), start=1):
        weights[item - 1] += 1.0 / place
    scores = np.zeros(num_items)
    for item in range(num_items):
        scores += weights[item] * similarities[item]
    popularity = popularity_scores(train, num_items)
    shares = popularity / (1.0 + popularity.max(initial=0.0))
    return scores + shares * min(1e-9, smallest / num_last / 2)


def rank_and_list(
    scores: np.ndarray, target: int, excluded: set[int], k: int
) -> tuple[int, list[int]]:
    """The target's rank, a tie counting against it, and the first k candidates.

    Args:
      scores: float [V].
      target: an item id.
      excluded: item ids that are no candidates.
      k: length of the list, which is filled up with 0.
    """
    candidates = [item for item in range(1, len(scores) + 1) if item not in excluded]
    shown = sorted(candidates, key=lambda item: (-scores[item - 1], item))[:k]
    ahead = [item for item in candidates if scores[item - 1] >= scores[target - 1]]
    rank = len(scores) + 1 if target in excluded else len(ahead)
    return rank, shown + [0] * (k - len(shown))
