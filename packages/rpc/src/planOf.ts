/**
 * Makes the plan of a schema: reads Effect's schema AST. Pure.
 */
import { Schema, SchemaAST, SchemaIssue, SchemaTransformation } from "effect"
import { type Check, type PlainSchema, type Plan, shapeOfPlan, type Transformation } from "./Plan.ts"
import { maxDepth, maxSize, type Shape } from "./Shape.ts"
import { membersOf } from "./unionPlan.ts"

/** An AST, and its plan once that is made. */
interface Entry {
  readonly ast: SchemaAST.AST
  plan: Plan | undefined
}

interface Walk {
  /** For each shape further out the ASTs that it stands for. */
  readonly outer: ReadonlyArray<ReadonlyArray<Entry>>
  readonly budget: { left: number }
  readonly options: SchemaAST.ParseOptions
}

class TooLarge extends Error {}

/** The plan of a schema. One that nests too deep, or is too large, to be told travels as JSON. */
export const planOf = (schema: PlainSchema, options: SchemaAST.ParseOptions): Plan => {
  const walk = { outer: [], budget: { left: maxSize }, options }
  try {
    // Effect alone reports fields that the schema does not have.
    return options.onExcessProperty === "error" ? viaEffect(schema.ast, walk, []) : plan(schema.ast, walk, [])
  } catch (error) {
    if (error instanceof TooLarge) return { tag: "json", via: jsonOf(schema.ast, options) }
    throw error
  }
}

/** What the values of a schema look like on the wire. */
export const shapeOf = (schema: PlainSchema, options: SchemaAST.ParseOptions = {}): Shape => shapeOfPlan(planOf(schema, options))

const effect = (schema: Schema.Top, options: SchemaAST.ParseOptions): Transformation => {
  // The engine's types let in no schema that needs services.
  const plain = schema as PlainSchema
  return { encode: Schema.encodeUnknownSync(plain, options), decode: Schema.decodeUnknownSync(plain, options) }
}

const jsonOf = (ast: SchemaAST.AST, options: SchemaAST.ParseOptions): Transformation =>
  effect(Schema.toCodecJson(Schema.make(ast)), options)

/** The id under which Effect keeps a definition of its own. */
const idOf = (annotations: Schema.Annotations.Annotations | undefined): string | undefined => {
  const representation = annotations?.["representation"]
  return typeof representation === "object" && representation !== null && "id" in representation ? String(representation.id) : undefined
}

/** The checks but that for integers, which the codec does itself. */
const checkOf = (ast: SchemaAST.AST, options: SchemaAST.ParseOptions): Check | undefined => {
  const filters: Array<SchemaAST.Filter<unknown>> = []
  const gather = (checks: SchemaAST.Checks | undefined): void =>
    checks?.forEach((check) => {
      if (check._tag === "FilterGroup") gather(check.checks)
      else if (idOf(check.annotations) !== "effect/schema/isInt") filters.push(check)
    })
  if (options.disableChecks !== true) gather(ast.checks)
  if (filters.length === 0) return undefined
  return (value) => {
    for (const filter of filters) {
      const issue = filter.run(value, ast, options)
      if (issue !== undefined) throw new Schema.SchemaError(new SchemaIssue.Filter(filter, issue, value, options))
    }
  }
}

const isInteger = (ast: SchemaAST.AST): boolean => {
  const has = (checks: SchemaAST.Checks | undefined): boolean =>
    checks?.some((check) => idOf(check.annotations) === "effect/schema/isInt" || (check._tag === "FilterGroup" && has(check.checks))) ??
      false
  return has(ast.checks)
}

/** Whether two ASTs are one but for their checks and their place in an object: Effect copies them for those. */
const isOne = (a: SchemaAST.AST, b: SchemaAST.AST): boolean => {
  if (a === b) return true
  if (a.checks !== b.checks || a.encoding !== b.encoding) return false
  switch (a._tag) {
    case "Objects":
      return b._tag === a._tag && a.propertySignatures === b.propertySignatures && a.indexSignatures === b.indexSignatures
    case "Arrays":
      return b._tag === a._tag && a.elements === b.elements && a.rest === b.rest
    case "Union":
      return b._tag === a._tag && a.types === b.types
    case "Declaration":
      return b._tag === a._tag && a.typeParameters === b.typeParameters && a.run === b.run
    default:
      return false
  }
}

