/**
 * Debian's xenstore-utils: those of the system, else unpacked into a cache folder below node_modules, nothing installed.
 */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

/** Where the tools are, or why they are not to be had. */
export type XenstoreUtils =
  | { readonly _tag: "Found"; readonly run: (tool: string) => { readonly command: string; readonly env: Readonly<Record<string, string>> } }
  | { readonly _tag: "Missing"; readonly reason: string }

/** The line that brings them. */
export const installLine = "sudo apt-get update && sudo apt-get install xenstore-utils"

const packages = ["xenstore-utils", "libxenstore4", "libxentoolcore1"]
const cache = fileURLToPath(new URL("../../../node_modules/.cache/vchan/xenstore-utils", import.meta.url))

/** Finds the tools, downloading them where apt is there. */
export const findXenstoreUtils = (): XenstoreUtils => {
  for (const folder of (process.env.PATH ?? "").split(":")) {
    if (fs.existsSync(path.join(folder, "xenstore-ls"))) {
      return { _tag: "Found", run: (tool) => ({ command: path.join(folder, tool), env: {} }) }
    }
  }
  try {
    if (!fs.existsSync(cache)) unpack()
  } catch (cause) {
    return { _tag: "Missing", reason: `apt-get download failed: ${cause instanceof Error ? cause.message.split("\n")[0] : cause}` }
  }
  const libraries = path.join(cache, "usr/lib")
  const folders = [libraries, ...fs.readdirSync(libraries).map((name) => path.join(libraries, name))]
  return {
    _tag: "Found",
    run: (tool) => ({ command: path.join(cache, "usr/bin", tool), env: { LD_LIBRARY_PATH: folders.join(":") } })
  }
}

/** In a folder beside the cache, which is renamed when it is whole. */
const unpack = (): void => {
  fs.mkdirSync(path.dirname(cache), { recursive: true })
  const folder = fs.mkdtempSync(`${cache}.`)
  try {
    execFileSync("apt-get", ["download", ...packages], { cwd: folder, stdio: "pipe" })
    for (const file of fs.readdirSync(folder).filter((name) => name.endsWith(".deb"))) {
      execFileSync("dpkg", ["-x", file, "root"], { cwd: folder, stdio: "pipe" })
    }
    fs.renameSync(path.join(folder, "root"), cache)
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
}
