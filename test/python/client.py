"""A client of vchan-rpc in plain Python, made from docs/PROTOCOL.md alone: JSON codec, one thread, no library.

Its connection is stdin and stdout: whoever starts it carries the bytes of a vchan. It makes a call of each kind, and tells what came of each as a
line of JSON on stderr. It ends when the server has gone away.
"""
import json
import os
import struct
import sys

HELLO, GOODBYE, REQUEST, INTERRUPT, CREDIT, SUCCESS, FAILURE, DEFECT, REFUSAL, CHUNK, END, PING, PONG, GOING_AWAY = range(1, 15)
MORE, ENVELOPE = 1, 2
MAX_BODY = 65536
NAMES = {SUCCESS: "Success", FAILURE: "Failure", DEFECT: "Defect", REFUSAL: "Refusal", END: "End", INTERRUPT: "Interrupt"}
METHODS = ["Say", "Fail", "Die", "Count", "Wait", "Sum", "Double", "First", "Gone"]
OWN = {"maxMessage": 1 << 20, "maxCalls": 1, "window": 2048, "maxHeaders": 0, "memory": 1 << 20}


def take(count):
    """Reads that many bytes, or ends the program in peace where there are no more."""
    data = b""
    while len(data) < count:
        part = os.read(0, count - len(data))
        if not part:
            tell("closed", None)
            sys.exit(0)
        data += part
    return data


def write(data):
    while data:
        data = data[os.write(1, data):]


def tell(what, value):
    print(json.dumps([what, value]), file=sys.stderr, flush=True)


def frame(type, flags=0, method=0, id=0, body=b""):
    write(struct.pack("<IBBHI", 8 + len(body), type, flags, method, id) + body)


def message(type, method, id, body, flags=0):
    """Sends a message, in segments where it is longer than one frame's body."""
    if len(body) <= MAX_BODY:
        return frame(type, flags, method, id, body)
    data = struct.pack("<I", len(body)) + body
    while data:
        part, data = data[:MAX_BODY], data[MAX_BODY:]
        frame(type, flags | (MORE if data else 0), method, id, part)


class Connection:
    def __init__(self):
        self.parts = {}
        self.next_id = 1
        self.going_away = False

    def receive(self):
        """The next message: type, id, body. Answers pings, and puts segments together."""
        while True:
            length, type, flags, method, id = struct.unpack("<IBBHI", take(12))
            body = take(length - 8)
            if type == PING:
                frame(PONG)
            elif type == GOING_AWAY:
                self.going_away = True
                return type, id, body
            elif flags & MORE or (type, id) in self.parts:
                if (type, id) not in self.parts:
                    (total,) = struct.unpack("<I", body[:4])
                    self.parts[type, id] = (total, body[4:])
                else:
                    total, before = self.parts[type, id]
                    self.parts[type, id] = (total, before + body)
                if not flags & MORE:
                    total, whole = self.parts.pop((type, id))
                    assert len(whole) == total, "a message is as long as told"
                    return type, id, whole
            else:
                return type, id, body

    def hello(self, service):
        methods = [{"name": name, "fingerprint": ""} for name in METHODS]
        told = {"service": service, "limits": OWN, "methods": methods}
        frame(HELLO, body=b"vchanrpc" + struct.pack("<H", 1) + json.dumps(told).encode())
        type, _, body = self.receive()
        assert type == HELLO and body[:8] == b"vchanrpc" and struct.unpack("<H", body[8:10]) == (1,)
        self.limits = json.loads(body[10:])["limits"]

    def request(self, name, payload, envelope=None):
        id, self.next_id = self.next_id, self.next_id + 1
        body = json.dumps(payload).encode()
        if envelope is None:
            message(REQUEST, METHODS.index(name), id, body)
        else:
            message(REQUEST, METHODS.index(name), id, envelope + body, ENVELOPE)
        return id

    def end(self, id, upload=None):
        """The frame that ends the call, with the items before it. Gives credit as they come, and sends what the server takes of an upload."""
        items, cost, uploads = [], 0, iter([] if upload is None else upload[1])
        method, outstanding, chunk, open = 0 if upload is None else METHODS.index(upload[0]), 0, None, upload is not None
        left = False
        while True:
            while open:
                chunk = next(uploads, None) if chunk is None else chunk
                if chunk is None:
                    frame(END, 0, method, id)
                    open = False
                    break
                body = json.dumps(chunk).encode()
                price = len(body) + len(chunk)
                window = self.limits["window"]
                if outstanding + price > window and outstanding >= window / 4:
                    break
                message(CHUNK, method, id, body)
                outstanding, chunk = outstanding + price, None
            type, of, body = self.receive()
            assert of == id, "one call at a time"
            if type == CHUNK:
                found = json.loads(body)
                items += found
                cost += len(body) + len(found)
                if cost >= OWN["window"] / 4:
                    frame(CREDIT, 0, 0, id, struct.pack("<I", cost))
                    cost = 0
            elif type == CREDIT:
                outstanding -= struct.unpack("<I", body)[0]
            elif type == INTERRUPT:
                open, left = False, True
            else:
                value = json.loads(body) if body else None
                return {"end": NAMES[type], "value": value, "items": items, "left": left}


def main():
    rpc = Connection()
    rpc.hello("python")

    def call(name, payload, envelope=None, upload=None):
        return rpc.end(rpc.request(name, payload, envelope), upload and (name, upload))

    tell("value", call("Say", {"text": "gr\u00fc\u00df dich"}))
    long = call("Say", {"text": "x" * 200000})
    tell("long value", [long["end"], len(long["value"])])
    tell("failure", call("Fail", {"code": 7}))
    tell("defect", call("Die", None))
    tell("unknown", call("Gone", None))
    count = call("Count", {"to": 20000})
    tell("stream", [count["end"], len(count["items"]), sum(count["items"])])
    waiting = rpc.request("Wait", None)
    frame(INTERRUPT, 0, METHODS.index("Wait"), waiting)
    tell("interrupted", rpc.end(waiting))
    tell("late", call("Wait", None, struct.pack("<BI", 1, 20)))
    tell("discarded", call("Say", {"text": "unheard"}, struct.pack("<B", 2)))
    headers = struct.pack("<BHH4sH2s", 8, 1, 4, b"name", 2, b"me")
    tell("headers", call("Say", {"text": "name"}, headers))
    numbers = [list(range(at, at + 100)) for at in range(0, 20000, 100)]
    tell("upload", call("Sum", {}, upload=numbers))
    both = call("Double", {}, upload=numbers)
    tell("both ways", [both["end"], len(both["items"]), sum(both["items"])])
    tell("left", call("First", {"count": 3}, upload=numbers))
    frame(PING)
    type, _, _ = rpc.receive()
    tell("pong", type == PONG)
    while not rpc.going_away:
        rpc.receive()
    tell("going away", None)
    frame(GOING_AWAY)
    while True:
        rpc.receive()


main()
