import { describe, expect, it } from "@effect/vitest"
import * as Wire from "../src/XenStoreWire.ts"
import { makeStore } from "./support/storeClient.ts"

const { Operation } = Wire

describe("quotas of a domain", () => {
  it("are 1000 nodes, wherever they are: ENOSPC", () => {
    const { dom0, dom1, tree } = makeStore()
    const others = tree.stats().nodes - 1 // all but `data`, which is the domain's own
    let index = 0
    while (dom1.write(`data/${index % 10}/${index}`, "") === "OK") index++
    expect(dom1.write("data/0/new", "")).toBe("ENOSPC")
    expect(tree.stats().nodes - others).toBe(1000)
    expect(dom1.write("data/0/0", "still")).toBe("OK")
    dom1.remove("data/0/0")
    expect(dom1.write("data/0/new", "")).toBe("OK")
    expect(dom1.write("data/0/newer", "")).toBe("ENOSPC")
    expect(dom0.write("/local/domain/1/data/0/newer", "")).toBe("OK")
  })

  it("count the missing parents of a node, and create all or nothing", () => {
    const { dom1 } = makeStore({ quotas: { nodes: 3 } })
    expect(dom1.write("data/a/b/c", "")).toBe("ENOSPC")
    expect(dom1.directory("data")).toBe("")
    expect(dom1.write("data/a/b", "")).toBe("OK")
    expect(dom1.makeDirectory("data/c")).toBe("ENOSPC")
  })

  it("count at the end of a transaction that creates nodes, which is let have one less", () => {
    const { dom1 } = makeStore({ quotas: { nodes: 4 } })
    const id = dom1.start()
    expect([dom1.write("data/a/x", "", id), dom1.write("data/a/y", "", id)]).toEqual(["OK", "OK"])
    expect([dom1.end(id), dom1.directory("data")]).toEqual(["ENOSPC", ""])
    const less = dom1.start()
    expect([dom1.write("data/a/x", "", less), dom1.end(less)]).toEqual(["OK", "OK"])
    expect(dom1.write("data/a/y", "")).toBe("OK")
    const full = dom1.start()
    expect([dom1.write("data/a/z", "", full), dom1.remove("data/a/x", full), dom1.end(full)]).toEqual(["ENOSPC", "OK", "OK"])
  })

  it("are 128 watches of all its connections, and one more: E2BIG", () => {
    const { client, dom0, dom1 } = makeStore()
    const other = client(1)
    for (let index = 0; index < 64; index++) {
      expect([dom1.watch("data", String(index)), other.watch("data", String(index))]).toEqual(["OK", "OK"])
      dom0.watch("/", `a${index}`)
      dom0.watch("/", `b${index}`)
    }
    expect([dom1.watch("data", "one more"), dom1.watch("data", "two more")]).toEqual(["OK", "E2BIG"])
    expect(dom0.watch("/", "one more")).toBe("OK")
    other.session.close()
    expect(dom1.watch("data", "two more")).toBe("OK")
  })

  it("are 10 open transactions, and one more: ENOSPC", () => {
    const { dom0, dom1 } = makeStore()
    const ids = Array.from({ length: 11 }, () => dom1.start())
    expect(new Set(ids).size).toBe(11)
    expect(dom1.ask(Operation.TRANSACTION_START, [""])).toBe("ENOSPC")
    dom1.end(ids[0] ?? 0, "F")
    expect(dom1.start()).toBeGreaterThan(0)
    for (let count = 0; count < 20; count++) expect(dom0.start()).toBeGreaterThan(0)
  })

  it("are 1024 nodes that one transaction touches: ENOSPC, and ENOMEM at its end", () => {
    const { dom1 } = makeStore()
    const id = dom1.start()
    for (let index = 0; index < 1023; index++) expect(dom1.read(`data/${index}`, id)).toBe("ENOENT")
    expect(dom1.read("data/more", id)).toBe("ENOSPC")
    expect(dom1.write("data/more", "v", id)).toBe("ENOSPC")
    expect(dom1.end(id)).toBe("ENOMEM")
  })

  it("are less than 2048 bytes for a node: a header of 24, its permissions of 8, its value and its children's names: ENOSPC", () => {
    const { dom0, dom1 } = makeStore()
    const most = 2047 - 24 - 8
    expect(dom1.write("data/x", "v".repeat(most + 1))).toBe("ENOSPC")
    expect(dom1.read("data/x")).toBe("ENOENT")
    expect(dom1.write("data/x", "v".repeat(most))).toBe("OK")
    expect(dom1.write("data/x", "v".repeat(most + 1))).toBe("ENOSPC")
    expect(dom1.chmod("data/x", "n1 r2")).toBe("ENOSPC")
    expect(dom1.write("data/x/y", "")).toBe("ENOSPC")
    expect(dom0.write("/local/domain/1/data/x", "v".repeat(4000))).toBe("OK")
  })

  it("of a node's size, once refused in a transaction, let that end with ENOMEM", () => {
    const { dom1 } = makeStore()
    const id = dom1.start()
    expect([dom1.write("data/x", "v".repeat(2048), id), dom1.write("data/y", "v", id)]).toEqual(["ENOSPC", "OK"])
    expect([dom1.end(id), dom1.read("data/y")]).toEqual(["ENOMEM", "ENOENT"])
  })

  it("are 5 permissions on a node: ENOSPC", () => {
    const { dom0, dom1 } = makeStore()
    expect(dom1.chmod("data", "n1 r2 r3 r0 r2")).toBe("OK")
    expect(dom1.chmod("data", "n1 r2 r3 r0 r2 r3")).toBe("ENOSPC")
    expect(dom0.chmod("/local/domain/1/data", "n1 r2 r3 r0 r2 r3")).toBe("OK")
  })
})
