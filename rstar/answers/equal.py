"""Compares two answers by what they are: leaves by value, lists as lists, sets as sets, no kind as another."""

import re
from collections.abc import Sequence
from itertools import islice

from rstar.answers.exact import squash
from rstar.answers.expression import Unreadable, read_expression
from rstar.answers.grade import Library, Mode
from rstar.answers.guard import refusal
from rstar.answers.kinds import (
    Answer,
    Assignments,
    Based,
    Choice,
    Clock,
    Combined,
    Group,
    Known,
    Many,
    Matrix,
    Member,
    Named,
    Opaque,
    Quantity,
    Ratio,
    Relation,
    Scalar,
    Words,
)
from rstar.answers.normalise import tidy
from rstar.answers.read import read
from rstar.answers.realset import REALS, NotASet, real_set, same_set
from rstar.answers.relations import same_relation
from rstar.answers.same_leaf import (
    quantity_is_scalar,
    same_clocks,
    same_quantities,
    same_ratios,
    same_words,
)
from rstar.answers.scalar import Sameness, same_value
from rstar.answers.units import is_known
from rstar.core.verdict import Verdict

_LONGEST_TIDIED = 4_000  # one character may stand for many
_NOT_UNDERSTOOD = frozenset({"unreadable", "opaque", "undefined"})


def judge(gold: str, candidate: str, mode: Mode, library: Library | None = None) -> tuple[Verdict, str]:
    """The verdict and its rule for two answers (already extracted).

    Asks `library` about what is not understood, in compat mode about all that is not equal; never
    behind a guard or veto.
    """
    for text in (gold, candidate):
        refused = refusal(text)
        if refused:
            return Verdict.UNVERIFIABLE, refused
    left, right = tidy(gold), tidy(candidate)
    if max(len(left), len(right)) > _LONGEST_TIDIED:
        return Verdict.UNVERIFIABLE, "guard:length"
    if not left or not right:
        return (Verdict.DIFFERENT, "empty") if left else (Verdict.UNVERIFIABLE, "empty_gold")
    if squash(left.replace('"', " ")) == squash(right.replace('"', " ")):
        return Verdict.EQUIVALENT, "text"
    same = equal(read(gold), read(candidate), mode == "compat")
    open_to_library = same.rule in _NOT_UNDERSTOOD or (mode == "compat" and not same.equal and not _vetoed(same))
    if library is not None and open_to_library:
        found = library(left, right, mode)
        if found is not None:
            return found
    if same.equal is None:
        return Verdict.UNVERIFIABLE, same.rule
    return Verdict.EQUIVALENT if same.equal else Verdict.DIFFERENT, same.rule


def _vetoed(same: Sameness) -> bool:
    return same.rule == "ellipsis" or same.rule.startswith("guard:")


def equal(a: Answer, b: Answer, compat: bool = False) -> Sameness:
    """Whether `b` equals the gold answer `a`. Symmetric, but that brackets may be added to a list, never dropped."""
    if a == b and not isinstance(a, Opaque):
        return Sameness(True, _rule(a))
    for left, right in ((a, b), (b, a)):
        if isinstance(left, Opaque):
            return _opaque(left, right)
    for left, right in ((a, b), (b, a)):
        found = _unwrapping(left, right, compat)
        if found is not None:
            return found
    if _is_set(a) or _is_set(b):
        found = _as_sets(a, b, compat)
        if found is not None:
            return found
    if type(a) is type(b):
        return _alike(a, b, compat)
    if isinstance(a, Group) and isinstance(b, Many) and not b.is_set:
        return Sameness(None, "brackets")  # whoever asks for brackets, an interval say, is not answered by a bare list
    for left, right in ((a, b), (b, a)):
        found = _unlike(left, right, compat)
        if found is not None:
            return found
    return Sameness(False, "kind")


def _rule(answer: Answer) -> str:
    return type(answer).__name__.lower()


def _opaque(opaque: Opaque, other: Answer) -> Sameness:
    if isinstance(other, Opaque) and opaque.text and _unspaced(opaque.text) == _unspaced(other.text):
        return Sameness(True, "text")

    return Sameness(None, opaque.reason)


def _unspaced(text: str) -> str:
    """Without the spaces behind commas, unless they tell a list from thousands."""
    return re.sub(r",\s+(?!\d{3})", ",", squash(text))


