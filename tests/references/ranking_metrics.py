"""Ranking metrics the slow way: candidates counted one by one. Shares no code with the library."""

import math


def rank_of_target(scores: list[float], target: int, history: list[int], exclude_seen: bool) -> int:
    """The place of item `target`; `scores[j]` belongs to item `j + 1`."""
    if exclude_seen and target in history:
        return len(scores) + 1
    rank = 1
    for item in range(1, len(scores) + 1):
        if item == target:
            continue
        if exclude_seen and item in history:
            continue
        if scores[item - 1] >= scores[target - 1]:
            rank += 1
    return rank


def metrics_of_ranks(ranks: list[int], k: int) -> dict[str, float]:
    """Hit rate, NDCG and MRR of one target a user."""
    hits, gains, reciprocals = 0.0, 0.0, 0.0
    for rank in ranks:
        if rank > k:
            continue
        hits += 1
        gains += math.log(2) / math.log(1 + rank)
        reciprocals += 1 / rank
    return {
        f"hit_rate@{k}/full": hits / len(ranks),
        f"ndcg@{k}/full": gains / len(ranks),
        f"mrr@{k}/full": reciprocals / len(ranks),
    }


def metrics_among(ranks: list[int], k: int, protocol: str) -> dict[str, float]:
    """`metrics_of_ranks` under another protocol's name."""
    return {
        name.replace("/full", f"/{protocol}"): value
        for name, value in metrics_of_ranks(ranks, k).items()
    }


def shown_items(scores: list[float], history: list[int], exclude_seen: bool, k: int) -> list[int]:
    """The best k candidates, one taken after the other; the lower id first where scores tie."""
    candidates = [
        item for item in range(1, len(scores) + 1) if not (exclude_seen and item in history)
    ]
    shown: list[int] = []
    while candidates and len(shown) < k:
        best = candidates[0]
        for item in candidates:
            if scores[item - 1] > scores[best - 1]:
                best = item
        candidates.remove(best)
        shown.append(best)
    return shown
