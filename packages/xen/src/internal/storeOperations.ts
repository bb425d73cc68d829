/**
 * What domains do with nodes: each operation checks the domain's rights and quotas, and either is done whole or answers with an errno.
 */
import type { DomId } from "../DomId.ts"
import type { XenStoreErrno } from "../XenError.ts"
import { encodeStrings, encodeText, maxPayload } from "../XenStoreWire.ts"
import type { Quotas } from "./Quotas.ts"
import {
  childOf,
  isPrivileged,
  leaf,
  nameOf,
  type NodeContent,
  type NodePermissions,
  parentOf,
  permit,
  Right,
  rightsOf,
  sizeOf,
  type StoreNode,
  withChild,
  withoutChild
} from "./StoreNode.ts"
import type { NodeView } from "./StoreNodes.ts"

/** Who asks, for which nodes, within which limits. */
export interface Access {
  readonly domid: DomId
  readonly nodes: NodeView
  readonly quotas: Quotas
}

/**
 * The node, where the domain has all the rights it needs. A missing node is only admitted to (ENOENT) where the domain has one of them on
 * the nearest node above; to others it is as a node that they may not touch.
 */
export const find = ({ domid, nodes }: Access, path: string, needed: number): StoreNode | XenStoreErrno => {
  const node = nodes.get(path)
  if (node !== undefined && (rightsOf(node.permissions, domid) & needed) === needed) return node
  if (node !== undefined) {
    // xenstored asks the parent here as well, which a transaction remembers.
    nodes.get(parentOf(path))
    return "EACCES"
  }
  for (let above = parentOf(path);; above = parentOf(above)) {
    const ancestor = nodes.get(above)
    if (ancestor !== undefined) return (rightsOf(ancestor.permissions, domid) & needed) !== 0 ? "ENOENT" : "EACCES"
    if (above === "/") return "EACCES"
  }
}

/** Whether nodes would be over the quota. To have tried costs a transaction its end. */
const tooBig = ({ domid, nodes, quotas }: Access, ...changed: ReadonlyArray<NodeContent>): boolean => {
  const refused = !isPrivileged(domid) && changed.some((node) => sizeOf(node) >= quotas.nodeSize)
  if (refused) nodes.fail()
  return refused
}

/** What a domain creates has its parent's permissions, and belongs to the parent's owner if domain 0 creates it, else to its creator. */
const inherit = (permissions: NodePermissions, domid: DomId): NodePermissions => {
  const [owner, ...others] = permissions
  return isPrivileged(domid) ? permissions : [permit(domid, owner.access), ...others]
}

const create = (access: Access, path: string, value: Uint8Array): XenStoreErrno | undefined => {
  const { domid, nodes, quotas } = access
  const missing: Array<string> = []
  let above = path
  let parent: StoreNode | undefined
  for (; parent === undefined; parent = nodes.get(above)) {
    missing.push(above)
    above = parentOf(above)
  }
  if (!isPrivileged(domid) && !nodes.mayOwn(domid, missing.length, quotas.nodes)) return "ENOSPC"
  const permissions = inherit(parent.permissions, domid)
  const made = missing.map((at, index) => {
    const node = leaf(permissions, index === 0 ? value : undefined)
    const below = missing[index - 1]
    return { at, node: below === undefined ? node : withChild(node, nameOf(below)) }
  })
  const grown = withChild(parent, nameOf(missing.at(-1) ?? path))
  if (tooBig(access, grown, ...made.map(({ node }) => node))) return "ENOSPC"
  nodes.put(above, grown)
  for (const { at, node } of made) nodes.put(at, node)
  nodes.changed(path, undefined)
  return undefined
}

/** Creates or replaces a value. */
export const write = (access: Access, path: string, value: Uint8Array): XenStoreErrno | undefined => {
  const node = find(access, path, Right.write)
  if (node === "ENOENT") return create(access, path, value)
  if (typeof node === "string") return node
  const written = { ...node, value: value.slice() }
  if (tooBig(access, written)) return "ENOSPC"
  access.nodes.put(path, written)
  access.nodes.changed(path, node)
  return undefined
}

/** Creates an empty node where there is none. */
export const makeDirectory = (access: Access, path: string): XenStoreErrno | undefined => {
  const node = find(access, path, Right.write)
  if (node === "ENOENT") return create(access, path, new Uint8Array())
  return typeof node === "string" ? node : undefined
}

/** Removes a node and all below it, whoever owns that. */
export const removeTree = (nodes: NodeView, path: string): void => {
  const node = nodes.get(path)
  if (node === undefined) return
  removeNode(nodes, path, node, false)
  const above = parentOf(path)
  const parent = nodes.get(above)
  if (parent !== undefined) nodes.put(above, withoutChild(parent, nameOf(path)))
}

const removeNode = (nodes: NodeView, path: string, node: StoreNode, exact: boolean): void => {
  for (const name of node.children) {
    const below = childOf(path, name)
    const child = nodes.get(below)
    if (child !== undefined) removeNode(nodes, below, child, true)
  }
  nodes.put(path, undefined)
  nodes.changed(path, node, exact)
}

/** Removes a node; a missing one is removed already, unless its parent is missing as well. */
export const remove = (access: Access, path: string): XenStoreErrno | undefined => {
  const node = find(access, path, Right.write)
  if (node === "ENOENT") return access.nodes.get(parentOf(path)) === undefined ? "ENOENT" : undefined
  if (typeof node === "string") return node
  if (path === "/") return "EINVAL"
  removeTree(access.nodes, path)
  return undefined
}

/** Replaces a node's permissions. */
export const setPermissions = (access: Access, path: string, permissions: NodePermissions): XenStoreErrno | undefined => {
  const { domid, nodes } = access
  const node = find(access, path, Right.write | Right.own)
  if (typeof node === "string") return node
  if (!isPrivileged(domid) && permissions[0].domid !== node.permissions[0].domid) return "EPERM"
  const changed = { ...node, permissions }
  if (tooBig(access, changed)) return "ENOSPC"
  nodes.put(path, changed)
  nodes.changed(path, node)
  return undefined
}

/** The names of a node's children, each with a NUL after it. */
export const namesOf = (node: StoreNode): Uint8Array => encodeStrings(node.children)

/**
 * The names from an offset in bytes on, as many as one packet holds, after the node's generation. An empty name tells that these were the
 * last.
 */
export const directoryPart = (node: StoreNode, offset: number): Uint8Array => {
  const names = namesOf(node)
  const generation = encodeStrings([String(node.generation)])
  const room = maxPayload - generation.length - 1
  const rest = names.subarray(offset)
  const part = rest.length <= room ? [...rest, 0] : rest.subarray(0, rest.lastIndexOf(0, room - 1) + 1)
  const payload = new Uint8Array(generation.length + part.length)
  payload.set(generation)
  payload.set(part, generation.length)
  return payload
}

/** Creates a node with all that is on it, as a toolstack would. */
export const place = (access: Access, path: string, permissions: NodePermissions, value: string): void => {
  create(access, path, encodeText(value))
  const node = access.nodes.get(path)
  if (node !== undefined) access.nodes.put(path, { ...node, permissions })
}
