import re
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from adarec_tf.report.picture import BLUE, GREY, Picture, check_records, inline_svg


def picture() -> Picture:
    figure = Figure(figsize=(2, 1))
    axes = figure.subplots()
    axes.plot([1, 2], [3, 5], color=BLUE)
    axes.axhline(4, color=GREY)
    return Picture(figure, "a title", 'from 3 to "5"')


def test_a_picture_is_one_element_with_words_for_who_does_not_see_it() -> None:
    element = ElementTree.fromstring(inline_svg(picture(), "first"))
    assert element.tag.endswith("svg")
    assert (element.get("role"), element.get("aria-label")) == ("img", 'from 3 to "5"')
    assert element.get("viewBox") == "0 0 144 72"


def test_colors_are_the_pages_and_nothing_is_white_behind() -> None:
    svg = inline_svg(picture(), "first")
    assert not {BLUE, GREY, "#000000", "#ffffff"} & set(re.findall("#[0-9a-f]{6}", svg))
    assert {"var(--blue)", "var(--muted)", "var(--ink)"} <= set(re.findall(r"var\(--\w+\)", svg))


def test_two_pictures_of_a_page_share_no_id_and_find_their_own() -> None:
    drawn = {name: inline_svg(picture(), name) for name in ("first", "second")}
    ids = {name: set(re.findall(r'\bid="([^"]*)"', svg)) for name, svg in drawn.items()}
    assert ids["first"]
    assert not ids["first"] & ids["second"]
    for name, svg in drawn.items():
        assert set(re.findall(r'(?:url\(#|href="#)([^")]*)', svg)) <= ids[name]


def test_the_same_picture_is_the_same_text() -> None:
    assert inline_svg(picture(), "name") == inline_svg(picture(), "name")


def test_records_should_be_there_and_complete() -> None:
    check_records([{"a": 1}], ["a"])
    with pytest.raises(ValueError, match="Received: no b in epoch 2"):
        check_records([{"a": 1, "b": 2}, {"a": 1}], ["a", "b"])
