"""Refuses texts that no parser should see: code, and what is too long or too deep. They are equal only as strings."""

import re

_MAX_LENGTH = 1_500
_MAX_DEPTH = 100
_MAX_COMMANDS = 120
_MAX_WORDS = 40  # more words are an explanation, in which no answer was marked

_DISGUISED = re.compile("[\u0334-\u0338\u20d0-\u20ff\u202a-\u202e\u2066-\u2069]")  # struck out, or written backwards
_CODE = re.compile(
    r"__|(?<!\\)\b(?:import|eval|exec|lambda|compile|globals|locals|getattr|setattr|open|input|system|popen|subprocess|os|sys|"
    r"builtins|print|def|class|while|sudo|curl|wget|rm)\s*(?:[(.:\[]|\s+-|\s+[a-z_]+\s*(?:\(|:|$))|(?<!\\)\b(?:import|lambda|exec)\b"
    r"|`|;\s*[A-Za-z_]\w*\s*\(|&&|\.[A-Za-z_]\w*\(|#!|</?\w+>|\bfor\b.*\bin\b|\\(?:input|include|write|immediate|openin|openout|read|def|let|csname|catcode)\b",
)
_ALLOWED_CALLS = re.compile(r"\b(?:Interval|S|sp|sympy|math|np|numpy)\.(?:open|Lopen|Ropen|[A-Za-z]\w*)\b")


def refusal(text: str) -> str:
    """The rule by which `text` is refused, or an empty string."""
    if len(text) > _MAX_LENGTH:
        return "guard:length"
    if _DISGUISED.search(text):
        return "guard:disguise"
    if _CODE.search(_ALLOWED_CALLS.sub("x", text)):
        return "guard:code"
    if len(re.findall(r"\\[A-Za-z]+", text)) > _MAX_COMMANDS:
        return "guard:commands"
    if len(re.findall(r"(?<![\\A-Za-z])[A-Za-z]{2,}", text)) > _MAX_WORDS:
        return "no_answer"
    depth = deepest = 0
    for char in text:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth -= 1
    return "guard:depth" if deepest > _MAX_DEPTH else ""
