"""What theory says before anything is trained. No torch, no database."""

from fastapi import APIRouter
from pydantic import Field

from api.bodies import StrictRoute
from api.dependencies import CallerDep
from models.analysis.prediction import Prediction, predict_spec
from models.specs.base import Spec
from models.specs.network import MAX_WIDTH, NetworkSpec

router = APIRouter(prefix="/v1/predictions", tags=["predictions"], route_class=StrictRoute)


class PredictionRequest(Spec):
    """A network; the batch size counts under batch normalisation. Widths default to those of the hidden layers."""

    network: NetworkSpec
    batch_size: int = Field(default=128, ge=1, le=1_000_000)
    input_width: int | None = Field(default=None, ge=1, le=MAX_WIDTH)
    output_width: int | None = Field(default=None, ge=1, le=MAX_WIDTH)


@router.post("", summary="What theory predicts")
def predict(asked: PredictionRequest, _: CallerDep) -> Prediction:
    """χ per layer, gain, trainable depth and where the theory does not hold, in milliseconds."""
    return predict_spec(asked.network, asked.batch_size, asked.input_width, asked.output_width)
