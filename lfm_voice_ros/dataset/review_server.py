"""The page on which a dataset is reviewed, for the browser of the person at this computer and nobody else.

It is bound to 127.0.0.1. The address that is opened has a key, without which nothing is given: on a computer of
several people the recordings stay with one. Changes need a token that only the page knows, and what is asked for
under another host's name is refused, so that no other page in the same browser can read or change anything. No path
ever comes from a request: sounds have numbers, and only those that the dataset names are served.
"""

from __future__ import annotations

import hmac
import io
import mimetypes
import re
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib import resources
from typing import get_args

import flask
from werkzeug.exceptions import Forbidden, HTTPException, NotFound, UnprocessableEntity
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

from lfm_voice_ros.core.errors import ResourceError, VoiceError
from lfm_voice_ros.core.types import Json
from lfm_voice_ros.dataset.format import Review
from lfm_voice_ros.dataset.review import ChangedMeanwhile, DatasetReview, GoneMeanwhile, Shown, Unacceptable
from lfm_voice_ros.tools.registry import Tool

TOKEN_HEADER = "X-Review-Token"  # noqa: S105 - the name of a header

_HOST = "127.0.0.1"
_OWN_NAME = re.compile(r"(?:localhost|127\.0\.0\.1)(?::\d{1,5})?")
_PAGE = {"review.js": "text/javascript", "review.css": "text/css", "icon.svg": "image/svg+xml"}
_LONGEST_REQUEST = 1_000_000  # bytes
_LONGEST_WRITE = 1.5  # s that the end waits for
_POLL_PERIOD = 0.1  # s
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_STATUS: Mapping[type[VoiceError], int] = {GoneMeanwhile: 404, ChangedMeanwhile: 409, Unacceptable: 422}


@contextmanager
def serving(review: DatasetReview, port: int = 0) -> Iterator[str]:
    """Serve the page from a thread of its own, and give its address; 0 is any free ``port``.

    At the end what is being written is waited for. Raises ResourceError when the port is taken.
    """
    key = secrets.token_urlsafe(16)
    app = make_app(review, key, secrets.token_urlsafe(32))
    try:
        listener = socket.create_server((_HOST, port))
    except OSError as exc:
        raise ResourceError(f"port {port} can't be used ({exc.strerror}); leave --port out for a free one") from exc
    with listener:
        server = make_server(_HOST, 0, app, threaded=True, request_handler=_Quiet, fd=listener.fileno())
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_PERIOD,), name="review", daemon=True)
    thread.start()
    try:
        yield f"http://{_HOST}:{server.port}/?key={key}"
    finally:
        server.shutdown()
        thread.join()
        review.close(_LONGEST_WRITE)
        server.server_close()


