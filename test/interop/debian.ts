/**
 * Debian's Xen, unpacked into a cache folder below node_modules, nothing installed: libxenvchan and what it needs, the programs over it, and
 * what is built here against it.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const packages = [
  "libxen-dev",
  "libxencall1",
  "libxendevicemodel1",
  "libxenevtchn1",
  "libxenforeignmemory1",
  "libxengnttab1",
  "libxenmisc4.17",
  "libxenstore4",
  "libxentoolcore1",
  "libxentoollog1",
  "xen-utils-4.17",
  "xenstore-utils"
]

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

const cache = here("../../node_modules/.cache/vchan/interop")
const native = here("../../packages/cli/native")
const peerSource = here("../system/peer/peer.c")

/** What C programs run with. */
export interface Debian {
  /** Where Debian's files are: `usr/lib/xen-4.17/bin/xl` and so on. */
  readonly root: string
  readonly include: string
  /** For LD_LIBRARY_PATH. */
  readonly libraries: string
  /** For PATH. */
  readonly tools: string
  /** The library that stands in for libxengnttab and libxenevtchn. */
  readonly shim: string
  readonly sources: ReadonlyArray<string>
  /** The program of test/system/peer/peer.c. */
  readonly peer: string
  /** The program of handles.c. */
  readonly handles: string
  /** What xenstored runs with on plain Linux. */
  readonly hypervisor: string
  readonly compile: (...args: ReadonlyArray<string>) => string
}

const warnings = ["-O2", "-Wall", "-Wextra", "-Werror"]

const find = (): Debian => {
  const root = path.join(cache, "debian")
  if (!fs.existsSync(root)) publish(root, unpack)
  const include = path.join(root, "usr/include")
  const triplet = fs.readdirSync(path.join(root, "usr/lib")).find((name) => name.endsWith("-linux-gnu")) ?? ""
  const libraries = path.join(root, "usr/lib", triplet)
  const sources = ["guest.c", "grants.c", "events.c"].map((name) => path.join(native, name))
  const built = (name: string, files: ReadonlyArray<string>, ...args: ReadonlyArray<string>) => {
    const hash = createHash("sha256")
    for (const file of files) hash.update(fs.readFileSync(file))
    const to = path.join(cache, `${name}-${hash.digest("hex").slice(0, 16)}`)
    if (!fs.existsSync(to)) publish(to, (out) => compile(...files.filter((file) => file.endsWith(".c")), ...args, "-o", out))
    return to
  }
  const against = (library: string) => [`-I${include}`, `-L${libraries}`, `-Wl,-rpath-link,${libraries}`, `-l${library}`]
  return {
    root,
    include,
    libraries,
    tools: [path.join(root, "usr/lib/xen-4.17/bin"), path.join(root, "usr/bin")].join(":"),
    shim: built("xenshim.so", [...sources, path.join(native, "xenshim.h")], "-shared", "-fPIC", "-pthread", "-ldl"),
    sources,
    peer: built("peer", [peerSource], ...against("xenvchan")),
    hypervisor: built("hypervisor.so", [here("../model/hypervisor.c")], "-shared", "-fPIC", `-I${include}`, "-ldl"),
    handles: built("handles", [here("handles.c")], ...against("xengnttab"), "-lxenevtchn"),
    compile
  }
}

const compile = (...args: ReadonlyArray<string>): string => execFileSync("gcc", [...warnings, ...args], { stdio: "pipe", encoding: "utf8" })

/** Makes something in a folder beside its place, and moves it there when it is whole. */
const publish = (to: string, make: (out: string) => void): void => {
  fs.mkdirSync(path.dirname(to), { recursive: true })
  const folder = fs.mkdtempSync(`${to}.`)
  try {
    const out = path.join(folder, "out")
    make(out)
    fs.renameSync(out, to)
  } catch (cause) {
    // Another test file may have been faster.
    if (!fs.existsSync(to)) throw cause
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

const unpack = (out: string): void => {
  const folder = path.dirname(out)
  execFileSync("apt-get", ["download", "-q", "-o", "APT::Sandbox::User=root", ...packages], { cwd: folder, stdio: "pipe" })
  for (const file of fs.readdirSync(folder).filter((name) => name.endsWith(".deb"))) {
    execFileSync("dpkg", ["-x", file, out], { cwd: folder, stdio: "pipe" })
  }
}

const installLine = "on Debian 12: sudo apt-get update && sudo apt-get install gcc libc6-dev"

/** A suite that needs Debian's Xen and gcc: named as skipped, with what would bring them, where they are missing, and failed with `CI=true`. */
export const describeDebian = (name: string, suite: (debian: Debian) => void): void => {
  describe(name, () => {
    let debian: Debian
    try {
      debian = find()
    } catch (cause) {
      const reason = `needs Debian's Xen 4.17 and gcc (${cause instanceof Error ? cause.message.split("\n")[0] : cause}): ${installLine}`
      if (process.env.CI === "true") it(reason, () => assert.fail(reason))
      else {
        console.warn(`skipped: ${name}: ${reason}`)
        it.skip(reason, () => {})
      }
      return
    }
    suite(debian)
  })
}
