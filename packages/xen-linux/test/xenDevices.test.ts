/**
 * The bytes were printed by a C program compiled against the kernel's own headers: xen/gntalloc.h, xen/gntdev.h and xen/evtchn.h.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Devices from "../src/internal/xenDevices.ts"

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"))

describe("xenDevices", () => {
  it("numbers the ioctls as the headers do", () => {
    assert.deepStrictEqual(
      [Devices.GNTALLOC_ALLOC_GREF, Devices.GNTALLOC_DEALLOC_GREF, Devices.SET_UNMAP_NOTIFY, Devices.GNTDEV_MAP_GRANT_REF],
      [0x184705, 0x104706, 0x104707, 0x184700]
    )
    assert.deepStrictEqual(
      [Devices.GNTDEV_UNMAP_GRANT_REF, Devices.EVTCHN_BIND_INTERDOMAIN, Devices.EVTCHN_BIND_UNBOUND_PORT],
      [0x104701, 0x84501, 0x44502]
    )
    assert.deepStrictEqual([Devices.EVTCHN_UNBIND, Devices.EVTCHN_NOTIFY, Devices.EVTCHN_RESET], [0x44503, 0x44504, 0x4505])
  })

  it("asks for pages, and reads where they are and which", () => {
    assert.strictEqual(hex(Devices.encodeAllocGref(0x7fef, 3)), "ef7f0100030000000000000000000000000000000000000000000000")
    const answer = bytes("ef7f01000300000000504534231201000403020108000000feffffff")
    assert.strictEqual(Devices.decodeIndex(answer), 0x1122334455000)
    assert.deepStrictEqual(Devices.decodeReferences(answer, 3), [0x01020304, 8, 0xfffffffe])
  })

  it("asks to map pages, and reads where they are", () => {
    assert.strictEqual(
      hex(Devices.encodeMapGrantRef(5, [0x80000001, 9])),
      "0200000000000000000000000000000005000000010000800500000009000000"
    )
    assert.strictEqual(Devices.decodeIndex(bytes("0200000000000000003000000000000005000000010000800500000009000000")), 0x3000)
  })

  it("leaves room for the whole struct, which the kernel writes back, however few pages there are", () => {
    for (const count of [0, 1, 2]) assert.strictEqual(Devices.encodeAllocGref(1, count).length, 24)
    assert.strictEqual(Devices.encodeMapGrantRef(1, []).length, 24)
    assert.strictEqual(Devices.encodeMapGrantRef(1, [7]).length, 24)
  })

  it("gives pages back, and says what is to happen when they are unmapped", () => {
    assert.strictEqual(hex(Devices.encodeRange(0x1122334455000, 3)), "00504534231201000300000000000000")
    assert.strictEqual(hex(Devices.encodeRange(0x3000, 2)), "00300000000000000200000000000000")
    assert.strictEqual(hex(Devices.encodeUnmapNotify(0x1122334455000, { clearByte: 21, port: 0x1234 })), "15504534231201000300000034120000")
  })

  it("asks for ports", () => {
    assert.strictEqual(hex(Devices.encodeBindInterdomain(5, 0xfffffff0)), "05000000f0ffffff")
    assert.strictEqual(hex(Devices.encodeWord(0x7fef)), "ef7f0000")
  })
})
