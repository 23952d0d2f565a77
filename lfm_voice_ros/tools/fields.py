"""From the arguments of a call to the fields of a message, and from fields to words. Checked when it is read.

A field is named by its path (``pose.pose.position.x``). What goes into it is

    3.5, map, [1, 2]                        a constant
    {argument: degrees, factor: 0.0174533}  an argument of the call, with a factor, an offset and a default
    {argument: place, choices: {desk: …}}   what belongs to the argument's value; each choice is again one of these
    {template: "for {name}"}                a text with arguments in it
    {yaw: 90}                               a direction in degrees, for a geometry_msgs/Quaternion
    {position.x: 1.5, …}                    fields of the message that is in this field

A field that nothing goes into, or an argument that a call may leave out and has, stays as its type begins.
"""

from __future__ import annotations

import functools
import math
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lfm_voice_ros.core.errors import ConfigurationError, ToolError
from lfm_voice_ros.core.numbers import spell
from lfm_voice_ros.core.types import Json
from lfm_voice_ros.tools.interface import FieldType, Message, MessageType

Arguments = Mapping[str, Json]
#: Puts values into a message.
_Fill = Callable[[Message, Arguments], None]
#: What shall be in a field, from what is in it now.
_Value = Callable[[Any, Arguments], Any]

_QUATERNION = "geometry_msgs/msg/Quaternion"
_DURATION = "builtin_interfaces/msg/Duration"
_DIRECTION = FieldType("number")
#: JSON schema types that fit into each kind of field.
_FITTING: Mapping[str, frozenset[str]] = {
    "boolean": frozenset({"boolean"}),
    "integer": frozenset({"integer"}),
    "number": frozenset({"integer", "number"}),
    "text": frozenset({"string"}),
    "octet": frozenset({"integer"}),
}


class ArgumentMap:
    """Makes a message from the arguments of a call."""

    def __init__(self, entry: Json, message: MessageType, parameters: Mapping[str, Json]) -> None:
        """``entry`` is the map as the file of tools has it, ``parameters`` the JSON schema of the arguments.

        Raises ConfigurationError that names the field.
        """
        self._type = message
        self._fill = _Compiler(parameters).message(entry, message, "")

    def message(self, arguments: Arguments) -> Message:
        """Raises ToolError when a value doesn't fit its field."""
        made = self._type.make()
        self._fill(made, arguments)
        return made


class Field:
    """A field of a message that is read."""

    def __init__(self, path: Json, message: MessageType) -> None:
        """Raises ConfigurationError when there is no such field, or it is one that can't be told."""
        self._parts = str(path).split(".")
        self.type = _field_type(str(path), message)
        if self.type.kind == "message" and (self.type.many or _name(self.type) != _DURATION):
            raise ConfigurationError(f"the field {path} is a {self.type}, which has no words; name one of its fields")

    def value(self, message: Message) -> Any:
        """What is in it."""
        return functools.reduce(getattr, self._parts, message)

    def words(self, message: Message) -> str:
        """What is in it, as it is spoken."""
        return spoken(self.value(message))


