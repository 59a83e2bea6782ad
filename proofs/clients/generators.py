"""The generators that people use, each as commands: make a client of the document, compile it, run a program on it.

``{document}`` is its file, ``{address}`` the clinic's. Commands run in a folder that has the program (``programs/``)
and beside it ``client``, which is made; they see the tools of ``.clinic-clients`` alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROGRAMS: Final = Path(__file__).parent / "programs"
_JAVA: Final = ("openapi-generator-cli", "generate", "-i", "{document}", "-o", "client", "-g")
# Warnings are errors: a backslash of a pattern that a generator copies into a docstring is only warned of.
_COMPILED: Final = ("python", "-W", "error", "-m", "compileall", "-q", "client")
_TYPED: Final = ("tsc", "-p", ".")


@dataclass(frozen=True, slots=True)
class Generator:
    """``known``: notices that it prints of every document like ours, and that its client is right in spite of."""

    name: str
    program: str
    generate: tuple[str, ...]
    older: bool = False
    """Whether it is given OpenAPI 3.0."""
    known: tuple[str, ...] = ()

    @property
    def compile(self) -> tuple[str, ...]:
        return _TYPED if self._is_typescript else _COMPILED

    @property
    def run(self) -> tuple[str, ...]:
        return ("tsx" if self._is_typescript else "python", self.program, "{address}")

    @property
    def _is_typescript(self) -> bool:
        return self.program.endswith(".ts")


GENERATORS: Final = (
    Generator(
        "openapi-python-client",
        "openapi_python_client.py",
        ("openapi-python-client", "generate", "--path", "{document}", "--output-path", "client", "--overwrite"),
        # It makes no type of an SVG, PNG or Parquet file; the bytes are in the answer's ``content`` all the same.
        known=("within pictures.", "records.parquet within runs.", "Warning(s) encountered while generating"),
    ),
    Generator(
        "openapi-generator, python",
        "openapi_generator_python.py",
        (*_JAVA, "python"),
        older=True,
        known=(
            "Failed to get the schema name: null",  # a list of unions has no name
            "Failed to lookup model in createImportMapOfSet str",  # text or a list, as class_weights may be
            "From (reserved word) cannot be used as model name",  # the parameter `from`
        ),
    ),
    Generator(
        "openapi-generator, typescript-fetch", "typescript_fetch.ts", (*_JAVA, "typescript-fetch"), older=True
    ),
    Generator(
        "openapi-typescript",
        "openapi_typescript.ts",
        # Else what has a default would have to be sent.
        ("openapi-typescript", "{document}", "--default-non-nullable", "false", "-o", "client/types.ts"),
    ),
    Generator(
        "@hey-api/openapi-ts",
        "hey_api.ts",
        ("openapi-ts", "-i", "{document}", "-o", "client", "-c", "@hey-api/client-fetch"),
    ),
    Generator(
        "orval", "orval.ts", ("orval", "--input", "{document}", "--output", "client/api.ts", "--client", "fetch")
    ),
    Generator(
        "datamodel-code-generator",
        "datamodel_code_generator.py",
 (
            "datamodel-codegen", "--input", "{document}", "--input-file-type", "openapi",
            "--output", "client/models.py", "--output-model-type", "pydantic_v2.BaseModel",
            "--formatters", "builtin", "--enum-field-as-literal", "one",
        ),
    ),
)  # fmt: skip
