/**
 * Plans: what a codec does with the values of a schema. A plan's shape is what travels; beside it a plan has what is this side's own business:
 * checks, and transformations, which Effect runs. Plain data.
 */
import type { Schema, SchemaAST } from "effect"
import type { Shape } from "./Shape.ts"

/** A schema that needs no services: the only ones an engine without fibers per frame can run. */
export type PlainSchema = Schema.Codec<unknown, unknown>

/** Throws where the value is not one of the schema's. */
export type Check = (value: unknown) => void

interface Common {
  readonly check?: Check | undefined
}

/** A field of an object, in the order of declaration. */
export interface FieldPlan {
  readonly name: string
  readonly plan: Plan
  readonly optional: boolean
}

/** A member of a union, and whether a value is its. */
export interface MemberPlan {
  readonly plan: Plan
  readonly test: Test
}

/** Tells a value's member of a union: by its kind, as one literal, by the literal of a field, or by Effect's own guard. */
export type Test =
  | { readonly kind: Kind }
  | { readonly equals: unknown }
  | { readonly field: string; readonly equals: unknown }
  | { readonly is: (value: unknown) => boolean }

/** What tells values apart at a glance. */
export type Kind = "string" | "number" | "boolean" | "bigint" | "undefined" | "null" | "bytes" | "array" | "object" | "anything"

export type Plan =
  | Common & { readonly tag: "string" | "number" | "integer" | "boolean" | "bigint" | "bytes" | "null" | "undefined" | "void" }
  | Common & { readonly tag: "literal"; readonly value: SchemaAST.LiteralValue }
  | Common & { readonly tag: "array"; readonly item: Plan }
  | Common & { readonly tag: "tuple"; readonly elements: ReadonlyArray<Plan>; readonly required: number; readonly rest: Plan | undefined }
  | Common & { readonly tag: "object"; readonly fields: ReadonlyArray<FieldPlan>; readonly rest: Plan | undefined }
  | Common & { readonly tag: "union"; readonly members: ReadonlyArray<MemberPlan> }
  | Common & { readonly tag: "json"; readonly via: Transformation }
  | { readonly tag: "via"; readonly via: Transformation; readonly plan: Plan; readonly check?: undefined }
  | { readonly tag: "up"; readonly up: number; readonly target: () => Plan; readonly check?: undefined }

/** What Effect makes of a value before it travels, and after. Both throw. */
export interface Transformation {
  readonly encode: (value: unknown) => unknown
  readonly decode: (encoded: unknown) => unknown
}

const byName = (a: { readonly name: string }, b: { readonly name: string }): number =>
  Buffer.compare(Buffer.from(a.name), Buffer.from(b.name))

/** The fields as they travel: by their names' bytes. */
export const sorted = <A extends { readonly name: string }>(fields: ReadonlyArray<A>): ReadonlyArray<A> => fields.toSorted(byName)

/** What travels. */
export const shapeOfPlan = (plan: Plan): Shape => {
  switch (plan.tag) {
    case "undefined":
    case "void":
      return "null"
    case "literal":
      return { literal: typeof plan.value === "bigint" ? String(plan.value) : plan.value }
    case "array":
      return { array: shapeOfPlan(plan.item) }
    case "tuple": {
      const optional = plan.elements.length - plan.required
      return {
        tuple: plan.elements.map(shapeOfPlan),
        ...(optional > 0 ? { optional } : undefined),
        ...(plan.rest === undefined ? undefined : { rest: shapeOfPlan(plan.rest) })
      }
    }
    case "object":
      return {
        fields: sorted(plan.fields).map(({ name, optional, plan }) => ({
          name,
          type: shapeOfPlan(plan),
          ...(optional ? { optional: true as const } : undefined)
        })),
        ...(plan.rest === undefined ? undefined : { rest: shapeOfPlan(plan.rest) })
      }
    case "union":
      return { union: plan.members.map(({ plan }) => shapeOfPlan(plan)) }
    case "via":
      return shapeOfPlan(plan.plan)
    case "up":
      return { up: plan.up }
    default:
      return plan.tag
  }
}

/** Whether reading a value costs little more than its bytes: nothing is allocated for it but a text or a number, and Effect has no part in it. */
export const isPlain = (plan: Plan): boolean => {
  switch (plan.tag) {
    case "string":
    case "number":
    case "integer":
    case "boolean":
    case "bigint":
    case "null":
    case "undefined":
    case "void":
    case "literal":
      return true
    case "union":
      return plan.members.every(({ plan }) => isPlain(plan))
    default:
      return false
  }
}

/** Whether a value may take no bytes. */
export const mayBeEmpty = (plan: Plan): boolean => {
  switch (plan.tag) {
    case "null":
    case "undefined":
    case "void":
    case "literal":
    case "up":
      return true
    case "via":
      return mayBeEmpty(plan.plan)
    case "object":
      return plan.rest === undefined && plan.fields.every(({ optional, plan }) => !optional && mayBeEmpty(plan))
    case "tuple":
      return plan.rest === undefined && plan.required === plan.elements.length && plan.elements.every(mayBeEmpty)
    default:
      return false
  }
}
