"""YAML as jobs are written in it: read strictly, written so that a terminal may show it.

Of YAML 1.1 only what people expect is taken: `true` and `false` are flags, digits are numbers,
all else is a text (`on`, `yes`, `1:30` and dates, too); a key that stands twice is refused.
Failures are Misused and name the line.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from dcron_cli.errors import Misused
from dcron_cli.terminal import unicode_escaped

_HINT = "; quote what begins with * or @, such as schedule: '*/5 * * * *'"


class Lined(dict[str, Any]):
    """A mapping that knows where it stood. `lines`: of each key, from 1."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


class _Loader(yaml.SafeLoader):
    """Without the implicit types that surprise."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - yaml's own way


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(true|false)\Z"), list("tf"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"-?(0|[1-9][0-9]*)\Z"), list("-0123456789")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(~|null|)\Z"), ["~", "n", ""])


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Lined:
    found = Lined(node.start_mark.line + 1)
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        at = f"line {line}"
        if not isinstance(key, str):
            raise Misused(f"{at}: {key!a} is no key; write a name in letters")
        if key in found:
            raise Misused(f"{at}: {key} stands there twice; write it once")
        found[key] = loader.construct_object(value_node, deep=True)
        found.lines[key] = line
    return found


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def load_text(text: str, where: str) -> Any:
    """The one document of `text`, its mappings Lined; `where` names it in messages."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = "" if mark is None else f"line {mark.line + 1}: "
        hint = _HINT if _is_unquoted(error) else ""
        raise Misused(f"{where}: {at}{error.problem or 'is no YAML'}{hint}") from error
    except yaml.YAMLError as error:
        raise Misused(f"{where}: is no YAML: {error}") from error
    except Misused as error:
        raise Misused(f"{where}: {error.message}") from error
    except ValueError as error:  # of a number with thousands of digits
        raise Misused(f"{where}: holds a number that is far too long") from error
    except RecursionError as error:
        raise Misused(f"{where}: is nested too deeply") from error


def _is_unquoted(error: yaml.MarkedYAMLError) -> bool:
    told = f"{error.context} {error.problem}"
    return "alias" in told or "'@'" in told


class _Dumper(yaml.SafeDumper):
    """Lists are indented, and nothing is an anchor."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _string(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """In double quotes where something cannot be printed: `unicode_escaped` writes it there."""
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _string)
_Dumper.add_representer(Lined, yaml.SafeDumper.represent_dict)


def dump_text(value: Any) -> str:
    """YAML that means `value`; a reader of YAML 1.1 and ours read the same."""
    return unicode_escaped(
        yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    )