/** What an AST consists of. */
const partsOf = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> => {
  switch (ast._tag) {
    case "Objects":
      return [...ast.propertySignatures, ...ast.indexSignatures].map(({ type }) => type)
    case "Arrays":
      return [...ast.elements, ...ast.rest]
    case "Union":
      return ast.types
    case "Declaration":
      return ast.typeParameters
    case "Suspend":
      return [ast.thunk()]
    default:
      return []
  }
}

/** Whether a schema transforms anything on its way, other than the forms that declarations have. */
const transforms = (ast: SchemaAST.AST, seen = new Set<SchemaAST.AST>()): boolean => {
  if (seen.has(ast)) return false
  seen.add(ast)
  const ownChecks = "encodingChecks" in ast && ast.encodingChecks !== undefined
  return ast.encoding !== undefined || ownChecks || partsOf(ast).some((part) => transforms(part, seen))
}

/** The encoded side; the same AST where nothing is transformed, so that what contains itself is known again. */
const encodedOf = (ast: SchemaAST.AST): SchemaAST.AST => (transforms(ast) ? SchemaAST.toEncoded(ast) : ast)

/** Whether a key may be left out on one side and is made of, or into, something else: then its object decides together. */
const isIntricate = (ast: SchemaAST.AST): boolean =>
  ast.encoding !== undefined && (SchemaAST.isOptional(ast) || SchemaAST.isOptional(SchemaAST.toEncoded(ast)))

/** `entries` are the ASTs that stand for the same shape, further in or out of a transformation. */
const plan = (ast: SchemaAST.AST, walk: Walk, entries: ReadonlyArray<Entry>): Plan => {
  if (walk.budget.left-- === 0 || walk.outer.length >= maxDepth) throw new TooLarge()
  if (ast.encoding === undefined) {
    if (ast._tag === "Suspend") return plan(ast.thunk(), walk, entries)
    if (ast._tag === "Union" && ast.types.length === 1 && ast.checks === undefined) return plan(ast.types[0] ?? ast, walk, entries)
  }
  for (const [index, level] of walk.outer.entries()) {
    const entry = level.find((entry) => isOne(entry.ast, ast))
    if (entry !== undefined) return { tag: "up", up: walk.outer.length - index, target: () => entry.plan ?? nothing }
  }
  const entry: Entry = { ast, plan: undefined }
  entry.plan = needsEffect(ast) ? viaEffect(ast, walk, [...entries, entry]) : structure(ast, walk, [...entries, entry])
  return entry.plan
}

const nothing: Plan = { tag: "union", members: [] }

const isText = ({ parameter }: SchemaAST.IndexSignature): boolean =>
  parameter._tag === "String" && parameter.checks === undefined && parameter.encoding === undefined

/** Whether Effect itself has to run this schema, and the codec takes what it gives. */
const needsEffect = (ast: SchemaAST.AST): boolean => {
  if (ast.encoding !== undefined || ("encodingChecks" in ast && ast.encodingChecks !== undefined)) return true
  switch (ast._tag) {
    case "Objects": {
      const [signature] = ast.indexSignatures
      const isPlain = signature === undefined ||
        (ast.indexSignatures.length === 1 && ast.propertySignatures.length === 0 && isText(signature))
      return !isPlain || ast.propertySignatures.some(({ type }) => isIntricate(type))
    }
    case "Arrays":
      return ast.elements.some(isIntricate)
    case "Union": {
      // Members may all hold each other: none is gone through twice.
      const seen = new Set<SchemaAST.AST>()
      return ast.options?.mode === "oneOf" || (ast.types.length === 1 && ast.checks !== undefined) ||
        ast.types.some((type) => transforms(type, seen))
    }
    case "TemplateLiteral":
      return true
    default:
      return false
  }
}

