import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Permission } from "../src/XenStore.ts"
import * as Wire from "../src/XenStoreWire.ts"

const u32 = fc.integer({ min: 0, max: 0xFFFF_FFFF })
const packets = fc.array(
  fc.record({ type: u32, requestId: u32, transactionId: u32, payload: fc.uint8Array({ maxLength: 300 }) }),
  { maxLength: 8 }
)

const packet = (payload: Uint8Array, type: number = Wire.Operation.READ): Wire.Packet => ({ type, requestId: 7, transactionId: 9, payload })

const join = (parts: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(parts.flatMap((part) => [...part]))

const header = (length: number): Uint8Array => {
  const bytes = Wire.encode(packet(new Uint8Array()))
  new DataView(bytes.buffer).setUint32(12, length, true)
  return bytes
}

/** Decodes the bytes in pieces that end at `cuts`. */
const decodeCut = (bytes: Uint8Array, cuts: ReadonlyArray<number>): Wire.Decoded => {
  const decoder = new Wire.Decoder()
  const ends = [...cuts, bytes.length].toSorted((a, b) => a - b)
  const fed = ends.map((end, index) => decoder.feed(bytes.slice(ends[index - 1] ?? 0, end)))
  return { packets: fed.flatMap(({ packets }) => packets), violation: fed.at(-1)?.violation }
}

describe("a packet", () => {
  it("is 16 bytes of little-endian header and the payload", () => {
    const bytes = Wire.encode({ type: 2, requestId: 0x01020304, transactionId: 5, payload: Wire.encodeStrings(["domid"]) })
    expect(Buffer.from(bytes).toString("hex")).toBe(`02000000${"04030201"}05000000${"06000000"}${Buffer.from("domid\0").toString("hex")}`)
  })

  it("comes back as it was sent, whatever it is", () => {
    fc.assert(fc.property(packets, (sent) => {
      expect(decodeCut(join(sent.map(Wire.encode)), [])).toEqual({ packets: sent, violation: undefined })
    }))
  })

  it("may have a payload of 0, 1 and 4096 bytes", () => {
    for (const length of [0, 1, 4095, 4096]) {
      const sent = packet(new Uint8Array(length).fill(length))
      expect(decodeCut(Wire.encode(sent), []).packets).toEqual([sent])
    }
  })

  it("of over 4096 bytes is not encoded", () => {
    expect(() => Wire.encode(packet(new Uint8Array(4097)))).toThrow(RangeError)
  })
})

describe("the decoder", () => {
  const sent = [
    packet(Wire.encodeStrings(["/local/domain/1"])),
    packet(new Uint8Array(), Wire.Operation.RESET_WATCHES),
    packet(Wire.encodeStrings(["T"]), Wire.Operation.TRANSACTION_END)
  ]
  const bytes = join(sent.map(Wire.encode))

  it("gives the same packets wherever the bytes are cut in two", () => {
    for (let cut = 0; cut <= bytes.length; cut++) expect(decodeCut(bytes, [cut]).packets).toEqual(sent)
  })

  it("gives the same packets byte by byte", () => {
    expect(decodeCut(bytes, Array.from(bytes.keys())).packets).toEqual(sent)
  })

  it("gives the same result for any bytes, however they are cut", () => {
    const input = fc.oneof(fc.uint8Array({ maxLength: 200 }), packets.map((some) => join(some.map(Wire.encode))))
    fc.assert(fc.property(input, fc.array(fc.nat(), { maxLength: 20 }), (bytes, cuts) => {
      expect(decodeCut(bytes, cuts.map((cut) => cut % (bytes.length + 1)))).toEqual(decodeCut(bytes, []))
    }))
  })

  it("ends with a violation where a payload is announced that is too long, whatever follows", () => {
    for (const length of [4097, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF]) {
      const input = join([...sent.map(Wire.encode), header(length), bytes])
      const violation = { _tag: "Oversized", type: Wire.Operation.READ, requestId: 7, length }
      expect(decodeCut(input, [])).toEqual({ packets: sent, violation })
      expect(decodeCut(input, Array.from(input.keys()))).toEqual({ packets: sent, violation })
    }
  })

  it("keeps nothing of the memory it was fed", () => {
    const input = Wire.encode(packet(Wire.encodeStrings(["kept"])))
    const decoder = new Wire.Decoder()
    const first = decoder.feed(input.subarray(0, 18))
    const held = input.slice(18)
    input.fill(0xFF)
    expect([...first.packets, ...decoder.feed(held).packets].map(({ payload }) => Wire.decodeStrings(payload))).toEqual([["kept"]])
    const whole = Wire.encode(packet(Wire.encodeStrings(["kept"])))
    const [decoded] = new Wire.Decoder().feed(whole).packets
    whole.fill(0xFF)
    expect(decoded && Wire.decodeStrings(decoded.payload)).toEqual(["kept"])
  })
})

describe("a payload's texts", () => {
  it("come back as they were, empty ones too", () => {
    const text = fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\0"))
    fc.assert(fc.property(fc.array(text), (texts) => {
      expect(Wire.decodeStrings(Wire.encodeStrings(texts))).toEqual(texts)
    }))
  })

  it("are none without a NUL at the end, or where they are not UTF-8", () => {
    expect(Wire.decodeStrings(Wire.encodeText("a\0b"))).toBeUndefined()
    expect(Wire.decodeStrings(new Uint8Array([0xFF, 0]))).toBeUndefined()
    expect(Wire.decodeStrings(new Uint8Array())).toEqual([])
    expect(Wire.decodeStrings(new Uint8Array([0]))).toEqual([""])
  })

  it("keep a byte order mark", () => {
    expect(Wire.decodeText(Wire.encodeText("\uFEFFx"))).toBe("\uFEFFx")
  })

  it("of a WRITE are a path, and a value of any bytes", () => {
    fc.assert(fc.property(fc.uint8Array(), (value) => {
      expect(Wire.decodeWrite(Wire.encodeWrite("a/b", value))).toEqual({ path: "a/b", value })
    }))
    expect(Wire.decodeWrite(Wire.encodeText("a/b"))).toBeUndefined()
    expect(Wire.decodeWrite(new Uint8Array())).toBeUndefined()
  })
})

describe("a permission", () => {
  it("is a letter and a domid", () => {
    const access = fc.constantFrom<Permission["access"]>("n", "r", "w", "b")
    fc.assert(fc.property(fc.record({ domid: fc.integer({ min: 0, max: 0x7FEF }), access }), (permission) => {
      expect(Wire.parsePermission(Wire.formatPermission(permission))).toEqual(permission)
    }))
    expect(Wire.formatPermission({ domid: 5, access: "r" })).toBe("r5")
  })

  it.each(["", "r", "5", "x5", "r-1", "r 5", "r5 ", "r5\0", "rr5", "r1e3", "r0x5", "r32752", "r99999999999999999999", "R5"])(
    "is not %j",
    (text) => {
      expect(Wire.parsePermission(text)).toBeUndefined()
    }
  )
})

describe("a number", () => {
  it("is a u32 in plain decimal", () => {
    for (const [text, value] of [["0", 0], ["007", 7], ["4294967295", 0xFFFF_FFFF]] as const) expect(Wire.parseNumber(text)).toBe(value)
    for (const text of ["", "-1", "+1", "4294967296", "1.5", "1e3", "0x10", " 1", "99999999999"]) {
      expect(Wire.parseNumber(text)).toBeUndefined()
    }
  })
})

describe("a path", () => {
  it.each([
    "/",
    "/a",
    "a",
    "/local/domain/0",
    "data/vchan/3/event-channel",
    "A-Z_a@9",
    "/@x",
    "__proto__",
    `/${"a".repeat(3071)}`,
    "a".repeat(2048),
    `${"a/".repeat(1023)}aa`
  ])("may be %.40j", (path) => {
    expect(Wire.isPath(path)).toBe(true)
  })

  it.each([
    "",
    "//",
    "/a/",
    "a/",
    "/a//b",
    "//a",
    "a//b",
    "/a b",
    "/a.b",
    "/a\0b",
    "/a\n",
    "/ä",
    "@releaseDomain",
    `/${"a".repeat(3072)}`,
    "a".repeat(2049),
    `${"a/".repeat(1024)}a`
  ])("may not be %.40j", (path) => {
    expect(Wire.isPath(path)).toBe(false)
  })

  it("of a special watch starts with @", () => {
    for (const path of ["@releaseDomain", "@introduceDomain", "@x/1", `@${"a".repeat(2047)}`]) expect(Wire.isSpecialPath(path)).toBe(true)
    for (const path of ["", "/@x", "x", "@a b", "@a/", `@${"a".repeat(2048)}`]) expect(Wire.isSpecialPath(path)).toBe(false)
  })
})
