import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { XenStoreTree } from "../src/XenStoreTree.ts"
import * as Wire from "../src/XenStoreWire.ts"
import { makeStore } from "./support/storeClient.ts"

const { Operation } = Wire

describe("nodes", () => {
  it("hold a value of any bytes, which may be empty", () => {
    const { dom1 } = makeStore()
    const value = new Uint8Array([0, 1, 0xFF, 0])
    dom1.send(Operation.WRITE, Wire.encodeWrite("data/x", value))
    expect(dom1.send(Operation.READ, Wire.encodeStrings(["data/x"]))?.payload).toEqual(value)
    expect(dom1.write("data/x", "")).toBe("OK")
    expect(dom1.read("data/x")).toBe("")
  })

  it("come with their missing parents, which are empty", () => {
    const { dom1 } = makeStore()
    expect(dom1.write("data/a/b/c", "v")).toBe("OK")
    expect(dom1.read("data/a/b")).toBe("")
    expect(dom1.directory("data/a")).toBe("b")
  })

  it("are listed in the order in which they came", () => {
    const { dom1 } = makeStore()
    for (const name of ["z", "a", "m"]) dom1.write(`data/${name}`, "")
    dom1.remove("data/a")
    dom1.write("data/a", "")
    expect(dom1.directory("data")).toBe("z m a")
    expect(dom1.directory("data/z")).toBe("")
  })

  it("keep their value when they are made a directory again", () => {
    const { dom1 } = makeStore()
    dom1.write("data/x", "v")
    expect(dom1.makeDirectory("data/x")).toBe("OK")
    expect(dom1.makeDirectory("data/y")).toBe("OK")
    expect([dom1.read("data/x"), dom1.read("data/y")]).toEqual(["v", ""])
  })

  it("go with all below them", () => {
    const { dom0, dom1, tree } = makeStore()
    const before = tree.stats().nodes
    dom1.write("data/a/b/c", "v")
    expect(dom1.remove("data/a")).toBe("OK")
    expect(dom1.read("data/a/b/c")).toBe("ENOENT")
    expect(dom0.directory("/local/domain/1/data")).toBe("")
    expect(tree.stats().nodes).toBe(before)
  })

  it("that are missing are removed already, unless their parent is missing too", () => {
    const { dom1 } = makeStore()
    expect(dom1.remove("data/x")).toBe("OK")
    expect(dom1.remove("data/x/y")).toBe("ENOENT")
  })

  it("are never the root when removed", () => {
    const { dom0, dom1 } = makeStore()
    expect(dom0.remove("/")).toBe("EINVAL")
    expect(dom1.remove("/")).toBe("EACCES")
    expect(dom0.directory("/")).toBe("local")
  })

  it("may be called as anything in JavaScript is", () => {
    const { dom1 } = makeStore()
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      expect(dom1.read(`data/${name}`)).toBe("ENOENT")
      expect(dom1.write(`data/${name}/${name}`, name)).toBe("OK")
      expect(dom1.read(`data/${name}/${name}`)).toBe(name)
    }
    expect(dom1.directory("data")).toBe("__proto__ constructor toString hasOwnProperty")
  })

  it("are the same by a relative path and by an absolute one", () => {
    const { dom0, dom1 } = makeStore()
    dom1.write("data/x", "v")
    expect(dom1.read("/local/domain/1/data/x")).toBe("v")
    expect(dom0.read("domid")).toBe("0")
  })
})

