import { describe, expect, it } from "@effect/vitest"
import * as Wire from "../src/XenStoreWire.ts"
import { makeStore } from "./support/storeClient.ts"

const { Operation } = Wire

describe("permissions", () => {
  it("let the owner and domain 0 do everything", () => {
    const { dom0, dom1 } = makeStore()
    dom1.write("data/x", "v")
    dom1.chmod("data/x", "n1")
    expect([dom1.read("data/x"), dom0.read("/local/domain/1/data/x")]).toEqual(["v", "v"])
    expect(dom0.chmod("/local/domain/1/data/x", "n1 r2")).toBe("OK")
    expect(dom0.remove("/local/domain/1/data/x")).toBe("OK")
  })

  it.each([["n", "EACCES", "EACCES"], ["r", "v", "EACCES"], ["w", "EACCES", "OK"], ["b", "v", "OK"]])(
    "%s answers reading with %s and writing with %s",
    (access, reading, writing) => {
      const { dom1, dom2, dom3 } = makeStore()
      dom1.write("data/x", "v")
      dom1.chmod("data/x", `n1 ${access}2`)
      expect([dom2.read("/local/domain/1/data/x"), dom2.write("/local/domain/1/data/x", "v")]).toEqual([reading, writing])
      expect(dom3.read("/local/domain/1/data/x")).toBe("EACCES")
      dom1.chmod("data/x", `${access}1`)
      expect([dom3.read("/local/domain/1/data/x"), dom3.write("/local/domain/1/data/x", "v")]).toEqual([reading, writing])
    }
  )

  it("of a domain's own entry come before those of everybody", () => {
    const { dom1, dom2, dom3 } = makeStore()
    dom1.write("data/x", "v")
    dom1.chmod("data/x", "r1 n2")
    expect([dom2.read("/local/domain/1/data/x"), dom3.read("/local/domain/1/data/x")]).toEqual(["EACCES", "v"])
  })

  it("do not depend on those of the nodes above", () => {
    const { dom1, dom2 } = makeStore()
    dom1.write("data/closed/open", "v")
    dom1.chmod("data/closed/open", "n1 r2")
    expect(dom2.directory("/local/domain/1/data/closed")).toBe("EACCES")
    expect(dom2.read("/local/domain/1/data/closed/open")).toBe("v")
  })

  it("are those of the parent for what domain 0 creates, its owner too", () => {
    const { dom0, dom1 } = makeStore()
    dom1.chmod("data", "n1 r2")
    dom0.write("/local/domain/1/data/a/b", "v")
    expect([dom0.permissions("/local/domain/1/data/a"), dom1.permissions("data/a/b")]).toEqual(["n1 r2", "n1 r2"])
  })

  it("are those of the parent for what another domain creates, which owns it", () => {
    const { dom1, dom2, dom3 } = makeStore()
    dom1.makeDirectory("data/req/2")
    dom1.chmod("data/req/2", "n1 b2")
    expect(dom2.write("/local/domain/1/data/req/2/key", "v")).toBe("OK")
    expect(dom2.permissions("/local/domain/1/data/req/2/key")).toBe("n2 b2")
    expect(dom1.read("data/req/2/key")).toBe("EACCES")
    expect(dom3.write("/local/domain/1/data/req/2/other", "v")).toBe("EACCES")

    dom1.makeDirectory("data/any")
    dom1.chmod("data/any", "b1")
    dom2.write("/local/domain/1/data/any/2", "v")
    expect(dom3.permissions("/local/domain/1/data/any/2")).toBe("b2")
  })

  it("to remove a node are those to write it, whoever owns what is below", () => {
    const { dom1, dom2 } = makeStore()
    dom1.makeDirectory("data/any")
    dom1.chmod("data/any", "b1")
    dom2.write("/local/domain/1/data/any/2", "v")
    dom2.chmod("/local/domain/1/data/any/2", "n2 r1")
    expect([dom1.read("data/any/2"), dom1.remove("data/any/2")]).toEqual(["v", "EACCES"])
    expect(dom1.remove("data/any")).toBe("OK")
    expect(dom2.read("/local/domain/1/data/any/2")).toBe("EACCES")
  })

  it("are set by the owner alone, and by domain 0", () => {
    const { dom0, dom1, dom2 } = makeStore()
    dom1.write("data/x", "v")
    dom1.chmod("data/x", "n1 b2")
    expect(dom2.chmod("/local/domain/1/data/x", "b1")).toBe("EACCES")
    expect(dom1.chmod("data/x", "n2")).toBe("EPERM")
    expect(dom0.chmod("/local/domain/1/data/x", "n2")).toBe("OK")
    expect([dom1.read("data/x"), dom2.read("/local/domain/1/data/x")]).toEqual(["EACCES", "v"])
    expect(dom1.chmod("data/missing", "n1")).toBe("ENOENT")
  })

  it("may be read by those who may read the node", () => {
    const { dom1, dom2 } = makeStore()
    dom1.write("data/x", "v")
    dom1.chmod("data/x", "n1 w2")
    expect(dom2.permissions("/local/domain/1/data/x")).toBe("EACCES")
    dom1.chmod("data/x", "n1 r2")
    expect(dom2.permissions("/local/domain/1/data/x")).toBe("n1 r2")
  })

  it("hide whether a node is missing below one that may not be read: EACCES, not ENOENT", () => {
    const { dom2 } = makeStore()
    expect(dom2.read("/local/domain/1/data/x/y/z")).toBe("EACCES")
    expect(dom2.directory("/local/domain/1/data/x")).toBe("EACCES")
    expect(dom2.read("/local/domain/1/x")).toBe("EACCES")
    expect(dom2.remove("/local/domain/1/data/x")).toBe("EACCES")
    expect(dom2.read("data/x")).toBe("ENOENT")
  })

  it("to create are those to write the nearest node that is there", () => {
    const { dom1, dom2 } = makeStore()
    expect(dom1.write("x", "v")).toBe("EACCES")
    dom1.makeDirectory("data/open")
    dom1.chmod("data/open", "n1 w2")
    expect(dom2.write("/local/domain/1/data/open/a/b", "v")).toBe("OK")
    expect(dom2.write("/local/domain/1/data/b", "v")).toBe("EACCES")
  })

  it("for a domain that is not there serve no later domain of that number", () => {
    const { client, dom1, tree } = makeStore()
    dom1.write("data/x", "v")
    expect(dom1.chmod("data/x", "n1 b9")).toBe("OK")
    tree.introduce(9)
    expect(client(9).read("/local/domain/1/data/x")).toBe("EACCES")
    dom1.chmod("data/x", "n1 b9")
    expect(client(9).read("/local/domain/1/data/x")).toBe("v")
    tree.release(9)
    expect(dom1.permissions("data/x")).toBe("n1 b9")
    tree.introduce(9)
    expect(client(9).read("/local/domain/1/data/x")).toBe("EACCES")
  })

  it("serve whoever has the domid in a store that remembers domids", () => {
    const { client, dom1, tree } = makeStore({ rememberDomids: true })
    dom1.write("data/x", "v")
    expect(dom1.chmod("data/x", "n1 b9")).toBe("OK")
    for (let life = 0; life < 2; life++) {
      tree.introduce(9)
      expect(client(9).read("/local/domain/1/data/x")).toBe("v")
      tree.release(9)
    }
    expect(dom1.permissions("data/x")).toBe("n1 b9")
  })

  it("give no node to a domain that is not there", () => {
    const { dom0 } = makeStore()
    expect(dom0.chmod("/local/domain/1/data", "n9")).toBe("ENOENT")
  })

  it("are at least one, and well written", () => {
    const { dom1 } = makeStore()
    expect(dom1.ask(Operation.SET_PERMS, ["data"])).toBe("EINVAL")
    for (const wrong of ["x1", "1", "n", "n1 r", "n1 r99999"]) expect(dom1.chmod("data", wrong)).toBe("EINVAL")
    expect(dom1.permissions("data")).toBe("n1")
  })
})
