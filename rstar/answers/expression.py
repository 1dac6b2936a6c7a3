"""Reads one mathematical expression, LaTeX or plain, into a tree: all of it, or not at all."""

from fractions import Fraction

from rstar.answers.lexer import CONSTANTS, FUNCTIONS, PLAIN_WORDS, Token, Unreadable, tokens
from rstar.answers.tree import Node, number

__all__ = ["Unreadable", "read_expression"]

_MAX_DEPTH = 120
_APPLIED = frozenset("fghFGH")  # letters that, before a bracket, mean a function and not a factor
_SIGNS = ("+", "-", "pm", "mp")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_ONE_ARGUMENT_STOPS = frozenset(
    {"*", "/", "+", "-", ")", "]", "}", "|", "^", "!", ",", "end", "pm", "mp", "over", "choose"}
)


def read_expression(text: str) -> Node:
    """The tree of `text` (tidied). Raises Unreadable where any part of it is not understood."""
    parser = _Parser(tokens(text), printed="\\" not in text)
    node = parser.fraction_or_sum()
    if parser.kind != "end":
        raise Unreadable(f"rest from {parser.token.text!r}")
    return node


class _Parser:
    """Recursive descent over tokens; `kind` looks at the current one."""

    def __init__(self, found: list[Token], printed: bool):
        self._tokens = found
        self._printed = printed  # without commands, as Python prints: its log is the natural one
        self._at = 0
        self._depth = 0
        self._bars = 0  # open absolute values, in which a bar closes

    @property
    def token(self) -> Token:
        return self._tokens[self._at]

    @property
    def kind(self) -> str:
        return self._tokens[self._at].kind

    def _peek(self, ahead: int = 1) -> Token:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def _take(self, kind: str) -> Token:
        token = self.token
        if token.kind != kind:
            raise Unreadable(f"{kind} expected, found {token.text!r}")
        self._at += 1
        return token

    def _accept(self, *kinds: str) -> Token | None:
        if self.kind not in kinds:
            return None
        self._at += 1
        return self._tokens[self._at - 1]

    def fraction_or_sum(self) -> Node:
        """The content of a group: a sum, or two around TeX's `\\over` and `\\choose`."""
        inner = self.sum_of_terms()
        if (split := self._accept("over", "choose")) is not None:
            return Node("div" if split.kind == "over" else "binom", (inner, self.sum_of_terms()))
        return inner

    def sum_of_terms(self) -> Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise Unreadable("too deep")
        terms: list[Node] = []
        sign = self._accept(*_SIGNS)
        while sign is not None or not terms:
            if sign is not None and sign.kind == "+" and self.kind == "-":
                raise Unreadable("+- may mean either sign")
            terms.append(_signed(sign, self.term()))
            sign = self._accept(*_SIGNS)
        self._depth -= 1
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def term(self) -> Node:
        left = self.signed_factor()
        while True:
            if self._accept("*"):
                left = _product(left, self.signed_factor())
            elif self._accept("/"):
                left = Node("div", (left, self.signed_factor()))
            elif self._starts_factor():
                after_factorial = self._tokens[self._at - 1].kind == "!" == self._peek().kind  # 3!5!
                if self.kind == "num" and not self._tokens[self._at - 1].closes and not after_factorial:
                    raise Unreadable("a number after a symbol or a number")  # "3 4", "x2"
                left = _product(left, self.factor())
            else:
                return left

    def signed_factor(self) -> Node:
        sign = self._accept("-")
        if sign is None:
            return self.factor()
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise Unreadable("too deep")
        inner = self.signed_factor()
        self._depth -= 1
        return _signed(sign, inner)

    def _starts_factor(self) -> bool:
        if self.kind == "|":
            return self._bars == 0
        return self.kind in ("num", "sym", "const", "fn", "cmd", "(", "[", "{", "lfloor", "lceil", "lvert", "big")

    def factor(self) -> Node:
        """An atom with its postfixes and powers."""
        base = self.postfixed(self.atom())
        if self._accept("^"):
            exponent = self.exponent()
            if self.kind == "!":
                raise Unreadable("a factorial of a power or of its exponent")
            base = Node("pow", (base, exponent))
            while self._accept("degree"):
                base = Node("degree", (base,))
        return base

    def exponent(self) -> Node:
        sign = self._accept("-")
        braced = self.kind == "{"
        inner = self.group() if braced else self.atom(simple=True)
        if self._accept("^"):
            if braced:
                raise Unreadable("two exponents")
            inner = Node("pow", (inner, self.exponent()))
        return _signed(sign, inner)

    def postfixed(self, base: Node) -> Node:
        while True:
            if self.kind == "!" and self._peek().kind == "!":
                self._at += 2
                base = Node("fact2", (base,))
            elif self._accept("!"):
                base = Node("fact", (base,))
            elif self._accept("degree"):
                base = Node("degree", (base,))
            else:
                return base

    def group(self) -> Node:
        """What stands in brackets of any one kind."""
        opening = self.token
        closing = _CLOSING.get(opening.kind)
        if closing is None:
            raise Unreadable(f"bracket expected, found {opening.text!r}")
        self._at += 1
        bars, self._bars = self._bars, 0
        inner = self.fraction_or_sum()
        self._take(closing)
        self._bars = bars
        return inner

    def argument(self) -> Node:
        """A LaTeX argument: a group, or one token (one digit: `\\frac12`)."""
        if self.kind == "{":
            return self.group()
        if self.kind == "num":
            token = self._take("num")
            if len(token.text) == 1:
                return number(int(token.text))
            if not token.text.isdigit() or (self._tokens[self._at - 2].kind == "cmd" and len(token.text) != 2):
                raise Unreadable(f"ambiguous argument {token.text!r}")
            self._at -= 1  # "\frac12": hand the second digit to the next argument
            self._tokens[self._at] = Token("num", token.text[1:])
            return number(int(token.text[0]))
        if self.kind in ("sym", "const"):
            return self.atom(simple=True)
        if self.kind in ("cmd", "fn"):
            return self.atom()
        raise Unreadable(f"argument expected, found {self.token.text!r}")

    def atom(self, simple: bool = False) -> Node:
        """A number, symbol, group, fraction, function and so on; `simple`: only the single token, as in an exponent."""
        token = self.token
        if token.kind == "num":
            return self.numeral(simple)
        if token.kind == "const":
            self._at += 1
            return Node(CONSTANTS[token.text])
        if token.kind == "sym":
            self._at += 1
            if not simple and self.kind == "(" and token.text in _APPLIED:
                return Node("call", self.arguments(), name=token.text)
            return Node("sym", name=token.text)
        if token.kind in _CLOSING:
            return self.group()
        if token.kind in ("|", "lvert"):
            return self.absolute()
        if token.kind in ("lfloor", "lceil"):
            self._at += 1
            inner = self.sum_of_terms()
            self._take("r" + token.kind[1:])
            return Node("floor" if token.kind == "lfloor" else "ceil", (inner,))
        if token.kind == "cmd":
            return self.command()
        if token.kind == "fn":
            return self.function()
        if token.kind == "big":
            return self.big_operator()
        raise Unreadable(f"unexpected {token.text!r}")

    def numeral(self, simple: bool) -> Node:
        token = self._take("num")
        whole = Node("num", value=token.value, digits=token.digits)
        if simple or not token.text.isdigit():
            return whole
        mixed = self._mixed_part(whole.value)
        return whole if mixed is None else number(whole.value + mixed)

    def _mixed_part(self, whole: Fraction) -> Fraction | None:
        """The fraction of a mixed number: `3\\frac{1}{2}` or `3 1/2`."""
        if self.kind == "cmd" and self.token.text == "frac":
            mark = self._at
            kept = self._tokens[mark : mark + 3]
            self._at += 1
            try:
                top, bottom = self.argument(), self.argument()
            except Unreadable:
                top = bottom = Node("sym")
            if top.op == bottom.op == "num" and top.value.denominator == bottom.value.denominator == 1:
                if not 0 < top.value < bottom.value or whole == 0 or self.kind == "^":
                    raise Unreadable("a whole number before an improper fraction")
                return top.value / bottom.value
            self._at = mark
            self._tokens[mark : mark + 3] = kept
            return None
        if self.kind == "num" and self._peek().kind == "/" and self._peek(2).kind == "num":
            top_token, bottom_token = self.token, self._peek(2)
            if top_token.text.isdigit() and bottom_token.text.isdigit() and 0 < top_token.value < bottom_token.value:
                self._at += 3
                if self.kind == "^":
                    raise Unreadable("a power of a mixed number")
                return top_token.value / bottom_token.value
        return None

    def absolute(self) -> Node:
        closing = "rvert" if self.kind == "lvert" else "|"
        self._at += 1
        self._bars += closing == "|"
        inner = self.sum_of_terms()
        self._take(closing)
        self._bars -= closing == "|"
        return Node("abs", (inner,))

    def arguments(self) -> tuple[Node, ...]:
        self._take("(")
        found = [self.sum_of_terms()]
        while self._accept(","):
            found.append(self.sum_of_terms())
        self._take(")")
        return tuple(found)

    def command(self) -> Node:
        name = self._take("cmd").text
        if name == "frac":
            top, bottom = self.argument(), self.argument()
            if _is_differential(top) and _is_differential(bottom):
                raise Unreadable("a derivative")
            if self.kind == "num":
                raise Unreadable("a digit behind a fraction")
            return Node("div", (top, bottom))
        if name == "binom":
            return Node("binom", (self.argument(), self.argument()))
        if name == "sqrt":
            degree = number(2)
            if self.kind == "[":
                degree = self.group()
            if self.kind == "num" and len(self.token.text) > 1:
                raise Unreadable("a root of a number without braces")
            return Node("root", (self.group() if self.kind == "(" else self.argument(), degree))
        raise Unreadable(f"\\{name}")

    def function(self) -> Node:
        name = FUNCTIONS[self._take("fn").text]
        base = None
        if name == "log" and self._accept("_"):
            base = self.argument()
        power = None
        if self._accept("^"):
            power = self.exponent()
        if name == "log" and base is None and self._accept("_"):
            base = self.argument()
        arguments = self._function_arguments(name)
        inverse = power is not None and power == Node("neg", (number(1),)) and name in ("sin", "cos", "tan")
        node = _applied("a" + name if inverse else name, arguments, base)
        if name == "log" and len(node.args) == 1:
            node = Node("log", node.args, name="printed" if self._printed else "")
        return node if power is None or inverse else Node("pow", (node, power))

    def _function_arguments(self, name: str) -> tuple[Node, ...]:
        if self.kind == "(":
            return self.arguments()
        if self.kind in ("{", "["):
            return (self.group(),)
        if name in PLAIN_WORDS:
            if name != "sqrt" or self.kind != "num" or self._peek().kind not in _ONE_ARGUMENT_STOPS - {"^", "!"}:
                raise Unreadable(f"{name} without brackets")
            return (self.numeral(simple=True),)
        sign = self._accept("-", "+")
        parts = [self._argument_factor()]
        while (
            self.kind not in _ONE_ARGUMENT_STOPS and self.kind not in ("fn", "(", "[", "big") and self._starts_factor()
        ):
            if self.kind == "num":
                raise Unreadable("a number inside a function's argument")
            parts.append(self._argument_factor())
        inner = parts[0]
        for part in parts[1:]:
            inner = _product(inner, part)
        return (_signed(sign, inner),)

    def _argument_factor(self) -> Node:
        if self.kind == "fn":
            self._depth += 1
            if self._depth > _MAX_DEPTH:
                raise Unreadable("too deep")
            inner = self.function()
            self._depth -= 1
            return inner
        return self.factor()

    def big_operator(self) -> Node:
        name = self._take("big").text
        self._take("_")
        self._take("{")
        index = Node("sym", name=self._take("sym").text) if self.kind == "sym" else self.atom(simple=True)
        if index.op not in ("sym", "i"):
            raise Unreadable("a sum without an index")
        self._take("=")
        low = self.sum_of_terms()
        self._take("}")
        self._take("^")
        high = self.exponent()
        body = self.term()
        if index.op == "i":
            raise Unreadable("an index named as the imaginary unit")
        return Node(name, (index, low, high, body))


