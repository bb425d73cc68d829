/**
 * Shapes as people read them: in the words of TypeScript. Pure, and total over what a peer tells.
 */
import type { Field, MethodShapes, Shape } from "@vchan/rpc"

/** What a terminal may take for a command, or show out of its order. */
const unprintable = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

const escape = (sign: string): string => sign.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")

/** A peer's JSON, or lines of it, as it may go to a terminal: JSON stays the JSON of the same value. */
export const visible = (text: string): string => text.replace(unprintable, escape)

const nameOf = (name: string): string => /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(name) ? name : JSON.stringify(name)

const field = ({ name, optional, type }: Field): string => `${nameOf(name)}${optional === true ? "?" : ""}: ${text(type)}`

/** In brackets where what stands behind it would go with its last member only. */
const member = (shape: Shape): string =>
  typeof shape === "object" && "union" in shape && shape.union.length > 1 ? `(${text(shape)})` : text(shape)

const text = (shape: Shape): string => {
  if (typeof shape === "string") return shape
  if ("literal" in shape) return JSON.stringify(shape.literal)
  if ("array" in shape) return `${member(shape.array)}[]`
  if ("up" in shape) return "…"
  if ("union" in shape) return shape.union.length === 0 ? "never" : shape.union.map(text).join(" | ")
  if ("tuple" in shape) {
    const required = shape.tuple.length - (shape.optional ?? 0)
    const elements = shape.tuple.map((type, index) => `${member(type)}${index < required ? "" : "?"}`)
    return `[${[...elements, ...shape.rest === undefined ? [] : [`...${member(shape.rest)}[]`]].join(", ")}]`
  }
  const fields = [...shape.fields.map(field), ...shape.rest === undefined ? [] : [`[key: string]: ${text(shape.rest)}`]]
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`
}

const isNothing = (shape: Shape): boolean => typeof shape === "object" && "union" in shape && shape.union.length === 0

/** A method in one line: what it takes, what it gives, and how it fails. */
export const renderMethod = (name: string, shapes: MethodShapes | undefined): string => {
  if (shapes === undefined) return visible(`${nameOf(name)}: the server does not tell its schemas`)
  const { error, payload, stream, success, upload } = shapes
  const taken = [...payload === "null" ? [] : [text(payload)], ...upload === undefined ? [] : [`a stream of ${text(upload.item)}`]]
  const failure = isNothing(error) ? "" : `, or fails with ${text(error)}`
  return visible(`${nameOf(name)}(${taken.join(" and ")}): ${stream ? "a stream of " : ""}${text(success)}${failure}`)
}
