"""The map from arguments to fields, the tasks, and the phrases of a robot's own tools; without ROS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lfm_voice_ros.assembly import load_patterns
from lfm_voice_ros.core.errors import ConfigurationError, ToolError
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import ToolDetectorSettings
from lfm_voice_ros.core.types import ToolCall, ToolResult, ToolSpec, ToolStatus
from lfm_voice_ros.detectors.keywords import KeywordDetector
from lfm_voice_ros.tools.clock import Places, now
from lfm_voice_ros.tools.executor import ToolExecutor
from lfm_voice_ros.tools.fields import ArgumentMap, Field, spoken
from lfm_voice_ros.tools.interface import End, FieldType, Listener, MessageType, MissingPackage
from lfm_voice_ros.tools.registry import Registry
from lfm_voice_ros.tools.skill import SkillBook

NUMBER, TEXT, BOOLEAN = FieldType("number"), FieldType("text", longest=8), FieldType("boolean")
BYTE = FieldType("integer", 0, 255)


def message_type(type_name: str, /, **fields: FieldType) -> MessageType:
    beginnings = {"number": 0.0, "text": "", "boolean": False, "integer": 0}

    def make() -> SimpleNamespace:
        return SimpleNamespace(
            **{
                key: [] if field.many else field.message.make() if field.message else beginnings[field.kind]
                for key, field in fields.items()
            }
        )

    return MessageType(type_name, fields, make)


POINT = message_type("test/msg/Point", x=NUMBER, y=NUMBER)
QUATERNION = message_type("geometry_msgs/msg/Quaternion", x=NUMBER, y=NUMBER, z=NUMBER, w=NUMBER)
GOAL = message_type(
    "test/msg/Goal",
    at=FieldType("message", message=POINT),
    facing=FieldType("message", message=QUATERNION),
    speed=BYTE,
    name=TEXT,
    loud=BOOLEAN,
    route=FieldType("message", message=POINT, many=True, most=2),
)
PARAMETERS = {
    "type": "object",
    "properties": {
        "place": {"type": "string", "enum": ["kitchen", "desk"]},
        "degrees": {"type": "number", "minimum": 0, "maximum": 180},
        "count": {"type": "integer"},
        "who": {"type": "string"},
    },
    "required": ["place", "who"],
}


def fill(entry: Any, **arguments: Any) -> Any:
    return ArgumentMap(entry, GOAL, PARAMETERS).message(arguments)


def test_constants_arguments_choices_and_templates_go_where_their_paths_say() -> None:
    made = fill(
        {
            "at.x": {"argument": "degrees", "factor": 0.5, "offset": 1},
            "facing": {"yaw": {"argument": "degrees"}},
            "speed": 7,
            "name": {"template": "to {who}"},
            "loud": {"argument": "place", "choices": {"kitchen": True, "desk": False}},
            "route": [{"x": 1}, {"argument": "place", "choices": {"kitchen": {"y": 2}, "desk": {"y": 3}}}],
        },
        degrees=90,
        who="Tom",
        place="kitchen",
    )

    assert (made.at.x, made.at.y, made.speed, made.name, made.loud) == (46.0, 0.0, 7, "to Tom", True)
    assert made.facing.z == pytest.approx(made.facing.w) == pytest.approx(0.5**0.5)
    assert [(point.x, point.y) for point in made.route] == [(1.0, 0.0), (0.0, 2.0)]


def test_an_argument_that_is_left_out_leaves_the_field_or_has_its_default() -> None:
    made = fill({"at.x": {"argument": "degrees"}, "at.y": {"argument": "degrees", "default": 4}})

    assert (made.at.x, made.at.y) == (0.0, 4.0)


def test_a_value_that_does_not_fit_when_it_comes_is_a_tool_error() -> None:
    with pytest.raises(ToolError, match="from 0 to 255"):
        fill({"speed": {"argument": "count"}}, count=300)
    with pytest.raises(ToolError, match="at most 8 characters"):
        fill({"name": {"template": "to {who}"}}, who="somebody far away")


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"at.z": 1}, r"no field at.z: test/msg/Point has no z; its fields are: x, y"),
        ({"speed.x": 1}, "before x is a whole number"),
        ({"speed": 256}, "speed takes values from 0 to 255, not 256"),
        ({"speed": 1.5}, "speed takes a whole number, not 1.5"),
        ({"loud": 1}, "loud takes a boolean, not 1"),
        ({"name": 5}, "name takes a text, not 5"),
        ({"at": 5}, "takes fields with values"),
        ({"at.x": [1]}, "at.x takes a number"),
        ({"route": [{}, {}, {}]}, "at most 2 values, not 3"),
        ({"at.x": {"argument": "far"}}, "no argument far; there are: place, degrees"),
        ({"at.x": {"argument": "who"}}, "who is of the type string"),
        ({"speed": {"argument": "degrees"}}, "degrees is of the type number"),
        ({"speed": {"argument": "degrees", "factor": 2}}, "from 0 to 255, not 360"),
        ({"at.x": {"argument": "degrees", "speed": 2}}, "unknown keys speed"),
        ({"at": {"argument": "place", "choices": {"kitchen": {"x": 1}}}}, "no choice for desk"),
        (
            {"at": {"argument": "place", "choices": {"kitchen": {}, "desk": {}, "attic": {}}}},
            "no value of place: attic",
        ),
        ({"at": {"argument": "who", "choices": {"Tom": {"x": 1}}}}, "who needs an enum: Tom"),
        ({"at": {"argument": "place", "choices": {"kitchen": {"q": 1}, "desk": {}}}}, r"at\[kitchen\].q"),
        ({"name": {"template": "{count}"}}, "count as a required argument"),
        ({"name": {"template": "{who"}}, "wrong braces"),
    ],
)
def test_a_wrong_map_says_what_is_wrong_with_which_field(entry: Any, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        fill(entry)


def test_values_become_words() -> None:
    duration = SimpleNamespace(sec=121, nanosec=0)

    assert [spoken(value) for value in (True, 2.46, "living_room", ["a", "b", "c"], duration, float("nan"))] == [
        "yes",
        "two point five",
        "living room",
        "a, b and c",
        "two minutes and one second",
        "an unknown number of",
    ]
    with pytest.raises(ConfigurationError, match="name one of its fields"):
        Field("at", GOAL)


class Wheels:
    """Port Remote: a server in the test's hand."""

    takes, gives = GOAL, message_type("test/msg/Result", error_msg=FieldType("text"))
    feedback = message_type("test/msg/Feedback", left=NUMBER)
    cancelable = True

    def __init__(self) -> None:
        self.known = True
        self.goals: list[tuple[Any, Listener]] = []
        self.answer: Callable[[Listener], None] = lambda listener: listener.accepted(lambda: self.cancel(listener))
        self.cancel: Callable[[Listener], None] = lambda listener: listener.ended(End.CANCELED, None)

    def there(self) -> bool:
        return self.known

    def wait(self, timeout: float) -> bool:
        return self.known

    def begin(self, message: Any, listener: Listener) -> None:
        self.goals.append((message, listener))
        self.answer(listener)


