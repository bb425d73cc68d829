"""Values as bytes by their shapes, as docs/PROTOCOL.md lays them out. Pure functions. Bytes that are not those of a value raise a ValueError."""
import json
import struct

from shapes import compact, elements, expect, first, further_out, optional, others, same

LARGEST = 2**53 - 1


def count(number):
    data = b""
    while number > 127:
        data, number = data + bytes([128 | number & 127]), number >> 7
    return data + bytes([number])


def encode(shape, value, around=(), steps=0):
    """The bytes of a value."""
    def part(of, value, padded=False):
        return encode(of, value, (*around, shape), steps) or (b"\0" if padded else b"")

    match shape:
        case "null":
            expect(value is None, "not null")
            return b""
        case "boolean":
            expect(isinstance(value, bool), "not a boolean")
            return bytes([value])
        case "number":
            expect(type(value) in (int, float), "not a number")
            return struct.pack("<d", value)
        case "integer":
            expect(type(value) is int and abs(value) <= LARGEST, "not an integer")
            low, rest = abs(value) & 63 | (64 if value < 0 else 0), abs(value) >> 6
            return bytes([128 | low]) + count(rest) if rest else bytes([low])
        case "bigint":
            expect(type(value) is int, "not a bigint")
            size = (value ^ value >> value.bit_length()).bit_length() // 8 + 1 if value else 0
            return count(size) + value.to_bytes(size, "little", signed=True)
        case "string":
            expect(isinstance(value, str), "not a text")
            return encode("bytes", value.encode())
        case "bytes":
            expect(isinstance(value, bytes), "not bytes")
            return count(len(value)) + value
        case "json":
            return encode("bytes", compact(value))
        case {"literal": literal}:
            expect(same(literal, value), "not the literal")
            return b""
        case {"array": item}:
            expect(isinstance(value, list), "not an array")
            return count(len(value)) + b"".join(part(item, one, True) for one in value)
        case {"tuple": _}:
            expect(isinstance(value, list), "not a tuple")
            counted = "optional" in shape or "rest" in shape
            told = count(len(value)) if counted else b""
            return told + b"".join(part(of, one, padded) for (of, padded), one in zip(elements(shape, len(value)), value))
        case {"fields": fields}:
            expect(isinstance(value, dict), "no fields")
            bits, may = 0, optional(shape)
            for at, name in enumerate(may):
                bits |= (name in value) << at
            data = bits.to_bytes((len(may) + 7) // 8, "little")
            for field in fields:
                name = field["name"]
                expect(name in value or name in may, "a field is missing")
                data += part(field["type"], value[name]) if name in value else b""
            more = others(shape, value)
            if "rest" in shape:
                data += count(len(more)) + b"".join(encode("string", name) + part(shape["rest"], value[name]) for name in more)
            return data
        case {"union": members}:
            place, data = first(members, lambda member: part(member, value))
            return count(place) + data
        case {"up": _}:
            of, outside, deeper = further_out(shape, around, steps)
            return encode(of, value, outside, deeper)
    raise ValueError(f"no shape: {shape}")


class Bytes:
    """The bytes that are still to be read."""
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        expect(size <= len(self.data) - self.at, "cut short")
        self.at += size
        return self.data[self.at - size:self.at]

    def count(self):
        number = shift = 0
        while True:
            (byte,) = self.take(1)
            number |= (byte & 127) << shift
            expect(number <= LARGEST and (byte or not shift), "no count")
            if byte < 128:
                return number
            shift += 7

    def list(self, padded):
        """Reads an item for each of these, and the byte of one that takes none."""
        for read, pads in padded:
            before = self.at
            yield read()
            if pads and self.at == before:
                expect(self.take(1) == b"\0", "an empty item is 0")


def decode(shape, data):
    """The value of these bytes, all of them."""
    source = Bytes(data)
    value = read(shape, source, (), 0)
    expect(source.at == len(data), "bytes after the value")
    return value


def read(shape, source, around, steps):
    def part(of):
        return read(of, source, (*around, shape), steps)

    match shape:
        case "null":
            return None
        case "boolean":
            (byte,) = source.take(1)
            expect(byte < 2, "not a boolean")
            return byte == 1
        case "number":
            return struct.unpack("<d", source.take(8))[0]
        case "integer":
            (byte,) = source.take(1)
            rest = source.count() if byte & 128 else 0
            magnitude = rest << 6 | byte & 63
            expect(magnitude <= LARGEST and (rest or byte < 128), "not an integer")
            return -magnitude if byte & 64 else magnitude
        case "bigint":
            data = source.take(source.count())
            value = int.from_bytes(data, "little", signed=True)
            expect(encode("bigint", value) == count(len(data)) + data, "a bigint is as short as can be")
            return value
        case "string":
            return source.take(source.count()).decode()
        case "bytes":
            return source.take(source.count())
        case "json":
            return json.loads(source.take(source.count()))
        case {"literal": literal}:
            return literal
        case {"array": item}:
            length = source.count()
            expect(length <= len(source.data) - source.at, "an item has a byte at least")
            return list(source.list((lambda: part(item), True) for _ in range(length)))
        case {"tuple": shapes}:
            length = source.count() if "optional" in shape or "rest" in shape else len(shapes)
            expect(length <= len(shapes) + len(source.data) - source.at, "an element of the rest has a byte at least")
            return list(source.list((lambda of=of: part(of), pads) for of, pads in elements(shape, length)))
        case {"fields": fields}:
            may = optional(shape)
            bits = int.from_bytes(source.take((len(may) + 7) // 8), "little")
            expect(bits < 1 << len(may), "a bit of no field")
            there = {name for at, name in enumerate(may) if bits >> at & 1}
            value = {field["name"]: part(field["type"]) for field in fields if field["name"] in there or not field.get("optional")}
            for _ in range(source.count() if "rest" in shape else 0):
                name = read("string", source, (), 0)
                expect(name not in value and name in others(shape, {name: None}), "a name twice")
                value[name] = part(shape["rest"])
            return value
        case {"union": members}:
            place = source.count()
            expect(place < len(members), "no such member")
            return part(members[place])
        case {"up": _}:
            of, outside, deeper = further_out(shape, around, steps)
            return read(of, source, outside, deeper)
    raise ValueError(f"no shape: {shape}")
