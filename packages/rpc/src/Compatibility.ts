/**
 * Whether what one side writes as JSON can be read by the other, whose schema is another version of it. Pure, and total over a peer's shapes.
 *
 * A mismatch is what could not work: a field that is missing, or of which no value would be read. What works for some values, such as a member
 * of a union that only the writer knows, is left to each value's own check. Fields that the reader does not know are passed over.
 */
import type { Shape } from "./Shape.ts"

/** Where two shapes do not fit, and what each side has there, in words. */
export interface Mismatch {
  readonly path: string
  readonly written: string
  readonly read: string
}

/** Finds what does not fit, if anything. `path` is what the whole is called. */
export const mismatchOf = (path: string, written: Shape, read: Shape): Mismatch | undefined =>
  new Comparison().places(path, placeOf(written, undefined), placeOf(read, undefined))

/** The pairs of shapes after which what is left is left to each value's own check. */
const maxComparisons = 100_000
/** The comparisons within each other after which it is left so, too. */
const maxNesting = 256

type Plain = Exclude<Shape, { readonly up: number }>
type Fields = Extract<Shape, { readonly fields: unknown }>
type List = Extract<Shape, { readonly array: unknown } | { readonly tuple: unknown }>

/** A shape with what it is a part of. */
interface Place {
  readonly shape: Plain
  readonly outer: Place | undefined
}

const placeOf = (shape: Shape, outer: Place | undefined): Place => {
  if (typeof shape === "string" || !("up" in shape)) return { shape, outer }
  let target = outer
  for (let up = shape.up; up > 1; up--) target = target?.outer
  return target ?? { shape: "json", outer: undefined }
}

/** A union's members, and those of the unions among them, each once; anything else is one. */
const membersOf = (place: Place): ReadonlyArray<Place> => {
  const members: Array<Place> = []
  // Unions may hold each other by many ways: each is gone into once.
  const seen = new Set<Plain>()
  const add = (place: Place): void => {
    const { shape } = place
    if (seen.has(shape)) return
    seen.add(shape)
    if (typeof shape !== "object" || !("union" in shape)) members.push(place)
    else for (const member of shape.union) add(placeOf(member, place))
  }
  add(place)
  return members
}

const literalOf = (shape: Shape) => (typeof shape === "object" && "literal" in shape ? shape.literal : undefined)

const kindOf = (shape: Plain): string => {
  if (shape === "integer") return "number"
  if (typeof shape === "string") return shape
  if ("literal" in shape) return typeof shape.literal
  return "fields" in shape ? "object" : "union" in shape ? "union" : "array"
}

/** A peer's word in a message for people. */
const word = (name: string): string => {
  const short = name.length > 40 ? `${name.slice(0, 40)}…` : name
  return /^[\w-]+$/.test(short) ? short : JSON.stringify(short)
}

const describe = (places: ReadonlyArray<Place>): string => {
  const words = places.slice(0, 4).map(({ shape }) => {
    const literal = literalOf(shape)
    return literal === undefined ? (shape === "integer" ? shape : kindOf(shape)) : JSON.stringify(literal).slice(0, 40)
  })
  if (places.length > words.length) words.push("…")
  return words.length === 0 ? "nothing" : words.join(" | ")
}

/** The literals by which a member of a union is told from the others. */
const tagsOf = ({ shape }: Place): ReadonlyMap<string, string | number | boolean> => {
  const tags = new Map<string, string | number | boolean>()
  if (typeof shape === "string" || !("fields" in shape)) return tags
  for (const { name, optional, type } of shape.fields) {
    const literal = literalOf(type)
    if (literal !== undefined && optional === undefined) tags.set(name, literal)
  }
  return tags
}

const haveOneTag = (one: Place, other: Place): boolean => {
  const tags = tagsOf(other)
  return [...tagsOf(one)].some(([name, literal]) => tags.get(name) === literal)
}

/** Whether nothing but its kind tells this member from the others. */
const isUntagged = (place: Place): boolean => literalOf(place.shape) === undefined && tagsOf(place).size === 0

const requiredOf = (list: List): number => ("tuple" in list ? list.tuple.length - (list.optional ?? 0) : 0)
const elementOf = (list: List, index: number): Shape | undefined => "tuple" in list ? list.tuple[index] ?? list.rest : list.array

class Comparison {
  private left = maxComparisons
  private nesting = 0
  /** What was found of two shapes, or that they are being compared further out. */
  private readonly known = new Map<Shape, Map<Shape, Mismatch | undefined>>()

