"""The generators of the built-in scenes.

The sample scene is a made-up video service, small enough to run the whole pipeline in minutes. Its
viewers follow a few series at a time and take turns between them, so the next item depends on items
two to five steps back: popularity tells little, the last item alone a part, the history a lot.

Others have another shape, for what decides by a scene's shape: `habits` has few items and long
histories of repeats, `sessions` many items and short histories, `large` a million items.
"""

import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adarec_tf.data.log.interactions import INTERACTION_SCHEMA

_GENRES = ("comedy", "crime", "drama", "fantasy", "history", "kids")
_EPISODES_PER_SERIES = 16
_MIN_ITEMS = 60  # three series and some films
_FILM_SHARE = 0.2  # of the catalog, and of the watched items
_GENRES_PER_USER = 2
_SERIES_AT_A_TIME = 3
_REPEAT_SERIES = 0.3  # chance to go on with the series seen last, and not with another
_SKIP_EPISODE = 0.15
_POPULARITY_EXPONENT = 0.7
_LARGE_SERIES, _LARGE_POPULARITY_EXPONENT = 10, 0.6  # of the large scene
_FIRST_TIME, _LAST_TIME = 1_672_531_200, 1_704_067_199  # the year 2023 in UTC


class _Titles(NamedTuple):
    """Series or films: genres [T], how popular they are [T], and the items of each in order."""

    genres: np.ndarray
    weights: np.ndarray
    items: list[list[str]]

    def shuffled(self, liked: np.ndarray, generator: np.random.Generator) -> list[list[str]]:
        """Those of the liked genres, the popular likely first: a draw without replacement."""
        places = np.flatnonzero(np.isin(self.genres, liked))
        chances = self.weights[places] / self.weights[places].sum()
        drawn = generator.choice(places, len(places), replace=False, p=chances)
        return [self.items[place] for place in drawn]


def generate_sample_scene(num_users: int = 3000, num_items: int = 600, seed: int = 0) -> pa.Table:
    """Makes the log of the sample scene.

    A viewer likes two genres and follows three series of them at a time, in their order, now and
    then skipping an episode; a finished series makes room for a new one. The series watched longest
    ago is the likeliest to go on. One in five items is a film instead. Series and films are popular
    to very different degrees. Nobody watches anything twice.

    Examples:
        >>> generate_sample_scene(num_users=2).column_names
        ['user_id', 'item_id', 'timestamp']

    Args:
      num_users: viewers, with 15 to 40 interactions each (fewer where a small catalog runs out).
      num_items: films and episodes in the catalog; at least 60.
      seed: same seed, same log.

    Returns:
      Columns user_id, item_id, timestamp (unix seconds), ordered by user and, for each user, time.

    Raises:
      ValueError: there are no users, or too few items for the series of one viewer.
    """
    if num_users < 1 or num_items < _MIN_ITEMS:
        raise ValueError(
            f"The sample scene should have a user or more and {_MIN_ITEMS} items or more. "
            f"Received: num_users={num_users}, num_items={num_items}."
        )
    generator = np.random.default_rng(seed)
    series, films = _make_catalog(num_items, generator)
    users, items, times = [], [], []
    for user in range(num_users):
        length = int(generator.integers(15, 41))
        history = list(_watch(series, films, length, generator))
        users += [f"viewer-{user:04d}"] * len(history)
        items += history
        times.append(_sample_times(len(history), generator))
    return pa.table([users, items, np.concatenate(times)], schema=INTERACTION_SCHEMA)


def generate_habits_scene(num_users: int = 800, num_items: int = 100, seed: int = 0) -> pa.Table:
    """Makes a log of few items and long histories of repeats: a canteen's guests and their dishes.

    A guest goes round a few dishes of his own in a fixed order. Every fifth meal is another one,
    drawn by popularity, after which the round goes on.

    Examples:
        >>> generate_habits_scene(num_users=2).num_columns
        3

    Args:
      num_users: guests, with 60 to 200 interactions each.
      num_items: dishes.
      seed: same seed, same log.
    """
    generator = np.random.default_rng(seed)
    weights = np.arange(1, num_items + 1) ** -_POPULARITY_EXPONENT
    histories = []
    for _ in range(num_users):
        period, length = generator.integers(3, 9), generator.integers(60, 201)
        own = generator.choice(num_items, period, replace=False)
        others = generator.choice(num_items, length, p=weights / weights.sum())
        is_own = generator.random(length) < 0.8
        round_ = own[(np.cumsum(is_own) - 1) % period]
        histories.append(np.where(is_own, round_, others))
    return _to_table(histories, "guest-{:04d}", "dish-{:03d}", generator)