class OneSkill:
    """Port Skills: a robot with wheels and nothing else."""

    def __init__(self, wheels: Wheels) -> None:
        self._wheels = wheels

    def action(self, name: str, type_name: str) -> Wheels:
        return self._wheels

    def service(self, name: str, type_name: str) -> Wheels:
        raise MissingPackage(f"the type {type_name} needs a package")

    topic: Any = service


class NoHead:
    """Port Head: there is none."""

    def move(self, *_arguments: Any) -> Any:
        raise ToolError("my head doesn't answer: nobody there")

    def position(self) -> tuple[float, float]:
        raise ToolError("my head doesn't answer: nobody there")


FILE = """
include: tools.yaml
tools:
  - name: go_to
    description: Drive.
    parameters: {type: object, properties: {place: {type: string, enum: [kitchen, desk]}}, required: [place]}
    binding:
      action: drive
      type: test/Drive
      goal: {at: {argument: place, choices: {kitchen: {x: 1}, desk: {x: 2}}}}
      wait: false
      feedback: {left: left}
      report_every: 20
      limit: 100
    says:
      accepted: "On my way to the {place}."
      progress: "{left} meters left."
      done: "I am at the {place}."
      canceled: "No longer going to the {place}."
      failed: "Not at the {place}: {reason}."
  - name: cancel
    description: Cancel.
    parameters: {type: object}
    binding: {cancel: newest}
    says: {done: "{canceled}", nothing: "Nothing to cancel.", failed: "No: {reason}."}
"""


class Bench:
    """An executor of tools with wheels, and a clock in the test's hand."""

    def __init__(self, path: Path, text: str = FILE) -> None:
        path.write_text(text)
        self.time = 0.0
        self.reports: list[tuple[str, bool]] = []
        self.wheels = Wheels()
        self.book = SkillBook(
            OneSkill(self.wheels), lambda *report: self.reports.append(report), 0.05, lambda: self.time
        )
        registry = Registry.from_file(path)
        places = Places.from_file(config_file("places.yaml"))
        self.executor = ToolExecutor(registry, NoHead(), places, now, self.book)

    def call(self, name: str, canceled: bool = False, **arguments: Any) -> ToolResult:
        results: list[ToolResult] = []
        call = ToolCall(name, arguments)
        self.executor.run((call,), lambda: canceled, results.append, self.executor.interrupt((call,)))
        return results[0]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "tools.yaml.copy")


