import html
import json
import re
from pathlib import Path

import pytest

from adarec_tf.report.page import (
    comparison_page,
    cost_shares,
    flat_settings,
    read_facts,
    run_page,
    verdict,
)
from tests.adarec_tf.report.hand_made_facts import checks, facts


def text_of(page: str) -> str:
    """What is read, without marks and line breaks."""
    body = page[page.index("<body>") :]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def headings(page: str) -> list[str]:
    return re.findall(r"<h2[^>]*>(.*?)</h2>", page)


def test_the_verdict_says_what_is_kept_and_what_it_costs() -> None:
    assert verdict(facts()) == (
        "Blessed: the student keeps 80.0% of its teacher's NDCG@10 for 25% of the bytes, 25% of "
        "the multiply-adds, 25% of the time of an answer."
    )
    assert verdict(facts(blessed=False)).startswith("Not blessed: the student keeps 80.0% of")
    given = facts()
    given["metrics"]["models"]["student"]["encoder_macs"] = 0  # pools alone
    assert "none of the multiply-adds" in verdict(given)
    assert cost_shares(facts()["metrics"]["models"]) == dict.fromkeys(
        ("bundle_bytes", "encoder_macs", "latency_p50_ms"), 0.25
    )


def test_a_page_has_every_section_in_its_order() -> None:
    page = run_page(facts(), {})
    assert headings(page) == [
        *("Accuracy and cost", "The scene", "The recipe, and why", "The student"),
        *("How the search went", "Which teacher layers taught which", "Slices of the users"),
        *("1 real histories", "Lineage", "Commands"),
    ]
    linked = re.findall(r'<a href="#(\w+)">', page)
    assert set(linked) <= set(re.findall(r'<h2 id="(\w+)"', page))
    text = text_of(page)
    for said in (
        "It is pushed as version 4.",
        "The log goes from 2020-09-13 to 2023-11-14.",
        "duplicate interactions 17",
        'teacher. name "sasrec" by hand',
        "1, 2 node 1 node 2 dilated_2_conv_5 11 2,000,000 33 –",
        "The best of 9 students",
        "5-9 3 0.1200 0.2500 0.2400 to 0.2600 0.2000 0.1900 to 0.2100",
        "keras 9.8.7",
        "adarec run --data '/a b/log.csv' --recipe recipe.json --set seed=3",
        "adarec recommend --history old-9,old-10,old-11 --k 10",
    ):
        assert said in text


def test_a_page_says_only_what_there_is() -> None:
    given = facts(
        trace=[], front=None, student_history=[{"loss": 1.0}], pushed_version=None, time_span=None
    )
    page = run_page(given, {})
    assert not {"How the search went", "Which teacher layers taught which"} & set(headings(page))
    text = text_of(page)
    assert "It is not pushed." in text
    assert "It was given, not searched" in text
    assert "The log goes from" not in text
    assert "adarec serve" not in text
    assert 'href="#search"' not in page


def test_checks_of_the_scene_are_a_section_of_their_own() -> None:
    page = run_page(facts(), {}, checks())
    assert headings(page)[-4:] == [
        *("1 real histories", "The scene since then"),
        *("Lineage", "Commands"),
    ]
    text = text_of(page)
    assert "Warm start, 2026-11-30T02:00:00+00:00: 1,234 new events. models have aged" in text
    assert "gain 0.01 – beyond interactions per user 3 2.75 within" in text
    assert "check 1: fine, student 0.2000, check 2: warm start, student 0.2000" in page


def test_histories_have_titles_and_say_what_came_next() -> None:
    text = text_of(run_page(facts(), {"item-3": "The <third>", "other-2": "Another"}))
    assert "5 of 10 in common; next came The <third> : teacher rank 4, student not among" in text
    assert "History: 4 earlier items → old-4 → old-5" in text
    assert "The <third> ✓" in text
    assert "item-0 ○" in text
    assert "Another ○" in text
    assert "item-7 ○" not in text  # both recommend it


def test_a_page_asks_for_nothing_and_is_small() -> None:
    page = run_page(facts(), {})
    assert "<script" not in page
    assert set(re.findall(r'(?:src|href)="([^"]*)"', page)) <= {
        value
        for value in re.findall(r'"([^"]*)"', page)
        if value[:1] == "#" or value[:5] == "data:"
    }
    assert len(page) < 500_000
    assert len(re.findall("<svg", page)) == len(re.findall('role="img" aria-label="[^"]', page))
    assert len(re.findall("<table>", page)) == len(re.findall("<caption><span>[^<]", page))


def test_two_runs_are_told_apart_by_figures_and_settings() -> None:
    first, second = facts(), facts()
    second["metrics"]["intervals"]["student"]["ndcg@10/full"] = {
        **{"mean": 0.1, "low": 0.09, "high": 0.11}
    }
    second["settings"]["training"]["max_epochs"] = 77
    second["statistics"]["data_fingerprint"] = "e" * 64
    text = text_of(comparison_page({"monday": first, "tuesday": second}))
    assert text.startswith("Skip to the verdict adarec_tf, two runs monday against tuesday")
    assert "They were tested on other histories" in text
    assert "student 0.2000 0.1900 to 0.2100 0.1000 0.0900 to 0.1100 +0.1000 ± 0.0141 yes" in text
    assert "teacher 0.2500 0.2400 to 0.2600 0.2500 0.2400 to 0.2600 +0.0000 ± 0.0141 no" in text
    assert "setting monday tuesday training.max_epochs" in text
    alike = text_of(comparison_page({"a": facts(), "b": facts()}))
    assert "Both were tested on the same histories." in alike
    assert "Settings that differ None." in alike


def test_settings_are_named_as_the_command_line_names_them() -> None:
    nested = {"seed": 1, "data": {"events": [], "event_weights": {}}}
    assert flat_settings(nested) == {"seed": 1, "data.events": [], "data.event_weights": {}}


def test_facts_of_no_run_or_of_another_version_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with pytest.raises(ValueError, match=r"should hold report.json. Received: none"):
        read_facts(path)
    path.write_text(json.dumps(facts()))
    assert read_facts(path)["scene"] == "tiny"
    path.write_text(json.dumps(facts(format_version=0)))
    with pytest.raises(ValueError, match=r"should have format_version 1. Received: 0"):
        read_facts(path)
