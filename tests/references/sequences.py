"""Sequences and their splits by slow loops over plain tuples: nothing shared with the library."""

from collections import Counter
from typing import NamedTuple

Row = tuple[str, str, int]  # user, item, time, in order of arrival


def split_log(
    rows: list[Row], min_item_interactions: int, min_user_interactions: int, rounds: int = 1
) -> tuple[dict[str, tuple[list[str], str, str]], list[str], dict[str, int]]:
    """User to (training items, validation target, test target); items in id order; removed."""
    kept, removed = filter_log(rows, min_item_interactions, min_user_interactions, rounds)
    histories: dict[str, tuple[list[str], str, str]] = {}
    for user in {user for user, _, _ in kept}:
        items = [item for _, item in _in_time_order(kept, user)]
        histories[user] = (items[:-2], items[-2], items[-1])
    return histories, _by_frequency(kept), removed


def filter_log(
    rows: list[Row], min_item_interactions: int, min_user_interactions: int, rounds: int = 1
) -> tuple[list[Row], dict[str, int]]:
    """The rows left in order of arrival, and what was removed; 0 rounds: until nothing is."""
    kept = []
    for row in rows:
        if row not in kept:
            kept.append(row)
    removed = {"duplicate_interactions": len(rows) - len(kept)}
    number = 0
    while number == 0 or number != rounds:
        number += 1
        before = len(kept)
        item_counts = Counter(item for _, item, _ in kept)
        frequent = [row for row in kept if item_counts[row[1]] >= min_item_interactions]
        user_counts = Counter(user for user, _, _ in frequent)
        short_users = {user for user, n in user_counts.items() if n < min_user_interactions}
        kept = [row for row in frequent if row[0] not in short_users]
        if number > 1 and len(kept) == before:
            break
        prefix = "" if number == 1 else f"round_{number}_"
        removed[f"{prefix}interactions_of_rare_items"] = before - len(frequent)
        removed[f"{prefix}users_with_short_histories"] = len(short_users)
        removed[f"{prefix}interactions_of_short_histories"] = len(frequent) - len(kept)
    return kept, removed


class TimeSplit(NamedTuple):
    """User to what it has in a split; items in id order; what is in no split."""

    train: dict[str, list[str]]
    valid: dict[str, tuple[list[str], str]]
    test: dict[str, tuple[list[str], str]]
    vocabulary: list[str]
    removed: dict[str, int]


def split_in_time(kept: list[Row], num_behind_valid: int, num_behind_test: int) -> TimeSplit:
    """Cuts all users' rows so that at least so many of them are behind a cut, ties with it."""
    times = sorted(time for _, _, time in kept)
    valid_cut, test_cut = times[-num_behind_valid], times[-num_behind_test]
    vocabulary = _by_frequency([row for row in kept if row[2] < valid_cut])
    train: dict[str, list[str]] = {}
    periods: dict[str, dict[str, tuple[list[str], str]]] = {"valid": {}, "test": {}}
    removed = {
        f"{name}_{reason}": 0
        for name in periods
        for reason in ("users_without_history", "targets_unknown_in_training")
    }
    used: set[tuple[str, int]] = set()  # user and place in its whole history
    for user in {user for user, _, _ in kept}:
        own = _in_time_order(kept, user)
        places = [place for place, (time, _) in enumerate(own) if time < valid_cut]
        used.update((user, place) for place in places)
        if places:
            train[user] = [own[place][1] for place in places]
        for name, start, stop in (("valid", valid_cut, test_cut), ("test", test_cut, None)):
            period = [
                place
                for place, (time, _) in enumerate(own)
                if time >= start and (stop is None or time < stop)
            ]
            before = [
                place
                for place, (time, item) in enumerate(own)
                if time < start and item in vocabulary
            ]
            if not period:
                continue
            target = own[period[0]][1]
            if not before:
                removed[f"{name}_users_without_history"] += 1
            elif target not in vocabulary:
                removed[f"{name}_targets_unknown_in_training"] += 1
            else:
                periods[name][user] = ([own[place][1] for place in before], target)
                used.update((user, place) for place in [*before, period[0]])
    removed["interactions_in_no_split"] = len(kept) - len(used)
    return TimeSplit(train, periods["valid"], periods["test"], vocabulary, removed)


def _in_time_order(kept: list[Row], user: str) -> list[tuple[int, str]]:
    own = [(time, place, item) for place, (u, item, time) in enumerate(kept) if u == user]
    return [(time, item) for time, _, item in sorted(own)]


def _by_frequency(rows: list[Row]) -> list[str]:
    counts = Counter(item for _, item, _ in rows)
    return sorted(counts, key=lambda item: (-counts[item], item.encode()))


def repeat_share(training_histories: list[list[str]]) -> float:
    """How many items were met before in the same history, of all items."""
    repeats = total = 0
    for history in training_histories:
        for position, item in enumerate(history):
            total += 1
            if item in history[:position]:
                repeats += 1
    return repeats / total
