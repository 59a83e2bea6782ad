"""Text of a file: what is quoted is read back as it was, and what repeats is told as it stands."""

import ast

from hypothesis import given
from hypothesis import strategies as st

from models.code.folding import folded
from models.code.formatting import WIDTH, Call, call, escaped, flat, lines, quoted


@given(st.text())
def test_any_text_is_read_back_as_it_was_and_shown_without_tricks(text: str) -> None:
    """In quotes and in a docstring; no line ends in it, and nothing in it is invisible."""
    literal = quoted(text)
    assert literal.isprintable()
    assert ast.literal_eval(literal) == text
    module = ast.parse(f'"""Of {escaped(text)}.\n"""')
    assert ast.get_docstring(module, clean=False) == f"Of {text}.\n"
    assert len(module.body) == 1


@given(st.lists(st.text("abc_", min_size=1, max_size=60), max_size=8), st.integers(20, WIDTH))
def test_a_call_says_the_same_on_one_line_and_on_several(names: list[str], room: int) -> None:
    made = call("outer", call("inner", *names), "last", eps=1e-5, bias=None)
    rows = list(lines(made, "found = ", room=room))
    assert ast.dump(ast.parse("\n".join(rows))) == ast.dump(ast.parse(f"found = {flat(made)}"))
    if len(rows) > 1:
        assert len(f"found = {flat(made)}") > room
        assert rows[-1] == ")"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 6)), max_size=14))
def test_steps_that_are_folded_are_the_same_steps(named: list[tuple[str, int]]) -> None:
    """Whatever their names count: the loop, run, gives every step as it was."""
    steps = [call("layer", quoted(f"{letter}.{number}")) for letter, number in named]
    text = "\n".join(lines(Call("list_of", folded(steps), split=True)))
    made = eval(text, {"layer": lambda name: name, "list_of": lambda *its: list(its)})
    assert made == [f"{letter}.{number}" for letter, number in named]
