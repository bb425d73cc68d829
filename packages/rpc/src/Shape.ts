/**
 * Shapes: what a schema's values look like on the wire, as data that can be told to a peer, compared, and made a schema of again. Pure.
 *
 * A shape tells the encoded side of a schema. Checks, brands, classes and transformations leave no trace in it, but for safe integers: they are
 * each side's own business, done for each value. Shapes of the same values are equal whatever the order in which fields are declared.
 */
import { Result, Schema } from "effect"

/** A field of an object. */
export interface Field {
  readonly name: string
  readonly type: Shape
  /** Whether it may be left out. */
  readonly optional?: true
}

/**
 * The shape of a value.
 *
 * `null` stands for `undefined`, too; `bytes` are Base64 text in JSON, a `bigint` is its decimal digits there, and a `number` that is not finite
 * its name. `json` is any JSON. A union without members has no values. `up` is the shape that is so many shapes further out, of which this is
 * a part: a value may contain values of its own kind.
 */
export type Shape =
  | "string"
  | "number"
  | "integer"
  | "boolean"
  | "null"
  | "bigint"
  | "bytes"
  | "json"
  | { readonly literal: string | number | boolean }
  | { readonly array: Shape }
  | { readonly tuple: ReadonlyArray<Shape>; readonly optional?: number; readonly rest?: Shape }
  | { readonly fields: ReadonlyArray<Field>; readonly rest?: Shape }
  | { readonly union: ReadonlyArray<Shape> }
  | { readonly up: number }

const Count = Schema.Int.check(Schema.isGreaterThan(0))

/** A shape as data; `readShape` tells whether it makes sense, too. */
export const Shape: Schema.Codec<Shape> = Schema.Union([
  Schema.Literals(["string", "number", "integer", "boolean", "null", "bigint", "bytes", "json"]),
  Schema.Struct({ literal: Schema.Union([Schema.String, Schema.Finite, Schema.Boolean]) }),
  Schema.Struct({ array: Schema.suspend(() => Shape) }),
  Schema.Struct({
    tuple: Schema.Array(Schema.suspend(() => Shape)),
    optional: Schema.optionalKey(Count),
    rest: Schema.optionalKey(Schema.suspend(() => Shape))
  }),
  Schema.Struct({
    fields: Schema.Array(Schema.Struct({
      name: Schema.String,
      type: Schema.suspend(() => Shape),
      optional: Schema.optionalKey(Schema.Literal(true))
    })),
    rest: Schema.optionalKey(Schema.suspend(() => Shape))
  }),
  Schema.Struct({ union: Schema.Array(Schema.suspend(() => Shape)) }),
  Schema.Struct({ up: Count })
])

/** The most shapes within each other. */
export const maxDepth = 64
/** The most shapes in a shape. */
export const maxSize = 4096

/** The shapes that a shape consists of, in their order. */
const partsOf = (shape: Shape): ReadonlyArray<Shape> => {
  if (typeof shape === "string" || "literal" in shape || "up" in shape) return []
  if ("array" in shape) return [shape.array]
  if ("union" in shape) return shape.union
  const parts = "tuple" in shape ? shape.tuple : shape.fields.map(({ type }) => type)
  return shape.rest === undefined ? parts : [...parts, shape.rest]
}

/** Whether a value nests no further than that, without going further to find out. */
const isShallow = (value: unknown, depth: number): boolean =>
  typeof value !== "object" || value === null || (depth > 0 && Object.values(value).every((inner) => isShallow(inner, depth - 1)))

const kinds = ["literal", "array", "tuple", "fields", "union", "up"]

/**
 * Whether a part of what is to be a shape has the keys of two kinds. The schema would try it as each of them, and so all that is in it: twice as
 * often for each that is within another.
 */
const isOfTwoKinds = (value: unknown): boolean =>
  typeof value === "object" && value !== null &&
  (kinds.filter((kind) => kind in value).length > 1 || Object.values(value).some(isOfTwoKinds))

