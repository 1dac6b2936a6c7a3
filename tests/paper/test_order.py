"""The sentence on the order of methods says what the numbers say."""

from rstar.evaluate.seeds import Figure, difference, shares
from rstar.paper.order import chain, sentence, swaps

PAPER = {"PPM": 89.4, "PQM": 88.2, "ORM": 82.6}


def measured(**right: int) -> dict:
    """Methods that solve so many of 100 problems, the first ones."""
    return {name: shares({1: {str(i): float(i < count) for i in range(100)}}) for name, count in right.items()}


def said(**right: int) -> str:
    found = measured(**right)
    ours = {name: right[name] / 100 for name in right}
    return sentence(ours, PAPER, lambda a, b: difference(found[a], found[b]), "models", " (round 2)")


def test_the_same_order():
    assert said(PPM=90, PQM=60, ORM=30) == (
        "The paper's order of models is PPM > PQM > ORM; ours (round 2) is PPM > PQM > ORM: the same."
    )


def test_the_same_order_that_our_figures_do_not_establish():
    assert said(PPM=61, PQM=60, ORM=30).endswith(": the same, though our figures do not tell PPM and PQM apart.")


def test_every_pair_the_other_way_round_is_named_with_its_interval():
    line = said(PPM=30, PQM=29, ORM=60)
    assert "ours (round 2) is ORM > PPM > PQM. It differs in 2 of 3 pairs: " in line
    assert "ORM is above PPM here by +30.0 (+22.0 to +39.0) points; ORM is above PQM here by +31.0" in line
    assert "PPM is above" not in line
    assert "not told apart" not in line


def test_a_pair_that_is_not_told_apart_says_so():
    assert "PQM is above PPM here by +1.0 (+0.0 to +3.0) points, not told apart" in said(PPM=50, PQM=51, ORM=10)


def test_what_is_level_here_differs_from_the_paper():
    assert said(PPM=50, PQM=50, ORM=10).endswith("It differs in 1 of 3 pairs: PQM is level with PPM here.")
    assert said(PPM=0, PQM=0, ORM=0).endswith("; ours (round 2) are all level.")


def test_what_was_measured_on_other_problems_is_not_compared():
    line = sentence({"a": 0.1, "b": 0.2}, {"a": 50.0, "b": 40.0}, lambda a, b: Figure(None, {}, None, 0))
    assert line.endswith("It differs: b is above a here, on other problems.")


def test_only_what_both_have_is_compared():
    assert "order of models is PPM > ORM; ours (round 2) is PPM > ORM" in said(PPM=90, ORM=10, mine=100)
    assert (
        said(PPM=90, mine=3) == "Order: fewer than two of the paper's models are here, so there is nothing to compare."
    )


def test_level_figures_of_the_paper_put_nothing_out_of_order():
    flat = Figure(0.0, {}, None, 0)
    assert swaps({"a": 0.1, "b": 0.2}, {"a": 50.0, "b": 50.0}, lambda a, b: flat) == []


def test_a_chain():
    assert chain({"a": 1, "b": 3, "c": 1}, ["a", "b", "c"]) == "b > a = c"
