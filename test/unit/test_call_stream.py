"""What is spoken and what is called, of texts in which a model writes its own calls."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lfm_voice_ros.core.call_stream import LONGEST_CALL, SYNTAXES, CallStream, Piece, parse
from lfm_voice_ros.core.types import Json, ToolCall

KNOWN = ("pan_left", "nod", "center", "get_time")
TOKENS, LORA, ACTION = "special_tokens", "lora", "output_parsing"
EACH = pytest.mark.parametrize("syntax", [TOKENS, LORA, ACTION])
START, END = "<|tool_call_start|>", "<|tool_call_end|>"


def call(name: str, **arguments: Json) -> ToolCall:
    return ToolCall(name, arguments)


def read(syntax: str, text: str) -> tuple[str, list[ToolCall], int]:
    """Speech, calls and the number of problems."""
    speech, calls, problems = parse(SYNTAXES[syntax], text, KNOWN)
    return speech, list(calls), len(problems)


def problems(syntax: str, text: str) -> tuple[str, ...]:
    return parse(SYNTAXES[syntax], text, KNOWN)[2]


def in_pieces(syntax: str, pieces: list[str]) -> tuple[str, tuple[ToolCall, ...], tuple[str, ...]]:
    stream = CallStream(SYNTAXES[syntax], KNOWN)
    given_back = [*map(stream.feed, pieces), stream.finish()]
    speech = "".join(piece.speech for piece in given_back)
    return speech, tuple(call for piece in given_back for call in piece.calls), tuple(stream.problems)


def fed(syntax: str, text: str) -> CallStream:
    stream = CallStream(SYNTAXES[syntax], KNOWN)
    stream.feed(text)
    return stream


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (f"{START}[pan_left(degrees=30), nod()]{END}Looking left.", [call("pan_left", degrees=30), call("nod")]),
        (f"{START}pan_left(degrees=30){END} Looking left.", [call("pan_left", degrees=30)]),
        (
            f'{START}<|tool_name|>pan_left<|tool_args|>{{"degrees": 30}}{END}Looking left.',
            [call("pan_left", degrees=30)],
        ),
        (
            f"{START}<|tool_name|>nod<|tool_args|>{{}}<|tool_name|>center<|tool_args|>{END}Looking left.",
            [call("nod"), call("center")],
        ),
        (f"{START} <|tool_name|> nod <|tool_args|> {END} Looking left.", [call("nod")]),
        (f"{START}<|tool_name|>nod{END}<|tool_result|>Looking left.<|im_end|>", [call("nod")]),
        (f"{START}[]{END}Looking left.", []),
    ],
)
def test_special_tokens_hold_a_list_or_pairs_of_name_and_arguments(text: str, calls: list[ToolCall]) -> None:
    assert read(TOKENS, text) == ("Looking left.", calls, 0)


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        ("pan_left", [call("pan_left")]),
        (" pan_left\n", [call("pan_left")]),
        ("pan_left(degrees=30)", [call("pan_left", degrees=30)]),
        ("[pan_left(degrees=30), nod()]", [call("pan_left", degrees=30), call("nod")]),
        ("[nod, pan_left(degrees=30)]", [call("nod"), call("pan_left", degrees=30)]),
        ("nod, center", [call("nod"), call("center")]),
    ],
)
def test_lora_takes_names_calls_and_lists_of_both(body: str, calls: list[ToolCall]) -> None:
    assert read(LORA, f"<tool>{body}</tool> Looking left now.") == ("Looking left now.", calls, 0)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("ACTION:pan_left RESPONSE:I'll look left.", [call("pan_left")]),
        ("ACTION:pan_left(degrees=30) RESPONSE:I'll look left.", [call("pan_left", degrees=30)]),
        ("action : pan_left (degrees=30)\nResponse   : I'll look left.", [call("pan_left", degrees=30)]),
        (
            "ACTION: nod, pan_left(degrees=30),center RESPONSE:I'll look left.",
            [call("nod"), call("pan_left", degrees=30), call("center")],
        ),
        ("ACTION:\nnod\nRESPONSE:\nI'll look left.", [call("nod")]),
        ("RESPONSE:I'll look left.", []),
    ],
)
def test_output_parsing_takes_names_and_calls_after_action(text: str, calls: list[ToolCall]) -> None:
    assert read(ACTION, text) == ("I'll look left.", calls, 0)


@pytest.mark.parametrize("nothing", ["none", "None", "no", "NOTHING", "null", "n/a", "N/A", "none()"])
def test_an_action_that_is_none_is_no_call_and_no_problem(nothing: str) -> None:
    assert read(ACTION, f"ACTION:{nothing} RESPONSE:Fine.") == ("Fine.", [], 0)
    assert read(ACTION, f"ACTION:{nothing}") == ("", [], 0)


@pytest.mark.parametrize("text", ["REACTION: nod", "xACTION:nod", "_action:nod", "My reaction:nod", "actions: nod"])
def test_the_marker_of_an_action_begins_a_word(text: str) -> None:
    assert read(ACTION, text) == (text, [], 0)


def test_llm_is_the_entry_of_the_special_tokens() -> None:
    assert SYNTAXES["llm"] is SYNTAXES["special_tokens"]
    assert set(SYNTAXES) == {"llm", "special_tokens", "lora", "output_parsing"}


@EACH
@pytest.mark.parametrize(
    "text",
    [
        "Hello there.",
        "a",
        "1 < 2, and 3 > 2",
        "Two\n\nlines  and\ttabs",
        "Ünïcödé 🙂 左",
        "respond to an act",
        "<",
        ":-), so;",
    ],
)
def test_text_without_markers_is_spoken_unchanged(syntax: str, text: str) -> None:
    assert read(syntax, text) == (text, [], 0)


@EACH
def test_white_space_around_the_whole_speech_is_left_out(syntax: str) -> None:
    assert read(syntax, " \n Hello.  ") == ("Hello.", [], 0)
    assert read(syntax, " \n ") == ("", [], 0)


# Each syntax in turn: tokens, lora, actions.
@pytest.mark.parametrize(
    ("syntax", "text", "speech"),
    [
        (TOKENS, f"Yes.  {START}nod(){END} \n I nod.", "Yes. I nod."),
        (TOKENS, f"Yes.{START}nod(){END}I nod.", "Yes. I nod."),
        (TOKENS, f"Yes.{START}nod(){END}", "Yes."),
        (TOKENS, "Yes.<|tool_result|> <|x|>  I nod.", "Yes. I nod."),
        (LORA, "Yes. <tool>nod</tool> <tool>wink</tool> I nod.", "Yes. I nod."),
        (LORA, "<tool>nod</tool>, <tool>nod</tool>; I nod.", "I nod."),
        (LORA, "<to<tool>nod</tool>ol>", "<to ol>"),
        (ACTION, "Yes. ACTION:nod RESPONSE:  I nod.", "Yes. I nod."),
        (ACTION, "ACTION ACTION:nod RESPONSE: : I nod.", "ACTION I nod."),
    ],
)
def test_what_is_left_out_leaves_one_space(syntax: str, text: str, speech: str) -> None:
    assert read(syntax, text)[0] == speech


@pytest.mark.parametrize(
    ("syntax", "text"),
    [
        (TOKENS, f"{START}[nod({END}Okay."),
        (TOKENS, f"{START}nod{END}Okay."),
        (TOKENS, f"{START}__import__('os').system('ls'){END}Okay."),
        (TOKENS, f"{START}[nod(degrees=center())]{END}Okay."),
        (TOKENS, f"{START}<|tool_name|>nod<|tool_args|>{{degrees: 3}}{END}Okay."),
        (TOKENS, f"{START}a <|tool_name|>nod{END}Okay."),
        (TOKENS, f"{START}<|tool_args|>{{}}{END}Okay."),
        (LORA, "<tool>nod center</tool>Okay."),
        (LORA, "<tool></tool>Okay."),
        (LORA, "<tool>nod(30)</tool>Okay."),
        (LORA, "<tool>nod, [center</tool>Okay."),
        (ACTION, "ACTION:nod(30) RESPONSE:Okay."),
        (ACTION, "ACTION:nod (with a smile) RESPONSE:Okay."),
        (ACTION, "ACTION:nod, center(x) RESPONSE:Okay."),
        (ACTION, "ACTION: RESPONSE:Okay."),
    ],
)
def test_a_malformed_call_is_dropped_and_noted(syntax: str, text: str) -> None:
    assert read(syntax, text) == ("Okay.", [], 1)


@pytest.mark.parametrize(
    ("syntax", "text"),
    [
        (TOKENS, f"Hm. {START}[wink(eye=1), nod()]{END} Okay."),
        (TOKENS, f"Hm. {START}<|tool_name|>wink<|tool_name|>nod{END} Okay."),
        (LORA, "Hm. <tool>wink</tool> <tool>nod</tool> Okay."),
        (ACTION, "Hm. ACTION:wink, nod RESPONSE:Okay."),
        (ACTION, "Hm. ACTION:nod, wink(eye=1) RESPONSE:Okay."),
    ],
)
def test_an_unknown_name_is_dropped_and_noted_and_the_rest_is_kept(syntax: str, text: str) -> None:
    assert read(syntax, text) == ("Hm. Okay.", [call("nod")], 1)
    assert problems(syntax, text) == ("there is no tool 'wink'",)


@pytest.mark.parametrize(
    ("syntax", "text", "speech"),
    [
        (TOKENS, f"Okay. {START}[nod()]", "Okay."),
        (TOKENS, f"{START}[nod()]<|tool_call_end|", ""),
        (LORA, "Okay. <tool>nod", "Okay."),
        (LORA, "Okay. <tool>nod</tool", "Okay."),
        (ACTION, "Okay. ACTION:nod(", "Okay."),
        (ACTION, "Okay. ACTION:nod(x=')'", "Okay."),
        (ACTION, "ACTION:pan_left(degrees=3 RESPONSE:Okay.", "Okay."),
    ],
)
def test_a_call_that_is_never_closed_does_not_count(syntax: str, text: str, speech: str) -> None:
    assert read(syntax, text) == (speech, [], 1)
    assert problems(syntax, text)[0].startswith("a call was never closed: ")


def test_the_name_of_an_action_counts_at_the_end_of_the_text_and_not_before() -> None:
    stream = CallStream(SYNTAXES[ACTION], KNOWN)
    assert stream.feed("Okay. ACTION:nod").calls == ()
    assert stream.finish() == Piece("", (call("nod"),))


@pytest.mark.parametrize(
    ("text", "speech", "calls"),
    [
        ("ACTION:nod I'll nod.", "I'll nod.", [call("nod")]),
        ("ACTION:pan_left(degrees=3) I'll look.", "I'll look.", [call("pan_left", degrees=3)]),
        ("ACTION:nod, I agree.", "I agree.", [call("nod")]),
        ("ACTION:nod, center, I agree.", "I agree.", [call("nod"), call("center")]),
        ("ACTION:nod, wink (or not).", "wink (or not).", [call("nod")]),
        ("ACTION:nod. Okay.", ". Okay.", [call("nod")]),
        ("ACTION:no, I won't.", "I won't.", []),
    ],
)
def test_without_response_the_call_ends_after_its_arguments(text: str, speech: str, calls: list[ToolCall]) -> None:
    assert read(ACTION, text) == (speech, calls, 0)


@pytest.mark.parametrize(
    ("text", "speech"),
    [
        ("ACTION:nod ACTION:center RESPONSE:Okay.", "Okay."),
        ("ACTION:nod RESPONSE:Okay. ACTION:center RESPONSE:Done.", "Okay. Done."),
        ("RESPONSE:Okay. ACTION:nod ACTION:center", "Okay."),
        ("First ACTION:nod then ACTION:center", "First then"),
        ("ACTION:nod,ACTION:center RESPONSE: RESPONSE:Okay.", "Okay."),
    ],
)
def test_actions_may_come_twice_in_the_middle_and_after_the_response(text: str, speech: str) -> None:
    assert read(ACTION, text) == (speech, [call("nod"), call("center")], 0)


@pytest.mark.parametrize(
    ("syntax", "text"),
    [
        (TOKENS, f"{START}[nod(), {START}[center()]{END}Okay."),
        (LORA, "<tool>nod <tool>center</tool>Okay."),
        (ACTION, "ACTION:pan_left(degrees= ACTION:center RESPONSE:Okay."),
    ],
)
def test_an_opening_marker_inside_an_open_call_drops_the_first(syntax: str, text: str) -> None:
    assert read(syntax, text) == ("Okay.", [call("center")], 1)


@pytest.mark.parametrize(("syntax", "text"), [(TOKENS, f"Hm.{END} Okay."), (LORA, "Hm.</tool> Okay.")])
def test_a_closing_marker_without_a_call_is_not_spoken(syntax: str, text: str) -> None:
    assert read(syntax, text) == ("Hm. Okay.", [], 0)


@pytest.mark.parametrize(("syntax", "opening"), [(TOKENS, START), (LORA, "<tool>"), (ACTION, "ACTION:nod(")])
def test_a_call_of_more_than_600_characters_is_given_up_and_the_text_after_it_is_spoken(
    syntax: str, opening: str
) -> None:
    room = LONGEST_CALL - (len("nod(") if syntax == ACTION else 0)
    stream = fed(syntax, f"Okay. {opening}{'x' * room}")
    assert stream.holding
    assert not stream.problems
    assert stream.feed("x").speech == ""
    assert not stream.holding
    assert len(stream.problems) == 1
    assert stream.feed("yz ").speech == " yz"
    assert (stream.finish().calls, len(stream.problems)) == ((), 1)


def test_a_marker_right_after_a_call_that_was_given_up_is_a_marker() -> None:
    text = f"ACTION:{'x' * (LONGEST_CALL + 1)}ACTION:nod RESPONSE:Okay."
    assert read(ACTION, text) == ("Okay.", [call("nod")], 1)


def test_a_token_that_crosses_the_limit_is_dropped_whole() -> None:
    assert read(TOKENS, f"{START}{'x' * (LONGEST_CALL - 3)}<|tool_name|>Okay.")[0] == "Okay."


@pytest.mark.parametrize(
    ("syntax", "text"),
    [
        (TOKENS, f'{START}[get_time(location="St. John\'s (Canada)")]{END}Okay.'),
        (TOKENS, f'{START}<|tool_name|>get_time<|tool_args|>{{"location": "St. John\'s (Canada)"}}{END}Okay.'),
        (LORA, '<tool>get_time(location="St. John\'s (Canada)")</tool>Okay.'),
        (LORA, '<tool>[get_time(location="St. John\'s (Canada)")]</tool>Okay.'),
        (ACTION, 'ACTION:get_time(location="St. John\'s (Canada)") Okay.'),
    ],
)
def test_quoted_parentheses_and_apostrophes_belong_to_the_argument(syntax: str, text: str) -> None:
    assert read(syntax, text) == ("Okay.", [call("get_time", location="St. John's (Canada)")], 0)


@pytest.mark.parametrize("location", ["a) b", "a, nod", "a(", 'say "x)"', "back\\slash", "it's)", 'it\'s "x)"'])
def test_arguments_of_an_action_end_where_their_parenthesis_ends(location: str) -> None:
    text = f"ACTION:get_time(location={location!r}), nod RESPONSE:Okay."
    assert read(ACTION, text) == ("Okay.", [call("get_time", location=location), call("nod")], 0)


def test_parentheses_inside_of_parentheses_belong_to_the_action() -> None:
    assert read(ACTION, "ACTION:pan_left(degrees=(30)) Okay.") == ("Okay.", [call("pan_left", degrees=30)], 0)
    assert read(ACTION, "ACTION:pan_left(degrees=half(60)) Okay.") == ("Okay.", [], 1)


@pytest.mark.parametrize(
    ("syntax", "text", "holding"),
    [
        (TOKENS, "Hello", False),
        (TOKENS, "Hello <", True),
        (TOKENS, "Hello <|tool_", True),
        (TOKENS, "Hello <|tool_x y", False),
        (TOKENS, "Hello <3", False),
        (TOKENS, START, True),
        (TOKENS, f"{START}nod()", True),
        (TOKENS, f"{START}nod(){END}", False),
        (LORA, "Hello <to", True),
        (LORA, "Hello <ta", False),
        (LORA, "<tool>nod</tool", True),
        (LORA, "<tool>nod</tool>", False),
        (ACTION, "I see a", True),
        (ACTION, "I see a cat", False),
        (ACTION, "Hello act", True),
        (ACTION, "Hello fact", False),
        (ACTION, "ACTION  ", True),
        (ACTION, "ACTION    ", False),
        (ACTION, "ACTION:", True),
        (ACTION, "ACTION:nod ", True),
        (ACTION, "ACTION:nod I", False),
        (ACTION, "ACTION:nod, I", True),
        (ACTION, "ACTION:nod, I a", True),
        (ACTION, "ACTION:nod, I am", False),
        (ACTION, "ACTION:nod()", True),
        (ACTION, "ACTION:nod RESPONSE:", False),
    ],
)
def test_sound_waits_while_a_call_is_open_or_may_be_beginning(syntax: str, text: str, holding: bool) -> None:
    assert fed(syntax, text).holding is holding


def test_a_piece_has_what_it_settles_and_nothing_twice() -> None:
    stream = CallStream(SYNTAXES[LORA], KNOWN)
    pieces = ["I loo", "k <", "3 <too", "l>nod</to", "ol>, now", " <tool>wink</tool>", "."]
    assert [stream.feed(piece) for piece in pieces] == [
        Piece("I loo", ()),
        Piece("k", ()),
        Piece(" <3", ()),
        Piece("", ()),
        Piece(" now", (call("nod"),)),
        Piece("", ()),
        Piece(" .", ()),
    ]
    assert stream.finish() == Piece("", ())


def test_the_beginning_of_a_marker_at_the_end_is_spoken_when_the_text_has_ended() -> None:
    stream = CallStream(SYNTAXES[ACTION], KNOWN)
    assert stream.feed("This is plan A").speech == "This is plan"
    assert stream.finish().speech == " A"


def seconds(syntax: str, text: str) -> float:
    """Of processor time, to read a text one character at a time."""
    stream = CallStream(SYNTAXES[syntax], KNOWN)
    began = time.process_time()
    for char in text:
        stream.feed(char)
    stream.finish()
    return time.process_time() - began


@pytest.mark.parametrize("part", ["x", " ", "<", "(", "ACTION", "ACTION:nod, ", "<tool>nod ", START])
@EACH
def test_ten_times_the_text_takes_about_ten_times_as_long(syntax: str, part: str) -> None:
    assert seconds(syntax, part * (100_000 // len(part))) < 30 * seconds(syntax, part * (10_000 // len(part)))


LONGEST_MARKER = 36  # <|, 32 characters, |>
#: No text with one of these may be spoken.
MARKERS = {
    TOKENS: re.compile(r"<\|\w{1,32}\|>"),
    LORA: re.compile(r"</?tool>", re.IGNORECASE),
    ACTION: re.compile(r"\b(?:ACTION|RESPONSE)[ \t]{0,3}:", re.IGNORECASE),
}
PIECES = (
    "<|tool_call_start|> <|tool_call_end|> <|tool_name|> <|tool_args|> <|tool_result|> <|im_end|> <tool> </tool> "
    "ACTION: RESPONSE: action : ACTION <| |> < > <to ol> tool_ ( ) [ ] { } ' \" , : ; \\ = = n/a none pan_left nod "
    'center wink nod() pan_left(degrees=30) {"degrees":30} degrees=30'
)
JUNK = st.one_of(
    st.sampled_from(PIECES.split()),
    st.sampled_from([" ", "  ", "\n", "\t", "   ", "x" * 300, " " * 300, "A", "a", "R"]),
    st.text(max_size=5),
)
TEXTS = st.lists(JUNK, max_size=40).map("".join)
NAMES = st.sampled_from([TOKENS, LORA, ACTION])


@settings(max_examples=300)
@given(NAMES, TEXTS, st.data())
def test_any_split_gives_the_same(syntax: str, text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole = parse(SYNTAXES[syntax], text, KNOWN)
    assert in_pieces(syntax, pieces) == whole
    assert in_pieces(syntax, list(text)) == whole


@settings(max_examples=500)
@given(NAMES, TEXTS)
@example(ACTION, "ACTION ACTION:nod() :x")
@example(ACTION, f"ACTION:{'x' * (LONGEST_CALL + 1)}ACTION:nod")
def test_no_text_makes_it_raise_speak_a_marker_or_call_what_is_not_known(syntax: str, text: str) -> None:
    speech, calls, _ = parse(SYNTAXES[syntax], text, KNOWN)
    assert not MARKERS[syntax].search(speech)
    assert {call.name for call in calls} <= set(KNOWN)
    assert speech == speech.strip()


@given(NAMES, TEXTS)
def test_nothing_is_held_when_the_text_has_ended(syntax: str, text: str) -> None:
    stream = fed(syntax, text)
    stream.finish()
    assert not stream.holding
    assert stream.finish() == Piece("", ())


@given(NAMES, TEXTS, st.sampled_from("x ()[,:\\'\n"))
def test_whatever_came_before_sound_does_not_wait_for_ever(syntax: str, text: str, filler: str) -> None:
    assert not fed(syntax, text + filler * (LONGEST_CALL + LONGEST_MARKER) + ".").holding


@given(NAMES, st.text(alphabet="aAcCtTiI <|tol/>rRe.x\n", max_size=80))
def test_plain_text_is_spoken_at_once_up_to_a_marker(syntax: str, text: str) -> None:
    stream = CallStream(SYNTAXES[syntax], KNOWN)
    speech, fed_so_far = "", ""
    for char in text:
        fed_so_far += char
        speech += stream.feed(char).speech
        if MARKERS[syntax].search(fed_so_far):
            return
        assert fed_so_far.strip().startswith(speech)
        assert len(fed_so_far.strip()) - len(speech) < LONGEST_MARKER
        assert stream.holding or speech == fed_so_far.strip()


@dataclass(frozen=True)
class Part:
    """A part of a text, and what it must become."""

    text: str
    speech: str = ""
    calls: tuple[ToolCall, ...] = ()


PAN = call("pan_left", degrees=-2.5)
TIME = call("get_time", location="St. John's (Canada)")
TIME_TEXT = 'get_time(location="St. John\'s (Canada)")'
WORDS = [
    Part(word, word) for word in ("Okay.", "naïve 左", "1 < 2", "a", "It's (b) here", "reaction: x", "nod", "<3", "[]")
]
PARTS: dict[str, list[Part]] = {
    TOKENS: [
        Part(f"{START}[nod(), pan_left(degrees=-2.5)]{END}", calls=(call("nod"), PAN)),
        Part(f'{START}<|tool_name|>pan_left<|tool_args|>{{"degrees": -2.5}}{END}', calls=(PAN,)),
        Part(f"{START}[{TIME_TEXT}, wink()]{END}", calls=(TIME,)),
        Part(f"{START}[nod(SECRET{END}"),
        Part(f"{START}SECRET {START}nod(){END}", calls=(call("nod"),)),
        Part("<|tool_result|>"),
        Part(END),
    ],
    LORA: [
        Part("<tool>nod</tool>", calls=(call("nod"),)),
        Part("<tool>[nod, pan_left(degrees=-2.5)]</tool>", calls=(call("nod"), PAN)),
        Part(f"<tool>{TIME_TEXT}</tool>", calls=(TIME,)),
        Part("<tool>SECRET</tool>"),
        Part("<tool>SECRET <tool>nod</tool>", calls=(call("nod"),)),
        Part("</tool>"),
    ],
    ACTION: [
        Part("ACTION:nod RESPONSE:", calls=(call("nod"),)),
        Part("action : nod, pan_left(degrees=-2.5) Response:", calls=(call("nod"), PAN)),
        Part(f"ACTION:{TIME_TEXT}", calls=(TIME,)),
        Part("ACTION:nod(SECRET RESPONSE:"),
        Part("ACTION:SECRET(a=1), nod()", calls=(call("nod"),)),
        Part("ACTION:none RESPONSE:"),
        Part("RESPONSE:"),
    ],
}


@settings(max_examples=300)
@given(st.data(), NAMES, st.sampled_from([" ", "\n", "  "]))
def test_words_are_spoken_calls_are_called_and_nothing_else_happens(
    data: st.DataObject, syntax: str, space: str
) -> None:
    parts = data.draw(st.lists(st.sampled_from(PARTS[syntax] + WORDS), max_size=12))
    speech, calls, _ = parse(SYNTAXES[syntax], space.join(part.text for part in parts), KNOWN)
    assert speech.split() == " ".join(part.speech for part in parts).split()
    assert list(calls) == [call for part in parts for call in part.calls]
