"""The shapes of values, as docs/PROTOCOL.md lays them out: their fingerprint, and what their parts have in common in every codec. Pure functions.

In Python a value is None, a bool, an int, a float, a str, bytes, a list (of an array and of a tuple) or a dict (of fields). A value that is not of its
shape raises a ValueError.
"""
import hashlib
import json
import sys

STEPS = 256
sys.setrecursionlimit(10_000)


def expect(true, what):
    if not true:
        raise ValueError(what)


def compact(value):
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def fingerprint(shapes):
    """Of a method's shapes, whose keys stand in the page's order."""
    return hashlib.sha256(compact(shapes)).hexdigest()[:32]


def same(literal, value):
    return value == literal and isinstance(value, bool) == isinstance(literal, bool)


def further_out(shape, around, steps):
    """What an `up` stands for, what is around that, and how many such steps lead there."""
    expect(steps < STEPS, "too deep")
    return around[-shape["up"]], around[:-shape["up"]], steps + 1


def elements(shape, length):
    """For each element of a tuple of that length: its shape, and whether it may be left out."""
    shapes, required = shape["tuple"], len(shape["tuple"]) - shape.get("optional", 0)
    expect(length >= required and ("rest" in shape or length <= len(shapes)), "a tuple of another length")
    return [(shapes[at] if at < len(shapes) else shape["rest"], at >= required) for at in range(length)]


def others(shape, value):
    """The names of a value that are no fields of its shape."""
    names = {field["name"] for field in shape["fields"]}
    found = [name for name in value if name not in names]
    expect("rest" in shape or not found, "names beyond the fields")
    return found


def optional(shape):
    return [field["name"] for field in shape["fields"] if field.get("optional")]


def first(members, read):
    """The place and the outcome of the first member of a union that fits."""
    for place, member in enumerate(members):
        try:
            return place, read(member)
        except ValueError:
            pass
    raise ValueError("no member of the union fits")