def generate_sessions_scene(
    num_users: int = 40_000, num_items: int = 50_000, seed: int = 0
) -> pa.Table:
    """Makes a log of many items and short histories: visits of a shop.

    Items stand on shelves of ten. A visitor walks along a shelf, one item on and two items on in
    turn, so that the next step depends on the last two items; now and then he goes over to the
    neighboring shelf. Shelves are popular to very different degrees.

    Examples:
        >>> generate_sessions_scene(num_users=2, num_items=100).num_columns
        3

    Args:
      num_users: visits, of 3 to 8 interactions each.
      num_items: items of the shop; at least 20.
      seed: same seed, same log.
    """
    generator = np.random.default_rng(seed)
    num_shelves = num_items // 10
    weights = generator.permutation(np.arange(1, num_shelves + 1) ** -_POPULARITY_EXPONENT)
    shelves = generator.choice(num_shelves, num_users, p=weights / weights.sum())
    histories = []
    for shelf in shelves:
        length = generator.integers(3, 9)
        steps = np.resize(generator.permutation([1, 2]), length)
        places = (generator.integers(10) + np.cumsum(steps)) % 10
        moves = np.cumsum(generator.random(length) < 0.1)
        histories.append((shelf + moves) % num_shelves * 10 + places)
    return _to_table(histories, "visit-{:05d}", "item-{:05d}", generator)


