import { afterEach, assert, describe, it, vi } from "@effect/vitest"
import { isHostFile, runDirectory } from "../src/internal/RunDirectory.ts"

afterEach(() => void vi.unstubAllEnvs())

describe("the run directory", () => {
  it("is the option, else VCHAN_HOST, else below XDG_RUNTIME_DIR, else below /dev/shm", () => {
    vi.stubEnv("VCHAN_HOST", "/named")
    vi.stubEnv("XDG_RUNTIME_DIR", "/run/user/7")
    assert.strictEqual(runDirectory("/given").path, "/given")
    assert.strictEqual(runDirectory(undefined).path, "/named")
    vi.stubEnv("VCHAN_HOST", "")
    assert.strictEqual(runDirectory(undefined).path, "/run/user/7/vchan-host")
    vi.stubEnv("XDG_RUNTIME_DIR", "")
    assert.strictEqual(runDirectory(undefined).path, `/dev/shm/vchan-host-${process.getuid?.()}`)
  })

  it("knows a host's files from others", () => {
    const { control, pages, ports, queue, store } = runDirectory("/given")
    for (const file of [control, pages, ports, queue(12), store(3)]) assert.isTrue(isHostFile(file.slice("/given/".length)))
    for (const name of ["notes", "evt", "evt.x", "xs.", "control.bak", "pages2"]) assert.isFalse(isHostFile(name))
  })
})