def _unwrapping(a: Answer, b: Answer, compat: bool) -> Sameness | None:
    """A name in front of a value, or brackets around a single one, change nothing where the other side has none."""
    if isinstance(a, Named) and isinstance(b, Named):
        return _named(a, b, compat)
    if isinstance(a, Named) and not isinstance(b, Relation | Combined):
        if _defines_function(a) and isinstance(b, Scalar | Quantity):
            return Sameness(None, "named")
        if isinstance(b, Many) and b.name:
            same = equal(a.value, Many(b.members, b.is_set), compat)
            return same if b.name == a.name or same.equal is False else Sameness(None, "name")
        return equal(a.value, b, compat)
    if isinstance(a, Member) and isinstance(a.of, Many) and not isinstance(b, Member):  # x \in {5}
        return equal(a.of, b, compat)
    if (
        isinstance(a, Many)
        and len(a.members) == 1
        and not isinstance(b, Many | Combined | Known | Member)
        and not isinstance(a.members[0], Known)
    ):
        return equal(a.members[0], b, compat)
    return None


def _named(a: Named, b: Named, compat: bool) -> Sameness:
    same = equal(a.value, b.value, compat)
    if a.name == b.name or (same.equal is False and not _nodes(a, b)):
        return same
    nodes = _nodes(a, b)
    if {a.name, b.name} == {"f(x)", "y"}:  # by custom
        return same
    if nodes is not None and (a.name not in ("f", "y") or (_defines_function(a) and _defines_function(b))):
        found = same_relation(*nodes)
        if found.equal:
            return found
    return Sameness(None, "name") if same.equal is not False or nodes is not None else same


def _defines_function(a: Named) -> bool:
    """`y = 2x + 3` is an equation in two letters: a line, and not the expression 2x + 3."""
    return a.name in ("y", "z", "x") and isinstance(a.value, Scalar) and bool(a.value.node.symbols() & {"x", "y", "z"})


def _nodes(a: Named, b: Named) -> tuple[Relation, Relation] | None:
    found = (_as_relation(a), _as_relation(b))
    return (found[0], found[1]) if found[0] is not None and found[1] is not None else None


def _as_relation(answer: Answer) -> Relation | None:
    if isinstance(answer, Relation):
        return answer
    if isinstance(answer, Named) and isinstance(answer.value, Scalar):
        try:
            name = read_expression(answer.name)
        except Unreadable:
            return None
        return Relation((name, answer.value.node), ("=",)) if name.op == "sym" else None
    return None


def _is_set(answer: Answer) -> bool:
    if isinstance(answer, Relation):
        return answer.ops != ("=",)
    return isinstance(answer, Combined | Known | Member)


def _as_sets(a: Answer, b: Answer, compat: bool) -> Sameness | None:
    """Intervals, inequalities and set operations as sets of reals; None where one of them is no such set."""
    if isinstance(a, Scalar | Quantity | Words | Choice | Matrix) or isinstance(
        b, Scalar | Quantity | Words | Choice | Matrix
    ):
        return Sameness(False, "kind")
    for left, right in ((a, b), (b, a)):  # "x \ne 2, 3" lists what is left out
        if (
            isinstance(left, Many)
            and not left.is_set
            and left.members
            and isinstance(left.members[0], Relation)
            and left.members[0].ops == ("ne",)
        ):
            return _excluded(left, right)
    try:
        if any(isinstance(each, Relation) and each.ops == ("=",) for each in (a, b)):
            raise NotASet("an equation")  # has no real solution, say, which is not what a false condition says
        left_set, right_set = real_set(a), real_set(b)
    except NotASet:
        if isinstance(a, Member) and isinstance(b, Member):
            same = equal(a.of, b.of, compat)
            return same if a.name == b.name or same.equal is False else Sameness(None, "name")
        if isinstance(a, Member) or isinstance(b, Member):
            return equal(a.of if isinstance(a, Member) else a, b.of if isinstance(b, Member) else b, compat)
        if type(a) is type(b):
            return None
        return Sameness(None, "set")
    if not same_set(left_set, right_set):
        return Sameness(False, "set")
    if isinstance(a, Relation) and isinstance(b, Relation) and left_set.pieces in ((), (REALS,)):
        return same_relation(a, b)  # both never hold, or always do
    if left_set.name and right_set.name and left_set.name != right_set.name:
        return Sameness(None, "name")
    return Sameness(True, "set")