def _signed(sign: Token | None, node: Node) -> Node:
    if sign is None or sign.kind == "+":
        return node
    if sign.kind == "-":
        return Node("neg", (node,))
    return Node(sign.kind, (node,))


def _product(left: Node, right: Node) -> Node:
    parts = (*left.args, right) if left.op == "mul" else (left, right)
    return Node("mul", parts)


def _applied(name: str, arguments: tuple[Node, ...], base: Node | None) -> Node:
    if name == "log":
        if base is None and len(arguments) == 2:  # Python's log(x, base)
            return Node("log", arguments)
        if len(arguments) != 1:
            raise Unreadable("a logarithm's arguments")
        return Node("log", arguments if base is None else (arguments[0], base))
    if name == "lg":
        name, arguments = "log", (*arguments, number(10))
    elif name == "ln":
        name, arguments = "log", (*arguments, Node("e"))
    elif name == "sqrt":
        name, arguments = "root", (*arguments, number(2))
    elif name == "cbrt":
        name, arguments = "root", (*arguments, number(3))
    elif name == "ratio":
        name = "div"
    arity = {"root": 2, "log": 2, "div": 2, "binom": 2, "max": None, "min": None, "gcd": None, "lcm": None}.get(name, 1)
    if name == "div" and len(arguments) == 1:
        return arguments[0]  # Rational(3), Integer(3)
    if arity is not None and len(arguments) != arity:
        raise Unreadable(f"{name} of {len(arguments)} arguments")
    return Node(name, arguments)


def _is_differential(node: Node) -> bool:
    """`dy`, `d`, `d^2 y`: a numerator or denominator of a derivative."""
    head = node.args[0] if node.op == "mul" else node
    head = head.args[0] if head.op == "pow" else head
    return head == Node("sym", name="d")
