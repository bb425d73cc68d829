/**
 * One node of the store's tree: plain immutable data, replaced as a whole when anything of it changes.
 */
import type { DomId } from "../DomId.ts"
import type { Access, Permission } from "../XenStore.ts"
import { encodeText } from "../XenStoreWire.ts"

/** A permission as the store keeps it. */
export interface NodePermission extends Permission {
  /** The domain did not exist when it was named: a later domain of that number gets nothing from it. */
  readonly ignored: boolean
}

/** A node's permissions, owner first. */
export type NodePermissions = readonly [owner: NodePermission, ...others: ReadonlyArray<NodePermission>]

/** A node. */
export interface StoreNode {
  /** Unique to this state of this node. */
  readonly generation: number
  readonly permissions: NodePermissions
  readonly value: Uint8Array
  /** The names of the children, in the order in which they came. */
  readonly children: ReadonlySet<string>
  /** The bytes that the names take, with a NUL after each. */
  readonly childBytes: number
}

/** What a node is made of beside its generation, which the store gives. */
export type NodeContent = Omit<StoreNode, "generation">

/** What one may do with a node: bits. */
export const Right = { none: 0, read: 1, write: 2, own: 4, all: 7 } as const

const granted: Readonly<Record<Access, number>> = { n: Right.none, r: Right.read, w: Right.write, b: Right.read | Right.write }

/** The control domain, which may do everything. */
export const isPrivileged = (domid: DomId): boolean => domid === 0

/** The rights of a domain: all for the owner and for domain 0, else those of its own entry, else those of everybody. */
export const rightsOf = (permissions: NodePermissions, domid: DomId): number => {
  const [owner] = permissions
  if (isPrivileged(domid) || owner.domid === domid) return Right.all
  const entry = permissions.find((permission, index) => index > 0 && permission.domid === domid && !permission.ignored)
  return granted[(entry ?? owner).access]
}

/** A node's size as xenstored counts it: a header of 24 bytes, 8 for each permission, the value and the children's names. */
export const sizeOf = (node: NodeContent): number => 24 + 8 * node.permissions.length + node.value.length + node.childBytes

/** The path of a node's parent; the root is its own. */
export const parentOf = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf("/")))

/** A node's own name. */
export const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1)

/** The path of a child. */
export const childOf = (path: string, name: string): string => path === "/" ? `/${name}` : `${path}/${name}`

/** The path of a domain's own part of the tree, where its relative paths start. */
export const domainPath = (domid: DomId): string => `/local/domain/${domid}`

/** A node with one child more. */
export const withChild = (node: NodeContent, name: string): NodeContent => ({
  ...node,
  children: new Set(node.children).add(name),
  childBytes: node.childBytes + name.length + 1
})

/** A node with one child less. */
export const withoutChild = (node: NodeContent, name: string): NodeContent => {
  const children = new Set(node.children)
  children.delete(name)
  return { ...node, children, childBytes: node.childBytes - name.length - 1 }
}

/** A node without children. */
export const leaf = (permissions: NodePermissions, value: Uint8Array | string = ""): NodeContent => ({
  permissions,
  value: typeof value === "string" ? encodeText(value) : value.slice(),
  children: new Set(),
  childBytes: 0
})

/** A permission that counts. */
export const permit = (domid: DomId, access: Access): NodePermission => ({ domid, access, ignored: false })