def _excluded(a: Many, b: Answer) -> Sameness | None:
    first = a.members[0]
    assert isinstance(first, Relation)
    parts: list[Answer] = [first]
    for member in a.members[1:]:
        if isinstance(member, Scalar):
            parts.append(Relation((first.members[0], member.node), ("ne",)))
        elif isinstance(member, Relation) and member.ops == ("ne",):
            parts.append(member)
        else:
            return Sameness(None, "set")
    return equal(Combined("cap", tuple(parts)), b)


def _alike(a: Answer, b: Answer, compat: bool) -> Sameness:
    """Two answers of one kind."""
    match a, b:
        case Scalar(), Scalar():
            return same_value(a.node, b.node, compat)
        case Quantity(), Quantity():
            return same_quantities(a, b, compat)
        case Words(), Words():
            return Sameness(same_words(a.text, b.text), "words")
        case Choice(), Choice():
            return _choices(a, b, compat)
        case Based(), Based():
            return Sameness(a == b, "base")
        case Clock(), Clock():
            return same_clocks(a, b)
        case Ratio(), Ratio():
            return same_ratios(a, b, compat)
        case Group(), Group():
            if (a.opening, a.closing) != (b.opening, b.closing):
                return Sameness(False, "brackets")
            return _in_order(a.members, b.members, compat, "tuple")
        case Matrix(), Matrix():
            return _matrices(a, b, compat)
        case Many(), Many():
            return _manys(a, b, compat)
        case Assignments(), Assignments():
            return _assignments(a, b, compat)
        case Relation(), Relation():
            return same_relation(a, b)
        case Combined(), Combined():
            if a.op != b.op:
                return Sameness(None, "set")
            if a.op == "minus":
                same = _in_order(a.parts, b.parts, compat, "set")
            else:
                same = _unordered(a.parts, b.parts, compat, "set")
            return same if same.equal else Sameness(None, "set")
        case _:
            return Sameness(False, "kind")


def _choices(a: Choice, b: Choice, compat: bool) -> Sameness:
    """By their letters; option texts that both sides give must agree."""
    if a.letters != b.letters:
        return Sameness(False, "choice")
    if a.text and b.text and squash(a.text).lower() != squash(b.text).lower():
        return Sameness(equal(read(a.text), read(b.text), compat).equal or None, "choice_text")
    return Sameness(True, "choice")


def _unlike(a: Answer, b: Answer, compat: bool) -> Sameness | None:
    """Two answers of different kinds that may still say the same; None where this order does not apply."""
    match a, b:
        case Quantity(), Scalar():
            return quantity_is_scalar(a, b, compat)
        case Clock(), Ratio():
            return same_clocks(a, b.clock) if b.clock is not None else Sameness(False, "clock")
        case Many(), Group():
            return _list_and_group(a, b, compat)
        case Assignments(), Group():
            return _assignments_and_group(a, b, compat)
        case Assignments(), Many():
            roots = all(re.fullmatch(r"x_\d", name) for name in a.names)
            same = (_unordered if roots else _in_order)(a.values, b.members, compat, "assignments")
            if same.equal and (b.name or any(isinstance(member, Named) for member in b.members)):
                return Sameness(None, "name")
            return same
        case Matrix(), Group():
            return _matrix_and_group(a, b, compat)
        case Named(), Relation():
            relation = _as_relation(a)
            return same_relation(relation, b) if relation is not None else Sameness(None, "named")
        case (Choice() | Words() | Based(), _) if not isinstance(b, Known):
            return Sameness(None if isinstance(a, Choice | Based) or isinstance(b, Choice | Based) else False, "kind")
        case Ratio(), Scalar() if len(a.parts) == 2:
            return Sameness(None, "ratio")
        case Many(), Scalar() | Quantity():
            return Sameness(False, "count") if len(a.members) != 1 else None
        case Relation(), Scalar() | Quantity() if a.ops == ("=",):
            return Sameness(False, "equation")
        case _:
            return None


def _matrices(a: Matrix, b: Matrix, compat: bool) -> Sameness:
    if a.delimiter != b.delimiter or [len(row) for row in a.rows] != [len(row) for row in b.rows]:
        return Sameness(False, "matrix")
    return _in_order(
        [cell for row in a.rows for cell in row], [cell for row in b.rows for cell in row], compat, "matrix"
    )


def _matrix_and_group(a: Matrix, b: Group, compat: bool) -> Sameness:
    """Python prints a matrix as a list of lists."""
    rows = [
        member.members
        for member in b.members
        if (isinstance(member, Group) and member.opening == "[") or (isinstance(member, Many) and not member.is_set)
    ]
    if b.opening != "[" or len(rows) != len(b.members):
        return Sameness(None, "matrix")
    return _matrices(a, Matrix(tuple(rows), a.delimiter), compat)