def test_progress_is_reported_now_and_then_and_the_end_once(bench: Bench) -> None:
    begun = bench.call("go_to", place="kitchen")
    goal, listener = bench.wheels.goals[0]
    for second in range(0, 50, 5):
        bench.time = second
        listener.progress(SimpleNamespace(left=50.0 - second))
    listener.ended(End.DONE, SimpleNamespace(error_msg=""))
    listener.ended(End.ABORTED, None)

    assert (begun.status, begun.speech, goal.at.x) == (ToolStatus.SUCCEEDED, "On my way to the kitchen.", 1.0)
    assert bench.reports == [
        ("thirty meters left.", False),
        ("ten meters left.", False),
        ("I am at the kitchen.", True),
    ]


def test_a_task_whose_server_is_gone_or_that_takes_too_long_is_given_up(bench: Bench) -> None:
    canceled: list[Listener] = []
    bench.wheels.cancel = canceled.append
    bench.call("go_to", place="kitchen")
    bench.time = 50.0
    bench.book.tasks.check()
    assert bench.reports == []

    bench.time = 101.0
    bench.book.tasks.check()
    bench.call("go_to", place="desk")
    bench.wheels.known = False
    bench.time = 105.0
    bench.book.tasks.check()

    assert [text for text, _ in bench.reports] == [
        "Not at the kitchen: it took too long.",
        "Not at the desk: the program for it has gone.",
    ]
    assert len(canceled) == 1
    assert bench.book.tasks.names() == []


def test_a_goal_that_a_newer_one_replaces_is_not_told_as_a_failure(bench: Bench) -> None:
    bench.call("go_to", place="kitchen")
    bench.call("go_to", place="desk")
    bench.wheels.goals[0][1].ended(End.ABORTED, None)
    bench.wheels.goals[1][1].ended(End.ABORTED, SimpleNamespace(error_msg="stuck."))

    assert bench.reports == [("Not at the desk: stuck.", True)]


def test_stop_tells_of_the_head_and_of_what_it_has_ended_each_as_it_is(bench: Bench) -> None:
    bench.call("go_to", place="kitchen")

    stopped = bench.call("stop")

    assert stopped.status is ToolStatus.FAILED
    assert stopped.speech == "I could not stop my head: my head doesn't answer. No longer going to the kitchen."
    assert bench.reports == []


def test_what_has_arrived_before_it_could_be_cancelled_is_told_so(bench: Bench) -> None:
    bench.wheels.cancel = lambda listener: listener.ended(End.DONE, SimpleNamespace(error_msg=""))
    bench.call("go_to", place="kitchen")

    assert bench.call("cancel").speech == "I am at the kitchen."
    assert bench.call("cancel").speech == "Nothing to cancel."


def test_a_task_that_does_not_answer_its_cancellation_goes_on_and_its_end_is_reported(bench: Bench) -> None:
    bench.wheels.cancel = lambda listener: setattr(bench, "time", bench.time + 1.0)
    bench.call("go_to", place="kitchen")

    assert bench.call("cancel").speech == "No: it doesn't answer."
    bench.wheels.goals[0][1].ended(End.CANCELED, None)
    assert bench.reports == [("No longer going to the kitchen.", True)]


def test_nothing_is_begun_behind_a_stop(bench: Bench) -> None:
    call = ToolCall("go_to", {"place": "desk"})
    asked = iter([False, True])
    results: list[ToolResult] = []

    bench.executor.run((call,), lambda: next(asked), results.append)

    assert [result.status for result in results] == [ToolStatus.CANCELED]
    assert bench.wheels.goals == []
    assert bench.book.tasks.names() == []


