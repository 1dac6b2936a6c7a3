from rstar.core.problem import Problem
from rstar.core.show import show
from rstar.core.tree import ROOT, Terminal, Tree
from rstar.core.verdict import Verdict


def test_show_writes_one_line_a_node():
    tree = Tree(Problem("p7", "Two\nlines"))
    open_node = tree.add(ROOT, "# a\nx = 1\n", count=2, score=0.25, visits=1, value_sum=0.25)
    tree.add(ROOT, "# b", terminal=Terminal.CODE_ERROR, error="NameError: y", visits=1, value_sum=-1.0, closed=True)
    tree.add(open_node, "# c", terminal=Terminal.ANSWERED, answer="4", verdict=Verdict.EQUIVALENT, closed=True)
    tree.add(open_node, "# d", closed=True)
    tree.add(open_node, "# e", terminal=Terminal.ANSWERED, answer="5")
    assert show(tree) == (
        "p7: Two / lines\n"
        "[0] N=0 Q=+0.00\n"
        "  [1] N=1 Q=+0.25 score=+0.25 x2  | # a / x = 1\n"
        "    [3] N=0 Q=+0.00 answered answer '4' equivalent  | # c\n"
        "    [4] N=0 Q=+0.00 closed  | # d\n"
        "    [5] N=0 Q=+0.00 answered answer '5' ungraded  | # e\n"
        "  [2] N=1 Q=-1.00 code_error: NameError: y  | # b\n"
    )


def test_long_steps_are_cut_at_the_width():
    tree = Tree(Problem("p", "x" * 50))
    tree.add(ROOT, "y" * 50)
    lines = show(tree, width=10).splitlines()
    assert lines[0] == "p: " + "x" * 9 + "…"
    assert lines[2].endswith("| " + "y" * 9 + "…")
