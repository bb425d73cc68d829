/**
 * All that an object's future depends on, as a text: what it and the objects it knows hold.
 *
 * Functions count for nothing: what those of the product close over are objects that are reached otherwise. Of arrays over shared memory
 * only their being there counts: their content is the explorer's.
 */
import { isShared } from "./access.ts"

export const fingerprint = (value: unknown): string => {
  const seen = new Map<object, number>()
  const walk = (value: unknown): string => {
    if (typeof value === "function" || typeof value === "symbol") return ""
    if (typeof value !== "object" || value === null) return typeof value === "string" ? JSON.stringify(value) : String(value)
    const before = seen.get(value)
    if (before !== undefined) return `^${before}`
    seen.set(value, seen.size)
    if (isShared(value)) return "shared"
    if (value instanceof ArrayBuffer || value instanceof DataView) return "memory"
    if (ArrayBuffer.isView(value)) return Array.from(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)).join(",")
    if (value instanceof Map || value instanceof Set) return `{${Array.from(value, walk).join()}}`
    if (Array.isArray(value)) return `[${value.map(walk).join()}]`
    // Where an error was made says nothing about what it does.
    const entries = Object.entries(value).filter(([key, value]) => typeof value !== "function" && key !== "stack")
    return `{${entries.map(([key, value]) => `${key}:${walk(value)}`).join()}}`
  }
  return walk(value)
}
