/**
 * What the harness asks of a process and what it tells, over Node's own channel between parent and child.
 */

export type Role = "host" | "server" | "client"

/** What a process is to do. */
export type Order =
  /** Become somebody, at that run directory; how far it has written goes to a file. */
  | { readonly _tag: "Be"; readonly role: Role; readonly directory: string; readonly written: string }
  /** Join the host where it has not, then serve, or connect and give all a load. */
  | { readonly _tag: "Rise" }
  /** Leave the host. */
  | { readonly _tag: "Leave" }
  /** Let what has ended so far be forgotten. */
  | { readonly _tag: "Forget" }
  /** Say how you stand. */
  | { readonly _tag: "Tell" }

/** How a process stands. */
export interface Standing {
  /**
   * `left`: it has no part in any host. `rising`: it comes to serve, or to connect again. `up`: it serves, or all its connections work. `ended`:
   * the host is gone.
   */
  readonly state: "left" | "rising" | "up" | "ended"
  /** Why connections, calls and what it served ended: the tags of the errors' reasons. */
  readonly reasons: ReadonlyArray<string>
  /** Connections that are open: those of bytes, and a client's for calls. */
  readonly open: number
  /** Handlers that run. */
  readonly running: number
  /** For each connection that ended, how many bytes were read from it. */
  readonly reads: ReadonlyArray<number>
}

/** What a process says. */
export type Word =
  | { readonly _tag: "Ready" }
  | { readonly _tag: "Standing"; readonly standing: Standing }
  /** Something is as it may never be. */
  | { readonly _tag: "Fault"; readonly what: string }
