"""What theory says before anything is trained. No torch, no database."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from api.dependencies import CallerDep
from api.http.bodies import StrictRoute
from api.http.scopes import ANSWERS_ONLY
from api.variants import refusing
from gradient_clinic.spec_limits import MAX_WIDTH
from models.analysis.theory.prediction import Prediction, predict_spec
from models.plan import Shape
from models.specs.base import Spec
from models.specs.facts import Form
from models.specs.networks import NetworkSpec

MAX_ALIKE = 128
router = APIRouter(prefix="/v1/predictions", tags=["predictions"], route_class=StrictRoute)


class InputRequest(Spec):
    """One case: vector [units], image [channels, height, width], sequence [steps, features], or tokens [steps] below
    ``vocabulary``.
    """

    form: Form
    size: tuple[Annotated[int, Field(ge=1, le=MAX_WIDTH)], ...] = Field(min_length=1, max_length=3)
    vocabulary: int = Field(default=0, ge=0, le=1_000_000)
    alike: tuple[Annotated[float, Field(ge=-1, le=1)], ...] = Field(
        default=(),
        max_length=MAX_ALIKE,
        description="Correlation of a case's numbers 1, 2, … steps (rows) apart, the last for all beyond; of tokens "
        "the share of equal ones. [0] says that steps are independent; left out, a caveat says that they are taken so.",
    )


class PredictionRequest(Spec):
    """A network; the batch size counts under batch normalisation. Widths default to those of the hidden layers, other
    inputs to a shape that a caveat states.
    """

    network: NetworkSpec
    batch_size: int = Field(default=128, ge=1, le=1_000_000)
    input_width: int | None = Field(default=None, ge=1, le=MAX_WIDTH)
    output_width: int | None = Field(default=None, ge=1, le=MAX_WIDTH)
    input: InputRequest | None = None


@router.post("", summary="What theory predicts", dependencies=[ANSWERS_ONLY])
def predict(asked: PredictionRequest, _: CallerDep) -> Prediction:
    """χ per layer, gain, trainable depth and where the theory does not hold; in milliseconds, stacks of gates
    in some tenths of a second.
    """
    case = asked.input
    given = None if case is None else Shape(case.form, case.size, case.vocabulary, case.alike)
    with refusing("network"):
        return predict_spec(asked.network, asked.batch_size, asked.input_width, asked.output_width, given)
