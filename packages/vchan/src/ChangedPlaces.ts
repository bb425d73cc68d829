/**
 * Which places of a service are to be looked at, and which requests in them, in turns: a domain that changes much in its own place makes no
 * other wait for more than one of its turns. Pure; belongs to its listener.
 */

/** The most requests that a place has looked at before others have their turn. */
const turnLength = 8

/** Of more changes than these in one place all that is in it is looked at. */
const mostChanges = 256

/** Requests by their names, or all that a listing finds. */
type Changes = Set<string> | "all"

/** What is to be looked at next, in one place. */
export interface Turn {
  readonly place: string
  readonly ids: ReadonlyArray<string> | "all"
}

export class ChangedPlaces {
  /** In the order of their turns. */
  private readonly places = new Map<string, Changes>()

  /** A request has come or gone, or, where none is named, who knows what in its place. */
  add(place: string, id?: string): void {
    const changes = this.places.get(place) ?? new Set()
    if (changes === "all") return
    if (id !== undefined) changes.add(id)
    this.places.set(place, id === undefined || changes.size > mostChanges ? "all" : changes)
  }

  /** What a listing found. */
  found(place: string, ids: Iterable<string>): void {
    const changes = this.places.get(place)
    this.places.set(place, changes === "all" ? changes : new Set([...changes ?? [], ...ids]))
  }

  /** Takes the next turn; undefined where nothing is to be looked at. */
  next(): Turn | undefined {
    const [first] = this.places
    if (first === undefined) return undefined
    const [place, changes] = first
    this.places.delete(place)
    if (changes === "all") return { place, ids: changes }
    const ids = [...changes]
    // The rest after all others.
    if (ids.length > turnLength) this.places.set(place, new Set(ids.slice(turnLength)))
    return { place, ids: ids.slice(0, turnLength) }
  }
}
