/**
 * The run directory of an emulated host: where it is, and what its files are called.
 *
 * Names only: the host makes the directory and what is in it, and removes it all at its end.
 *
 * | file | what |
 * |--|--|
 * | `control` | socket: what a kernel and a hypervisor would be asked (docs/EMULATED-HOST.md) |
 * | `xs.<domid>` | socket: the XenStore as that domain sees it |
 * | `pages` | grant reference r is page r of this sparse file |
 * | `ports` | the port table |
 * | `evt.<queue>` | FIFO: the events of one process |
 */
import type { DomId } from "@vchan/xen"
import * as path from "node:path"

/** Where a host's files are. */
export interface RunDirectory {
  readonly path: string
  readonly control: string
  readonly pages: string
  readonly ports: string
  readonly store: (domid: DomId) => string
  readonly queue: (queue: number) => string
}

/** The most bytes the path of a unix socket may have (`sun_path` less its NUL). */
export const socketPathLimit = 107

/** The run directory: `directory` where given, else `VCHAN_HOST`, else below `XDG_RUNTIME_DIR`, else below /dev/shm. */
export const runDirectory = (directory: string | undefined): RunDirectory => {
  const chosen = path.resolve(directory ?? fromEnvironment())
  return {
    path: chosen,
    control: path.join(chosen, "control"),
    pages: path.join(chosen, "pages"),
    ports: path.join(chosen, "ports"),
    store: (domid) => path.join(chosen, `xs.${domid}`),
    queue: (queue) => path.join(chosen, `evt.${queue}`)
  }
}

/** What to do where no host serves a directory, which was named or not. */
export const hostHint = (directory: string | undefined): string =>
  directory === undefined ? "start one with 'vchan host'" : `start one with 'vchan host --directory ${directory}'`

/** Whether the sockets of all domains can have their paths in this directory. */
export const fitsSockets = (directory: RunDirectory): boolean => Buffer.byteLength(directory.store(0x7FEF)) <= socketPathLimit

/** Whether a host makes files of this name: what a killed one left is known by it. */
export const isHostFile = (name: string): boolean => /^(control|pages|ports|xs\.[0-9]+|evt\.[0-9]+)$/.test(name)

const fromEnvironment = (): string => {
  const { VCHAN_HOST, XDG_RUNTIME_DIR } = process.env
  if (VCHAN_HOST) return VCHAN_HOST
  return XDG_RUNTIME_DIR ? path.join(XDG_RUNTIME_DIR, "vchan-host") : `/dev/shm/vchan-host-${process.getuid?.() ?? 0}`
}
