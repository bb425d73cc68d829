/**
 * Plans as functions that call each other: where no code may be generated, and where it is to be told at which field a value does not fit.
 * Pure.
 */
import { maxNesting, Unfit, unfit } from "./ByteWriter.ts"
import { jsonOf, parseJson } from "./jsonText.ts"
import { isPlain, type Plan, sorted } from "./Plan.ts"
import { at, type Decode, type Encode, has, isObject, optionalOf, pad, readRest, set, testOf, unpad, within } from "./planValues.ts"

export const encoderOf = (plan: Plan, made = new Map<Plan, Encode>()): Encode => {
  const known = made.get(plan)
  if (known !== undefined) return known
  const { check } = plan
  const write = writing(plan, (plan) => encoderOf(plan, made))
  const encode: Encode = check === undefined ? write : (writer, value) => {
    write(writer, value)
    check(value)
  }
  made.set(plan, encode)
  return encode
}

const writing = (plan: Plan, encoderOf: (plan: Plan) => Encode): Encode => {
  switch (plan.tag) {
    case "string":
      return (writer, value) => writer.string(value)
    case "number":
      return (writer, value) => writer.number(value)
    case "integer":
      return (writer, value) => writer.integer(value)
    case "boolean":
      return (writer, value) => writer.boolean(value)
    case "bigint":
      return (writer, value) => writer.bigint(value)
    case "bytes":
      return (writer, value) => writer.blob(value)
    case "null":
      return (_, value) => (value === null ? undefined : unfit("null"))
    case "undefined":
      return (_, value) => (value === undefined ? undefined : unfit("undefined"))
    case "void":
      return () => undefined
    case "literal":
      return (_, value) => (value === plan.value ? undefined : unfit(JSON.stringify(String(plan.value))))
    case "json":
      return (writer, value) => writer.string(jsonOf(plan.via.encode(value)))
    case "via": {
      const encode = encoderOf(plan.plan)
      return (writer, value) => encode(writer, plan.via.encode(value))
    }
    case "up":
      return (writer, value) => {
        if (++writer.depth > maxNesting) return unfit(`values nested at most ${maxNesting} deep`)
        encoderOf(plan.target())(writer, value)
        writer.depth--
      }
    case "array": {
      const item = encoderOf(plan.item)
      return (writer, value) => {
        if (!Array.isArray(value)) return unfit("an array")
        const { length } = value
        writer.count(length)
        for (let index = 0; index < length; index++) {
          const start = writer.position
          within(index, () => item(writer, value[index]))
          pad(writer, start)
        }
      }
    }
    case "tuple": {
      const elements = plan.elements.map(encoderOf)
      const rest = plan.rest && encoderOf(plan.rest)
      return (writer, value) => {
        if (!Array.isArray(value)) return unfit("an array")
        const { length } = value
        if (length < plan.required || (rest === undefined && length > elements.length)) return unfit("another number of elements")
        if (rest !== undefined || plan.required < elements.length) writer.count(length)
        for (let index = 0; index < length; index++) {
          const start = writer.position
          within(index, () => (elements[index] ?? rest)?.(writer, value[index]))
          if (index >= plan.required) pad(writer, start)
        }
      }
    }
    case "object":
      return writingObject(plan, encoderOf)
    case "union": {
      const members = plan.members.map(({ plan, test }) => ({ test: testOf(test), encode: encoderOf(plan) }))
      return (writer, value) => {
        const index = members.findIndex(({ test }) => test(value))
        writer.count(Math.max(index, 0))
        const member = members[index]
        return member === undefined ? unfit("one of the union's members") : member.encode(writer, value)
      }
    }
  }
}

const writingObject = (plan: Extract<Plan, { readonly tag: "object" }>, encoderOf: (plan: Plan) => Encode): Encode => {
  const fields = sorted(plan.fields).map(({ name, optional, plan }) => ({ name, optional, encode: encoderOf(plan) }))
  const optional = optionalOf(sorted(plan.fields))
  const named = new Set(fields.map(({ name }) => name))
  const rest = plan.rest && encoderOf(plan.rest)
  if (fields.length === 0 && rest === undefined) {
    return (_, value) => (value === null || value === undefined ? unfit("an object") : undefined)
  }
  return (writer, value) => {
    if (!isObject(value)) return unfit("an object")
    for (let first = 0; first < optional.length; first += 8) {
      writer.byte(optional.slice(first, first + 8).reduce((mask, name, bit) => mask | (has(value, name) ? 1 << bit : 0), 0))
    }
    for (const { encode, name, optional } of fields) {
      if (has(value, name)) within(name, () => encode(writer, value[name]))
      else if (!optional) throw at(name, new Unfit("Missing key"))
    }
    if (rest === undefined) return
    const keys = Object.keys(value).filter((key) => !named.has(key))
    writer.count(keys.length)
    for (const key of keys) {
      writer.string(key)
      within(key, () => rest(writer, value[key]))
    }
  }
}

