"""The review's server: who may ask, what is served, what can be accepted, and that nobody's changes are lost."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reviewed import make_dataset
from werkzeug.test import TestResponse

from lfm_voice_ros.cli import main
from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.types import Json
from lfm_voice_ros.dataset.changes import locked
from lfm_voice_ros.dataset.format import Example, read_dataset, write_dataset
from lfm_voice_ros.dataset.review import DatasetReview
from lfm_voice_ros.dataset.review_server import TOKEN_HEADER, make_app, serving
from lfm_voice_ros.tools.registry import Registry

REGISTRY = Registry.from_file(config_file("tools.yaml"))
HOST, KEY, TOKEN = "127.0.0.1:5000", "the-key", "the-token"


class Page:
    """What the page in the browser can ask for."""

    def __init__(self, file: Path) -> None:
        self.review = DatasetReview(file, REGISTRY)
        self.client = make_app(self.review, KEY, TOKEN).test_client()
        self.client.get("/", query_string={"key": KEY}, headers={"Host": HOST})

    def get(self, path: str) -> TestResponse:
        return self.client.get(path, headers={"Host": HOST}, buffered=True)

    def post(self, path: str, body: Any = None, token: str = TOKEN) -> TestResponse:
        return self.client.post(path, json=body, headers={"Host": HOST, TOKEN_HEADER: token})

    def example(self, number: int) -> Json:
        return self.get(f"/api/examples/{number}").get_json()["example"]

    def change(self, number: int, **changes: Any) -> TestResponse:
        """Change an example, as it is now unless ``version`` says otherwise."""
        now = self.example(number)
        body = {name: now[name] for name in ("version", "transcript", "response")} | {"review": None} | changes
        return self.post(f"/api/examples/{number}", body)

    def check(self, number: int, response: str, transcript: str = "words") -> Json:
        body = {"transcript": transcript, "response": response}
        return self.post(f"/api/examples/{number}/check", body).get_json()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "set")


@pytest.fixture
def page(file: Path) -> Page:
    return Page(file)


def rewrite(file: Path, *examples: Example) -> None:
    """Do what the recorder or another review does."""
    with locked(file.parent):
        write_dataset(file, examples)


# Who may ask


def test_without_the_key_nothing_is_given(file: Path) -> None:
    client = make_app(DatasetReview(file, REGISTRY), KEY, TOKEN).test_client()
    for path in ("/", "/?key=wrong", "/?key=%F0%9F%98%80", "/review.js", "/api/dataset", "/sounds/0/person"):
        answer = client.get(path, headers={"Host": HOST})
        assert answer.status_code == 403, path
        assert "open the address" in answer.get_json()["message"]
        assert TOKEN not in answer.text


def test_the_key_opens_the_page_and_leaves_the_address(page: Page) -> None:
    answer = page.get(f"/?key={KEY}")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert TOKEN in page.get("/").text


@pytest.mark.parametrize(
    "host", ["evil.example:5000", "127.0.0.1.evil.example", "localhost@evil.example", "", "[::1]:1"]
)
def test_another_host_name_is_refused_even_with_the_key(page: Page, host: str) -> None:
    cookie = page.get(f"/?key={KEY}").headers["Set-Cookie"].partition(";")[0]
    headers = {"Cookie": cookie, TOKEN_HEADER: TOKEN}
    client = page.client.application.test_client(use_cookies=False)
    assert client.get("/", headers=headers | {"Host": "localhost:5000"}).status_code == 200
    answers = [client.get(path, headers=headers | {"Host": host}) for path in ("/", f"/?key={KEY}", "/api/examples/0")]
    answers.append(client.post("/api/undo", headers=headers | {"Host": host}))
    for answer in answers:
        assert (answer.status_code, "no other name" in answer.get_json()["message"]) == (403, True)


@pytest.mark.parametrize("path", ["/api/examples/0", "/api/examples/0/check", "/api/undo"])
@pytest.mark.parametrize("token", ["", "another", "ü"])
def test_a_change_without_the_token_is_refused(page: Page, file: Path, path: str, token: str) -> None:
    before = file.read_bytes()
    body = page.example(0) | {"review": "accepted"}
    assert page.post(path, body, token=token).status_code == 403
    assert file.read_bytes() == before


def test_every_answer_forbids_what_comes_from_elsewhere(page: Page) -> None:
    for path in ("/", "/review.js", "/api/dataset", "/sounds/0/person", "/nothing"):
        headers = page.get(path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'self'"), path
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere(page: Page) -> None:
    html = page.get("/").text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", html)
    assert not re.search(r"https?://", html + page.get("/review.js").text + page.get("/review.css").text)


# What is served


def test_the_sounds_of_an_example_are_served_in_parts_too(page: Page, file: Path) -> None:
    sound = (file.parent / "audio" / "u1.wav").read_bytes()
    assert page.get("/sounds/0/person").data == sound
    assert page.get("/sounds/0/reply").data == (file.parent / "audio" / "u1.reply.wav").read_bytes()
    part = page.client.get("/sounds/0/person", headers={"Host": HOST, "Range": "bytes=10-19"}, buffered=True)
    assert (part.status_code, part.data) == (206, sound[10:20])


@pytest.mark.parametrize(
    "path",
    [
        "/sounds/3/reply",  # nobody spoke it
        "/sounds/99/person",
        "/sounds/-1/person",
        "/sounds/0/other",
        "/sounds/0/person/../../dataset.json",
        "/sounds/..%2Fdataset.json/person",
        "/..%2Fdataset.json",
        "/dataset.json",
        "/%2e%2e/review.py",
        "/review_page/index.html",
        "//etc/passwd",
    ],
)
def test_no_path_of_a_request_is_opened(page: Page, path: str) -> None:
    # werkzeug answers // with a redirect to /
    assert page.get(path).status_code in (404, 308)


def test_a_dataset_that_names_another_file_doesnt_get_it_served(file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "id_rsa"
    secret.write_text("secret")
    first, *others = read_dataset(file)
    rewrite(file, replace(first, audio=secret), *others)
    assert Page(file).get("/sounds/0/person").status_code == 404


def test_a_sound_file_that_is_missing_is_told(page: Page, file: Path) -> None:
    (file.parent / "audio" / "u1.wav").unlink()
    answer = page.get("/sounds/0/person")
    assert (answer.status_code, answer.get_json()["message"]) == (404, "there is no such sound file")


def test_what_is_shown_is_what_is_in_the_file(page: Page) -> None:
    dataset = page.get("/api/dataset").get_json()
    assert dataset["examples"] == [[0, ""], [1, ""], [2, ""], [3, ""]]
    assert [tool["name"] for tool in dataset["tools"]] == [tool.name for tool in REGISTRY]
    answer = page.get("/api/examples/0").get_json()
    assert answer["example"]["speaker"] == "anna"
    assert answer["example"]["results"][0]["data"] == {"moved": "thirty degrees"}
    assert answer["checked"] == {
        "calls": [["pan_left(degrees=30)", ""]],
        "speech": "Looking left, thirty degrees.",
        "problems": [],
        "notes": [],
    }


# What can be accepted


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        ("<tool>fly</tool> Flying.", "there is no tool named fly; there are: pan_left"),
        ("<tool>pan_left(degrees=-5)</tool> Looking left.", "the value for degrees doesn't fit"),
        ("<tool>pan_left(speed=5)</tool> Looking left.", "the arguments of pan_left don't fit"),
        ("<tool>pan_left(degrees=</tool> Looking left.", "a call can't be read"),
        ("<tool>pan_left Looking left.", "a call can't be read"),
        ("<tool>nod</tool>", "the response has no speech"),
        ("<tool>nod</tool> Nodding, {moved}.", "no result gives {moved}"),
    ],
)
def test_a_response_with_a_problem_cant_be_accepted(page: Page, file: Path, response: str, problem: str) -> None:
    before = file.read_bytes()
    assert page.check(0, response)["problems"][0].startswith(problem)
    answer = page.change(0, response=response, review="accepted")
    assert answer.status_code == 422
    assert answer.get_json()["message"].startswith(problem)
    assert file.read_bytes() == before


def test_a_response_that_cant_be_read_is_never_written_but_one_that_was_there_can_be_rejected(file: Path) -> None:
    first, *others = read_dataset(file)
    rewrite(file, replace(first, response="<tool>nod Nodding."), *others)
    page = Page(file)
    assert page.change(1, response="<tool>nod Nodding.", review="rejected").status_code == 422
    assert page.change(0, review="accepted").status_code == 422
    assert page.change(0, review="rejected").status_code == 200
    assert page.change(0, response="<tool>nod</tool> Nodding.", review="accepted").status_code == 200
    assert read_dataset(file)[0].review == "accepted"


def test_a_response_that_gets_a_problem_is_no_longer_accepted(page: Page, file: Path) -> None:
    assert page.change(1, review="accepted").status_code == 200
    assert page.change(1, response="<tool>fly</tool> Looking right, thirty degrees.").status_code == 200
    assert read_dataset(file)[1].review == ""


@pytest.mark.parametrize(
    "body",
    [[], "text", {}, {"version": 1, "transcript": "", "response": ""}, {"review": "perhaps"}, {"review": ["accepted"]}],
)
def test_a_request_in_another_form_changes_nothing(page: Page, file: Path, body: Any) -> None:
    before = file.read_bytes()
    assert page.post("/api/examples/0", body).status_code == 422
    assert file.read_bytes() == before


def test_a_claim_without_a_call_is_told_and_can_be_accepted(page: Page) -> None:
    assert (
        page.check(2, "Looking left, thirty degrees.")["notes"][-1]
        == "the robot claims an act or a time, and calls no tool"
    )
    assert page.check(2, "Well.", transcript=" ")["notes"][-1].startswith("there is no transcript")
    assert page.change(2, response="Looking left, thirty degrees.", review="accepted").status_code == 200


# What is written


def test_each_decision_is_in_the_file_at_once_and_all_else_stays(page: Page, file: Path) -> None:
    before = read_dataset(file)
    assert page.change(0, review="accepted").get_json()["done"] == []
    assert page.change(1, transcript="look right, please", review="rejected").get_json()["done"] == []
    expected = [replace(before[0], review="accepted")]
    expected += [replace(before[1], transcript="look right, please", review="rejected"), *before[2:]]
    assert read_dataset(file) == expected
    assert page.get("/api/dataset").get_json()["examples"] == [[0, "accepted"], [1, "rejected"], [2, ""], [3, ""]]


def test_other_words_of_the_reply_take_its_sound_away(page: Page, file: Path) -> None:
    response = "I hope that you find them."
    assert "is left out" in page.check(2, response)["notes"][0]
    answer = page.change(2, response=response).get_json()
    assert "data speak" in answer["done"][0]
    assert answer["example"]["response_audio"] is None
    assert read_dataset(file)[2].response_audio is None


def test_a_corrected_call_keeps_the_sound_as_long_as_the_words_are_the_same(page: Page, file: Path) -> None:
    page.change(1, response="<tool>pan_right(degrees=30)</tool> Looking  right, thirty degrees.")
    page.change(0, response="<tool>pan_left(degrees=30.0)</tool> Looking left, thirty degrees.")
    first, second, *_ = read_dataset(file)
    assert second.response_audio is not None
    assert (first.response_audio is not None, len(first.results)) == (True, 1)


def test_results_of_other_calls_are_left_out(page: Page, file: Path) -> None:
    response = "<tool>pan_left(degrees=20)</tool> Looking left, twenty degrees."
    notes = page.check(0, response)["notes"]
    assert [note.split(" ")[1] for note in notes] == ["results", "sound"]
    page.change(0, response=response, review="accepted")
    assert read_dataset(file)[0].results == ()
    # What they filled in is missing then.
    assert page.change(0, response="<tool>nod</tool> {moved}.", review="accepted").status_code == 422


def test_undo_takes_changes_back_one_by_one(page: Page, file: Path) -> None:
    before = read_dataset(file)
    page.change(0, response="<tool>nod</tool> Nodding.", review="accepted")
    page.change(2, review="rejected")
    page.change(2, review="rejected")  # which it was: nothing to undo
    assert page.post("/api/undo").get_json()["example"]["number"] == 2
    answer = page.post("/api/undo").get_json()
    assert (answer["example"]["number"], answer["undo"]) == (0, False)
    assert read_dataset(file) == before
    assert page.post("/api/undo").status_code == 422


# What others do meanwhile


def test_turns_that_were_added_meanwhile_are_kept_and_shown(page: Page, file: Path) -> None:
    shown = page.example(1)
    added = replace(read_dataset(file)[0], audio=file.parent / "audio" / "new.wav", id="new")
    rewrite(file, added, *read_dataset(file))
    assert page.change(1, version=shown["version"], review="accepted").status_code == 200
    after = read_dataset(file)
    assert [example.id for example in after] == ["new", "u1", "u2", "u3", "u4"]
    assert [example.review for example in after] == ["", "", "accepted", "", ""]
    assert page.get("/api/dataset").get_json()["examples"][0] == [4, ""]
    assert page.example(1)["audio"] == "u2.wav"


def test_a_change_of_others_to_the_same_example_is_not_overwritten(page: Page, file: Path) -> None:
    shown = page.example(0)
    first, *others = read_dataset(file)
    rewrite(file, replace(first, transcript="what others heard"), *others)
    answer = page.change(0, version=shown["version"], transcript="what I heard")
    assert (answer.status_code, "changed elsewhere" in answer.get_json()["message"]) == (409, True)
    assert read_dataset(file)[0].transcript == "what others heard"
    assert page.change(0, transcript="what I heard").status_code == 200


def test_a_change_of_others_is_not_undone(page: Page, file: Path) -> None:
    page.change(1, review="rejected")
    page.change(0, review="rejected")
    first, *others = read_dataset(file)
    rewrite(file, replace(first, review="accepted"), *others)
    assert page.post("/api/undo").status_code == 409
    assert read_dataset(file)[0].review == "accepted"
    assert page.post("/api/undo").get_json()["example"]["number"] == 1


def test_an_example_that_was_forgotten_is_gone_and_no_other_takes_its_place(page: Page, file: Path) -> None:
    shown = page.example(0)
    rewrite(file, *read_dataset(file)[1:])
    for answer in (
        page.get("/api/examples/0"),
        page.get("/sounds/0/person"),
        page.post("/api/examples/0", shown | {"review": "rejected"}),
    ):
        assert answer.status_code == 404
    assert [example.review for example in read_dataset(file)] == ["", "", ""]


def test_examples_with_the_same_sound_are_told_apart(file: Path) -> None:
    first, *others = read_dataset(file)
    rewrite(file, first, replace(first, transcript="the second"), *others)
    page = Page(file)
    page.change(1, review="rejected")
    assert [example.review for example in read_dataset(file)][:2] == ["", "rejected"]


def test_two_reviews_and_a_recorder_at_once_lose_nothing(file: Path) -> None:
    pages = [Page(file), Page(file)]

    def review(page: Page, numbers: tuple[int, ...]) -> None:
        for number in numbers:
            page.change(number, review="accepted")

    def record() -> None:
        for number in range(10):
            with locked(file.parent):
                known = read_dataset(file)
                write_dataset(file, [*known, replace(known[0], audio=file.parent / f"r{number}.wav", review="")])

    threads = [threading.Thread(target=review, args=(pages[place], (place, place + 2))) for place in (0, 1)]
    threads.append(threading.Thread(target=record))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [example.review for example in read_dataset(file)] == ["accepted"] * 4 + [""] * 10


def test_a_dataset_that_cant_be_written_is_told_and_stays(page: Page, file: Path) -> None:
    file.with_name("dataset.json.part").mkdir()
    before = file.read_bytes()
    answer = page.change(0, review="accepted")
    assert (answer.status_code, "can't be written" in answer.get_json()["message"]) == (500, True)
    assert file.read_bytes() == before
    assert page.post("/api/undo").status_code == 422


def test_a_folder_that_was_forgotten_doesnt_come_back(page: Page, file: Path) -> None:
    shown = page.example(0)
    file.parent.rename(file.parent.with_name("gone"))
    answer = page.post("/api/examples/0", shown | {"review": "rejected"})
    assert (answer.status_code, "there is no dataset" in answer.get_json()["message"]) == (500, True)
    assert not file.parent.exists()


# The command


@pytest.mark.parametrize(
    ("name", "text"), [("no.json", None), ("broken.json", "{"), ("other.json", "[1]"), ("set.txt", "[]")]
)
def test_what_is_no_dataset_ends_the_command(
    tmp_path: Path, name: str, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    assert main(["data", "review", str(tmp_path / name), "--no-browser"]) == 2
    assert name in capsys.readouterr().err


def test_a_taken_port_is_told(page: Page) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ResourceError, match=f"port {port} can't be used"), serving(page.review, port):
            pass


def test_it_is_bound_to_this_computer_alone(page: Page) -> None:
    with serving(page.review) as address:
        host, port = re.fullmatch(r"http://([\d.]+):(\d+)/\?key=\S{20,}", address).groups()  # type: ignore[union-attr]
        assert host == "127.0.0.1"
        with pytest.raises(OSError):  # noqa: PT011 - which one depends on the computer
            socket.create_connection(("127.0.0.2", int(port)), timeout=1)
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)), timeout=1)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_command_ends_cleanly_when_it_is_told_to(file: Path, end: signal.Signals) -> None:
    program = "import sys; from lfm_voice_ros.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "data", "review", str(file.parent), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert select.select([process.stdout], [], [], 60)[0]
            address = process.stdout.readline().decode().strip()
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(address.partition("?")[0], timeout=5)  # noqa: S310 - it is ours
            process.send_signal(end)
            assert process.wait(2) == 0
            assert process.stderr.read() == b""
        finally:
            process.kill()


def test_the_port_must_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    for port in ("-1", "65536", "web"):
        with pytest.raises(SystemExit):
            main(["data", "review", "set", "--port", port])
    assert "--port" in capsys.readouterr().err


def test_a_dataset_that_breaks_meanwhile_is_told(page: Page, file: Path) -> None:
    file.write_text("[{}]")
    assert "example 1" in page.get("/api/examples/0").get_json()["message"]
    with pytest.raises(ConfigurationError):
        page.review.states()