describe("a domain", () => {
  it("may read its own path and domid, and owns data below", () => {
    const { dom1, dom2 } = makeStore()
    expect(dom1.directory("/local/domain/1")).toBe("domid data")
    expect(dom1.read("domid")).toBe("1")
    expect(dom1.write("domid", "0")).toBe("EACCES")
    expect([dom1.permissions("domid"), dom1.permissions("data")]).toEqual(["n0 r1", "n1"])
    expect(dom2.read("/local/domain/1/domid")).toBe("EACCES")
    expect(dom1.directory("/local/domain")).toBe("EACCES")
    expect(dom1.directory("/")).toBe("EACCES")
  })

  it("takes its subtree and all that it owns with it", () => {
    const { dom0, dom1, dom2, tree } = makeStore()
    dom1.makeDirectory("data/any")
    dom1.chmod("data/any", "b1")
    dom2.write("/local/domain/1/data/any/2", "v")
    dom2.write("data/x", "v")
    tree.release(2)
    expect(dom0.directory("/local/domain")).toBe("0 1 3")
    expect(dom1.directory("data/any")).toBe("")
    expect(tree.stats().domains).toEqual([0, 1, 3])
  })

  it("takes what others made in its subtree, and below what it owned, with it", () => {
    const { dom0, dom1, dom2, tree } = makeStore()
    dom2.chmod("data", "b2")
    dom1.write("/local/domain/2/data/one", "v")
    dom1.makeDirectory("data/any")
    dom1.chmod("data/any", "b1")
    dom2.write("/local/domain/1/data/any/2", "v")
    dom0.write("/local/domain/1/data/any/2/zero", "v")
    const nodes = new XenStoreTree()
    nodes.introduce(1)
    nodes.introduce(3)
    tree.release(2)
    expect(tree.stats().nodes).toBe(nodes.stats().nodes + 1)
  })

  it("is no longer answered when it is gone, and holds nothing", () => {
    const { dom2, tree } = makeStore()
    dom2.watch("data")
    dom2.start()
    tree.release(2)
    expect(dom2.read("domid")).toBe("nothing")
    expect(tree.stats()).toMatchObject({ watches: 0, transactions: 0 })
    dom2.session.close()
  })

  it("comes back empty", () => {
    const { client, dom2, tree } = makeStore()
    dom2.write("data/x", "v")
    tree.release(2)
    tree.introduce(2)
    expect(client(2).directory("data")).toBe("")
    expect(client(2).read("data/x")).toBe("ENOENT")
  })

  it("comes once, and domain 0 stays", () => {
    const { tree } = makeStore()
    expect(() => tree.introduce(1)).toThrow(RangeError)
    expect(() => tree.introduce(0)).toThrow(RangeError)
    expect(() => tree.introduce(0x7FF0)).toThrow(RangeError)
    expect(() => tree.release(0)).toThrow(RangeError)
    expect(() => tree.connect(9, () => {})).toThrow(RangeError)
    tree.release(9)
  })

  it("has a path, which anybody may ask for", () => {
    const { dom1 } = makeStore()
    expect(dom1.ask(Operation.GET_DOMAIN_PATH, ["7"])).toBe("/local/domain/7")
    for (const wrong of ["", "x", "-1", "99999"]) expect(dom1.ask(Operation.GET_DOMAIN_PATH, [wrong])).toBe("EINVAL")
  })

  it("is introduced or not, which domain 0 alone may ask", () => {
    const { dom0, dom1 } = makeStore()
    expect(["0", "1", "7"].map((domid) => dom0.ask(Operation.IS_DOMAIN_INTRODUCED, [domid]))).toEqual(["T", "T", "F"])
    expect(dom0.ask(Operation.IS_DOMAIN_INTRODUCED, ["x"])).toBe("EINVAL")
    expect(dom1.ask(Operation.IS_DOMAIN_INTRODUCED, ["1"])).toBe("EACCES")
  })
})

describe("a listing", () => {
  /** 200 names of 100 bytes: five packets and more. */
  const long = () => {
    const store = makeStore()
    const names = Array.from({ length: 200 }, (_, index) => `${"n".repeat(97)}${index + 100}`)
    for (const name of names) store.dom0.write(`/long/${name}`, "")
    const part = (offset: number): ReadonlyArray<string> => store.dom0.ask(Operation.DIRECTORY_PART, ["/long", String(offset)]).split("\0")
    return { ...store, names, part }
  }

  it("that does not fit in a packet is E2BIG", () => {
    expect(long().dom0.directory("/long")).toBe("E2BIG")
  })

  it("comes in parts by DIRECTORY_PART, which ends with an empty name", () => {
    const { names, part } = long()
    const listed: Array<string> = []
    const generations = new Set<string>()
    for (let offset = 0, more = true; more;) {
      const [generation = "", ...some] = part(offset)
      generations.add(generation)
      more = some.at(-1) !== ""
      listed.push(...more ? some : some.slice(0, -1))
      offset = listed.length * 101
    }
    expect(listed).toEqual(names)
    expect(generations.size).toBe(1)
  })

  it("has another generation after a change", () => {
    const { dom0, part } = long()
    const [before] = part(0)
    dom0.write("/long/one-more", "")
    expect(part(0)[0]).not.toBe(before)
  })

  it("ends at once for an offset behind it, and for an empty node", () => {
    const { dom0, part } = long()
    expect(part(1_000_000).slice(1)).toEqual([""])
    dom0.makeDirectory("/empty")
    expect(dom0.ask(Operation.DIRECTORY_PART, ["/empty", "0"]).split("\0").slice(1)).toEqual([""])
  })

  it("wants a path and an offset", () => {
    const { dom0 } = makeStore()
    for (const wrong of [["/"], ["/", "x"], ["/", "-1"], ["/", "0", "0"], ["", "0"]]) {
      expect(dom0.ask(Operation.DIRECTORY_PART, wrong)).toBe("EINVAL")
    }
    expect(dom0.ask(Operation.DIRECTORY_PART, ["/missing", "0"])).toBe("ENOENT")
  })
})