def test_a_goal_that_is_taken_after_it_was_given_up_is_cancelled_then(bench: Bench) -> None:
    canceled: list[bool] = []
    bench.wheels.answer = lambda _listener: None
    bench.wheels.takes = GOAL

    late = bench.call("go_to", place="desk")
    bench.wheels.goals[0][1].accepted(lambda: canceled.append(True))

    assert (late.status, late.speech) == (ToolStatus.TIMED_OUT, "Not at the desk: there was no answer.")
    assert canceled == [True]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("goal: {at:", "goal: {att:", "go_to: goal: there is no field att"),
        ("feedback: {left: left}", "feedback: {left: right}", "feedback: left: there is no field right"),
        ("wait: false", "wait: true", "what can come of it is: "),
        ("wait: false", "wait: perhaps", "`wait` is true or false"),
        ("limit: 100", "limit: -1", "`limit` is a number of seconds"),
        ("limit: 100", "timeout: 30", "up to 4.5; what takes longer has `wait: false`"),
        ("limit: 100", "speed: 1", "unknown keys speed; the keys beside action are"),
        ("limit: 100", "success: error_msg", "error_msg is a text, and can't be True"),
        ("      accepted: ", "      limited: ", "needs the sentence `accepted`"),
        (
            'done: "I am at the {place}."',
            'done: "I am {left}."',
            "`done` has fields .* give: left",
        ),
        ("cancel: newest", "cancel: some", "newest or all"),
        ("include: tools.yaml", "include: wrong.yaml", "includes itself"),
    ],
)
def test_a_wrong_binding_is_told_with_file_and_tool(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in FILE
    with pytest.raises(ConfigurationError, match=complaint) as told:
        Bench(tmp_path / "wrong.yaml", FILE.replace(old, new))
    assert str(tmp_path / "wrong.yaml") in str(told.value)


def test_an_optional_tool_without_its_package_says_so_and_another_ends_the_start_up(tmp_path: Path) -> None:
    text = FILE.replace("action: drive", "optional: true\n      service: drive").replace("feedback: {left: left}", "")
    text = text.replace("goal:", "request:").replace("report_every: 20", "").replace("{left} meters left.", "Going.")

    bench = Bench(tmp_path / "a.yaml", text)

    assert "go_to" in bench.book.missing
    assert bench.call("go_to", place="desk").speech == "Not at the desk: what it needs isn't installed."
    with pytest.raises(ConfigurationError, match="optional: true"):
        Bench(tmp_path / "b.yaml", text.replace("optional: true", "optional: false"))


def detect(text: str, *tools: ToolSpec) -> list[tuple[str, Mapping[str, Any]]]:
    detector = KeywordDetector(load_patterns(ToolDetectorSettings(), tools))
    return [(call.name, dict(call.arguments)) for call in detector.detect(text).calls]


SKILLS = Registry.from_file(config_file("skills.yaml")).specs()


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("Take a picture.", [("take_picture", {})]),
        ("Robot, could you take a photo of me, please?", [("take_picture", {})]),
        ("Please drive over to your charging station!", [("go_to", {"place": "charging_station"})]),
        ("Would you mind going to the desk?", [("go_to", {"place": "desk"})]),
        ("Look left and go to the kitchen.", [("pan_left", {}), ("go_to", {"place": "kitchen"})]),
        ("Turn on the light.", [("lights", {"state": "on"})]),
        ("Cancel that.", [("cancel", {})]),
        ("Never mind, don't go.", [("cancel", {})]),
        ("Look left. Never mind.", []),
        ("Stop.", [("stop", {})]),
        ("Abort.", [("stop", {})]),
        ("Don't go to the kitchen.", []),
        ("He told me to go to the kitchen.", []),
        ("Go to the bathroom.", []),
        ("Go to the desk, no wait, upstairs.", []),
        ("Cancel the order I made online.", []),
    ],
)
def test_the_phrases_of_the_example_are_understood(text: str, calls: list[tuple[str, Mapping[str, Any]]]) -> None:
    assert detect(text, *SKILLS) == calls


def test_numbers_and_texts_of_a_phrase_become_arguments() -> None:
    schema = {"n": {"type": "integer"}, "far": {"type": "number"}, "name": {"type": "string", "maxLength": 20}}
    tool = ToolSpec(
        "own",
        "d",
        {"properties": schema},
        ("table {n}", "what's the way of {far} meters", "say hello to {name}", "pick and place"),
    )

    assert detect("Table twenty-five, please.", tool) == [("own", {"n": 25})]
    assert detect("What is the way of two point five meters?", tool) == [("own", {"far": 2.5})]
    assert detect("Say hello to Aunt Mary.", tool) == [("own", {"name": "Aunt Mary"})]
    assert detect("Pick and place", tool) == [("own", {})]


@pytest.mark.parametrize(
    ("phrase", "complaint"),
    [
        ("go to {where}", "no argument where; there are: place"),
        ("go home", "leaves out place"),
        ("(go|drive to {place}", r"'\)' is missing"),
        ("go] to {place}", r"'\]' too many"),
        ("go to {place", "brace is missing"),
        ("(a|b|c|d|e)" * 5 + " {place}", "more than 500 ways"),
    ],
)
def test_a_wrong_phrase_is_told_with_its_tool(phrase: str, complaint: str) -> None:
    parameters = {"properties": {"place": {"enum": ["desk"]}}, "required": ["place"]}

    with pytest.raises(ConfigurationError, match=rf"of the tool go_to: .*{complaint}"):
        detect("", ToolSpec("go_to", "d", parameters, (phrase,)))
