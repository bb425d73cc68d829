"""A client of vchan-rpc in plain Python, made from docs/PROTOCOL.md alone, without a library: `client.py binary` or `client.py json`.

Its connection is stdin and stdout: whoever starts it carries the bytes of a vchan. It makes calls of each kind in that codec, and tells what came of each
as a line of JSON on stderr. It ends when the server has gone away.
"""
import json
import math
import os
import sys

from connection import PING, Closed, Connection, envelope
from json_codec import to_json
from shapes import fingerprint

NEVER = {"union": []}


def fields(**types):
    """Fields by their names' bytes; one whose type is in a list may be left out."""
    return {
        "fields": [
            {"name": name, "type": of[0], "optional": True} if isinstance(of, list) else {"name": name, "type": of}
            for name, of in sorted(types.items(), key=lambda field: field[0].encode())
        ]
    }


def method(payload="null", success="null", error=NEVER, stream=False, upload=None):
    shapes = {"stream": stream, "payload": payload, "success": success, "error": error}
    return shapes if upload is None else {**shapes, "upload": {"item": upload, "error": NEVER}}


CODE = fields(code="integer")
TREE = fields(value="integer", children={"array": {"up": 2}})
KINDS = fields(
    text="string",
    yes="boolean",
    nothing="null",
    number="number",
    integer="integer",
    big="bigint",
    data="bytes",
    any="json",
    kind={"literal": "all"},
    seven={"literal": 7},
    true={"literal": True},
    empties={"array": "null"},
    pair={"tuple": ["boolean", "integer"], "optional": 1},
    some={"tuple": ["string"], "rest": "number"},
    maybe=["integer"],
    counts={"fields": [], "rest": "integer"},
    open={**fields(known="string"), "rest": {"union": ["string", "integer"]}},
    one={"union": ["string", "integer", fields(left=["boolean"], right="string")]},
    tree=TREE
)
METHODS = {
    "Say": method(fields(text="string"), "string"),
    "Fail": method(CODE, error=CODE),
    "Die": method(),
    "Count": method(fields(to="integer"), "integer", stream=True),
    "Wait": method(),
    "Sum": method(fields(), "integer", upload="integer"),
    "Double": method(success="integer", stream=True, upload="integer"),
    "First": method(fields(count="integer"), {"array": "integer"}, upload="integer"),
    "Kinds": method(KINDS, KINDS),
    "Trees": method(success=TREE, stream=True, upload=TREE),
    "Long": method(fields(items="integer", length="integer"), "string", stream=True),
    "Gone": method()
}
EVERY = {
    "text": "gr\u00fc\u00df dich \U0001f980",
    "yes": True,
    "nothing": None,
    "number": -0.1,
    "integer": 1 - 2**53,
    "big": -(2**200),
    "data": bytes(range(256)),
    "any": {"list": [1, None, "x"], "none": {}},
    "kind": "all",
    "seven": 7,
    "true": True,
    "empties": [None, None],
    "pair": [False, -64],
    "some": ["first", math.inf, -math.inf, 0.5],
    "maybe": 0,
    "counts": {"b": 63, "a": 64},
    "open": {"known": "k", "text": "t", "number": 5},
    "one": {"right": "r"},
    "tree": {"value": 1, "children": [{"value": 2, "children": []}, {"value": -3, "children": []}]}
}
LEFT_OUT = {**EVERY, "pair": [True], "some": ["only"], "one": {"left": False, "right": ""}, "big": 0, "data": b"", "text": "", "counts": {}}
del LEFT_OUT["maybe"]
TWIG = {"value": -1, "children": []}


def tell(what, value):
    print(json.dumps([what, value]), file=sys.stderr, flush=True)


def write(data):
    while data:
        data = data[os.write(1, data):]


def main(binary):
    own = {"maxMessage": 1 << 20, "maxCalls": 1, "window": 2048, "maxHeaders": 0, "memory": 1 << 20}
    rpc = Connection(lambda size: os.read(0, size), write, own)
    hello = rpc.hello("python", {name: (shapes, binary) for name, shapes in METHODS.items()})
    theirs = {told["name"]: told["fingerprint"] for told in hello["methods"]}
    tell("fingerprints", [theirs, {name: fingerprint(shapes) for name, shapes in METHODS.items() if name in theirs}])
    tell("in binary", sorted(rpc.binary))

    def result(name, payload=None, about=None, upload=None):
        return rpc.result(rpc.call(name, payload, about, upload))

    def of_items(found):
        return [found["end"], len(found["items"]), sum(found["items"])]

    tell("value", result("Say", {"text": "gr\u00fc\u00df dich"}))
    long = result("Say", {"text": "x" * 200000})
    tell("long value", [long["end"], len(long["value"])])
    for what, value in [("every kind", EVERY), ("kinds left out", LEFT_OUT)]:
        echo = result("Kinds", value)
        tell(what, [echo["end"], echo["value"] == value, echo["value"] and to_json(KINDS, echo["value"])])
    tell("failure", result("Fail", {"code": 7}))
    tell("defect", result("Die"))
    tell("unknown", result("Gone"))
    tell("stream", of_items(result("Count", {"to": 20000})))
    lines = result("Long", {"items": 3, "length": 100000})
    tell("stream of long items", [lines["end"], [len(line) for line in lines["items"]]])
    waiting = rpc.call("Wait")
    rpc.interrupt(waiting)
    tell("interrupted", rpc.result(waiting))
    endless = rpc.call("Count", {"to": 2**53 - 1})
    tell("beside a stream", result("Say", {"text": "beside"}))
    rpc.interrupt(endless)
    ended = rpc.result(endless)
    tell("interrupted stream", [ended["end"], ended["value"]])
    tell("late", result("Wait", about=envelope(deadline=20)))
    tell("discarded", result("Say", {"text": "unheard"}, envelope(discard=True)))
    tell("headers", result("Say", {"text": "name"}, envelope(headers=[("name", "me")])))

    def numbers():
        return [list(range(at, at + 100)) for at in range(0, 20000, 100)]

    tell("upload", result("Sum", {}, upload=numbers()))
    tell("both ways", of_items(result("Double", upload=numbers())))
    tell("left", result("First", {"count": 3}, upload=numbers()))
    trees = [[{"value": at, "children": [TWIG]} for at in range(10)] for _ in range(100)]
    back = result("Trees", upload=trees)
    tell("trees both ways", [back["end"], back["items"] == [tree for some in trees for tree in some]])
    rpc.frame(PING)
    while rpc.pongs == 0:
        rpc.step()
    tell("pong", True)
    while not rpc.going_away:
        rpc.step()
    tell("going away", None)
    rpc.leave()
    rpc.step()


if __name__ == "__main__":
    try:
        main({"binary": True, "json": False}[sys.argv[1]])
    except Closed as closed:
        tell("closed", closed.args[0])