def _manys(a: Many, b: Many, compat: bool) -> Sameness:
    once = a.is_set or b.is_set or all(isinstance(member, Group) for member in (*a.members, *b.members))
    left, right = (_distinct(each.members) if once else each.members for each in (a, b))  # no point counts twice
    same = _unordered(left, right, compat, "set" if a.is_set or b.is_set else "list")
    names = [
        {each.name} - {""} | {member.name for member in each.members if isinstance(member, Named)} for each in (a, b)
    ]
    if same.equal and all(names) and names[0] != names[1]:
        return Sameness(None, "name")
    return same


def _distinct(members: Sequence[Answer]) -> list[Answer]:
    found: list[Answer] = []
    for member in members:
        if not any(equal(member, other).equal for other in found):
            found.append(member)
    return found


def _list_and_group(a: Many, b: Group, compat: bool) -> Sameness:
    """A list of solutions and a Python list or tuple; a tuple keeps its order."""
    if a.is_set or (b.opening, b.closing) not in (("[", "]"), ("(", ")")):
        return Sameness(None, "brackets")
    if b.opening == "[":
        return _unordered(a.members, b.members, compat, "list")
    if len({member.name for member in a.members if isinstance(member, Named)}) > 1:
        return Sameness(None, "name")
    same = _in_order(a.members, b.members, compat, "list")
    return same if same.equal or len(a.members) != len(b.members) else Sameness(None, "order")


def _assignments(a: Assignments, b: Assignments, compat: bool) -> Sameness:
    if set(a.names) != set(b.names):
        same = _in_order(a.values, b.values, compat, "assignments")
        return same if same.equal is False else Sameness(None, "name")
    values = dict(zip(b.names, b.values, strict=True))
    return _in_order(a.values, [values[name] for name in a.names], compat, "assignments")


def _assignments_and_group(a: Assignments, b: Group, compat: bool) -> Sameness:
    """`y = 2, x = 1` is (1, 2): a tuple's places are the letters in alphabetical order, if they are letters."""
    if b.opening != "(" or b.closing != ")":
        return Sameness(None, "brackets")
    written = _in_order(a.values, b.members, compat, "assignments")
    if list(a.names) == sorted(a.names) or any(len(name) > 1 for name in a.names):
        return written
    by_name = dict(zip(a.names, a.values, strict=True))
    sorted_ = _in_order([by_name[name] for name in sorted(a.names)], b.members, compat, "assignments")
    return sorted_ if sorted_.equal or written.equal is False else Sameness(None, "order")


def _in_order(a: Sequence[Answer], b: Sequence[Answer], compat: bool, rule: str) -> Sameness:
    if len(a) != len(b):
        return Sameness(False, rule)
    verdicts = []
    for left, right in zip(a, b, strict=True):
        verdict = equal(left, right, compat).equal
        bracketed = rule in ("tuple", "matrix")  # in which a unit on one side only is rather a slip
        verdicts.append(None if verdict and bracketed and _has_loose_unit(left) != _has_loose_unit(right) else verdict)
    return Sameness(False if False in verdicts else None if None in verdicts else True, rule)


def _has_loose_unit(answer: Answer) -> bool:
    return isinstance(answer, Quantity) and (answer.unit == "%" or not is_known(answer.unit))


def _same_member(a: Answer, b: Answer, compat: bool) -> bool | None:
    """`{1}` is not 1 where it is itself a member."""
    nested = [isinstance(each, Many) and each.is_set for each in (a, b)]
    return equal(a, b, compat).equal if nested[0] == nested[1] else False


def _unordered(a: Sequence[Answer], b: Sequence[Answer], compat: bool, rule: str) -> Sameness:
    if len(a) != len(b):
        return Sameness(False, rule)
    with_unit = {sum(map(_has_loose_unit, members)) for members in (a, b)}
    if len(with_unit) > 1 and len(a) not in with_unit:
        return Sameness(None, "unit")  # a unit on some members of one side only is rather a slip
    left_over = list(b)
    undecided = False
    for member in a:
        verdicts = [_same_member(member, other, compat) for other in islice(left_over, len(left_over))]
        if True in verdicts:
            del left_over[verdicts.index(True)]
        elif None in verdicts:
            undecided = True
        else:
            return Sameness(False, rule)
    return Sameness(None if undecided else True, rule)
