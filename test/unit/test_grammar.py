"""The grammar that is made of the tools' schemas."""

from __future__ import annotations

from lfm_voice_ros.core.types import Json, ToolSpec
from lfm_voice_ros.detectors.grammar import call_grammar


def rules(parameters: Json, name: str = "drive_to") -> dict[str, str]:
    grammar = call_grammar([ToolSpec(name, "", parameters)])
    return dict(line.split(" ::= ", 1) for line in grammar.splitlines())


def test_a_tool_without_arguments_takes_none() -> None:
    assert rules({"type": "object", "properties": {}})["t-drive-to"] == '"drive_to()"'


def test_arguments_are_optional_unless_the_schema_requires_them() -> None:
    properties = {"x": {"type": "number"}, "y": {"type": "number"}}
    optional = rules({"properties": properties})["t-drive-to"]
    assert optional == '"drive_to(" (t-drive-to-t-x (", " t-drive-to-t-y)? | t-drive-to-t-y)? ")"'
    required = rules({"properties": properties, "required": ["x"]})["t-drive-to"]
    assert required == '"drive_to(" (t-drive-to-t-x (", " t-drive-to-t-y)?) ")"'
    some = rules({"properties": properties, "minProperties": 1})["t-drive-to"]
    assert some == '"drive_to(" (t-drive-to-t-x (", " t-drive-to-t-y)? | t-drive-to-t-y) ")"'


def test_values_keep_to_their_types() -> None:
    made = rules(
        {
            "properties": {
                "far": {"type": "number", "minimum": 0},
                "count": {"type": "integer"},
                "fast": {"type": "boolean"},
                "room": {"enum": ["kitchen", 'the "den"', 3]},
                "name": {"type": "string", "minLength": 1, "maxLength": 20},
                "any": {},
            }
        }
    )
    assert made["t-drive-to-t-far"] == '"far=" (positive-number)'
    assert made["t-drive-to-t-count"] == '"count=" (integer)'
    assert made["t-drive-to-t-fast"] == '"fast=" (boolean)'
    assert made["t-drive-to-t-room"] == r'"room=" ("\"kitchen\"" | "\"the \\\"den\\\"\"" | "3")'
    assert made["t-drive-to-t-name"] == r'"name=" ("\"" character{1,20} "\"")'
    assert made["t-drive-to-t-any"] == '"any=" (value)'


def test_every_rule_that_is_used_is_there() -> None:
    made = rules({"properties": {"x": {"type": "number"}, "y_2": {"type": "string"}}})
    used = {word for body in made.values() for word in body.replace("(", " ").replace(")", " ").split()}
    assert {word for word in used if word.startswith("t-")} <= set(made)
