"""A client's own data by name. Which version is meant and what it holds is filled in when the spec is accepted, so that
planning needs no database and a stored experiment keeps its data whatever the name means later.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from models.specs.base import About, Spec
from models.specs.bounds import MOST_CLASSES, TABLE
from models.specs.facts import FOR_IMAGES, Facts, Scaling, Split, Target

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
Name = Annotated[str, Field(pattern=NAME)]
Version = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(ge=1, le=2**31)]
Task = Literal["classification", "regression"]
TARGETS: dict[Task, Target] = {"classification": "class", "regression": "value"}


class ColumnsApart(Spec):
    """The two columns of a table's inputs whose numbers are the largest and the smallest (root mean squares), where
    these differ by 1,000 times and more.
    """

    large: str
    small: str
    ratio: float


class UploadedFacts(Spec):
    """What was found in the data when they came in; see ``Facts``."""

    cases: Size
    shape: tuple[Size, ...] = Field(min_length=1, max_length=3)
    classes: int = Field(ge=1, le=MOST_CLASSES)
    """Of the labels; of regression the values that each case has."""
    form: Literal["vector", "image", "sequence"]
    varying_length: bool = False
    format: str = Field(default="", max_length=100)
    """What they came as: ``IDX``, ``npz``, ``Parquet``, …"""
    task: Task = "classification"
    """How ``y`` was read: labels, or amounts."""
    note: str = Field(default="", max_length=500)
    """How a table was read; what speaks against having read ``y`` so, and how to have it read otherwise."""
    columns_apart: ColumnsApart | None = None
    """Null of all that is no table, of columns alike in size, and of tables that came before this was looked at."""

    @property
    def usual_scaling(self) -> Scaling:
        """Columns of a table have units of their own. Under one mean and deviation the largest would drown the rest."""
        return "feature" if self.format == TABLE else "scalar"


class UploadedSpec(Split):
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    kind: Literal["uploaded"] = "uploaded"
    name: Name
    version: Version | None = None
    """null is the newest; the answer shows which that was."""
    task: Task | None = None
    """null: as they were read when they came. Labels that are whole numbers may be trained on as amounts."""
    # A factory, as the answer hangs on what is stored: a client that fills in defaults must not send this one.
    standardise: Scaling = Field(
        default_factory=lambda: "scalar",
        description=(
            "Left out: feature for a table (facts.format is CSV), whose columns have units of their own, and scalar "
            "for all else."
        ),
    )
    known: UploadedFacts | None = Field(
        default=None,
        alias="facts",
        description="Filled in by the clinic from what it stored; whatever a request says here is replaced.",
    )
    about: ClassVar = About(
        title="Your own data, sent by PUT /v1/datasets/{name}",
        formula="as they were sent, bytes of images divided by 255, then standardised",
        paper="",
        fails_when="labels are wrong, or the cases of one source fall on both sides of the split",
        applies_to=FOR_IMAGES,
    )

    @property
    def facts(self) -> Facts:
        """Of the version. Before it is known there are no cases, so that nothing can be planned on them."""
        licence, source = "the uploader's", f"upload {self.name}"
        if self.known is None:
            target = TARGETS[self.task or "classification"]
            return Facts(0, (1,), 2, real=True, licence=licence, source=source, target=target)
        task = self.task or self.known.task
        return Facts(
            self.known.cases,
            self.known.shape,
            # Labels that are asked for as amounts are one output.
            self.known.classes if task == self.known.task else 1,
            real=True,
            licence=licence,
            source=source,
            form=self.known.form,
            varying_length=self.known.varying_length,
            target=TARGETS[task],
        )