def generate_large_scene(
    num_users: int = 500_000, num_items: int = 1_000_000, seed: int = 0
) -> pa.Table:
    """Makes the log of a video service like the sample scene's, but of a million items.

    Items are episodes of series of ten. A viewer follows three series at a time, mostly in turn,
    each in its order, now and then skipping an episode; a finished series makes room for a new one.
    One in five items is any episode instead. Series are popular to different degrees.

    Examples:
        >>> generate_large_scene(num_users=2, num_items=1000).num_columns
        3

    Args:
      num_users: viewers, with 20 to 60 interactions each.
      num_items: episodes; a multiple of 10.
      seed: same seed, same log.
    """
    generator = np.random.default_rng(seed)
    weights = np.arange(1, num_items // _LARGE_SERIES + 1) ** -_LARGE_POPULARITY_EXPONENT
    chances = np.cumsum(generator.permutation(weights / weights.sum()))
    lengths = generator.integers(20, 61, num_users)
    parts = [
        _watch_series(part, chances, generator)
        for part in np.array_split(lengths, max(1, num_users // 50_000))
    ]
    users = pa.array([f"viewer-{number:06d}" for number in range(num_users)])
    items = pa.array([f"episode-{number:06d}" for number in range(num_items)])
    starts = generator.integers(_FIRST_TIME, _LAST_TIME, num_users)
    gaps = 60 + generator.exponential(43_200, lengths.sum()).astype(np.int64)
    before = np.cumsum(gaps) - gaps  # of the viewer's first interaction as well
    times = np.repeat(starts - before[np.cumsum(lengths) - lengths], lengths) + before
    columns = [
        users.take(pa.array(np.repeat(np.arange(num_users), lengths))),
        items.take(pa.array(np.concatenate(parts))),
        pa.array(times),
    ]
    return pa.table(columns, schema=INTERACTION_SCHEMA)


def _watch_series(
    lengths: np.ndarray, chances: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """The items of viewers, one after another.

    Args:
      lengths: int64 [U], of their histories.
      chances: float64 [S], of each series and those before it to be drawn.
      generator: of all draws.
    """
    num_users, longest = len(lengths), int(lengths.max())
    shape = num_users, longest
    # Most steps go on with the series watched longest ago.
    turns = np.where(generator.random(shape) < 0.3, generator.integers(0, 3, shape), 1)
    lanes = np.cumsum(turns, axis=1) % _SERIES_AT_A_TIME
    is_any = generator.random(shape) < _FILM_SHARE
    steps = np.where(generator.random(shape) < _SKIP_EPISODE, 2, 1) * ~is_any
    places = np.zeros(shape, np.int64)
    for lane in range(_SERIES_AT_A_TIME):
        start = generator.integers(0, _LARGE_SERIES, (num_users, 1))
        np.copyto(places, start + np.cumsum(steps * (lanes == lane), axis=1), where=lanes == lane)
    num_series = places.max() // _LARGE_SERIES + 1
    size = num_users, _SERIES_AT_A_TIME, num_series
    drawn = _draw(chances, size, generator)
    series = drawn[np.arange(num_users)[:, None], lanes, places // _LARGE_SERIES]
    others = _draw(chances, shape, generator) * _LARGE_SERIES
    others += generator.integers(0, _LARGE_SERIES, shape)
    items = np.where(is_any, others, series * _LARGE_SERIES + places % _LARGE_SERIES)
    return items[np.arange(longest) < lengths[:, None]]


def _draw(chances: np.ndarray, size: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Numbers of series by popularity: int64 of this size."""
    return np.minimum(np.searchsorted(chances, generator.random(size)), len(chances) - 1)


def _to_table(
    histories: list[np.ndarray], user: str, item: str, generator: np.random.Generator
) -> pa.Table:
    """Histories of item numbers as a log, with the names that the patterns give."""
    users = [user.format(number) for number, items in enumerate(histories) for _ in items]
    items = [item.format(number) for number in np.concatenate(histories)]
    times = [_sample_times(len(history), generator) for history in histories]
    return pa.table([users, items, np.concatenate(times)], schema=INTERACTION_SCHEMA)


def write_scene(path: str, table: pa.Table) -> None:
    """Writes a log as a `.csv.gz`, or as a `.parquet`; same rows, same bytes.

    A file that holds these bytes already is left alone: its time of change is part of cache keys.

    Args:
      path: the file to write.
      table: the log.
    """
    content = _to_parquet(table) if path.endswith(".parquet") else _to_csv(table)
    file = Path(path)
    if not (file.exists() and file.read_bytes() == content):
        file.write_bytes(content)


def _to_parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _to_csv(table: pa.Table) -> bytes:
    """Compressed, without the time of writing, which would be part of the bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.schema.names)
    writer.writerows(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return gzip.compress(text.getvalue().encode(), mtime=0)


def _make_catalog(num_items: int, generator: np.random.Generator) -> tuple[_Titles, _Titles]:
    """Series and films, whose popularity is Zipf-like, in random order."""
    num_series = int(num_items * (1 - _FILM_SHARE)) // _EPISODES_PER_SERIES
    num_films = num_items - num_series * _EPISODES_PER_SERIES
    names = _GENRES[: num_series // _SERIES_AT_A_TIME]
    kinds = []
    for size, form, num_parts in (
        (num_series, "{}-{:02d}-e{:02d}", _EPISODES_PER_SERIES),
        (num_films, "{}-film-{:03d}", 1),
    ):
        genres = np.arange(size) % len(names)
        weights = generator.permutation(np.arange(1, size + 1) ** -_POPULARITY_EXPONENT)
        items = [
            [form.format(names[genre], number, part) for part in range(1, num_parts + 1)]
            for number, genre in enumerate(genres)
        ]
        kinds.append(_Titles(genres, weights, items))
    return kinds[0], kinds[1]


def _watch(
    series: _Titles, films: _Titles, length: int, generator: np.random.Generator
) -> Iterator[str]:
    """One viewer's items in order."""
    num_genres = int(series.genres.max()) + 1
    liked = generator.choice(num_genres, min(_GENRES_PER_USER, num_genres), replace=False)
    waiting, waiting_films = (titles.shuffled(liked, generator) for titles in (series, films))
    followed: list[Iterator[str]] = []  # the one watched longest ago comes first
    for _ in range(length):
        if waiting_films and generator.random() < _FILM_SHARE:
            yield from waiting_films.pop(0)
            continue
        while len(followed) < _SERIES_AT_A_TIME and waiting:
            followed.insert(0, _some_of(waiting.pop(0), generator))
        if not followed:
            return
        turn = -1 if generator.random() < _REPEAT_SERIES else 0
        current = followed.pop(turn)
        episode = next(current, None)
        if episode is not None:
            followed.append(current)
            yield episode


def _some_of(episodes: list[str], generator: np.random.Generator) -> Iterator[str]:
    """The episodes from a random one of the first half on, some skipped."""
    start = int(generator.integers(0, len(episodes) // 2))
    for episode in episodes[start:]:
        if generator.random() >= _SKIP_EPISODE:
            yield episode


def _sample_times(length: int, generator: np.random.Generator) -> np.ndarray:
    """int64 [length]: rising unix seconds, half a day apart on average."""
    gaps = 60 + generator.exponential(43_200, length).astype(np.int64)
    start = generator.integers(_FIRST_TIME, _LAST_TIME)
    return start + np.cumsum(gaps)
