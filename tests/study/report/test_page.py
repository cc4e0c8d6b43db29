"""The page of a report in a real browser: it asks for nothing, is readable for everyone, and sorts by keyboard."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.support.browser import chromium
from tests.support.compared import LEAKY, configuration
from vidcls.run.find import find_runs
from vidcls.study.report.build import WrittenReport, write_report
from vidcls.study.report.material import ReportRequest

WIDTHS = (390, 1280)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> WrittenReport:
    """A report of eight configurations, so that it has all sections, and of one on leaky data."""
    folder = tmp_path_factory.mktemp("report")
    for number in range(8):
        runs = configuration(
            folder / "runs",
            f"model{number}",
            0.5 + 0.06 * number,
            num_seeds=2,
            settings={"name": f"model{number}", "optim": {"lr": 10.0 ** -(number % 4 + 1)}},
        )
        for run in runs:
            run.metrics_file.write_text("".join(_epochs(0.5 + 0.06 * number)))
    configuration(folder / "runs", "leaky", 0.97, num_seeds=2, leaks=LEAKY)
    return write_report(
        find_runs(folder / "runs"),
        folder / "out",
        ReportRequest(),
        say=lambda text: None,
        progress=lambda stage, done, total: None,
    )


def _epochs(share: float) -> Iterator[str]:
    for epoch in range(1, 6):
        row = {
            "train/loss": math.exp(-epoch / 3),
            "val/loss": 1.0,
            "val/top1": share * (1 - math.exp(-epoch)),
        }
        yield json.dumps({"kind": "epoch", "epoch": epoch, "step": epoch, **row}) + "\n"


@pytest.fixture(scope="module", params=WIDTHS)
def opened(request: pytest.FixtureRequest, browser: Browser, written: WrittenReport) -> Iterator[Page]:
    """The page, at a width, with all that the browser said about it."""
    context = browser.new_context(viewport={"width": request.param, "height": 900})
    page = context.new_page()
    said: list[str] = []
    page.on(
        "console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: said.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(written.page.as_uri())
    page.wait_for_function("document.querySelectorAll('.coordinates .main-svg').length > 0")
    yield page
    own = written.page.as_uri()
    assert [url for url in asked if url != own and not url.startswith(("data:", "blob:"))] == []
    assert [text for text in said if "GPU stall" not in text and "WebGL" not in text] == []
    context.close()


def test_it_is_readable_for_everyone(opened: Page) -> None:
    for theme in ("light", "dark"):
        opened.emulate_media(color_scheme=theme)
        result = Axe().run(
            opened, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]}
        )
        assert result.violations_count == 0, result.generate_report()


def test_nothing_is_wider_than_the_screen(opened: Page) -> None:
    width = opened.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width[0] <= width[1]


def test_every_figure_has_its_text_alternative_and_its_numbers(opened: Page) -> None:
    for drawing in opened.locator("svg[role=img]").all():
        title, described = drawing.get_attribute("aria-labelledby").split()
        assert opened.locator(f"#{title}").text_content()
        assert len(opened.locator(f"#{described}").text_content() or "") > 30
    figures = opened.locator("figure")
    assert figures.count() >= 8
    for figure in figures.all():
        assert figure.locator("table, img[alt]").count() >= 1


def test_names_of_parts_are_unique(opened: Page) -> None:
    names = opened.evaluate("[...document.querySelectorAll('main [id]')].map((part) => part.id)")
    assert len(names) == len(set(names))


def test_tables_sort_by_keyboard(opened: Page) -> None:
    table = opened.locator("#results table").first
    button = table.get_by_role("button", name=re.compile("top-1 %"))
    column = button.evaluate("button => button.closest('th').cellIndex")

    def shown() -> list[float]:
        cells = table.locator(f"tbody tr td:nth-child({column + 1})").all_text_contents()
        return [float(cell) for cell in cells]

    button.focus()
    opened.keyboard.press("Enter")
    assert shown() == sorted(shown())
    assert len(set(shown())) > 3
    opened.keyboard.press("Enter")
    assert shown() == sorted(shown(), reverse=True)
    assert button.evaluate("button => button.closest('th').ariaSort") == "descending"
