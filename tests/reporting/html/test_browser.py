"""The report in a real browser: nothing is fetched, nothing fails, and all that can be worked works."""

import re
import shutil

import pytest
from synthetic_experiment import write_experiment

from sslmed.reporting.html.page import report_experiment

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")]

DESKTOP, WIDE, PHONE = ({"width": width, "height": 900} for width in (1280, 1600, 375))
RUNS = {
    "segmentation": {"arms": ("baseline", "rotation", "rotation-2d", "baseline-2d", "null-1"), "cases": 4},
    "two cases": {"arms": ("baseline", "rotation"), "cases": 2},
    "classification": {"figure": "fig4", "arms": ("baseline", "cpc", "cpc-external"), "cases": 8, "folds": 5},
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    root = tmp_path_factory.mktemp("reports")
    return {kind: report_experiment(write_experiment(root / kind, **runs), root / kind) for kind, runs in RUNS.items()}


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, reports):
    """Open a report; at the end there must have been no message of the console, no error and no request."""
    heard, contexts = [], []

    def open_page(kind, viewport=DESKTOP, scheme="light"):
        context = chromium.new_context(viewport=viewport, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        file = reports[kind].as_uri()
        page.on("request", lambda request: request.url.startswith(("data:", file)) or heard.append(request.url))
        page.goto(file)
        page.wait_for_selector("#scores-0 svg")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert heard == []


def shown_arms(page, chart):
    seen = "all => all.filter((e) => getComputedStyle(e).display != 'none').map((e) => e.getAttribute('class'))"
    return set(page.locator(f"#{chart} [class^=arm]").evaluate_all(seen))


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_is_wider_than_the_window(visit, kind, viewport):
    page = visit(kind, viewport)
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    widths = [page.locator(f"#{chart}-0").bounding_box()["width"] for chart in ("scores", "pretext")]
    assert widths[0] > 300
    assert widths[1] < 0.75 * widths[0] or viewport is PHONE  # however few arms there are


@pytest.mark.parametrize("kind", RUNS)
def test_a_wide_window_is_used_and_no_table_has_to_scroll_there(visit, kind):
    page = visit(kind, WIDE)
    assert page.locator("main").bounding_box()["width"] > 0.9 * WIDE["width"]
    cells_are_below_tests = page.locator("#matrix").bounding_box()["width"] > 0.9 * WIDE["width"]
    assert cells_are_below_tests == (page.locator("#tests").count() == 1)
    assert page.locator(".scroll.clipped").count() == 0


def test_on_a_phone_a_table_says_that_it_scrolls_and_stops_to_fade_at_its_end(visit):
    page = visit("segmentation", PHONE)
    wider = "all => all.filter((e) => e.scrollWidth > e.clientWidth).length"
    hint = "area => getComputedStyle(area, '::before').content"
    areas = page.locator(".scroll:visible")
    assert areas.evaluate_all(wider) == page.locator(".scroll.clipped.more").count() > 1
    matrix = page.locator(".scroll", has=page.locator(".matrix")).first
    assert "scroll sideways" in matrix.evaluate(hint)
    matrix.evaluate("area => { area.scrollLeft = area.scrollWidth }")
    page.wait_for_function("area => !area.classList.contains('more')", arg=matrix.element_handle())
    assert "scroll sideways" in matrix.evaluate(hint)


def test_an_arm_is_switched_off_and_on_by_mouse_and_keyboard(visit):
    page = visit("segmentation")
    four = {f"arm-{index}" for index in range(4)}
    assert shown_arms(page, "scores-0") == shown_arms(page, "convergence-0") == four
    page.get_by_label("rotation", exact=True).click()
    assert shown_arms(page, "scores-0") == shown_arms(page, "convergence-0") == four - {"arm-1"}
    assert shown_arms(page, "pretext-0") == set()
    page.get_by_label("rotation", exact=True).focus()
    page.keyboard.press("Space")
    assert shown_arms(page, "scores-0") == four


def test_a_value_is_said_when_the_mouse_is_over_it(visit):
    page = visit("segmentation")
    said = page.locator("#scores-0 .arm-1 use title").all_text_contents()
    assert len(said) == 3  # one for each amount of labels, the least first
    assert re.fullmatch(r"rotation, 5 % of the labels\n0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", said[0])
    assert not any("to the baseline" in text for text in said)  # of two runs
    assert "rotation" in page.locator("#convergence-0 .arm-1 title").all_text_contents()


def test_slices_follow_slider_and_drop_downs(visit):
    page = visit("segmentation")
    best = page.locator("[data-role=best]")

    def seen():
        return best.locator("image").get_attribute("href"), best.locator(".truth path").first.get_attribute("d")

    middle, caption = seen(), best.locator("figcaption").text_content()
    assert re.fullmatch(r"best: Dice 0\.\d{3}, case \d+, slice \d+ of 32", caption)
    page.get_by_role("slider", name="Slice").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#viewer-position").text_content() == "6 of 9"
    assert seen() != middle
    assert best.locator("svg").get_attribute("aria-label").startswith("best test case")
    assert best.locator("figcaption").text_content() != caption

    def dice():
        return [
            float(re.search(r"Dice (\S+),", text)[1]) for text in page.locator(".cases figcaption").all_inner_texts()
        ]

    before = dice()
    assert before == sorted(before, reverse=True)
    page.locator("#viewer-labels").select_option("5 %")
    assert sum(dice()) < sum(before)
    page.locator("#viewer-arm").select_option("baseline-2d")
    assert page.locator("#viewer-labels").input_value() == "5 %"  # kept where the other arm has it
    for name in ("truth", "prediction"):
        assert best.locator(f".{name} path").count() > 0
        page.get_by_role("checkbox", name=name).uncheck()
        assert best.locator(f".{name} path").count() == 0


def test_of_two_test_cases_each_is_shown_once(visit):
    captions = visit("two cases").locator(".cases figcaption").filter(visible=True).all_text_contents()
    assert [text.partition(":")[0] for text in captions] == ["best", "worst"]
    assert len({re.search(r"case \d+", text)[0] for text in captions}) == 2


def test_truth_and_prediction_differ_without_colour(visit):
    page = visit("segmentation")
    look = "(path) => { const s = getComputedStyle(path); return [s.fill.startsWith('url'), s.stroke !== 'none'] }"
    assert page.locator("[data-role=worst] .truth path").first.evaluate(look) == [True, False]
    assert page.locator("[data-role=worst] .prediction path").last.evaluate(look) == [False, True]


def test_the_confusion_matrix_counts_every_test_image_once(visit):
    page = visit("classification")
    for arm in ("baseline", "cpc-external"):
        page.locator("#confusion-arm").select_option(arm)
        assert arm in page.locator("#confusion-caption").text_content()
        rows = page.locator("#confusion tbody tr").all()
        counts = [[re.search(r"(\d+) of (\d+)", cell) for cell in row.locator("td").all_inner_texts()] for row in rows]
        assert sum(int(cell[1]) for row in counts for cell in row) == 40
        assert all(sum(int(cell[1]) for cell in row) == int(row[0][2]) for row in counts)
    assert page.locator("#confusion thead th").all_inner_texts()[1:3] == ["no DR", "mild"]


def test_dark_mode_is_dark_and_paper_is_light(visit):
    def colours(page):
        baseline = page.locator("#scores-0 .arm-0 > path").last.evaluate("p => getComputedStyle(p).stroke")
        text = page.locator("#scores-0 text").first.evaluate("t => getComputedStyle(t).fill")
        return page.evaluate("getComputedStyle(document.documentElement).backgroundColor"), baseline, text

    light, dark = colours(visit("segmentation")), colours(visit("segmentation", scheme="dark"))
    assert light == ("rgb(255, 255, 255)", "rgb(0, 0, 0)", "rgb(22, 25, 29)")
    assert dark == ("rgb(20, 23, 27)", "rgb(255, 255, 255)", "rgb(233, 236, 239)")
    page = visit("segmentation", scheme="dark")
    page.emulate_media(color_scheme="light")  # what the system does in the morning
    assert colours(page) == light
    page.emulate_media(media="print", color_scheme="dark")
    assert colours(page) == light


UNNAMED = "all => all.filter((e) => !e.closest('[hidden]') && !e.ariaLabel).length"


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNS)
def test_it_is_made_for_more_than_eyes(visit, kind):
    page = visit(kind)
    levels = [int(tag[1]) for tag in page.locator("h1, h2, h3").evaluate_all("all => all.map((h) => h.tagName)")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    unlabelled = "all => all.filter((e) => !e.labels.length).length"
    assert page.locator("input, select").evaluate_all(unlabelled) == 0
    assert page.locator("[role=img]").evaluate_all(UNNAMED) == 0
    assert page.locator("thead th").evaluate_all("all => all.filter((e) => e.scope !== 'col').length") == 0
    assert (
        page.locator("tbody tr").evaluate_all("all => all.filter((e) => !e.querySelector('th[scope=row]')).length") == 0
    )
    ids = page.locator("[id]").evaluate_all("all => all.map((e) => e.id)")
    assert len(ids) == len(set(ids))
