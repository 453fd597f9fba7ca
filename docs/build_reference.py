"""Writes ``docs/reference.md`` from the signatures and docstrings of the client; ``make reference`` runs it.

It reads the source and imports nothing, so the page is the same whatever Python runs it.
"""  # noqa: INP001  # a script beside the pages that it makes

import ast
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "producer" / "runstone"
PAGE: Final = ROOT / "docs" / "reference.md"

HEAD: Final = """\
# Reference

Made by `make reference` from the docstrings of `producer/runstone/`; changes belong there. How the calls play
together is told in [client.md](client.md) and in the [guides](guides/README.md).

Everything that raises at all raises a `RunstoneError`, at once and before anything is written; what only a
server can tell is one warning instead. Times are integer milliseconds UTC.
"""

FUNCTIONS: Final = """\
## The module

`import runstone` has these functions: the methods of one `Client` that all share. Those that log work on the
active run; where there is none, one is started, and ended at exit.
"""

_SECTION: Final = re.compile(r"(Args|Raises|Returns|Attributes):")
_ITEM: Final = re.compile(r"(\*{0,2}\w+(?:, \w+)*): (.*)", re.DOTALL)
_DELEGATES: Final = re.compile(r"`Run\.(\w+)` of the active run\.")
_SHOWN: Final = (
    "Client",
    "Run",
    "RunInfo",
    "Completeness",
    "EventReader",
    "LedgerEvent",
    "Point",
    "Unreadable",
)

_MODULES: Final = (
    *("client", "active_runs", "joining", "open_runs", "client_reading", "fluent"),
    *("run", "points", "texts", "run_files", "run_reading", "run_stream"),
    *("run_info", "ledger/reader", "ledger/items"),
)
"""Where those are, and the classes that they are derived from."""

_FOR_ADAPTERS: Final = {
    *("add_context", "appended", "begin", "conclude", "forked", "handed_over", "join", "open_run", "record"),
}
"""Methods that other parts of Runstone call."""

Function = ast.FunctionDef


class Sources(NamedTuple):
    """What the page is about: the module's functions by name, classes, exceptions."""

    names: list[str]
    reading: Function
    classes: dict[str, ast.ClassDef]
    exceptions: list[ast.ClassDef]


def read() -> Sources:
    """The client's public parts."""
    init = _parsed("__init__")
    names = next(
        [str(ast.literal_eval(element)) for element in node.value.elts]
        for node in init.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List)
    )
    classes = {
        node.name: node
        for module in _MODULES
        for node in _parsed(module).body
        if isinstance(node, ast.ClassDef)
    }
    reading = next(node for node in _parsed("reading").body if isinstance(node, Function))
    exceptions = [node for node in _parsed("exceptions").body if isinstance(node, ast.ClassDef)]
    return Sources(names, reading, classes, [node for node in exceptions if node.name in names])


def page(sources: Sources) -> str:
    """The page's text."""
    client, run = (_methods(name, sources.classes) for name in ("Client", "Run"))
    functions = [name for name in sources.names if name in client]
    parts = [HEAD, FUNCTIONS]
    for name in functions:
        delegated = _DELEGATES.fullmatch(_doc(client[name]).strip())
        told = run[delegated[1]] if delegated else client[name]
        parts.append(_told(f"runstone.{name}", client[name], _doc(told)))
    reading = sources.reading
    signature = _signature(f"runstone.{reading.name}", reading, bound=False)
    parts.append(f"### runstone.{reading.name}\n\n```text\n{signature}\n```\n\n{_markdown(_doc(reading))}")
    for name in _SHOWN:
        parts.append(f"## {name}\n\n{_markdown(_doc(sources.classes[name]))}")
        methods = _methods(name, sources.classes)
        same = [method for method in methods if method in functions]
        if same:
            listed = ", ".join(f"[`{method}`](#runstone{_anchor(method)})" for method in same)
            parts.append(f"Methods that the module has as well: {listed}.\n")
        for method, node in methods.items():
            if method not in same:
                title = name if method == "__init__" else f"{name}.{method}"
                parts.append(_told(title, node, _doc(node)))
    parts.append("## Exceptions\n")
    for node in sources.exceptions:
        bases = ", ".join(f"`{ast.unparse(base)}`" for base in node.bases)
        parts.append(f"- `{node.name}` ({bases}): {' '.join(_markdown(_doc(node)).split())}")
    return "\n".join(part.rstrip() + "\n" for part in parts).rstrip() + "\n"


