import { assert, describe, it } from "@effect/vitest"
import { Consumer, Producer } from "../src/Ring.ts"
import { live, SharedPage } from "../src/SharedPage.ts"

describe("SharedPage", () => {
  it("a fresh page of the smallest rings holds the bytes that libxenvchan writes", () => {
    const buffer = new ArrayBuffer(4096)
    const page = new SharedPage(buffer)
    page.initialise({ left: 10, right: 11 }, [])
    const bytes = Buffer.from(buffer)
    assert.strictEqual(bytes.subarray(0, 16).toString("hex"), "00".repeat(16))
    assert.strictEqual(bytes.subarray(16, 24).toString("hex"), "0a000b0002010100")
  })

  it("lists grants as u32, left ring first", () => {
    const buffer = new ArrayBuffer(4096)
    const page = new SharedPage(buffer)
    page.initialise({ left: 12, right: 12 }, [0x01020304, 0xFFFFFFFF])
    assert.strictEqual(Buffer.from(buffer).subarray(24, 32).toString("hex"), "04030201ffffffff")
    assert.deepStrictEqual(page.readReferences(2), [0x01020304, 0xFFFFFFFF])
    assert.deepStrictEqual(page.readOrders(), { left: 12, right: 12 })
  })

  it("left.cons, left.prod, right.cons, right.prod lie in this order; the notify bytes are set by the other side", () => {
    const buffer = new ArrayBuffer(4096)
    const view = new DataView(buffer)
    const page = new SharedPage(buffer)
    page.initialise({ left: 10, right: 11 }, [])
    const client = {
      left: new Producer(page.ring("client", "write", 10, undefined)),
      right: new Consumer(page.ring("client", "read", 11, undefined))
    }
    const server = {
      left: new Consumer(page.ring("server", "read", 10, undefined)),
      right: new Producer(page.ring("server", "write", 11, undefined))
    }
    client.left.write(Uint8Array.of(1, 2, 3, 4), 0, 4)
    server.left.read(new Uint8Array(9), 0, 3)
    server.right.write(Uint8Array.of(5, 6), 0, 2)
    client.right.read(new Uint8Array(9), 0, 1)
    assert.deepStrictEqual([0, 4, 8, 12].map((at) => view.getUint32(at, true)), [3, 4, 1, 2])
    assert.deepStrictEqual(new Uint8Array(buffer, 1024, 4), Uint8Array.of(1, 2, 3, 4))
    assert.deepStrictEqual(new Uint8Array(buffer, 2048, 2), Uint8Array.of(5, 6))
    client.right.request()
    client.left.request()
    assert.strictEqual(view.getUint8(23), 3)
    assert.isTrue(server.right.takeNotify())
    assert.isFalse(server.right.takeNotify())
    assert.strictEqual(view.getUint8(23), 2)
    assert.isTrue(server.left.takeNotify())
    server.right.request()
    server.left.request()
    assert.strictEqual(view.getUint8(22), 3)
    assert.isTrue(client.left.takeNotify() && client.right.takeNotify())
    assert.strictEqual(view.getUint8(22), 0)
  })

  it("between two clients both rings are emptied, and a client that has connected meanwhile stays connected", () => {
    const buffer = new ArrayBuffer(4096)
    const view = new DataView(buffer)
    const page = new SharedPage(buffer)
    page.initialise({ left: 10, right: 11 }, [])
    ;[7, 20, 30, 44].forEach((value, at) => view.setUint32(4 * at, value, true))
    assert.strictEqual(page.empty(50), 20)
    assert.deepStrictEqual([0, 4, 8, 12].map((at) => view.getUint32(at, true)), [20, 20, 50, 50])
    page.setLive("client", live.gone)
    page.awaitClient()
    assert.strictEqual(page.live("client"), live.waiting)
    page.setLive("client", live.connected)
    page.awaitClient()
    assert.strictEqual(page.live("client"), live.connected)
  })
})
