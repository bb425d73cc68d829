/**
 * The model's watches, a list that is searched from end to end, and the events that wait for each client.
 */
import { isBelow, isPath, mayDo, pathOf } from "./Node.ts"
import { clients, quotas } from "./Step.ts"

interface Watch {
  readonly client: number
  readonly path: string
  /** What is left out of the paths in its events. */
  readonly start: string
  readonly token: string
}

/** The watches of all clients. */
export class Watches {
  #watches: Array<Watch> = []
  #events: Array<Array<string>> = clients.map(() => [])

  /** The events of each client since the last time. */
  takeEvents(): ReadonlyArray<ReadonlyArray<string>> {
    const events = this.#events
    this.#events = clients.map(() => [])
    return events
  }

  /** Sets a watch, which hears of itself at once. */
  set(client: number, given: string, token: string): string {
    const domid = clients[client] ?? 0
    const path = pathOf(domid, given)
    if (given === "" || !isPath(path.replace(/^@/, "/"))) return "EINVAL"
    if (this.#find(client, path, token)) return "EEXIST"
    if (domid !== 0 && this.#watches.filter((watch) => clients[watch.client] === domid).length > quotas.watches) return "E2BIG"
    const watch = { client, path, start: path.slice(0, path.length - given.length), token }
    this.#watches.push(watch)
    this.#event(watch, path)
    return "OK"
  }

  /** Takes a watch back. */
  unset(client: number, given: string, token: string): string {
    const found = this.#find(client, pathOf(clients[client] ?? 0, given), token)
    this.#watches = this.#watches.filter((watch) => watch !== found)
    return found === undefined ? "ENOENT" : "OK"
  }

  /** Takes back all of a client's. */
  forget(client: number): void {
    this.#watches = this.#watches.filter((watch) => watch.client !== client)
  }

  /** Tells of a node those who may read it, by any of these permissions; watches above it too, unless it is for the `exact` path. */
  tell(path: string, exact: boolean, permissions: ReadonlyArray<ReadonlyArray<string>>): void {
    for (const watch of this.#watches) {
      const domid = clients[watch.client] ?? 0
      const concerned = watch.path === path || (!exact && isBelow(path, watch.path))
      if (concerned && permissions.some((each) => "rb*".includes(mayDo(domid, each)))) this.#event(watch, path)
    }
  }

  /** Tells domain 0 that a domain came or went. */
  special(path: "@introduceDomain" | "@releaseDomain"): void {
    for (const watch of this.#watches) if (watch.path === path && clients[watch.client] === 0) this.#event(watch, path)
  }

  #find(client: number, path: string, token: string): Watch | undefined {
    return this.#watches.find((watch) => watch.client === client && watch.path === path && watch.token === token)
  }

  #event({ client, start, token }: Watch, path: string): void {
    this.#events[client]?.push(`${path.slice(start.length)} ${token}`)
  }
}