def _parsed(module: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))


def _methods(name: str, classes: dict[str, ast.ClassDef]) -> dict[str, Function]:
    """The public methods and properties that say something: the class's own, then what it is derived from."""
    own = _own_methods(classes[name])
    return own | {method: node for method, node in _inherited(name, classes).items() if method not in own}


def _inherited(name: str, classes: dict[str, ast.ClassDef]) -> dict[str, Function]:
    found: dict[str, Function] = {}
    for base in classes[name].bases:
        if isinstance(base, ast.Name) and base.id in classes:
            found |= _inherited(base.id, classes) | _own_methods(classes[base.id])
    return found


def _own_methods(found: ast.ClassDef) -> dict[str, Function]:
    """In the order of the source."""
    return {
        node.name: node
        for node in found.body
        if isinstance(node, Function)
        and (not node.name.startswith("_") or node.name == "__init__")
        and node.name not in _FOR_ADAPTERS
        and ast.get_docstring(node)
    }


def _doc(node: ast.ClassDef | Function) -> str:
    return ast.get_docstring(node) or ""


def _told(title: str, node: Function, doc: str) -> str:
    if any(ast.unparse(decorator) == "property" for decorator in node.decorator_list):
        return f"### {title}\n\n{_markdown(doc)}"
    return f"### {title}\n\n```text\n{_signature(title, node)}\n```\n\n{_markdown(doc)}"


def _signature(title: str, node: Function, *, bound: bool = True) -> str:
    arguments = ast.arguments(**{field: getattr(node.args, field) for field in node.args._fields})
    arguments.args = arguments.args[bound:]  # self
    returns = "" if node.returns is None or node.name == "__init__" else f" -> {_type(node.returns)}"
    parts = list(_parts(arguments))
    line = f"{title}({', '.join(parts)}){returns}"
    return line if len(line) <= 100 else f"{title}(\n    {f',{chr(10)}    '.join(parts)},\n){returns}"


def _type(node: ast.AST) -> str:
    return ast.unparse(node).replace("'", "")  # a forward reference is a quoted name


def _parts(arguments: ast.arguments) -> Iterator[str]:
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults)) + list(
        arguments.defaults
    )
    for argument, default in zip(plain, defaults, strict=True):
        yield _part(argument, default)
    if arguments.vararg:
        yield f"*{_type(arguments.vararg)}"
    elif arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _part(argument, default)
    if arguments.kwarg:
        yield f"**{_type(arguments.kwarg)}"


def _part(argument: ast.arg, default: ast.expr | None) -> str:
    if default is None:
        return _type(argument)
    value = ast.unparse(default).replace("'", '"')
    return f"{_type(argument)} = {_constants().get(value, value)}"


@cache
def _constants() -> dict[str, str]:
    """Names that stand for defaults, and their values."""
    return {
        node.target.id: ast.unparse(node.value)
        for module in _MODULES
        for node in _parsed(module).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value
    }


def _anchor(method: str) -> str:
    return method.lower()


def _markdown(doc: str) -> str:
    """A docstring as Markdown: its sections become lists."""
    parts: list[str] = []
    for block in re.split(r"\n(?=\w+:\n)", doc):
        first, _, rest = block.partition("\n")
        section = _SECTION.fullmatch(first.strip())
        parts.append(_listed(section[1], textwrap.dedent(rest)) if section else block)
    return re.sub(r"``([^`]+)``", r"`\1`", "\n\n".join(part.strip() for part in parts)) + "\n"


def _listed(section: str, body: str) -> str:
    if section == "Returns":
        return f"Returns: {' '.join(body.split())}"
    items = re.split(r"\n(?=\S)", body.strip("\n"))
    lines = []
    for item in items:
        joined = " ".join(item.split())
        match = _ITEM.fullmatch(joined)
        lines.append(f"- `{match[1]}`: {match[2]}" if match else f"- {joined}")
    title = {"Args": "Arguments", "Attributes": "Attributes"}.get(section, section)
    return f"{title}:\n\n" + "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(read()), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
