/**
 * The ioctls and their arguments against the kernel's own headers, compiled here. The headers use types of the same width on x86-64 and arm64,
 * and both number ioctls by asm-generic/ioctl.h, which the program includes: so this holds for arm64 too.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import * as Devices from "../src/internal/xenDevices.ts"
import { temporaryDirectory } from "./testHost.ts"

const source = fileURLToPath(new URL("deviceHeaders.c", import.meta.url))

const numbers = {
  GNTALLOC_ALLOC_GREF: Devices.GNTALLOC_ALLOC_GREF,
  GNTALLOC_DEALLOC_GREF: Devices.GNTALLOC_DEALLOC_GREF,
  GNTALLOC_SET_UNMAP_NOTIFY: Devices.SET_UNMAP_NOTIFY,
  GNTDEV_MAP_GRANT_REF: Devices.GNTDEV_MAP_GRANT_REF,
  GNTDEV_UNMAP_GRANT_REF: Devices.GNTDEV_UNMAP_GRANT_REF,
  GNTDEV_SET_UNMAP_NOTIFY: Devices.SET_UNMAP_NOTIFY,
  EVTCHN_BIND_INTERDOMAIN: Devices.EVTCHN_BIND_INTERDOMAIN,
  EVTCHN_BIND_UNBOUND_PORT: Devices.EVTCHN_BIND_UNBOUND_PORT,
  EVTCHN_UNBIND: Devices.EVTCHN_UNBIND,
  EVTCHN_NOTIFY: Devices.EVTCHN_NOTIFY,
  EVTCHN_RESET: Devices.EVTCHN_RESET
}

const structs = {
  alloc: Devices.encodeAllocGref(0x7fef, 1),
  map: Devices.encodeMapGrantRef(5, [0x80000001]),
  dealloc: Devices.encodeRange(0x1122334455000, 3),
  unmap: Devices.encodeRange(0x1122334455000, 3),
  lent: Devices.encodeUnmapNotify(0x3000, { clearByte: 21, port: 0x1234 }),
  borrowed: Devices.encodeUnmapNotify(0x3000, { clearByte: 21, port: 0x1234 }),
  interdomain: Devices.encodeBindInterdomain(5, 0xfffffff0),
  unbound: Devices.encodeWord(0x7fef),
  unbind: Devices.encodeWord(0x7fef),
  notify: Devices.encodeWord(0x7fef)
}

/** The program's words, by name. */
const compiled = Effect.gen(function*() {
  const program = `${yield* temporaryDirectory}/headers`
  execFileSync("cc", ["-Wall", "-Wextra", "-Werror", source, "-o", program])
  const lines = execFileSync(program, { encoding: "utf8" }).trim().split("\n")
  return new Map(lines.map((line): [string, string] => [line.slice(0, line.indexOf(" ")), line.slice(line.indexOf(" ") + 1)]))
})

const bytesOf = (text = ""): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"))

const missing = ["cc", "/usr/include/xen/gntdev.h"].filter((need) =>
  need === "cc" ? !(process.env.PATH ?? "").split(":").some((directory) => fs.existsSync(`${directory}/cc`)) : !fs.existsSync(need)
)

describe("The kernel's headers", () => {
  if (missing.length > 0) {
    const reason = `need ${missing.join(" and ")}: sudo apt-get update && sudo apt-get install gcc libc6-dev`
    if (process.env.CI === "true") it(reason, () => assert.fail(reason))
    else {
      console.warn(`skipped: the kernel's headers ${reason}`)
      it.skip(reason, () => {})
    }
    return
  }

  it.effect("have the same numbers and bytes", () =>
    Effect.gen(function*() {
      const words = yield* compiled
      for (const [name, number] of Object.entries(numbers)) assert.strictEqual(Number(words.get(name)), number, name)
      for (const [name, bytes] of Object.entries(structs)) assert.strictEqual(Buffer.from(bytes).toString("hex"), words.get(name), name)
      assert.strictEqual(Devices.decodeIndex(bytesOf(words.get("allocated"))), 0x1122334455000)
      assert.deepStrictEqual(Devices.decodeReferences(bytesOf(words.get("allocated")), 1), [0xfffffffe])
      assert.strictEqual(Devices.decodeIndex(bytesOf(words.get("mapped"))), 0x3000)
    }))
})
