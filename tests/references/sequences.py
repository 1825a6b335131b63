"""Sequences and their splits by slow loops over plain tuples: nothing shared with the library."""

from collections import Counter
from typing import NamedTuple

Row = tuple[str, str, int]  # user, item, time, in order of arrival
EventRow = tuple[str, str, int, str]  # and what it was


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


def of_events(rows: list[EventRow], events: list[str]) -> list[Row]:
    """The rows of these types, in order of arrival."""
    return [(user, item, time) for user, item, time, event in rows if event in events]


def sessions_of(rows: list[Row], gap: float) -> list[Row]:
    """The rows, each under the key of its session."""
    numbers: dict[int, int] = {}
    for user in {user for user, _, _ in rows}:
        number, before = 0, None
        own = [(time, place) for place, (u, _, time) in enumerate(rows) if u == user]
        for time, place in sorted(own):
            if before is None or time - before > gap:
                number += 1
            numbers[place], before = number, time
    return [(f"{row[0]}#{numbers[place]}", *row[1:]) for place, row in enumerate(rows)]


def without_repeats(rows: list[Row], repeats: str) -> list[Row]:
    """The rows that stay, in order of arrival."""
    gone: set[int] = set()
    for user in {user for user, _, _ in rows}:
        own = sorted((time, place) for place, (u, _, time) in enumerate(rows) if u == user)
        items = [rows[place][1] for _, place in own]
        for position, (_, place) in enumerate(own):
            item, before, after = items[position], items[:position], items[position + 1 :]
            is_repeat = {
                "keep": False,
                "drop_consecutive": before[-1:] == [item],
                "keep_first": item in before,
                "keep_last": item in after,
            }[repeats]
            if is_repeat:
                gone.add(place)
    return [row for place, row in enumerate(rows) if place not in gone]


def weigh_repeats(
    rows: list[EventRow], repeats: str, weights: dict[str, float]
) -> tuple[list[EventRow], list[EventRow]]:
    """The rows left without duplicates, then without repeats as well, in order of arrival."""

    def heaviest(places: list[int], is_last: bool) -> int:
        weight = max(weights[rows[place][3]] for place in places)
        best = [place for place in places if weights[rows[place][3]] == weight]
        return best[-1] if is_last else best[0]

    moments: dict[Row, list[int]] = {}
    for place, (user, item, time, _) in enumerate(rows):
        moments.setdefault((user, item, time), []).append(place)
    unique = sorted(heaviest(places, is_last=False) for places in moments.values())
    left: list[int] = []
    for user in {user for user, _, _, _ in rows}:
        own = sorted((rows[place][2], place) for place in unique if rows[place][0] == user)
        groups: list[list[int]] = []
        for _, place in own:
            rivals = groups[-1:] if repeats == "drop_consecutive" else groups
            same = [group for group in rivals if rows[group[0]][1] == rows[place][1]]
            if same:
                same[0].append(place)
            else:
                groups.append([place])
        left += [heaviest(group, is_last=repeats == "keep_last") for group in groups]
    return [rows[place] for place in unique], [rows[place] for place in sorted(left)]


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


def split_sessions_in_time(kept: list[Row], valid_cut: int, test_cut: int) -> TimeSplit:
    """Whole sessions by the time of their last row, which is the target."""
    ends = {user: _in_time_order(kept, user)[-1][0] for user in {user for user, _, _ in kept}}
    vocabulary = _by_frequency([row for row in kept if ends[row[0]] < valid_cut])
    train: dict[str, list[str]] = {}
    periods: dict[str, dict[str, tuple[list[str], str]]] = {"valid": {}, "test": {}}
    removed = {
        f"{name}_{reason}": 0
        for name in periods
        for reason in ("users_without_history", "targets_unknown_in_training")
    }
    num_unused = 0
    for user, end in ends.items():
        items = [item for _, item in _in_time_order(kept, user)]
        if end < valid_cut:
            train[user] = items
            continue
        name = "valid" if end < test_cut else "test"
        history = [item for item in items[:-1] if item in vocabulary]
        if not history:
            removed[f"{name}_users_without_history"] += 1
            num_unused += len(items)
        elif items[-1] not in vocabulary:
            removed[f"{name}_targets_unknown_in_training"] += 1
            num_unused += len(items)
        else:
            periods[name][user] = (history, items[-1])
            num_unused += len(items) - 1 - len(history)
    removed["interactions_in_no_split"] = num_unused
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
