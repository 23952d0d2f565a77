"""The review's page in a real browser: a dataset is gone through by keyboard, and each decision is in the file."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from reviewed import make_dataset

from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.dataset.format import read_dataset, write_dataset
from lfm_voice_ros.dataset.review import DatasetReview
from lfm_voice_ros.dataset.review_server import serving
from lfm_voice_ros.tools.registry import Registry

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed: scripts/setup --dev")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: sudo apt-get install chromium")

_PATIENCE = 20_000  # ms
REGISTRY = Registry.from_file(config_file("tools.yaml"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright.expect.set_options(timeout=_PATIENCE)
    with playwright.sync_playwright() as runtime:
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--mute-audio"]
        browser = runtime.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@dataclass
class Reviewer:
    """A person with a keyboard, who looks at the page and into the file."""

    page: Page
    file: Path
    address: str
    errors: list[str] = field(default_factory=list)  # of the console and of the page
    hosts: set[str] = field(default_factory=set)  # that were asked for something

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        """Replace what is in the field."""
        self.press("Control+a")
        self.page.keyboard.type(text)

    def sees(self, selector: str, text: str | re.Pattern[str]) -> None:
        playwright.expect(self.page.locator(selector)).to_have_text(text)

    def at(self, number: int) -> None:
        """Wait until this example is shown, from 1, and the next decision would be taken."""
        self.sees("#position", re.compile(rf"^{number} of "))
        playwright.expect(self.page.locator("#transcript")).to_be_editable()

    def plays(self, voice: str) -> None:
        self.page.wait_for_function(
            "([id, end]) => { const sound = document.getElementById(id);"
            "return sound.played.length > 0 && sound.currentSrc.endsWith(end) }",
            arg=[voice, f"/{voice}"],
        )

    def states(self) -> list[str]:
        return [example.review for example in read_dataset(self.file)]


@pytest.fixture
def reviewer(browser: Browser, tmp_path: Path) -> Iterator[Reviewer]:
    file = make_dataset(tmp_path / "set")
    with serving(DatasetReview(file, REGISTRY)) as address:
        context = browser.new_context(viewport={"width": 900, "height": 800})
        context.set_default_timeout(_PATIENCE)
        reviewer = Reviewer(context.new_page(), file, address)
        reviewer.page.on("pageerror", lambda error: reviewer.errors.append(str(error)))
        reviewer.page.on(
            "console", lambda line: reviewer.errors.append(line.text) if line.type in ("error", "warning") else None
        )
        reviewer.page.on("request", lambda request: reviewer.hosts.add(urlsplit(request.url).hostname or ""))
        reviewer.page.goto(address)
        reviewer.at(1)
        yield reviewer
        context.close()
    assert reviewer.hosts == {"127.0.0.1"}


def test_a_dataset_is_reviewed_by_keyboard_alone(reviewer: Reviewer) -> None:
    reviewer.plays("person")
    reviewer.press("Shift+Space")
    reviewer.plays("reply")

    reviewer.press("e")
    reviewer.type("look left thirty degrees")
    reviewer.press("Escape", "a")
    reviewer.at(2)
    reviewer.plays("person")

    reviewer.press("c")
    reviewer.type("<tool>pan_right(degrees=30)</tool> Looking right, thirty degrees.")
    reviewer.press("Control+Enter")
    reviewer.sees("#message", "Saved")
    reviewer.sees("#calls", re.compile(r"pan_right\(degrees=30\)"))
    reviewer.press("a")
    reviewer.at(3)

    reviewer.press("x")
    reviewer.at(4)
    reviewer.sees("#counts", "3 of 4 reviewed: 2 accepted, 1 rejected")
    reviewer.press("u")
    reviewer.at(3)
    reviewer.sees("#state", "unreviewed")
    assert reviewer.states() == ["accepted", "accepted", "", ""]
    reviewer.press("x")
    reviewer.at(4)
    reviewer.press("a")
    reviewer.sees("#message", "Accepted. This is the last one")

    first, second, third, fourth = read_dataset(reviewer.file)
    assert (first.transcript, first.review, first.response_audio is None) == (
        "look left thirty degrees",
        "accepted",
        False,
    )
    assert second.response == "<tool>pan_right(degrees=30)</tool> Looking right, thirty degrees."
    assert (third.review, fourth.review) == ("rejected", "accepted")

    reviewer.page.reload()
    reviewer.sees("#counts", "4 of 4 reviewed: 3 accepted, 1 rejected")
    reviewer.at(1)
    playwright.expect(reviewer.page.locator("#transcript")).to_have_value("look left thirty degrees")
    assert reviewer.errors == []


def test_an_invalid_call_is_told_while_it_is_typed_and_cant_be_accepted(reviewer: Reviewer) -> None:
    reviewer.press("c")
    reviewer.type("<tool>fly(height=3)</tool> Flying.")
    reviewer.sees("#problems li.wrong", re.compile("there is no tool named fly"))
    playwright.expect(reviewer.page.locator("#response")).to_have_attribute("aria-invalid", "true")
    reviewer.press("Escape", "a")
    reviewer.sees("#message", re.compile("^There is no tool named fly"))
    reviewer.at(1)
    playwright.expect(reviewer.page.locator("#response")).to_have_value("<tool>fly(height=3)</tool> Flying.")
    assert reviewer.states() == ["", "", "", ""]

    reviewer.press("u")
    reviewer.sees("#message", "What was typed is taken back")
    reviewer.sees("#problems", "")
    reviewer.at(1)
    reviewer.press("a")
    reviewer.at(2)
    assert reviewer.states() == ["accepted", "", "", ""]


def test_keys_do_nothing_else_while_typing(reviewer: Reviewer) -> None:
    before = reviewer.file.read_bytes()
    reviewer.press("e")
    reviewer.type("a x j k u r f c e 1 2 ?")
    reviewer.press("ArrowDown", "ArrowRight", "Shift+Space")
    playwright.expect(reviewer.page.locator("#transcript")).to_have_value("a x j k u r f c e 1 2 ? ")
    playwright.expect(reviewer.page.locator("#keys")).to_be_hidden()
    playwright.expect(reviewer.page.locator("#filter")).to_have_value("all")
    reviewer.at(1)
    assert reviewer.file.read_bytes() == before


def test_moving_on_saves_what_was_typed_and_tells_what_that_did(reviewer: Reviewer) -> None:
    reviewer.press("j")
    reviewer.at(2)
    reviewer.press("j")
    reviewer.at(3)
    reviewer.press("c")
    reviewer.type("I hope that you find them.")
    reviewer.sees("#problems li", re.compile("the sound of the reply says other words"))
    reviewer.press("Escape", "k")
    reviewer.at(2)
    reviewer.sees("#message", re.compile(r"^Saved: the sound of the reply .* `lfm-voice data speak`"))
    third = read_dataset(reviewer.file)[2]
    assert (third.response, third.response_audio, third.review) == ("I hope that you find them.", None, "")
    reviewer.press("ArrowRight")
    reviewer.at(3)
    playwright.expect(reviewer.page.locator("#no-reply")).to_be_visible()
    reviewer.press("r")
    reviewer.sees("#message", re.compile("^Nobody spoke this reply yet"))
    assert reviewer.errors == []


def test_a_tool_is_inserted_behind_the_calls_with_the_caret_at_its_argument(reviewer: Reviewer) -> None:
    reviewer.press("2")
    reviewer.page.keyboard.type("10")
    response = "<tool>pan_left(degrees=30)</tool> <tool>pan_right(degrees=10)</tool> Looking left, {moved}."
    playwright.expect(reviewer.page.locator("#response")).to_have_value(response)
    reviewer.sees("#calls", re.compile(r"pan_left\(degrees=30\)\s+pan_right\(degrees=10\)"))


def test_the_filter_shows_what_is_left(reviewer: Reviewer) -> None:
    reviewer.press("f")
    reviewer.sees("#position", "1 of 4 (4 unreviewed)")
    reviewer.press("a")
    reviewer.sees("#position", "2 of 4 (3 unreviewed)")
    reviewer.at(2)
    reviewer.press("x")
    reviewer.sees("#position", "3 of 4 (2 unreviewed)")
    reviewer.at(3)
    reviewer.press("f")
    reviewer.sees("#position", "2 of 4 (1 rejected)")
    reviewer.at(2)
    reviewer.press("u")
    reviewer.sees("#state", "unreviewed")
    reviewer.at(2)
    reviewer.press("f")
    reviewer.sees("#position", "2 of 4")


def test_what_others_changed_is_shown_and_what_was_typed_is_kept(reviewer: Reviewer) -> None:
    reviewer.press("e")
    reviewer.type("what I heard")
    first, *others = read_dataset(reviewer.file)
    write_dataset(reviewer.file, [replace(first, transcript="what others heard", speaker="ben"), *others])
    reviewer.press("Escape", "a")
    reviewer.sees("#message", re.compile("changed elsewhere meanwhile"))
    reviewer.at(1)
    playwright.expect(reviewer.page.locator("#transcript")).to_have_value("what I heard")
    assert read_dataset(reviewer.file)[0].transcript == "what others heard"
    reviewer.press("a")
    reviewer.at(2)
    first = read_dataset(reviewer.file)[0]
    assert (first.transcript, first.speaker, first.review) == ("what I heard", "ben", "accepted")


def test_an_example_that_was_forgotten_makes_way_for_another(reviewer: Reviewer) -> None:
    write_dataset(reviewer.file, read_dataset(reviewer.file)[1:])
    reviewer.press("a")
    reviewer.sees("#message", re.compile("no longer in the dataset"))
    reviewer.sees("#position", "1 of 3")
    playwright.expect(reviewer.page.locator("#transcript")).to_have_value("look right")
    assert reviewer.states() == ["", "", ""]


def test_the_help_lists_the_keys_and_takes_them_until_it_is_closed(reviewer: Reviewer) -> None:
    reviewer.press("?")
    playwright.expect(reviewer.page.locator("#keys")).to_be_visible()
    reviewer.press("a", "j", "Escape")
    playwright.expect(reviewer.page.locator("#keys")).to_be_hidden()
    reviewer.at(1)
    assert reviewer.states() == ["", "", "", ""]


def test_after_a_click_space_plays_and_presses_nothing(reviewer: Reviewer) -> None:
    reviewer.page.click("#accept")
    reviewer.at(2)
    reviewer.press("Space")
    reviewer.plays("person")
    reviewer.press("j")
    reviewer.at(3)
    assert reviewer.states() == ["accepted", "", "", ""]


def test_a_sound_file_that_is_missing_is_told(reviewer: Reviewer) -> None:
    read_dataset(reviewer.file)[1].audio.unlink()
    reviewer.press("j")
    reviewer.at(2)
    reviewer.sees("#message", re.compile("^What the person said can't be played"))


def test_a_dataset_without_examples_says_so(browser: Browser, tmp_path: Path) -> None:
    file = write_dataset(tmp_path, [])
    with serving(DatasetReview(file, REGISTRY)) as address, browser.new_context() as context:
        page = context.new_page()
        page.goto(address)
        playwright.expect(page.locator("#empty")).to_have_text("There are no examples yet.")
        page.keyboard.press("a")
        playwright.expect(page.locator("#accept")).to_be_disabled()


def test_everything_has_a_name_and_fits_into_900_pixels(reviewer: Reviewer) -> None:
    page = reviewer.page
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, textarea, select, audio, progress')].filter(each =>"
        "!(each.getAttribute('aria-label') || each.getAttribute('aria-labelledby') || each.labels?.length"
        "|| each.textContent.trim())).map(each => each.outerHTML)"
    )
    assert nameless == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 900


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_contrast_is_good(reviewer: Reviewer, scheme: str) -> None:
    reviewer.page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
    reviewer.press("c")
    reviewer.type("<tool>fly</tool> Flying.")
    reviewer.sees("#problems li.wrong", re.compile("fly"))
    contrasts: dict[str, float] = reviewer.page.evaluate(_CONTRASTS)
    assert len(contrasts) > 20
    assert {name: contrast for name, contrast in contrasts.items() if contrast < 4.5} == {}


#: The contrast of each text that is shown with what is behind it, as WCAG defines it; disabled buttons are exempt.
_CONTRASTS = """() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => parts(color).slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return (parts(color)[3] ?? 1) > 0 ? color : behind(element.parentElement);
  };
  const found = {};
  for (const element of document.body.querySelectorAll("*")) {
    const shown = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if ((!shown && !element.value) || element.closest(":disabled") || !element.checkVisibility()) continue;
    const [one, other] = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => b - a);
    const name = `${element.tagName} ${element.id} ${element.className} ${element.textContent.slice(0, 20)}`;
    found[name] = (one + 0.05) / (other + 0.05);
  }
  return found;
}"""