/** What is wrong with a shape, if something is. */
const flaw = (shape: Shape, outer: ReadonlyArray<Shape>, budget: { left: number }): string | undefined => {
  if (budget.left-- === 0) return `more than ${maxSize} shapes`
  if (outer.length >= maxDepth) return `shapes nested more than ${maxDepth} deep`
  if (typeof shape === "string") return undefined
  if ("up" in shape) {
    const between = outer.slice(-shape.up)
    if (shape.up > outer.length) return "a part of a shape that is not there"
    // A union that is one of its own members, and nothing else between, has no values to tell it by.
    return between.every((shape) => typeof shape === "object" && "union" in shape) ? "a union of itself" : undefined
  }
  if ("fields" in shape && new Set(shape.fields.map(({ name }) => name)).size < shape.fields.length) return "two fields of one name"
  if ("tuple" in shape && (shape.optional ?? 0) > shape.tuple.length) return "more optional elements than elements"
  const inner = [...outer, shape]
  for (const part of partsOf(shape)) {
    const found = flaw(part, inner, budget)
    if (found !== undefined) return found
  }
  return undefined
}

/** Whether a shape is, or has, a part that is one further out. */
type IsRecursive = (shape: Shape) => boolean

/** Looks at each shape once, however often it is asked. */
const isRecursiveOnce = (): IsRecursive => {
  const known = new Map<Shape, boolean>()
  const isRecursive: IsRecursive = (shape) => {
    if (typeof shape === "string" || "literal" in shape) return false
    if ("up" in shape) return true
    const found = known.get(shape) ?? partsOf(shape).some(isRecursive)
    known.set(shape, found)
    return found
  }
  return isRecursive
}

/** What tells an object from others: the literals of the fields that it cannot be without. */
const tagsOf = (shape: Shape): ReadonlyArray<readonly [name: string, literal: unknown]> =>
  typeof shape === "object" && "fields" in shape
    ? shape.fields.flatMap(({ name, optional, type }) =>
      optional === undefined && typeof type === "object" && "literal" in type ? [[name, type.literal] as const] : []
    )
    : []

type Fields = Extract<Shape, { readonly fields: unknown }>

/** The parts of an object that hold values of its own kind, by their names; undefined where they have any. */
const holdersOf = ({ fields, rest }: Fields, isRecursive: IsRecursive): ReadonlyArray<string> | undefined =>
  rest !== undefined && isRecursive(rest) ? undefined : fields.filter(({ type }) => isRecursive(type)).map(({ name }) => name)

/**
 * Members of a union of which a value within another is tried as one alone: they are told apart at first sight, whichever of its fields a value
 * has, or no two of them look for values of their own kind under one name.
 */
class Apart {
  private hasList = false
  private hasObject = false
  private areTagged = true
  private areNamed = true
  private readonly tags = new Map<string, Set<unknown>>()
  private readonly names = new Set<string>()
  private readonly isRecursive: IsRecursive

  constructor(isRecursive: IsRecursive) {
    this.isRecursive = isRecursive
  }

  /** False where a value within another would be tried as this one and as another. */
  add(shape: Shape): boolean {
    if (typeof shape === "object" && "fields" in shape) {
      this.areTagged &&= this.addTags(tagsOf(shape))
      this.areNamed &&= this.addNames(holdersOf(shape, this.isRecursive))
      this.hasObject = true
      return this.areTagged || this.areNamed
    }
    const isFirst = !this.hasList
    this.hasList = true
    return isFirst
  }

  private addTags(tags: ReadonlyArray<readonly [name: string, literal: unknown]>): boolean {
    if (!this.hasObject) {
      for (const [name, literal] of tags) this.tags.set(name, new Set([literal]))
      return true
    }
    if (tags.length === 0 || tags.length !== this.tags.size) return false
    return tags.every(([name, literal]) => {
      const others = this.tags.get(name)
      return others !== undefined && !others.has(literal) && others.add(literal)
    })
  }

  private addNames(names: ReadonlyArray<string> | undefined): boolean {
    if (names === undefined) return false
    return names.every((name) => !this.names.has(name) && this.names.add(name))
  }
}