def make_app(review: DatasetReview, key: str, token: str) -> flask.Flask:
    """The page and what it asks for. ``key`` opens the page, ``token`` is what the page sends with changes."""
    app = flask.Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _LONGEST_REQUEST
    folder = resources.files("lfm_voice_ros.dataset").joinpath("review_page")
    index = folder.joinpath("index.html").read_text("utf-8").replace("REVIEW_TOKEN", token)
    page = {name: folder.joinpath(name).read_text("utf-8") for name in _PAGE}
    # Cookies are shared among ports: two reviews at a time must not shut each other's doors.
    cookie = f"review_{secrets.token_hex(4)}"

    @app.before_request
    def guard() -> Response | None:
        if not _OWN_NAME.fullmatch(flask.request.headers.get("Host", "")):
            raise Forbidden("this page has no other name than 127.0.0.1")
        if flask.request.path == "/" and _equal(flask.request.args.get("key", ""), key):
            response = flask.redirect("/", 303)
            response.set_cookie(cookie, key, httponly=True, samesite="Lax")
            return response
        if not _equal(flask.request.cookies.get(cookie, ""), key):
            raise Forbidden("open the address that `lfm-voice data review` has printed, with its key")
        sent = flask.request.headers.get(TOKEN_HEADER, "")
        if flask.request.method not in ("GET", "HEAD") and not _equal(sent, token):
            raise Forbidden("the token is missing or of an earlier run; reload the page")
        return None

    @app.after_request
    def harden(response: flask.Response) -> flask.Response:
        response.headers.update(_HEADERS)
        return response

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> tuple[flask.Response, int]:
        return flask.jsonify(message=error.description), error.code or 500

    @app.errorhandler(VoiceError)
    def explain(error: VoiceError) -> tuple[flask.Response, int]:
        return flask.jsonify(message=str(error)), _STATUS.get(type(error), 500)

    @app.get("/")
    def show_index() -> flask.Response:
        return flask.Response(index, mimetype="text/html")

    @app.get("/<name>")
    def show_part(name: str) -> flask.Response:
        if name not in page:
            raise NotFound(f"there is no {name}")
        return flask.Response(page[name], mimetype=_PAGE[name])

    @app.get("/api/dataset")
    def show_dataset() -> Json:
        return {"name": str(review.file), "tools": [_tool(tool) for tool in review.tools], **_overview(review)}

    @app.get("/api/examples/<int:number>")
    def show_example(number: int) -> Json:
        return _answer(review, review.show(number))

    @app.post("/api/examples/<int:number>")
    def change_example(number: int) -> Json:
        body = _body()
        state: Review | None = body.get("review")
        if state not in (*get_args(Review), None):
            raise UnprocessableEntity("review must be accepted, rejected, empty or null")
        version, transcript, response = (_text(body, name) for name in ("version", "transcript", "response"))
        shown, notes = review.change(number, version, transcript, response, state)
        return _answer(review, shown) | {"done": notes}

    @app.post("/api/examples/<int:number>/check")
    def check_example(number: int) -> Json:
        body = _body()
        return asdict(review.check(number, _text(body, "transcript"), _text(body, "response")))

    @app.post("/api/undo")
    def undo() -> Json:
        return _answer(review, review.undo())

    @app.get("/sounds/<int:number>/<any(person, reply):voice>")
    def play(number: int, voice: str) -> flask.Response:
        path = review.sound(number, "person" if voice == "person" else "reply")
        kind = None if path is None else mimetypes.guess_type(path.name)[0]
        # A dataset that others made may name any file of this computer.
        if path is None or not path.is_file() or not (kind or "").startswith("audio/"):
            raise NotFound("there is no such sound file")
        try:  # from memory: a browser that goes away in the middle of a sound would leave the file open
            sound = io.BytesIO(path.read_bytes())
        except OSError as exc:
            raise NotFound(f"the sound file can't be read ({exc.strerror})") from exc
        return flask.send_file(sound, mimetype=kind, conditional=True, etag=False)

    return app


class _Quiet(WSGIRequestHandler):
    """Doesn't report every request on the console."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Do nothing."""


def _overview(review: DatasetReview) -> dict[str, Json]:
    return {"examples": review.states(), "undo": review.can_undo()}


def _answer(review: DatasetReview, shown: Shown) -> dict[str, Json]:
    example = shown.example
    entry = {
        "number": shown.number,
        "version": shown.version,
        "transcript": example.transcript,
        "response": example.response,
        "audio": example.audio.name,
        "response_audio": example.response_audio and example.response_audio.name,
        "results": [dict(result) for result in example.results],
        "speaker": example.speaker,
        "kind": example.kind,
        "condition": example.condition,
        "recorded": example.recorded,
        "review": example.review,
    }
    return {"example": entry, "checked": asdict(review.check(shown.number, example.transcript, example.response))} | (
        _overview(review)
    )


def _tool(tool: Tool) -> dict[str, Json]:
    properties: Mapping[str, Json] = tool.parameters.get("properties", {})
    return {
        "name": tool.name,
        "description": tool.description,
        "arguments": list(properties),
        "required": list(tool.parameters.get("required", ())),
    }


def _body() -> Mapping[str, Json]:
    body = flask.request.get_json(silent=True)
    if not isinstance(body, dict):
        raise UnprocessableEntity("the request must be a JSON object")
    return body


def _text(body: Mapping[str, Json], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise UnprocessableEntity(f"{name} must be a text")
    return value


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
