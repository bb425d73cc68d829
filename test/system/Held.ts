/**
 * What a domain holds, as the kernel and XenStore tell it: so it is seen what a case leaves behind.
 */
import { XenStore } from "@vchan/xen"
import { Effect } from "effect"
import * as fs from "node:fs"

/** How many ranges of lent or mapped pages all processes of this domain have; one that ends meanwhile has none. */
const ranges = (): number => {
  let count = 0
  for (const name of fs.readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name))) {
    try {
      count += fs.readFileSync(`/proc/${name}/maps`, "utf8").split("/dev/xen/gnt").length - 1
    } catch {
      continue
    }
  }
  return count
}

/** The keys below a path that hold something: a server in C leaves the empty directories above its own. */
const keys = (path: string): Effect.Effect<ReadonlyArray<string>, never, XenStore> =>
  Effect.gen(function*() {
    const store = yield* XenStore
    const names = yield* Effect.orElseSucceed(store.directory(path), () => [])
    const below = yield* Effect.forEach(names, (name) => keys(`${path}/${name}`))
    const own = names.length > 0 || (yield* Effect.orElseSucceed(store.read(path), () => "")) === "" ? [] : [path]
    return [...own, ...below.flat()]
  })

/** In one line. The bench's own keys do not count. */
export const held: Effect.Effect<string, never, XenStore> = Effect.gen(function*() {
  const store = yield* XenStore
  const names = (yield* Effect.orElseSucceed(store.directory("data"), () => [])).filter((name) => name !== "agent")
  const found = yield* Effect.forEach(names, (name) => keys(`data/${name}`))
  return `${ranges()} ranges of pages, keys: ${found.flat().join(" ") || "none"}`
})
