import { describe, expect, it } from "@effect/vitest"
import * as Wire from "../src/XenStoreWire.ts"
import { makeStore } from "./support/storeClient.ts"

const { Operation } = Wire

describe("a watch", () => {
  it("fires once when it is set, after the reply", () => {
    const { dom1 } = makeStore()
    expect(dom1.watch("data/missing", "tok")).toBe("OK")
    expect(dom1.log).toEqual(["reply", "event"])
    expect(dom1.events()).toEqual(["data/missing tok"])
  })

  it("fires for its node and for all below it, after the reply to the change", () => {
    const { dom1 } = makeStore()
    dom1.watch("data/a")
    dom1.events()
    dom1.log.length = 0
    dom1.write("data/a", "v")
    expect(dom1.log).toEqual(["reply", "event"])
    dom1.write("data/a/b/c", "v")
    dom1.makeDirectory("data/a/d")
    dom1.chmod("data/a/d", "r1")
    dom1.remove("data/a/d")
    expect(dom1.events()).toEqual(["data/a t", "data/a/b/c t", "data/a/d t", "data/a/d t", "data/a/d t"])
  })

  it("does not fire for its parent, its siblings, or names that only begin alike", () => {
    const { dom1 } = makeStore()
    dom1.watch("data/a")
    dom1.events()
    dom1.write("data", "v")
    dom1.write("data/b", "v")
    dom1.write("data/ab", "v")
    dom1.remove("data/missing")
    dom1.makeDirectory("data/b")
    expect(dom1.events()).toEqual([])
  })

  it("on the root fires for everything that may be read", () => {
    const { dom0, dom1 } = makeStore()
    dom0.watch("/")
    dom0.events()
    dom1.write("data/x", "v")
    expect(dom0.events()).toEqual(["/local/domain/1/data/x t"])
  })

  it("fires when an ancestor is removed, with its own path", () => {
    const { client, dom1 } = makeStore()
    dom1.write("data/a/b/c", "v")
    dom1.watch("data/a/b/c", "deep")
    const above = client(1)
    above.watch("data/a", "above")
    dom1.events()
    above.events()
    dom1.remove("data/a/b")
    expect([dom1.events(), above.events()]).toEqual([["data/a/b/c deep"], ["data/a/b above"]])
  })

  it("reports paths as it was given: relative or absolute", () => {
    const { dom1 } = makeStore()
    dom1.watch("data", "relative")
    dom1.watch("/local/domain/1/data", "absolute")
    dom1.events()
    dom1.write("data/x", "v")
    expect(dom1.events()).toEqual(["data/x relative", "/local/domain/1/data/x absolute"])
  })

  it("fires for changes in a transaction only when that is committed", () => {
    const { dom1 } = makeStore()
    dom1.write("data/old", "v")
    dom1.watch("data")
    dom1.events()
    const id = dom1.start()
    dom1.write("data/x", "v", id)
    dom1.write("data/x", "w", id)
    dom1.write("data/gone", "v", id)
    dom1.remove("data/gone", id)
    dom1.remove("data/old", id)
    expect(dom1.events()).toEqual([])
    dom1.log.length = 0
    dom1.end(id)
    expect(dom1.log).toEqual(["reply", "event", "event"])
    expect(dom1.events()).toEqual(["data/x t", "data/old t"])
  })

  it("does not fire for a transaction that is rolled back or has to be redone", () => {
    const { client, dom1 } = makeStore()
    dom1.watch("data/x")
    dom1.events()
    const rolled = dom1.start()
    dom1.write("data/x", "v", rolled)
    dom1.end(rolled, "F")
    const late = dom1.start()
    dom1.write("data/x", "v", late)
    client(1).write("data/y", "v")
    expect(dom1.end(late)).toBe("EAGAIN")
    expect(dom1.events()).toEqual([])
  })

  it("tells only those who may read the node, or list its parent", () => {
    const { dom1, dom2, dom3 } = makeStore()
    for (const dom of [dom2, dom3]) {
      expect(dom.watch("/local/domain/1/data")).toBe("OK")
      expect(dom.events()).toEqual(["/local/domain/1/data t"])
    }
    dom1.write("data/secret", "v")
    dom1.makeDirectory("data/any")
    dom1.chmod("data/any", "n1 b2")
    dom2.events()
    dom2.write("/local/domain/1/data/any/2", "v")
    expect([dom2.events(), dom3.events()]).toEqual([["/local/domain/1/data/any/2 t"], []])
  })

  it("tells the owner of a directory of a key in it that only the writer may read", () => {
    const { dom1, dom2 } = makeStore()
    dom1.makeDirectory("data/req")
    dom1.chmod("data/req", "n1 b2")
    dom1.watch("data/req")
    dom1.events()
    dom2.write("/local/domain/1/data/req/2", "v")
    expect(dom1.events()).toEqual(["data/req/2 t"])
    expect(dom1.read("data/req/2")).toBe("EACCES")
  })

  it("tells of a removal those who could read the node, and of closed permissions those who could read it before", () => {
    const { dom1, dom2 } = makeStore()
    for (const path of ["data/x", "data/y"]) {
      dom1.write(path, "v")
      dom1.chmod(path, "n1 r2")
      dom2.watch(`/local/domain/1/${path}`)
    }
    dom2.events()
    dom1.remove("data/x")
    dom1.chmod("data/y", "n1")
    dom1.write("data/y", "secret")
    expect(dom2.events()).toEqual(["/local/domain/1/data/x t", "/local/domain/1/data/y t"])
  })

  it("tells of a removal in a transaction those who could read the node", () => {
    const { dom1, dom2 } = makeStore()
    dom1.write("data/x", "v")
    dom1.chmod("data/x", "n1 r2")
    dom2.watch("/local/domain/1/data/x")
    dom2.events()
    const id = dom1.start()
    dom1.remove("data/x", id)
    dom1.end(id)
    expect(dom2.events()).toEqual(["/local/domain/1/data/x t"])
  })

  it("fires on a key in a domain's tree when that domain goes, and on a key that the domain owned elsewhere", () => {
    const { dom1, dom2, dom3, tree } = makeStore()
    dom2.write("data/key", "v")
    dom2.chmod("data/key", "n2 r1")
    dom1.watch("/local/domain/2/data/key")
    dom3.makeDirectory("data/req")
    dom3.chmod("data/req", "n3 b2")
    dom2.write("/local/domain/3/data/req/2", "v")
    dom3.watch("data/req")
    dom1.events()
    dom3.events()
    tree.release(2)
    expect([dom1.events(), dom3.events()]).toEqual([["/local/domain/2/data/key t"], ["data/req/2 t"]])
  })

  it("on @introduceDomain and @releaseDomain may be set by all, and fires for domain 0 alone", () => {
    const { dom0, dom1, tree } = makeStore()
    for (const dom of [dom0, dom1]) {
      expect([dom.watch("@introduceDomain"), dom.watch("@releaseDomain")]).toEqual(["OK", "OK"])
      expect(dom.events()).toEqual(["@introduceDomain t", "@releaseDomain t"])
    }
    tree.introduce(7)
    expect(dom0.events()).toEqual(["@introduceDomain t"])
    tree.release(7)
    expect(dom0.events()).toEqual(["@releaseDomain t"])
    expect(dom1.events()).toEqual([])
  })

  it("sees the domain gone already when @releaseDomain fires", () => {
    const { dom0, tree } = makeStore()
    let seen = ""
    const late = tree.connect(0, ({ type }) => {
      if (type === Operation.WATCH_EVENT) seen = dom0.read("/local/domain/2/domid")
    })
    late.handle({ type: Operation.WATCH, requestId: 1, transactionId: 0, payload: Wire.encodeStrings(["@releaseDomain", "t"]) })
    expect(seen).toBe("2")
    tree.release(2)
    expect(seen).toBe("ENOENT")
  })

  it("of the same path and token is refused: EEXIST", () => {
    const { client, dom1 } = makeStore()
    expect(dom1.watch("data", "a")).toBe("OK")
    expect(dom1.watch("data", "a")).toBe("EEXIST")
    expect(dom1.watch("/local/domain/1/data", "a")).toBe("EEXIST")
    expect([dom1.watch("data", "b"), dom1.watch("data/x", "a"), client(1).watch("data", "a")]).toEqual(["OK", "OK", "OK"])
  })

  it("is gone after UNWATCH; an unknown one is ENOENT", () => {
    const { dom1, tree } = makeStore()
    dom1.watch("data", "a")
    dom1.events()
    expect(dom1.unwatch("data", "b")).toBe("ENOENT")
    expect(dom1.unwatch("data/x", "a")).toBe("ENOENT")
    expect(dom1.unwatch("data", "a")).toBe("OK")
    expect(dom1.unwatch("data", "a")).toBe("ENOENT")
    dom1.write("data/x", "v")
    expect(dom1.events()).toEqual([])
    expect(tree.stats().watches).toBe(0)
  })

  it("is gone after RESET_WATCHES, with the connection's transactions", () => {
    const { dom1, tree } = makeStore()
    dom1.watch("data", "a")
    dom1.watch("data", "b")
    dom1.start()
    expect(dom1.ask(Operation.RESET_WATCHES, [""])).toBe("OK")
    expect(tree.stats()).toMatchObject({ watches: 0, transactions: 0 })
  })

  it("is gone with its connection", () => {
    const { client, dom1, tree } = makeStore()
    dom1.watch("data")
    client(1).watch("data")
    dom1.events()
    dom1.session.close()
    client(1).write("data/x", "v")
    expect(dom1.events()).toEqual([])
    expect(tree.stats().watches).toBe(1)
  })

  it("takes no part in transactions, whatever number its packet has", () => {
    const { dom1 } = makeStore()
    expect(dom1.ask(Operation.WATCH, ["data", "a"], 99)).toBe("OK")
    expect(dom1.ask(Operation.UNWATCH, ["data", "a"], 99)).toBe("OK")
  })

  it("whose event would not fit in a packet reports the path it is on", () => {
    const { dom1 } = makeStore()
    const token = "t".repeat(3000)
    dom1.watch("data", token)
    const name = "n".repeat(1200)
    dom1.write(`data/${name}`, "v")
    expect(dom1.events()).toEqual([`data ${token}`, `data ${token}`])
  })
})
