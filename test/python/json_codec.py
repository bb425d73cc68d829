"""Values as JSON by their shapes, as docs/PROTOCOL.md lays them out. Pure functions. What stands for no value raises a ValueError."""
import base64
import math

from binary_codec import encode
from shapes import elements, expect, first, further_out

NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def to_json(shape, value, around=()):
    """What stands in JSON for a value."""
    def part(of, value):
        return to_json(of, value, (*around, shape))

    match shape:
        case "number" if not math.isfinite(value):
            return next(text for text, number in NOT_FINITE.items() if repr(number) == repr(value))
        case "bigint":
            return str(value)
        case "bytes":
            return base64.b64encode(value).decode()
        case {"array": item}:
            return [part(item, one) for one in value]
        case {"tuple": _}:
            return [part(of, one) for (of, _), one in zip(elements(shape, len(value)), value)]
        case {"fields": fields}:
            types = {field["name"]: field["type"] for field in fields}
            return {name: part(types.get(name) or shape["rest"], one) for name, one in value.items()}
        case {"union": members}:
            place, _ = first(members, lambda member: encode(member, value, (*around, shape)))
            return part(members[place], value)
        case {"up": _}:
            of, outside, _ = further_out(shape, around, 0)
            return to_json(of, value, outside)
    return value


def from_json(shape, value, around=()):
    """The value for which that stands in JSON."""
    def part(of, value):
        return from_json(of, value, (*around, shape))

    match shape:
        case "number" if isinstance(value, str):
            expect(value in NOT_FINITE, "not a number")
            return NOT_FINITE[value]
        case "number":
            expect(type(value) in (int, float), "not a number")
            return float(value)
        case "bigint":
            expect(isinstance(value, str), "not a bigint")
            return int(value)
        case "bytes":
            expect(isinstance(value, str), "not bytes")
            return base64.b64decode(value, validate=True)
        case {"array": item}:
            expect(isinstance(value, list), "not an array")
            return [part(item, one) for one in value]
        case {"tuple": _}:
            expect(isinstance(value, list), "not a tuple")
            return [part(of, one) for (of, _), one in zip(elements(shape, len(value)), value)]
        case {"fields": fields}:
            expect(isinstance(value, dict), "no fields")
            types = {field["name"]: field["type"] for field in fields}
            expect(all(field["name"] in value or field.get("optional") for field in fields), "a field is missing")
            # A name that is not known here is one that the other side may leave out.
            known = {name: types.get(name, shape.get("rest")) for name in value if name in types or "rest" in shape}
            return {name: part(of, value[name]) for name, of in known.items()}
        case {"union": members}:
            return first(members, lambda member: part(member, value))[1]
        case {"up": _}:
            of, outside, _ = further_out(shape, around, 0)
            return from_json(of, value, outside)
    encode(shape, value)
    return value
