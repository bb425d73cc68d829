/**
 * A node of the model's store: its path, what it holds, and who may do what with it.
 */

/** What a node holds. */
export interface Content {
  readonly value: string
  /** As GET_PERMS tells them, the owner's first. One for a domain that was not there when it was named has a `!` and serves nobody. */
  readonly permissions: ReadonlyArray<string>
  readonly children: ReadonlyArray<string>
}

/** A state of a node, which is never the same object as another state. */
export type Node = Content | undefined

/** Where a domain's paths begin. */
export const home = (domid: number): string => `/local/domain/${domid}`

/** The path that a domain means: one of its own, unless it begins at the root or is a special watch's. */
export const pathOf = (domid: number, given: string): string => /^[/@]/.test(given) ? given : `${home(domid)}/${given}`

/** The path of the node above. */
export const above = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf("/")))

/** The last name of a path. */
export const last = (path: string): string => path.slice(path.lastIndexOf("/") + 1)

/** Whether a path is one of those below another. */
export const isBelow = (path: string, top: string): boolean => path !== top && (top === "/" || path.startsWith(`${top}/`))

/** Whether this is a path from the root on. */
export const isPath = (path: string): boolean => path === "/" || /^(\/[\w@-]+)+$/.test(path)

/** Whom a permission is for. */
export const domidOf = (permission = "n0"): number => Number(permission.slice(1))

/** The bytes that a node counts for, by xenstored's reckoning. */
export const sizeOf = ({ children, permissions, value }: Content): number =>
  24 + 8 * permissions.length + value.length + children.map((name) => `${name}.`).join("").length

/** What a domain may do with a node: a letter of GET_PERMS, or `*` for everything. */
export const mayDo = (domid: number, [owner, ...others]: ReadonlyArray<string>): string => {
  if (domid === 0 || domidOf(owner) === domid) return "*"
  return (others.find((other) => domidOf(other) === domid) ?? owner ?? "n").charAt(0)
}
