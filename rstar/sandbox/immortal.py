"""Objects that are never freed need no count of references, and a count that is not written copies no page.

Most of what a step copies after its fork it copies to count: names, functions, classes and tuples of the libraries,
touched by the thousand, one page each. From Python 3.12 on an object whose count has a certain value is immortal (PEP
683): the interpreter reads the count and leaves it alone. The zygote gives that value to all it holds.
"""

import ctypes
import gc
import sys
from typing import Any

ATOMS = (str, bytes, int, float, complex)
"""What refers to nothing else."""


def immortalise() -> int:
    """Make every object immortal that can be reached from what the collector tracks; how many. None before 3.12."""
    if sys.hexversion < 0x030C0000:
        return 0
    count = ctypes.c_uint32.from_address  # the count is the first word of an object, its low half decides
    immortal = count(id(None)).value
    heap = gc.get_objects()
    found = {id(heap): None}  # not this list itself; addresses, so that nothing found is held once more
    ahead: list[list[Any]] = [heap]
    while ahead:
        for each in ahead.pop():
            if id(each) not in found:
                found[id(each)] = None
                if not isinstance(each, ATOMS):
                    ahead.append(gc.get_referents(each))
    del found[id(heap)]
    for address in found:
        count(address).value = immortal
    return len(found)