/** Whether two members of a union, and of the unions among them, hold values of their own kind and are not told apart. */
const isDoubled = (union: Shape, outer: ReadonlyArray<Shape>, isRecursive: IsRecursive): boolean => {
  const found = new Apart(isRecursive)
  const add = (shape: Shape, outer: ReadonlyArray<Shape>): boolean => {
    if (typeof shape === "object" && "up" in shape) {
      const at = outer.length - shape.up
      const target = outer[at]
      return target !== undefined && add(target, outer.slice(0, at))
    }
    if (!isRecursive(shape)) return false
    if (typeof shape === "object" && "union" in shape) return shape.union.some((member) => add(member, [...outer, shape]))
    return !found.add(shape)
  }
  return add(union, outer)
}

/**
 * Whether a value may be of several members of a union, each of which can hold such values again: to try them all doubles the time with each
 * value within the other.
 */
export const isAmbiguous = (shape: Shape): boolean => branches(shape, [], isRecursiveOnce())

const isUnion = (shape: Shape | undefined): boolean => typeof shape === "object" && "union" in shape

const branches = (shape: Shape, outer: ReadonlyArray<Shape>, isRecursive: IsRecursive): boolean => {
  if (typeof shape === "string" || !isRecursive(shape)) return false
  // The members of a union within a union are among those of the outer one.
  if (isUnion(shape) && !isUnion(outer.at(-1)) && isDoubled(shape, outer, isRecursive)) return true
  const inner = [...outer, shape]
  return partsOf(shape).some((part) => branches(part, inner, isRecursive))
}

const decodeShape = Schema.decodeUnknownResult(Shape)

/** Reads a shape from JSON that a peer sent, whatever it is. */
export const readShape = (json: unknown): Result.Result<Shape, string> => {
  if (!isShallow(json, 4 * maxDepth)) return Result.fail(`shapes nested more than ${maxDepth} deep`)
  if (isOfTwoKinds(json)) return Result.fail("a shape of two kinds")
  const shape = decodeShape(json)
  if (Result.isFailure(shape)) return Result.fail(shape.failure.message)
  const found = flaw(shape.success, [], { left: maxSize })
  return found === undefined ? Result.succeed(shape.success) : Result.fail(found)
}

/**
 * A schema of the values of a shape. Its own shape is that one, so what is described can be called without its code, and
 * `Schema.toCodecJson` of it reads and writes the JSON that people type.
 */
export const schemaOf = (shape: Shape): Schema.Codec<unknown, unknown> => build(shape, [])

const simple = {
  string: Schema.String,
  number: Schema.Number,
  integer: Schema.Int,
  boolean: Schema.Boolean,
  null: Schema.Null,
  bigint: Schema.BigInt,
  bytes: Schema.Uint8Array,
  json: Schema.Json
}

interface Outer {
  readonly schema: () => Schema.Codec<unknown, unknown>
}

const build = (shape: Shape, outer: ReadonlyArray<Outer>): Schema.Codec<unknown, unknown> => {
  if (typeof shape === "string") return simple[shape]
  if ("literal" in shape) return Schema.Literal(shape.literal)
  if ("up" in shape) {
    const target = outer.at(-shape.up)
    return Schema.suspend(() => target === undefined ? Schema.Never : target.schema())
  }
  const inner = [...outer, { schema: () => whole }]
  const part = (shape: Shape) => build(shape, inner)
  const whole = ((): Schema.Codec<unknown, unknown> => {
    if ("array" in shape) return Schema.Array(part(shape.array))
    if ("union" in shape) return Schema.Union(shape.union.map(part))
    if ("tuple" in shape) {
      const required = shape.tuple.length - (shape.optional ?? 0)
      const tuple = Schema.Tuple(shape.tuple.map((type, index) => index < required ? part(type) : Schema.optionalKey(part(type))))
      return shape.rest === undefined ? tuple : Schema.TupleWithRest(tuple, [part(shape.rest)])
    }
    const struct = Schema.Struct(Object.fromEntries(
      shape.fields.map(({ name, optional, type }) => [name, optional === true ? Schema.optionalKey(part(type)) : part(type)])
    ))
    return shape.rest === undefined ? struct : Schema.StructWithRest(struct, [Schema.Record(Schema.String, part(shape.rest))])
  })()
  return whole
}
