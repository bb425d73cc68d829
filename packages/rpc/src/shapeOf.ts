/**
 * The shape of a schema's values: reads Effect's schema AST. Pure.
 */
import { Schema, SchemaAST } from "effect"
import type { PlainSchema } from "./Codec.ts"
import { type Field, maxDepth, maxSize, type Shape } from "./Shape.ts"

/** One shape further out: the ASTs that it stands for. */
type Level = ReadonlyArray<SchemaAST.AST>

interface Walk {
  readonly outer: ReadonlyArray<Level>
  readonly budget: { left: number }
}

/** The end of its transformations: what travels. */
const encodedOf = (ast: SchemaAST.AST): SchemaAST.AST => {
  const link = ast.encoding?.at(-1)
  return link === undefined ? ast : encodedOf(link.to)
}

/** Whether two ASTs are one but for their checks and their place in an object: Effect copies them for those. */
const isOne = (a: SchemaAST.AST, b: SchemaAST.AST): boolean => {
  if (a === b) return true
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

/** The id under which Effect keeps a definition of its own. */
const idOf = (annotations: Schema.Annotations.Annotations | undefined): string | undefined => {
  const representation = annotations?.["representation"]
  return typeof representation === "object" && representation !== null && "id" in representation ? String(representation.id) : undefined
}

/** Whether every value is a safe integer. */
const isInteger = (ast: SchemaAST.AST): boolean => {
  const has = (checks: SchemaAST.Checks | undefined): boolean =>
    checks?.some((check) => idOf(check.annotations) === "effect/schema/isInt" || (check._tag === "FilterGroup" && has(check.checks))) ??
      false
  return has(ast.checks)
}

/** What a declaration travels as: its form for JSON, or what the codecs know themselves. */
const declared = (ast: SchemaAST.Declaration): SchemaAST.AST | "bytes" | "json" => {
  if (idOf(ast.annotations) === "effect/schema/Uint8Array") return "bytes"
  const derive = ast.annotations?.["toCodecJson"] ?? ast.annotations?.["toCodec"]
  if (typeof derive !== "function") return "json"
  const link: SchemaAST.Link | undefined = derive(ast.typeParameters.map((parameter) => Schema.make(parameter)))
  return link === undefined ? "json" : link.to
}

/** Whether a field, as it travels, may be left out. */
const isOptional = (ast: SchemaAST.AST): boolean => SchemaAST.isOptional(encodedOf(ast))

const byName = (a: Field, b: Field): number => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name))

/** Throws where the schema nests too deep, or is too large, to be told. */
export const shapeOf = (schema: PlainSchema): Shape => walk(schema.ast, { outer: [], budget: { left: maxSize } }, [])

/** `level` are the ASTs that stand for the same shape. */
const walk = (ast: SchemaAST.AST, { budget, outer }: Walk, level: Level): Shape => {
  if (budget.left-- === 0 || outer.length >= maxDepth) throw new Error("the schema is too large to be described")
  const encoded = encodedOf(ast)
  if (encoded._tag === "Suspend") return walk(encoded.thunk(), { budget, outer }, level)
  if (encoded._tag === "Union" && encoded.types.length === 1) return walk(encoded.types[0] ?? encoded, { budget, outer }, level)
  const here = [...level, encoded]
  const target = outer.findLastIndex((level) => level.some((ast) => isOne(ast, encoded)))
  if (target >= 0) return { up: outer.length - target }
  const part = (part: SchemaAST.AST): Shape => walk(part, { budget, outer: [...outer, here] }, [])
  switch (encoded._tag) {
    case "String":
    case "TemplateLiteral":
    case "Symbol":
    case "UniqueSymbol":
      return "string"
    case "Number":
      return isInteger(encoded) ? "integer" : "number"
    case "Boolean":
      return "boolean"
    case "BigInt":
      return "bigint"
    case "Null":
    case "Undefined":
    case "Void":
      return "null"
    case "Never":
      return { union: [] }
    case "Literal":
      return { literal: typeof encoded.literal === "bigint" ? String(encoded.literal) : encoded.literal }
    case "Enum":
      return { union: encoded.enums.map(([, literal]) => ({ literal })) }
    case "Arrays":
      return arrays(encoded, part)
    case "Objects":
      return objects(encoded, part)
    case "Union":
      return { union: encoded.types.map(part) }
    case "Declaration": {
      const form = declared(encoded)
      return typeof form === "string" ? form : walk(form, { budget, outer }, here)
    }
    default:
      return "json"
  }
}

const arrays = ({ elements, rest: [rest, ...tail] }: SchemaAST.Arrays, part: (ast: SchemaAST.AST) => Shape): Shape => {
  if (tail.length > 0) return "json"
  if (elements.length === 0 && rest !== undefined) return { array: part(rest) }
  const optional = elements.filter((element) => isOptional(element)).length
  return {
    tuple: elements.map(part),
    ...(optional > 0 ? { optional } : undefined),
    ...(rest === undefined ? undefined : { rest: part(rest) })
  }
}

const objects = ({ indexSignatures, propertySignatures }: SchemaAST.Objects, part: (ast: SchemaAST.AST) => Shape): Shape => {
  const fields = propertySignatures.map(({ name, type }): Field => ({
    name: String(name),
    type: part(type),
    ...(isOptional(type) ? { optional: true } : undefined)
  }))
  const [signature, ...more] = indexSignatures
  if (signature === undefined) return { fields: fields.sort(byName) }
  return { fields: fields.sort(byName), rest: more.length === 0 ? part(signature.type) : "json" }
}
