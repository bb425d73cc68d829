"""Holds this client against the vectors of the page: `vectors.py docs/PROTOCOL.md`. Tells how many held as a line of JSON; the first that does not ends it.

What a server says is given to a Connection, and what that sends is compared, byte by byte.
"""
import json
import re
import sys

from binary_codec import decode, encode
from client import CODE, fields, method
from connection import CHUNK, PING, Connection, envelope
from json_codec import from_json, to_json
from shapes import compact, fingerprint

LIMITS = {"maxMessage": 4194304, "maxCalls": 1024, "window": 262144, "maxHeaders": 8192, "memory": 16777216}
METHODS = {
    "Say": method(fields(text="string"), "string", CODE),
    "Count": method(fields(to="integer"), "integer", stream=True),
    "Wait": method(),
    "Gone": method(),
    "Sum": {**method(fields(), "integer"), "upload": {"item": "integer", "error": CODE}}
}
page = open(sys.argv[1], encoding="utf-8").read()
frames = {name: bytes.fromhex(text) for name, text in re.findall(r"^\| `([\w -]+)` \| `([0-9a-f ]+)` \|$", page, re.M)}
values = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| `([0-9a-f]+)` \|$", page, re.M)
held = []


def holds(name, true):
    assert true, f"{name} does not hold: {sent.hex()}"
    held.append(name)


for shape, value, text in values:
    shape, value, data = json.loads(shape), json.loads(value), bytes.fromhex(text)
    there = from_json(shape, value)
    holds(text, encode(shape, there) == data and decode(shape, data) == there and to_json(shape, there) == value)
shapes, told = re.search(r"^The fingerprint of `([^`]+)` is\s`(\w+)`", page, re.M).groups()
holds("fingerprint", fingerprint(json.loads(shapes)) == told and compact(json.loads(shapes)).decode() == shapes)

given, sent = bytearray(), bytearray()


def read(size):
    part = bytes(given[:size])
    del given[:size]
    return part


def sends(*names):
    for name in names:
        holds(name, sent[:len(frames[name])] == frames[name])
        del sent[:len(frames[name])]
    assert not sent, f"{sent.hex()} after {names}"


def gives(name, rest=b""):
    given.extend(frames[name] + rest)
    rpc.step()
    held.append(name)


rpc = Connection(read, sent.extend, LIMITS)
answer = b"vchanrpc\x01\x00" + compact({"service": "echo", "limits": LIMITS, "methods": []})
given.extend((8 + len(answer)).to_bytes(4, "little") + bytes([1, 0, 0, 0, 0, 0, 0, 0]) + answer)
rpc.hello("echo", {name: (shapes, False) for name, shapes in METHODS.items()})
sends("client Hello")


def calls(requests, id, end, value, *call, given=(), **options):
    """A call that sends these requests, and what the page's answers make of it."""
    rpc.next_id = id
    made = rpc.call(*call, **options)
    sends(*requests)
    for name in given:
        gives(name)
    gives(*end) if isinstance(end, tuple) else gives(end)
    holds(f"the end of {requests[0]}", made.value == value)
    return made


calls(["request"], 1, "success", "hi", "Say", {"text": "hi"})
rpc.next_id = 2
rpc.call("Say", {"text": "hi"}, envelope(deadline=5000))
sends("request with deadline")
span = bytes.fromhex("0af7651916cd43dd8448eb211c80319c" + "b7ad6b7169203331" + "01")
rpc.call("Say", {"text": "hi"}, envelope(deadline=5000, discard=True, span=span, headers=[("a", "bc")]))
sends("request with everything")
calls(["failing request"], 4, "failure", {"code": 7}, "Say", {"text": "fail"})
calls(["dying request"], 5, "defect", {"name": "Error", "message": "dead"}, "Say", {"text": "die"})
calls(["unknown request"], 6, "refusal", {"_tag": "UnknownMethod"}, "Gone")
counted = calls(["stream request"], 7, "end", None, "Count", {"to": 3}, given=["chunk"])
holds("items", counted.items == [1, 2, 3] and counted.taken == 10)
rpc.credit(counted)
sends("credit")
waiting = rpc.call("Wait")
rpc.interrupt(waiting)
sends("waiting request", "interrupt")
gives("interrupted")
rpc.next_id = 10
calls(["upload request", "upload chunk", "upload end"], 10, "upload answer", 3, "Sum", {}, upload=[[1, 2]])
failing = rpc.call("Sum", {}, upload=[])
del sent[-len(frames["upload end"]):]
rpc.fail(failing, {"code": 7})
sends("failing upload request", "upload failure")
gives("failing upload answer")
holds("failing upload", failing.value == 7)
left = rpc.call("Sum", {})
rpc.message(CHUNK, left.index, left.id, b"[5,-1]")
sends("left upload request", "last upload chunk")
gives("upload left")
holds("left", left.left)
gives("left upload answer")
rpc.frame(PING)
sends("ping")
gives("pong")
given.extend(frames["ping"])
rpc.step()
sends("pong")
rpc.next_id = 9
long = rpc.call("Say", {"text": "long"})
sends("long request")
gives("first segment", b'"' + b"x" * 67579)
gives("last segment")
holds("long value", long.value == "x" * 67584)
gives("going away")
rpc.leave()
sends("going away")
try:
    gives("goodbye")
except Exception as closed:
    holds("goodbye", closed.args[0]["_tag"] == "ProtocolViolation")
missed = set(frames) - set(held)
assert not missed, f"not held: {missed}"
print(json.dumps({"frames": len(frames), "values": len(values)}))
