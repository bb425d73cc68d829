/**
 * How much of the store a domain other than domain 0 may take up.
 */

/**
 * What one unprivileged domain may hold. An operation that would go over a limit does nothing and is answered with the errno named. C xenstored
 * takes some of these numbers for one less or one more than their names say, and so does this.
 */
export interface Quotas {
  /** Nodes that it owns, wherever they are: ENOSPC. */
  readonly nodes: number
  /** Watches, of all its connections together, one more is had: E2BIG. */
  readonly watches: number
  /** Transactions that are open at once, of all its connections together, one more is had: ENOSPC. */
  readonly transactions: number
  /** Nodes that one transaction may touch: ENOSPC, and ENOMEM at its end. */
  readonly transactionNodes: number
  /** Bytes of a node that it changes, which are its value, the names of its children, 8 for each permission, and 24; it has to have fewer: ENOSPC. */
  readonly nodeSize: number
  /** Permissions that it may set on a node, the owner's among them: ENOSPC. */
  readonly permissions: number
}

/** C xenstored's own. */
export const defaultQuotas: Quotas = {
  nodes: 1000,
  watches: 128,
  transactions: 10,
  transactionNodes: 1024,
  nodeSize: 2048,
  permissions: 5
}
