"""Which users and items are kept: those with enough interactions, once, again, or for good.

A round removes items with too few interactions, then users with too few of what is left. Users who
go take interactions of items with them, so the next round may find more; when a round finds nothing
the rest is the k-core of users and items (with a minimum of each kind).

Interactions are looked at a part of the users after the other, and what is held beside one part
are a count and a bit for each user and item.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa


class UserPairs(NamedTuple):
    """The interactions of some users who are in no other of these.

    Attributes:
      num_users: U; user codes are 0..U-1.
      read: gives the interactions (`user` and `item`, int32), the same ones at every call.
    """

    num_users: int
    read: Callable[[], pa.Table]


class KCore(NamedTuple):
    """What stays.

    Attributes:
      users: bool [U] for each `UserPairs`: the user stays.
      items: bool [V]: the item stays.
      removed: what went, by filter; from the second round on with the round in the name.
    """

    users: list[np.ndarray]
    items: np.ndarray
    removed: dict[str, int]


def k_core_filter(
    pairs: Sequence[UserPairs],
    num_items: int,
    *,
    min_user_interactions: int,
    min_item_interactions: int,
    rounds: int,
) -> KCore:
    """Removes items and users that have too few interactions.

    Args:
      pairs: all interactions.
      num_items: V; item codes are 0..V-1.
      min_user_interactions: interactions a user needs to stay.
      min_item_interactions: interactions an item needs to stay.
      rounds: how often to go through both filters; 0: until nothing more is removed.
    """
    users = [np.ones(part.num_users, bool) for part in pairs]
    items, removed = np.ones(num_items, bool), dict[str, int]()
    number = 0
    while number == 0 or number != rounds:
        number += 1
        counts = np.zeros(num_items, np.int64)
        for part, kept in zip(pairs, users, strict=True):
            counts += np.bincount(keep(part.read(), kept, items)["item"], minlength=num_items)
        is_rare = items & (counts < min_item_interactions)
        items = items & ~is_rare
        num_short = num_lost = 0
        for place, part in enumerate(pairs):
            left = keep(part.read(), users[place], items)["user"]
            counts_left = np.bincount(left, minlength=part.num_users)
            is_short = (counts_left > 0) & (counts_left < min_user_interactions)
            users[place] = counts_left >= min_user_interactions
            num_short += int(is_short.sum())
            num_lost += int(counts_left[is_short].sum())
        found = {
            "interactions_of_rare_items": int(counts[is_rare].sum()),
            "users_with_short_histories": num_short,
            "interactions_of_short_histories": num_lost,
        }
        if number > 1 and not any(found.values()):
            break
        prefix = "" if number == 1 else f"round_{number}_"
        removed |= {f"{prefix}{name}": count for name, count in found.items()}
    return KCore(users, items, removed)


def keep(interactions: pa.Table, kept_users: np.ndarray, kept_items: np.ndarray) -> pa.Table:
    """The interactions whose user and item both stay.

    Args:
      interactions: of a part of the users.
      kept_users: bool [U], of this part.
      kept_items: bool [V].
    """
    users, items = (interactions[name].to_numpy() for name in ("user", "item"))
    return interactions.filter(pa.array(kept_users[users] & kept_items[items]))