export const decoderOf = (plan: Plan, made = new Map<Plan, Decode>()): Decode => {
  const known = made.get(plan)
  if (known !== undefined) return known
  const { check } = plan
  const read = reading(plan, (plan) => decoderOf(plan, made))
  const decode: Decode = check === undefined ? read : (reader) => {
    const value = read(reader)
    check(value)
    return value
  }
  made.set(plan, decode)
  return decode
}

const reading = (plan: Plan, decoderOf: (plan: Plan) => Decode): Decode => {
  switch (plan.tag) {
    case "string":
      return (reader) => reader.string()
    case "number":
      return (reader) => reader.number()
    case "integer":
      return (reader) => reader.integer()
    case "boolean":
      return (reader) => reader.boolean()
    case "bigint":
      return (reader) => reader.bigint()
    case "bytes":
      return (reader) => reader.blob()
    case "null":
      return () => null
    case "undefined":
    case "void":
      return () => undefined
    case "literal":
      return () => plan.value
    case "json":
      return (reader) => plan.via.decode(parseJson(reader.string(), (count) => reader.spend(count)))
    case "via": {
      const decode = decoderOf(plan.plan)
      return (reader) => plan.via.decode(decode(reader))
    }
    case "up":
      return (reader) => {
        if (++reader.depth > maxNesting) return unfit(`values nested at most ${maxNesting} deep`)
        reader.spend(1)
        const value = decoderOf(plan.target())(reader)
        reader.depth--
        return value
      }
    case "array": {
      const item = decoderOf(plan.item)
      const costs = !isPlain(plan.item)
      return (reader) => {
        const count = reader.length()
        if (costs) reader.spend(count)
        const values: Array<unknown> = []
        for (let index = 0; index < count; index++) {
          const start = reader.position
          values.push(within(index, () => item(reader)))
          unpad(reader, start)
        }
        return values
      }
    }
    case "tuple": {
      const elements = plan.elements.map(decoderOf)
      const rest = plan.rest && decoderOf(plan.rest)
      const isFixed = rest === undefined && plan.required === elements.length
      const costs = plan.rest !== undefined && !isPlain(plan.rest)
      return (reader) => {
        const count = isFixed ? elements.length : reader.count()
        if (count < plan.required || (rest === undefined && count > elements.length)) return unfit("another number of elements")
        if (costs && count > elements.length) reader.spend(count - elements.length)
        const values: Array<unknown> = []
        for (let index = 0; index < count; index++) {
          const start = reader.position
          values.push(within(index, () => (elements[index] ?? rest)?.(reader)))
          if (index >= plan.required) unpad(reader, start)
        }
        return values
      }
    }
    case "object":
      return readingObject(plan, decoderOf)
    case "union": {
      const members = plan.members.map(({ plan }) => decoderOf(plan))
      return (reader) => {
        const member = members[reader.count()]
        return member === undefined ? unfit("one of the union's members") : member(reader)
      }
    }
  }
}

const readingObject = (plan: Extract<Plan, { readonly tag: "object" }>, decoderOf: (plan: Plan) => Decode): Decode => {
  const fields = sorted(plan.fields).map(({ name, optional, plan }) => ({ name, optional, decode: decoderOf(plan) }))
  const optional = optionalOf(sorted(plan.fields))
  const declared = plan.fields.map(({ name }) => name)
  const named = new Set(declared)
  const rest = plan.rest && decoderOf(plan.rest)
  return (reader) => {
    const present = new Set<string>()
    for (let first = 0; first < optional.length; first += 8) {
      const names = optional.slice(first, first + 8)
      const mask = reader.byte()
      if (mask >> names.length !== 0) return unfit("no more fields than there are")
      for (const [bit, name] of names.entries()) if ((mask & (1 << bit)) !== 0) present.add(name)
    }
    const values = new Map<string, unknown>()
    for (const { decode, name, optional } of fields) {
      if (!optional || present.has(name)) values.set(name, within(name, () => decode(reader)))
    }
    const object: Record<string, unknown> = {}
    for (const name of declared) if (values.has(name)) set(object, name, values.get(name))
    if (rest === undefined) return object
    readRest(reader, object, named, rest)
    return object
  }
}
