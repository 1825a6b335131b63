"""Leave-one-out sequences by slow loops over plain tuples: nothing shared with the library."""

from collections import Counter

Row = tuple[str, str, int]  # user, item, time, in order of arrival


def split_log(
    rows: list[Row], min_item_interactions: int, min_user_interactions: int
) -> tuple[dict[str, tuple[list[str], str, str]], list[str], dict[str, int]]:
    """User to (training items, validation target, test target); items in id order; removed."""
    unique = []
    for row in rows:
        if row not in unique:
            unique.append(row)
    item_counts = Counter(item for _, item, _ in unique)
    frequent = [row for row in unique if item_counts[row[1]] >= min_item_interactions]
    user_counts = Counter(user for user, _, _ in frequent)
    short_users = {user for user, count in user_counts.items() if count < min_user_interactions}
    kept = [row for row in frequent if row[0] not in short_users]
    histories: dict[str, tuple[list[str], str, str]] = {}
    for user in {user for user, _, _ in kept}:
        own = [(time, place, item) for place, (u, item, time) in enumerate(kept) if u == user]
        items = [item for _, _, item in sorted(own)]
        histories[user] = (items[:-2], items[-2], items[-1])
    kept_counts = Counter(item for _, item, _ in kept)
    vocabulary = sorted(kept_counts, key=lambda item: (-kept_counts[item], item.encode()))
    removed = {
        "duplicate_interactions": len(rows) - len(unique),
        "interactions_of_rare_items": len(unique) - len(frequent),
        "users_with_short_histories": len(short_users),
        "interactions_of_short_histories": len(frequent) - len(kept),
    }
    return histories, vocabulary, removed


def repeat_share(training_histories: list[list[str]]) -> float:
    """How many items were met before in the same history, of all items."""
    repeats = total = 0
    for history in training_histories:
        for position, item in enumerate(history):
            total += 1
            if item in history[:position]:
                repeats += 1
    return repeats / total
