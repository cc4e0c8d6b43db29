"""Base class and value types of all sections of a spec: frozen, strict about keys and types."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from vidcls.files import expand_home
from vidcls.user_code.find import check_target

NOT_IDENTITY = "not_identity"
CODE = "code"


def not_identity(default: Any, **constraints: Any) -> Any:
    """Field that cannot change the result (a path, a speed, a name), so the fingerprint leaves it out."""
    return Field(default, json_schema_extra={NOT_IDENTITY: True}, **constraints)


def code_target(default: Any) -> Any:
    """Field that names code of the user; the fingerprint takes the code in place of the name."""
    return Field(default, json_schema_extra={CODE: True})


def _integral(value: Any) -> Any:
    # Sweeps with a quantised distribution pass whole numbers as 16.0.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _countable(value: int) -> int:
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"a number of {len(str(abs(value)))} digits; expected a number below 2**63")
    return value


Int = Annotated[int, BeforeValidator(_integral), AfterValidator(_countable)]
PositiveInt = Annotated[Int, Field(ge=1)]
NonNegativeInt = Annotated[Int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("contains a NUL character, which is not allowed in file names and arguments")
    return text


Text = Annotated[str, Field(min_length=1), AfterValidator(_no_nul)]
Target = Annotated[str, Field(min_length=1), AfterValidator(check_target)]
"""Code of the user, `module:Name` or `path/to/file.py:Name`."""
PathText = Annotated[str, Field(min_length=1), AfterValidator(expand_home)]
"""Path of a file or a folder; `~` is the home folder."""


def _texts_below_fields(cls: type) -> Iterator[tuple[str, str]]:
    """Names of the fields that a class defines with a text below, and the texts."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef)
    for field, below in itertools.pairwise(definition.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)


class Section(BaseModel):
    """A part of a spec. Frozen; unknown keys are errors; no text is taken for a number.

    The texts below the fields are their descriptions in the JSON schema. They are read from the source when
    the schema is asked for: `use_attribute_docstrings` of pydantic reads it at each start of the command.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """JSON schema of the section, with the texts below its fields as their descriptions."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for base in reversed(cls.__mro__):
            if issubclass(base, Section):
                for name, text in _texts_below_fields(base):
                    if name in properties:  # class variables are not
                        properties[name]["description"] = text
        return schema

    def __hash__(self) -> int:
        """Hash of the content; a section may hold mappings, which are not hashable."""
        return hash(self.model_dump_json())
