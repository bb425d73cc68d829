import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import * as path from "node:path"
import { ends } from "../system/World.ts"
import { describeDebian } from "./debian.ts"
import { makeWorld } from "./world.ts"

describeDebian("the C library for the emulated host", (debian) => {
  const symbols = (file: string): ReadonlyArray<string> =>
    execFileSync("nm", ["-D", "--defined-only", file], { encoding: "utf8" })
      .split("\n").flatMap((line) => / T (\w+)/.exec(line)?.[1] ?? [])

  it("has every function of libxengnttab and libxenevtchn", () => {
    const own = symbols(debian.shim)
    const theirs = ["libxengnttab.so.1", "libxenevtchn.so.1"].flatMap((name) => symbols(path.join(debian.libraries, name)))
    expect(theirs.length).toBeGreaterThan(30)
    expect(theirs.filter((name) => !own.includes(name))).toEqual([])
  })

  it("shows the program it is loaded into no name but Xen's", () => {
    expect(symbols(debian.shim).filter((name) => !/^(xenevtchn|xengnttab|xengntshr|xs|xc)_/.test(name))).toEqual([])
  })

  it("declares its functions as Xen's headers do", () => {
    const headers = ["xenevtchn.h", "xengnttab.h", "xenstore.h"].flatMap((name) => ["-include", name])
    for (const source of debian.sources) debian.compile("-fsyntax-only", `-I${debian.include}`, "-DMISSING(name)=", ...headers, source)
  })

  it.live("keeps the rules of events, grants, unmap notify and fork", () =>
    Effect.gen(function*() {
      const { one, untilReleased } = yield* makeWorld(debian)
      yield* ends("handles", yield* one.startC(debian.handles, String(one.domid)))
      yield* untilReleased
    }).pipe(Effect.scoped, Effect.timeout("100 seconds")))
})
