"""What the fields of a class mean: the strings under them, read when somebody asks.

pydantic reads them too (`use_attribute_docstrings`), but as each class is made, which took a third of the start of every command.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from itertools import pairwise


@cache
def field_docstrings(cls: type) -> dict[str, str]:
    """Give the strings under a class's fields by name, base classes' included; a field without one is not in it.

    A class whose source cannot be found, as one that was typed into a console, has none of its own.
    """
    found: dict[str, str] = {}
    for one in reversed(cls.__mro__):
        declared = inspect.get_annotations(one)
        found = {name: text for name, text in found.items() if name not in declared} | _own(one)
    return found


@cache
def _own(cls: type) -> dict[str, str]:
    try:
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    statements = definition.body if isinstance(definition, ast.ClassDef) else []
    found = {}
    for field, under in pairwise(statements):
        match field, under:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                found[name] = inspect.cleandoc(text)
    return found