  places(path: string, written: Place, read: Place): Mismatch | undefined {
    const writers = membersOf(written)
    const readers = membersOf(read)
    const [writer] = writers
    const [reader] = readers
    if (writer === undefined) return undefined
    if (reader === undefined) return { path, written: describe(writers), read: describe(readers) }
    // Those that were compared before cost something, too.
    this.left -= writers.length * readers.length
    if (this.left < 0) return undefined
    if (writers.length === 1 && readers.length === 1) return this.one(path, writer, reader)
    const isRead = new Set<Place>()
    const unread: Array<Place> = []
    for (const writer of writers) {
      const fitting = readers.filter((reader) => this.one(path, writer, reader) === undefined)
      for (const reader of fitting) isRead.add(reader)
      if (fitting.length > 0) continue
      const namesake = readers.find((reader) => haveOneTag(writer, reader))
      if (namesake !== undefined) return this.one(path, writer, namesake)
      unread.push(writer)
    }
    if (isRead.size > 0 && !(unread.some(isUntagged) && readers.some((reader) => isUntagged(reader) && !isRead.has(reader)))) {
      return undefined
    }
    return { path, written: describe(unread), read: describe(readers.filter((reader) => !isRead.has(reader))) }
  }

  /** Compares what are no unions. */
  private one(path: string, writer: Place, reader: Place): Mismatch | undefined {
    const known = this.known.get(writer.shape)
    if (known?.has(reader.shape) === true) return known.get(reader.shape)
    if (this.nesting >= maxNesting) return undefined
    const row = known ?? new Map<Shape, Mismatch | undefined>()
    this.known.set(writer.shape, row)
    if (typeof writer.shape !== "string") row.set(reader.shape, undefined)
    this.nesting++
    const found = this.compare(path, writer, reader)
    this.nesting--
    if (typeof writer.shape !== "string") row.set(reader.shape, found)
    return found
  }

  private compare(path: string, writer: Place, reader: Place): Mismatch | undefined {
    const w = writer.shape
    const r = reader.shape
    if (w === "json" || r === "json") return undefined
    const literals = [literalOf(w), literalOf(r)]
    const differ = kindOf(w) !== kindOf(r) || (!literals.includes(undefined) && literals[0] !== literals[1])
    if (differ) return { path, written: describe([writer]), read: describe([reader]) }
    if (typeof w === "string" || typeof r === "string" || "literal" in w || "literal" in r || "union" in w || "union" in r) return undefined
    if ("fields" in w && "fields" in r) return this.objects(path, [w, writer], [r, reader])
    return "fields" in w || "fields" in r ? undefined : this.lists(path, [w, writer], [r, reader])
  }

  private part(path: string, [written, writer]: readonly [Shape | undefined, Place], [read, reader]: readonly [Shape | undefined, Place]) {
    return written === undefined || read === undefined
      ? undefined
      : this.places(path, placeOf(written, writer), placeOf(read, reader))
  }

  private objects(path: string, [w, writer]: readonly [Fields, Place], [r, reader]: readonly [Fields, Place]): Mismatch | undefined {
    const tag = w.fields.find(({ name }) => name === "_tag")
    const literal = tag === undefined ? undefined : literalOf(tag.type)
    const within = literal === undefined ? path : `${path}(${word(String(literal))})`
    const readers = new Map(r.fields.map((field) => [field.name, field]))
    for (const { name, type } of w.fields) {
      const read = readers.get(name)?.type ?? r.rest
      const found = this.part(`${name === "_tag" ? path : within}.${word(name)}`, [type, writer], [read, reader])
      if (found !== undefined) return found
      readers.delete(name)
    }
    for (const { name, optional, type } of readers.values()) {
      if (optional === undefined && w.rest === undefined) {
        return { path: `${within}.${word(name)}`, written: "nothing", read: describe(membersOf(placeOf(type, reader))) }
      }
    }
    return this.part(`${within}[]`, [w.rest, writer], [r.rest, reader])
  }

  private lists(path: string, [w, writer]: readonly [List, Place], [r, reader]: readonly [List, Place]): Mismatch | undefined {
    const length = Math.max("tuple" in w ? w.tuple.length : 0, "tuple" in r ? r.tuple.length : 0)
    // One more than the longer tuple has: what comes after it.
    for (let index = 0; index <= length; index++) {
      const at = index < length ? `${path}[${index}]` : `${path}[]`
      const written = elementOf(w, index)
      const read = elementOf(r, index)
      if (read === undefined && index < requiredOf(w)) return { path: at, written: "an element", read: "nothing" }
      if (written === undefined && index < requiredOf(r)) return { path: at, written: "nothing", read: "an element" }
      const found = this.part(at, [written, writer], [read, reader])
      if (found !== undefined) return found
    }
    return undefined
  }
}
