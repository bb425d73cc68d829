/**
 * JSON as text, within a bound for how deep values nest: what nests deeper would exhaust the stack of whoever walks through it. Pure.
 */
import { Unfit } from "./ByteWriter.ts"

/** How deep arrays and objects may nest in JSON. */
export const maxJsonNesting = 1024

/** The place after a text that begins there, or the end of all. */
const afterText = (json: string, start: number): number => {
  for (let end = json.indexOf("\"", start + 1); end >= 0; end = json.indexOf("\"", end + 1)) {
    let escapes = 0
    while (json.charAt(end - 1 - escapes) === "\\") escapes++
    if (escapes % 2 === 0) return end + 1
  }
  return json.length
}

/**
 * How many arrays and objects there are, and other values, which take less time to read and of which four count as one. Throws where they nest too deep, and tells in which field. Looks no closer whether it is JSON.
 */
const countIn = (json: string): number => {
  let count = 0
  let depth = 0
  let field = ""
  let text = ""
  for (let at = 0; at < json.length; at++) {
    switch (json.charAt(at)) {
      case "\"": {
        const end = afterText(json, at)
        if (depth === 1) text = json.slice(at, end)
        at = end - 1
        break
      }
      case ",":
        count += 1 / 4
        break
      case ":":
        if (depth === 1) field = text
        break
      case "[":
      case "{":
        count++
        if (++depth > maxJsonNesting) {
          throw new Unfit(`expected values nested at most ${maxJsonNesting} deep${field === "" ? "" : `\n  at [${field}]`}`)
        }
        break
      case "]":
      case "}":
        depth--
    }
  }
  return count
}

/** The value of a JSON text. Throws where it is none, or nests too deep, or `spend` throws, which is told how many values it has. */
export const parseJson = (text: string, spend: (count: number) => void): unknown => {
  spend(countIn(text))
  return JSON.parse(text)
}

/** The JSON text of a value, which is null's for what has none, as in an array. Throws where there can be none, or it nests too deep. */
export const jsonOf = (value: unknown): string => {
  const known: string | undefined = JSON.stringify(value)
  const text = known ?? "null"
  countIn(text)
  return text
}
