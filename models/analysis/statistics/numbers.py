"""A number of an answer that Pydantic reads."""

from typing import Annotated

from pydantic import BeforeValidator

from gradient_clinic.values import finite_or_none

Number = Annotated[float | None, BeforeValidator(finite_or_none)]
"""Null where it is not finite or not known."""
