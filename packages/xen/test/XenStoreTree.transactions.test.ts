import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Wire from "../src/XenStoreWire.ts"
import { makeStore } from "./support/storeClient.ts"

const { Operation } = Wire

describe("a transaction", () => {
  it("sees its own writes, and nobody else does before it is committed", () => {
    const { dom0, dom1 } = makeStore()
    const id = dom1.start()
    expect(dom1.write("data/a/b", "v", id)).toBe("OK")
    expect([dom1.read("data/a/b", id), dom1.directory("data", id)]).toEqual(["v", "a"])
    expect([dom1.read("data/a/b"), dom0.directory("/local/domain/1/data")]).toEqual(["ENOENT", ""])
    expect(dom1.end(id)).toBe("OK")
    expect(dom0.read("/local/domain/1/data/a/b")).toBe("v")
  })

  it("sees what it removed as missing", () => {
    const { dom1 } = makeStore()
    dom1.write("data/a/b", "v")
    const id = dom1.start()
    expect(dom1.remove("data/a", id)).toBe("OK")
    expect([dom1.read("data/a/b", id), dom1.directory("data", id), dom1.read("data/a/b")]).toEqual(["ENOENT", "", "v"])
    dom1.write("data/a", "new", id)
    expect(dom1.end(id)).toBe("OK")
    expect([dom1.read("data/a"), dom1.directory("data/a")]).toEqual(["new", ""])
  })

  it("sees a node as it was when it first looked, whatever others do", () => {
    const { client, dom1 } = makeStore()
    dom1.write("data/x", "old")
    const id = dom1.start()
    expect(dom1.read("data/x", id)).toBe("old")
    client(1).write("data/x", "new")
    expect(dom1.read("data/x", id)).toBe("old")
  })

  it("leaves nothing when it is rolled back", () => {
    const { dom1, tree } = makeStore()
    const before = tree.stats()
    const id = dom1.start()
    dom1.write("data/a", "v", id)
    dom1.chmod("data", "b1", id)
    dom1.remove("data", id)
    expect(dom1.end(id, "F")).toBe("OK")
    expect(tree.stats()).toEqual(before)
    expect(dom1.permissions("data")).toBe("n1")
  })

  it.each([
    ["a value that it read was written", (dom: ReturnType<typeof makeStore>["dom1"]) => dom.write("data/x", "theirs")],
    ["a node that it read was removed", (dom: ReturnType<typeof makeStore>["dom1"]) => dom.remove("data/x")],
    ["a node that it read got other permissions", (dom: ReturnType<typeof makeStore>["dom1"]) => dom.chmod("data/x", "b1")],
    ["a node that it read got a child", (dom: ReturnType<typeof makeStore>["dom1"]) => dom.write("data/x/y", "theirs")],
    ["a node that it missed was created", (dom: ReturnType<typeof makeStore>["dom1"]) => dom.write("data/missing", "theirs")]
  ])("has to be redone where %s meanwhile: EAGAIN", (_, disturb) => {
    const { client, dom1 } = makeStore()
    dom1.write("data/x", "v")
    const id = dom1.start()
    dom1.read("data/x", id)
    dom1.read("data/missing", id)
    dom1.write("data/mine", "v", id)
    expect(disturb(client(1))).toBe("OK")
    expect(dom1.end(id)).toBe("EAGAIN")
    expect(dom1.read("data/mine")).toBe("ENOENT")
    expect(dom1.end(id)).toBe("ENOENT")
  })

  it("is not disturbed by changes to what it never looked at", () => {
    const { client, dom1 } = makeStore()
    dom1.write("data/x", "v")
    dom1.write("data/y", "v")
    const id = dom1.start()
    dom1.write("data/x", "mine", id)
    client(1).write("data/y", "theirs")
    expect(dom1.end(id)).toBe("OK")
    expect([dom1.read("data/x"), dom1.read("data/y")]).toEqual(["mine", "theirs"])
  })

  it("loses against another that was committed first, and only then", () => {
    const { client, dom1 } = makeStore()
    dom1.write("data/x", "0")
    const other = client(1)
    const [first, second] = [dom1.start(), other.start()]
    dom1.write("data/x", "1", first)
    other.write("data/x", "2", second)
    expect([other.end(second), dom1.end(first)]).toEqual(["OK", "EAGAIN"])
    expect(dom1.read("data/x")).toBe("2")
  })

  it("belongs to its connection: another knows no such number", () => {
    const { client, dom1 } = makeStore()
    const id = dom1.start()
    expect(client(1).read("domid", id)).toBe("ENOENT")
    expect(dom1.read("domid", id + 1)).toBe("ENOENT")
    expect(dom1.end(id + 1)).toBe("ENOENT")
    expect(dom1.end(0)).toBe("ENOENT")
  })

  it("does not start within another: EBUSY", () => {
    const { dom1 } = makeStore()
    expect(dom1.ask(Operation.TRANSACTION_START, [""], dom1.start())).toBe("EBUSY")
  })

  it("ends with T or F and nothing else", () => {
    const { dom1 } = makeStore()
    const id = dom1.start()
    for (const wrong of ["", "t", "TT", "X"]) expect(dom1.end(id, wrong)).toBe("EINVAL")
    expect(dom1.end(id, "F")).toBe("OK")
  })

  it("ends with its connection", () => {
    const { dom1, tree } = makeStore()
    dom1.start()
    dom1.start()
    expect(tree.stats().transactions).toBe(2)
    dom1.session.close()
    expect(tree.stats().transactions).toBe(0)
  })

  it("has to be redone after any domain went, so that nothing serves a later domain of that number", () => {
    const { client, dom0, tree } = makeStore()
    const id = dom0.start()
    dom0.write("/shared", "v", id)
    expect(dom0.chmod("/shared", "n0 b2", id)).toBe("OK")
    tree.release(2)
    tree.introduce(2)
    expect(dom0.end(id)).toBe("EAGAIN")
    expect(client(2).read("/shared")).toBe("EACCES")
  })

  it("keeps the tree whole, whatever is done in which order", () => {
    const names = ["data/a", "data/a/b", "data/a/b/c", "data/d", "data/d/e"]
    const step = fc.record({
      path: fc.constantFrom(...names),
      does: fc.constantFrom("write", "remove", "makeDirectory", "read", "directory"),
      where: fc.constantFrom("outside", "first", "second"),
      ends: fc.constantFrom("no", "no", "no", "T", "F")
    })
    fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { dom1, tree } = makeStore()
      const empty = tree.stats().nodes
      const open = new Map([["outside", 0], ["first", dom1.start()], ["second", dom1.start()]])
      for (const { does, ends, path, where } of steps) {
        const id = open.get(where) ?? 0
        if (does === "write") dom1.write(path, path, id)
        else if (does === "remove") dom1.remove(path, id)
        else if (does === "makeDirectory") dom1.makeDirectory(path, id)
        else if (does === "read") dom1.read(path, id)
        else dom1.directory(path, id)
        if (ends !== "no" && id !== 0) {
          dom1.end(id, ends)
          open.set(where, dom1.start())
        }
      }
      const listed = (path: string): ReadonlyArray<string> =>
        dom1.directory(path).split(" ").filter((name) => name !== "").flatMap((name) => [`${path}/${name}`, ...listed(`${path}/${name}`)])
      const found = listed("data")
      expect([...found].sort()).toEqual(names.filter((path) => dom1.read(path) !== "ENOENT"))
      expect(tree.stats().nodes).toBe(empty + found.length)
      dom1.remove("data/a")
      dom1.remove("data/d")
      expect(tree.stats().nodes).toBe(empty)
    }))
  })
})
