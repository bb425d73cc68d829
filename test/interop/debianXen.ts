/**
 * Debian's Xen, unpacked into a cache folder below node_modules, nothing installed: libxenvchan and what it needs, the programs over it, and
 * what is built here against it.
 */
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

const cache = fileURLToPath(new URL("../../node_modules/.cache/vchan/interop", import.meta.url))

/** Debian's files, and a way to build with them. */
export interface DebianXen {
  /** Where they are: `usr/lib/xen-4.17/bin/xl` and so on. */
  readonly root: string
  readonly include: string
  /** For LD_LIBRARY_PATH. */
  readonly libraries: string
  /** Builds a program of C files against libraries, such as `xenvchan`, where it is not there yet, and gives its path. */
  readonly build: (name: string, files: ReadonlyArray<string>, against: ReadonlyArray<string>, ...args: ReadonlyArray<string>) => string
}

const warnings = ["-O2", "-Wall", "-Wextra", "-Werror"]

/** Brings what is missing. Throws where apt or gcc do not work. */
export const findDebianXen = (): DebianXen => {
  const root = path.join(cache, "debian")
  if (!fs.existsSync(root)) publish(root, unpack)
  const include = path.join(root, "usr/include")
  const triplet = fs.readdirSync(path.join(root, "usr/lib")).find((name) => name.endsWith("-linux-gnu")) ?? ""
  const libraries = path.join(root, "usr/lib", triplet)
  const linking = [`-I${include}`, `-L${libraries}`, `-Wl,-rpath-link,${libraries}`]
  return {
    root,
    include,
    libraries,
    build: (name, files, against, ...args) => build(name, files, ...linking, ...against.map((library) => `-l${library}`), ...args)
  }
}

/** Builds a program of C files, where it is not there yet, and gives its path. */
export const build = (name: string, files: ReadonlyArray<string>, ...args: ReadonlyArray<string>): string => {
  const hash = createHash("sha256")
  for (const file of files) hash.update(fs.readFileSync(file))
  const to = path.join(cache, `${name}-${hash.digest("hex").slice(0, 16)}`)
  if (!fs.existsSync(to)) publish(to, (out) => compile(...files.filter((file) => file.endsWith(".c")), ...args, "-o", out))
  return to
}

export const compile = (...args: ReadonlyArray<string>): string =>
  execFileSync("gcc", [...warnings, ...args], { stdio: "pipe", encoding: "utf8" })

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
  execFileSync("apt-get", ["download", "-q", "-o", "Acquire::Retries=3", "-o", "APT::Sandbox::User=root", ...packages], {
    cwd: folder,
    stdio: "pipe"
  })
  for (const file of fs.readdirSync(folder).filter((name) => name.endsWith(".deb"))) {
    execFileSync("dpkg", ["-x", file, out], { cwd: folder, stdio: "pipe" })
  }
}

/** What brings what is missing. */
export const installLine = "on Debian 12: sudo apt-get update && sudo apt-get install gcc libc6-dev"