describe("a request", () => {
  it("is answered with its own type, request and transaction, and an error as ERROR", () => {
    const { dom1, tree } = makeStore()
    const replies: Array<Wire.Packet> = []
    const session = tree.connect(1, (packet) => replies.push(packet))
    session.handle({ type: Operation.READ, requestId: 0xFFFF_FFFF, transactionId: 0, payload: Wire.encodeStrings(["domid"]) })
    session.handle({ type: Operation.READ, requestId: 5, transactionId: 77, payload: Wire.encodeStrings(["domid"]) })
    expect(replies).toEqual([
      { type: Operation.READ, requestId: 0xFFFF_FFFF, transactionId: 0, payload: Wire.encodeText("1") },
      { type: Operation.ERROR, requestId: 5, transactionId: 77, payload: Wire.encodeStrings(["ENOENT"]) }
    ])
    expect(dom1.log).toEqual([])
  })

  it("that is not known is ENOSYS", () => {
    const { dom0, dom1 } = makeStore()
    for (const type of [Operation.WATCH_EVENT, Operation.ERROR, 20, 23, 99, 0xFFFF_FFFF]) {
      expect([dom0.ask(type, ["x"]), dom1.ask(type, ["x"])]).toEqual(["ENOSYS", "ENOSYS"])
    }
  })

  it("for a toolstack is EACCES for all but domain 0, for which it is ENOSYS", () => {
    const { dom0, dom1 } = makeStore()
    for (const type of [Operation.CONTROL, Operation.INTRODUCE, Operation.RELEASE, Operation.RESUME, Operation.SET_TARGET]) {
      expect([dom0.ask(type, ["1"]), dom1.ask(type, ["1"])]).toEqual(["ENOSYS", "EACCES"])
    }
  })

  it("whose path is not valid is EINVAL, but for UNWATCH, which finds no watch there: ENOENT", () => {
    const { dom0 } = makeStore()
    const paths = ["", "//", "/a/", "/a//b", "a b", "/ä", "@releaseDomain", `/${"a".repeat(3072)}`, "a".repeat(2049)]
    for (const path of paths) {
      const answers = [dom0.read(path), dom0.write(path, ""), dom0.makeDirectory(path), dom0.remove(path), dom0.directory(path)]
      answers.push(dom0.permissions(path), dom0.chmod(path, "n0"))
      expect(answers).toEqual(answers.map(() => "EINVAL"))
      if (!path.startsWith("@")) expect([dom0.watch(path), dom0.unwatch(path)]).toEqual(["EINVAL", "ENOENT"])
    }
    expect(dom0.write(`/${"a".repeat(3071)}`, "")).toBe("OK")
    expect(dom0.write("a".repeat(2048), "")).toBe("OK")
  })

  it("that is malformed is EINVAL", () => {
    const { dom0 } = makeStore()
    const code = (type: number, payload: Uint8Array, transactionId = 0) =>
      Wire.decodeStrings(dom0.send(type, payload, transactionId)?.payload ?? new Uint8Array())
    for (
      const type of [Operation.READ, Operation.DIRECTORY, Operation.MKDIR, Operation.RM, Operation.GET_PERMS, Operation.GET_DOMAIN_PATH]
    ) {
      for (const payload of [new Uint8Array(), Wire.encodeText("/"), Wire.encodeStrings(["/", "/"]), new Uint8Array([0xFF, 0])]) {
        expect(code(type, payload)).toEqual(["EINVAL"])
      }
    }
    expect(code(Operation.WRITE, Wire.encodeText("/x"))).toEqual(["EINVAL"])
    for (const texts of [[], ["/"], ["/", "t", "1"]]) {
      expect([code(Operation.WATCH, Wire.encodeStrings(texts)), code(Operation.UNWATCH, Wire.encodeStrings(texts))]).toEqual([["EINVAL"], [
        "EINVAL"
      ]])
    }
  })

  it("of any kind and any bytes is answered once, and nothing throws", () => {
    const types = fc.oneof(fc.integer({ min: 0, max: 24 }), fc.nat())
    const text = fc.oneof(fc.constantFrom("data", "data/x", "/", "@releaseDomain", "T", "F", "n1", "r2", "0"), fc.string())
    const payloads = fc.oneof(fc.uint8Array({ maxLength: 64 }), fc.array(text, { maxLength: 4 }).map(Wire.encodeStrings))
    const requests = fc.array(fc.tuple(types, payloads, fc.integer({ min: 0, max: 3 })), { maxLength: 30 })
    fc.assert(fc.property(requests, (requests) => {
      const { dom1 } = makeStore()
      for (const [type, payload, transaction] of requests) {
        dom1.log.length = 0
        dom1.send(type, payload, transaction)
        expect(dom1.log.filter((what) => what === "reply")).toEqual(["reply"])
      }
    }))
  })
})
