"""The pages in a real browser, as wide as a phone and as a screen, in the light and in the dark.

Without Chromium (`apt-get install chromium`) they are skipped. The rules of axe-core are checked
where `make axe` has fetched it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adarec_tf.report.page import comparison_page, run_page
from tests.adarec_tf.report.browser import CHROMIUM, Tab, chromium
from tests.adarec_tf.report.hand_made_facts import checks, facts

AXE = Path(__file__).parents[3] / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
WIDTHS = (390, 1200)
# Elements whose content is wider than they are, and that cannot be scrolled.
OVERFLOWING = """[...document.querySelectorAll("body *")].filter(element =>
    element.getBoundingClientRect().right > innerWidth + 1 && !element.closest(".scroll")
    && !element.closest(".skip")).map(element => element.outerHTML.slice(0, 200))"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module", params=["run", "comparison"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    long_key = "https://shop.example/" + "items/" * 30
    titles = {"item-3": long_key, "old-4": long_key}
    other = facts(scene=long_key)
    pages = {"run": lambda: run_page(facts(), titles, checks())}
    pages["comparison"] = lambda: comparison_page({"runs/monday": facts(), long_key: other})
    path.write_text(pages[request.param](), "utf-8")
    return path


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overflows_or_is_asked_for_and_the_console_is_empty(
    tab: Tab, page: Path, width: int, tmp_path: Path
) -> None:
    tab.open(page, width)
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.evaluate(OVERFLOWING) == []
    tab.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000
    asked = [url for url in tab.requests() if not url.startswith("data:")]
    assert asked == [page.as_uri()]
    assert tab.console() == []


def test_a_page_that_overflows_asks_and_complains_is_found(tab: Tab, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text(
        "<!DOCTYPE html><body><div style='width: 2000px'>wide</div><img src='http://localhost:9/'>"
        "<script>console.log('a word')</script>"
    )
    tab.open(path, 390)
    assert len(tab.evaluate(OVERFLOWING)) == 1
    assert "http://localhost:9/" in tab.requests()
    assert len(tab.console()) >= 1


def test_the_page_is_dark_where_the_reader_wants_it(tab: Tab, page: Path) -> None:
    color = "getComputedStyle(document.documentElement).backgroundColor"
    assert tab.open(page, 1200).evaluate(color) == "rgb(255, 255, 255)"
    assert tab.open(page, 1200, is_dark=True).evaluate(color) == "rgb(20, 24, 29)"


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not here: `make axe` fetches it")
@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing(tab: Tab, page: Path, width: int, is_dark: bool) -> None:
    tab.open(page, width, is_dark)
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    tab.evaluate(AXE.read_text("utf-8") + "; 0")
    found = "r.violations.map(v => [v.impact, v.id, v.nodes.slice(0, 3).map(n => n.html)])"
    assert tab.evaluate(f"axe.run().then(r => {found})") == []
