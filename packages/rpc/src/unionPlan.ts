/**
 * How a value's member of a union is told. Pure.
 */
import { Result, Schema, type SchemaAST } from "effect"
import type { Kind, MemberPlan, PlainSchema, Plan } from "./Plan.ts"

const kindOf = (plan: Plan): Kind => {
  switch (plan.tag) {
    case "integer":
      return "number"
    case "array":
    case "tuple":
      return "array"
    case "object":
      return plan.fields.length === 0 && plan.rest === undefined ? "anything" : "object"
    case "literal": {
      const { value } = plan
      return typeof value === "string" ? "string" : typeof value === "number" ? "number" : typeof value === "bigint" ? "bigint" : "boolean"
    }
    case "void":
    case "union":
    case "json":
    case "via":
    case "up":
      return "anything"
    default:
      return plan.tag
  }
}

/** Those literals of an object's fields that it cannot be without. */
const literalsOf = (plan: Plan): ReadonlyMap<string, SchemaAST.LiteralValue> =>
  new Map(
    plan.tag === "object"
      ? plan.fields.flatMap(({ name, optional, plan }) => (plan.tag === "literal" && !optional ? [[name, plan.value] as const] : []))
      : []
  )

/** Whether a schema may take values that have no form for JSON, though they have to travel in one. */
const holdsJson = (plan: Plan): boolean => {
  switch (plan.tag) {
    case "json":
      return true
    case "array":
      return holdsJson(plan.item)
    case "tuple":
      return [...plan.elements, plan.rest].some((part) => part !== undefined && holdsJson(part))
    case "object":
      return [...plan.fields.map(({ plan }) => plan), plan.rest].some((part) => part !== undefined && holdsJson(part))
    case "union":
      return plan.members.some(({ plan }) => holdsJson(plan))
    case "via":
      return holdsJson(plan.plan)
    default:
      return false
  }
}

/** Effect's own guard of a member. */
const guardOf = (ast: SchemaAST.AST, plan: Plan): (value: unknown) => boolean => {
  const schema = Schema.make<PlainSchema>(ast)
  if (!holdsJson(plan)) return Schema.is(schema)
  const encode = Schema.encodeUnknownResult(Schema.toCodecJson(schema))
  return (value) => {
    const encoded = encode(value)
    // Schema.Any lets pass what JSON has no text for.
    return Result.isSuccess(encoded) && !["undefined", "function", "symbol"].includes(typeof encoded.success)
  }
}

/** The members in their order: a value is that one's whose test it passes first. */
export const membersOf = (ast: SchemaAST.Union, plans: ReadonlyArray<Plan>): ReadonlyArray<MemberPlan> => {
  const kinds = plans.map(kindOf)
  const objects = plans.filter((_, index) => kinds[index] === "object").map(literalsOf)
  const tag = [...objects[0]?.keys() ?? []].find((name) =>
    new Set(objects.map((literals) => literals.get(name))).size === objects.length && objects.every((literals) => literals.has(name))
  )
  return plans.map((plan, index) => {
    const kind = kinds[index] ?? "anything"
    if (plan.tag === "literal") return { plan, test: { equals: plan.value } }
    const isAlone = !kinds.some((other, at) => at !== index && (other === kind || other === "anything"))
    const isSimple = plan.check === undefined && plan.tag !== "integer" && kind !== "array" && kind !== "object"
    if (kind !== "anything" && (isAlone || isSimple)) return { plan, test: { kind } }
    const equals = tag === undefined ? undefined : literalsOf(plan).get(tag)
    if (kind === "object" && tag !== undefined && !kinds.includes("anything")) return { plan, test: { field: tag, equals } }
    return { plan, test: { is: guardOf(ast.types[index] ?? ast, plan) } }
  })
}