def spoken(value: Any) -> str:
    """A value in words: numbers spelled with one decimal, a Duration in minutes and seconds, lists with "and"."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, bytes):
        return spell(int.from_bytes(value, "little"))
    if isinstance(value, str):
        return value.strip().replace("_", " ")
    if hasattr(value, "nanosec"):
        return _time(value.sec + value.nanosec * 1e-9)
    if isinstance(value, int | float):
        return spell(value) if math.isfinite(value) else "an unknown number of"
    parts = [spoken(item) for item in (value.tolist() if hasattr(value, "tolist") else value)]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    parts = [
        f"{spell(number)} {unit}{'' if number == 1 else 's'}"
        for number, unit in ((minutes, "minute"), (rest, "second"))
        if number
    ]
    return " and ".join(parts) or "no time"


class _Compiler:
    """Reads a map for a tool with these parameters. Everything raises ConfigurationError."""

    def __init__(self, parameters: Mapping[str, Json]) -> None:
        self._schemas: Mapping[str, Json] = parameters.get("properties", {})
        self._required = frozenset(parameters.get("required", ()))

    def message(self, entry: Json, message: MessageType, where: str) -> _Fill:
        if not isinstance(entry, Mapping):
            raise ConfigurationError(f"{_at(where)}a {message.name} takes fields with values, not {entry!r}")
        fills = [self._field(str(path), value, message, where) for path, value in entry.items()]

        def fill(target: Message, arguments: Arguments) -> None:
            for each in fills:
                each(target, arguments)

        return fill

    def _field(self, path: str, entry: Json, message: MessageType, where: str) -> _Fill:
        place = f"{where}.{path}" if where else path
        value = self._value(entry, _field_type(path, message, place), place)
        *parents, name = path.split(".")

        def fill(target: Message, arguments: Arguments) -> None:
            owner = functools.reduce(getattr, parents, target)
            setattr(owner, name, value(getattr(owner, name), arguments))

        return fill

    def _value(self, entry: Json, field: FieldType, where: str) -> _Value:
        if isinstance(entry, Mapping) and "choices" in entry:
            return self._choice(entry, field, where)
        if field.many:
            return self._list(entry, field, where)
        if field.message is not None:
            if field.message.name == _QUATERNION and isinstance(entry, Mapping) and set(entry) == {"yaw"}:
                return self._yaw(entry["yaw"], f"{where}.yaw")
            return _inside(self.message(entry, field.message, where))
        if not isinstance(entry, Mapping):
            constant = _checked(entry, field, where)
            return lambda _now, _arguments: constant
        if "argument" in entry:
            return self._argument(entry, field, where)
        if set(entry) == {"template"}:
            return self._template(str(entry["template"]), field, where)
        raise ConfigurationError(
            f"{where} takes a {field}: a constant, {{argument: …}} or {{template: …}}, not {dict(entry)}"
        )

    def _list(self, entry: Json, field: FieldType, where: str) -> _Value:
        if not isinstance(entry, Sequence) or isinstance(entry, str):
            raise ConfigurationError(f"{where} takes a {field}, not {entry!r}")
        if len(entry) < field.least or (field.most is not None and len(entry) > field.most):
            raise ConfigurationError(f"{where} takes {_count(field)} values, not {len(entry)}")
        item = FieldType(field.kind, field.low, field.high, field.longest, field.message)
        values = [self._value(each, item, f"{where}[{index}]") for index, each in enumerate(entry)]
        make = field.message.make if field.message else lambda: None
        return lambda _now, arguments: [value(make(), arguments) for value in values]

    def _yaw(self, entry: Json, where: str) -> _Value:
        value = self._value(entry, _DIRECTION, where)

        def turn(now: Message, arguments: Arguments) -> Message:
            degrees = value(None, arguments)
            if degrees is not None:
                half = math.radians(degrees) / 2
                now.x, now.y, now.z, now.w = 0.0, 0.0, math.sin(half), math.cos(half)
            return now

        return turn

    def _schema(self, entry: Mapping[str, Json], known: frozenset[str], where: str) -> tuple[str, Mapping[str, Json]]:
        if unknown := set(entry) - known:
            raise ConfigurationError(f"{where}: unknown keys {', '.join(sorted(map(str, unknown)))}")
        name = str(entry["argument"])
        if name not in self._schemas:
            there = ", ".join(self._schemas) or "none"
            raise ConfigurationError(f"{where}: the tool has no argument {name}; there are: {there}")
        return name, self._schemas[name]

    def _argument(self, entry: Mapping[str, Json], field: FieldType, where: str) -> _Value:
        name, schema = self._schema(entry, frozenset({"argument", "factor", "offset", "default"}), where)
        scaled = "factor" in entry or "offset" in entry
        factor, offset = (_checked(entry.get(key, usual), _DIRECTION, where) for key, usual in _SCALE)
        kinds = _FITTING["number"] if scaled and field.kind in ("integer", "octet") else _FITTING[field.kind]
        if scaled and field.kind not in ("integer", "octet", "number"):
            raise ConfigurationError(f"{where}: a {field} has no factor or offset")
        if "enum" not in schema and schema.get("type") not in kinds:
            raise ConfigurationError(
                f"{where} takes a {field}; the argument {name} is of the type {schema.get('type', 'any')}, "
                f"which must be {' or '.join(sorted(kinds))}"
            )

        def of(value: Json) -> Json:
            if not scaled or isinstance(value, bool) or not isinstance(value, int | float):
                return value
            return factor * value + offset if field.kind == "number" else round(factor * value + offset)

        bounds = [schema[key] for key in ("minimum", "maximum", "default") if key in schema]
        for value in (*schema.get("enum", ()), *bounds):
            _checked(of(value), field, where)
        default = _checked(entry["default"], field, where) if "default" in entry else None

        def take(now: Any, arguments: Arguments) -> Any:
            if name not in arguments:
                return now if default is None else default
            try:
                return _fit(of(arguments[name]), field)
            except ValueError as exc:
                raise ToolError(f"the value for {name} doesn't fit: {exc}") from exc

        return take

    def _choice(self, entry: Mapping[str, Json], field: FieldType, where: str) -> _Value:
        if "argument" not in entry or not isinstance(entry["choices"], Mapping):
            raise ConfigurationError(f"{where}: choices need an `argument`, and a value for each of its values")
        name, schema = self._schema(entry, frozenset({"argument", "choices", "default"}), where)
        choices = {key: self._value(each, field, f"{where}[{key}]") for key, each in entry["choices"].items()}
        enum = schema.get("enum")
        if not isinstance(enum, list):
            raise ConfigurationError(f"{where}: the argument {name} needs an enum: {', '.join(map(str, choices))}")
        for one, other, what in ((enum, choices, "has no choice for"), (choices, enum, f"is no value of {name}:")):
            if missing := [str(key) for key in one if key not in other]:
                raise ConfigurationError(f"{where} {what} {', '.join(missing)}")
        if "default" in entry and entry["default"] not in choices:
            raise ConfigurationError(f"{where}: the default {entry['default']} is none of the choices")

        def choose(now: Any, arguments: Arguments) -> Any:
            chosen = arguments.get(name, entry.get("default"))
            return now if chosen is None else choices[chosen](now, arguments)

        return choose

    def _template(self, template: str, field: FieldType, where: str) -> _Value:
        if field.kind != "text":
            raise ConfigurationError(f"{where} takes a {field}, not a text")
        try:
            names = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
            template.format_map(dict.fromkeys(names, ""))
        except (ValueError, LookupError, AttributeError) as exc:
            raise ConfigurationError(f"{where}: the template has wrong braces: {exc}") from exc
        for name in names:
            if name not in self._required or name not in self._schemas:
                raise ConfigurationError(f"{where}: the template needs {name} as a required argument of the tool")

        def write(_now: Any, arguments: Arguments) -> str:
            try:
                return str(_fit(template.format_map(arguments), field))
            except ValueError as exc:
                raise ToolError(f"the text doesn't fit: {exc}") from exc

        return write


_SCALE = (("factor", 1.0), ("offset", 0.0))


def _inside(fill: _Fill) -> _Value:
    def value(now: Message, arguments: Arguments) -> Message:
        fill(now, arguments)
        return now

    return value


def _field_type(path: str, message: MessageType, place: str = "") -> FieldType:
    field = FieldType("message", message=message)
    for part in path.split("."):
        if field.message is None or field.many:
            raise ConfigurationError(f"there is no field {place or path}: before {part} is a {field}")
        owner = field.message
        if part not in owner.fields:
            raise ConfigurationError(
                f"there is no field {place or path}: {owner.name} has no {part}; "
                f"its fields are: {', '.join(owner.fields) or 'none'}"
            )
        field = owner.fields[part]
    return field


def _checked(value: Json, field: FieldType, where: str) -> Any:
    try:
        return _fit(value, field)
    except ValueError as exc:
        raise ConfigurationError(f"{where} {exc}") from exc


def _fit(value: Json, field: FieldType) -> Any:
    """The value as its field takes it. Raises ValueError with a phrase."""
    wrong = ValueError(f"takes a {field}, not {value!r}")
    match field.kind:
        case "boolean" if isinstance(value, bool):
            return value
        case "text" if isinstance(value, str):
            if field.longest is not None and len(value) > field.longest:
                raise ValueError(f"takes at most {field.longest} characters, not {len(value)}")
            return value
        case "integer" | "octet" | "number" if isinstance(value, int | float) and not isinstance(value, bool):
            if not math.isfinite(value) or (field.kind != "number" and value != int(value)):
                raise wrong
            if (field.low is not None and value < field.low) or (field.high is not None and value > field.high):
                raise ValueError(f"takes values from {field.low:g} to {field.high:g}, not {value}")
            return (
                float(value)
                if field.kind == "number"
                else int(value)
                if field.kind == "integer"
                else bytes([int(value)])
            )
    raise wrong


def _count(field: FieldType) -> str:
    if field.most is None:
        return f"at least {field.least}"
    return str(field.most) if field.least == field.most else f"at most {field.most}"


def _name(field: FieldType) -> str:
    return field.message.name if field.message else field.kind


def _at(where: str) -> str:
    return f"{where}: " if where else ""