const viaEffect = (ast: SchemaAST.AST, walk: Walk, entries: ReadonlyArray<Entry>): Plan => {
  const encoded = encodedOf(ast)
  const entry: Entry = { ast: encoded, plan: undefined }
  entry.plan = structure(encoded, walk, [...entries, entry])
  return { tag: "via", via: effect(Schema.make(ast), walk.options), plan: entry.plan }
}

/** The plan of an AST that has no encoding of its own. */
const structure = (ast: SchemaAST.AST, walk: Walk, entries: ReadonlyArray<Entry>): Plan => {
  const inner: Walk = { ...walk, outer: [...walk.outer, entries] }
  const part = (ast: SchemaAST.AST): Plan => plan(ast, inner, [])
  const json = (): Plan => ({ tag: "json", via: jsonOf(ast, walk.options) })
  const check = checkOf(ast, walk.options)
  switch (ast._tag) {
    case "String":
    case "TemplateLiteral":
      return { tag: "string", check }
    case "Number":
      return { tag: isInteger(ast) ? "integer" : "number", check }
    case "Boolean":
      return { tag: "boolean", check }
    case "BigInt":
      return { tag: "bigint", check }
    case "Null":
      return { tag: "null", check }
    case "Undefined":
      return { tag: "undefined", check }
    case "Void":
      return { tag: "void", check }
    case "Never":
      return nothing
    case "Literal":
      return { tag: "literal", value: ast.literal, check }
    case "Enum":
      return {
        tag: "union",
        members: ast.enums.map(([, value]) => ({ plan: { tag: "literal", value }, test: { equals: value } })),
        check
      }
    case "Symbol":
    case "UniqueSymbol":
      return { tag: "via", via: jsonOf(ast, walk.options), plan: { tag: "string" } }
    case "Arrays": {
      const [rest, ...tail] = ast.rest
      if (tail.length > 0) return json()
      if (ast.elements.length === 0 && rest !== undefined) return { tag: "array", item: part(rest), check }
      const required = ast.elements.filter((element) => !SchemaAST.isOptional(element)).length
      return { tag: "tuple", elements: ast.elements.map(part), required, rest: rest && part(rest), check }
    }
    case "Objects": {
      const fields = ast.propertySignatures.map(({ name, type }) => ({
        name: String(name),
        plan: part(type),
        optional: SchemaAST.isOptional(type)
      }))
      const [signature, ...more] = ast.indexSignatures
      const rest = more.length > 0 ? Schema.Unknown.ast : signature?.type
      return { tag: "object", fields, rest: rest && part(rest), check }
    }
    case "Union":
      return { tag: "union", members: membersOf(ast, ast.types.map(part)), check }
    case "Suspend":
      return plan(ast.thunk(), walk, entries)
    case "Declaration":
      return declaration(ast, walk, entries) ?? json()
    default:
      return json()
  }
}

/** Declarations travel as the form they have for JSON, but bytes as themselves. */
const declaration = (ast: SchemaAST.Declaration, walk: Walk, entries: ReadonlyArray<Entry>): Plan | undefined => {
  if (idOf(ast.annotations) === "effect/schema/Uint8Array") return { tag: "bytes", check: checkOf(ast, walk.options) }
  const derive = ast.annotations?.["toCodecJson"] ?? ast.annotations?.["toCodec"]
  if (typeof derive !== "function") throw new Error("a schema in it has no codec")
  const link: SchemaAST.Link | undefined = derive(ast.typeParameters.map((parameter) => Schema.make(encodedOf(parameter))))
  if (link === undefined || !SchemaTransformation.isTransformation(link.transformation)) return undefined
  const via = effect(Schema.decodeTo(Schema.make(ast), link.transformation)(Schema.make(link.to)), walk.options)
  return { tag: "via", via, plan: plan(encodedOf(link.to), walk, entries) }
}
