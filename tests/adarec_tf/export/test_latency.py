"""Latency of a real bundle."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.export import latency as latency_module
from adarec_tf.export.bundle import write_bundle
from adarec_tf.export.latency import measure_latencies, measure_latency
from adarec_tf.export.signatures import SIGNATURE
from adarec_tf.export.tf_session import TfSession
from tests.adarec_tf.tiny_scene import build_convolution_model

NUM_ITEMS = 11
MAX_LENGTH = 7


@pytest.fixture
def bundle_dir(tmp_path: Path) -> str:
    directory = str(tmp_path / "bundle")
    write_bundle(
        build_convolution_model(NUM_ITEMS, MAX_LENGTH),
        ItemVocabulary(tuple(f"i{number}" for number in range(NUM_ITEMS))),
        directory,
        max_length=MAX_LENGTH,
        seen="exclude",
        genotype_json=None,
        manifest={},
        warmup_histories=[],
    )
    return directory


def test_latency_is_the_percentiles_of_the_timed_calls_in_ms(
    bundle_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm_up = [1.0] * 5  # of each turn, twice as long before the first
    durations_s = [*warm_up, *warm_up, *[0.002] * 50, *warm_up, *[0.002] * 49, 0.5]
    clock = []
    for duration in durations_s:
        clock += [0.0, duration]
    monkeypatch.setattr(latency_module.time, "perf_counter", iter(clock).__next__)
    latency = measure_latency(bundle_dir, [["i1"], ["i2", "i3"]], k=3, num_requests=100)
    assert latency.p50_ms == pytest.approx(2.0)
    # The 99th of 99 steps between 100 durations: a hundredth of the way from 2 to 500.
    assert latency.p99_ms == pytest.approx(2.0 + 0.01 * 498.0)


@pytest.mark.parametrize("seen", ["exclude", "keep"])
def test_what_is_timed_are_the_requests_of_real_users(
    seen: str, bundle_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = {**latency_module.read_manifest(bundle_dir), "seen": seen}
    monkeypatch.setattr(latency_module, "read_manifest", lambda path: manifest)
    answers = []

    class Session(TfSession):
        def load(self, path: str) -> dict[str, Any]:
            ask = super().load(path)[SIGNATURE]

            def recorder(request: dict[str, np.ndarray]) -> Any:
                answers.append((request, ask(request)))
                return answers[-1][1]

            return {SIGNATURE: recorder}

    monkeypatch.setattr(latency_module, "TfSession", Session)
    histories = [["i1"], ["i2", "i3"], ["i4", "i5", "i6"]]
    measure_latency(bundle_dir, histories, k=3, num_requests=5)
    asked = [
        ([key.decode() for key in request["history"][0]], request["k"], request["exclude_seen"])
        for request, _ in answers[-5:]
    ]
    in_turn = [histories[number % 3] for number in range(5)]
    assert asked == [(history, 3, seen == "exclude") for history in in_turn]
    for _, answer in answers:
        assert [len(items) for items in answer.values()] == [1, 1]


@pytest.mark.parametrize(("histories", "num_requests"), [([], 5), ([["i1"]], 0)])
def test_nothing_to_measure_is_refused(
    bundle_dir: str, histories: list[list[str]], num_requests: int
) -> None:
    with pytest.raises(ValueError, match="at least one history"):
        measure_latency(bundle_dir, histories, k=3, num_requests=num_requests)


def test_bundles_are_asked_in_turns(bundle_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Session:
        def load(self, path: str) -> dict[str, Callable[[object], None]]:
            return {SIGNATURE: lambda request: asked.append(path)}

    other = f"{bundle_dir}/."
    monkeypatch.setattr(latency_module, "TfSession", Session)
    bundles = {"teacher": bundle_dir, "student": other}
    latencies = measure_latencies(bundles, [["i1"]], k=3, num_requests=120)
    assert list(latencies) == ["teacher", "student"]
    turns = [path for path, before in zip(asked, [None, *asked], strict=False) if path != before]
    assert turns == [bundle_dir, other] * 3
