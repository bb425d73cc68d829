/**
 * Plans as generated code: what `interpretPlan` does, without its calls through tables. It writes and takes the same bytes, and throws for the same
 * values. Pure.
 *
 * Names and literals come from schemas, which may be made of a peer's shapes: into the code they go as JSON, or not at all.
 */
import { maxNesting, unfit } from "./ByteWriter.ts"
import { jsonOf, parseJson } from "./jsonText.ts"
import { isPlain, mayBeEmpty, type Plan, sorted, type Test } from "./Plan.ts"
import { type Decode, type Encode, has, isObject, pad, readRest, set, testOf, unpad } from "./planValues.ts"

/** Both directions of a plan. Throws `EvalError` where no code may be generated. */
export const compilePlan = (plan: Plan): { readonly encode: Encode; readonly decode: Decode } => {
  const code = new Code()
  const [encode, decode] = [code.encoder(plan), code.decoder(plan)]
  // oxlint-disable-next-line typescript/no-implied-eval, no-new-func -- the reason for this module; the head says why it is safe
  const make = new Function("H", "K", `"use strict";${code.functions.join("\n")}\nreturn {encode:${encode},decode:${decode}}`)
  return make(helpers, code.constants)
}

const helpers = {
  unfit,
  has,
  isObject,
  jsonOf,
  pad,
  parseJson,
  readRest,
  set,
  unpad,
  /** A field that is there though it is undefined, or nothing. */
  missing: (value: object, name: string): void => {
    if (!has(value, name)) unfit(`the field ${JSON.stringify(name)}`)
  },
  rest: (value: object, named: ReadonlySet<string>): ReadonlyArray<string> => Object.keys(value).filter((key) => !named.has(key)),
  tooDeep: (): void => unfit(`values nested at most ${maxNesting} deep`)
}

const quote = (text: string): string => JSON.stringify(text)

class Code {
  readonly functions: Array<string> = []
  readonly constants: Array<unknown> = []
  private readonly encoders = new Map<Plan, string>()
  private readonly decoders = new Map<Plan, string>()
  private names = 0

  /** The name of the function that writes a plan's values, which may not be there yet. */
  encoder(plan: Plan): string {
    return this.named(plan, this.encoders, "e", (name) => `function ${name}(w,x){${this.write(plan, "x")}}`)
  }

  /** The name of the function that reads a plan's values. */
  decoder(plan: Plan): string {
    return this.named(plan, this.decoders, "d", (name) => `function ${name}(r){${this.read(plan)}}`)
  }

  private named(plan: Plan, names: Map<Plan, string>, prefix: string, body: (name: string) => string): string {
    const known = names.get(plan)
    if (known !== undefined) return known
    const name = `${prefix}${this.names++}`
    names.set(plan, name)
    this.functions.push(body(name))
    return name
  }

  private constant(value: unknown): string {
    return `K[${this.constants.push(value) - 1}]`
  }

  private variable(): string {
    return `v${this.names++}`
  }

  /** A literal in the code. */
  private literal(value: unknown): string {
    return typeof value === "string" || typeof value === "boolean" ? JSON.stringify(value) : this.constant(value)
  }

  /** Statements that write the value of a variable. */
  private write(plan: Plan, x: string): string {
    return this.writing(plan, x) + (plan.check === undefined ? "" : `${this.constant(plan.check)}(${x});`)
  }

  /** As `write`, in a function of its own where it is long. */
  private writeCall(plan: Plan, x: string): string {
    return plan.tag === "object" || plan.tag === "tuple" || plan.tag === "union" ? `${this.encoder(plan)}(w,${x});` : this.write(plan, x)
  }

  private writing(plan: Plan, x: string): string {
    switch (plan.tag) {
      case "bytes":
        return `w.blob(${x});`
      case "null":
      case "undefined":
        return `if(${x}!==${plan.tag})H.unfit("${plan.tag}");`
      case "void":
        return ""
      case "literal":
        return `if(${x}!==${this.literal(plan.value)})H.unfit("a literal");`
      case "json":
        return `w.string(H.jsonOf(${this.constant(plan.via.encode)}(${x})));`
      case "via": {
        const encoded = this.variable()
        return `const ${encoded}=${this.constant(plan.via.encode)}(${x});${this.writeCall(plan.plan, encoded)}`
      }
      case "up":
        return `if(++w.depth>${maxNesting})H.tooDeep();${this.encoder(plan.target())}(w,${x});w.depth--;`
      case "array": {
        const [index, item] = [this.variable(), this.variable()]
        return `if(!Array.isArray(${x}))H.unfit("an array");w.count(${x}.length);` +
          `for(let ${index}=0;${index}<${x}.length;${index}++){const ${item}=${x}[${index}];${this.padded(plan.item, item)}}`
      }
      case "tuple":
        return this.writeTuple(plan, x)
      case "object":
        return this.writeObject(plan, x)
      case "union":
        return plan.members.map(({ plan, test }, index) => `if(${this.test(test, x)}){w.count(${index});${this.writeCall(plan, x)}}else `)
          .join("") +
          "H.unfit(\"one of the union's members\");"
      default:
        return `w.${plan.tag}(${x});`
    }
  }

  private padded(plan: Plan, x: string): string {
    if (!mayBeEmpty(plan)) return this.writeCall(plan, x)
    const start = this.variable()
    return `const ${start}=w.position;${this.writeCall(plan, x)}H.pad(w,${start});`
  }

  private writeTuple({ elements, required, rest }: Extract<Plan, { readonly tag: "tuple" }>, x: string): string {
    const isFixed = rest === undefined && required === elements.length
    const tooMany = rest === undefined ? `||${x}.length>${elements.length}` : ""
    const each = elements.map((plan, index) => {
      const item = this.variable()
      const write = `const ${item}=${x}[${index}];${index < required ? this.writeCall(plan, item) : this.padded(plan, item)}`
      return index < required ? write : `if(${x}.length>${index}){${write}}`
    })
    const [index, item] = [this.variable(), this.variable()]
    return `if(!Array.isArray(${x}))H.unfit("an array");if(${x}.length<${required}${tooMany})H.unfit("another number of elements");` +
      (isFixed ? "" : `w.count(${x}.length);`) + each.join("") +
      (rest === undefined
        ? ""
        : `for(let ${index}=${elements.length};${index}<${x}.length;${index}++){const ${item}=${x}[${index}];${this.padded(rest, item)}}`)
  }

  private writeObject({ fields, rest }: Extract<Plan, { readonly tag: "object" }>, x: string): string {
    if (fields.length === 0 && rest === undefined) return `if(${x}===null||${x}===undefined)H.unfit("an object");`
    const inOrder = sorted(fields)
    const optional = inOrder.filter(({ optional }) => optional)
    const isThere = new Map(optional.map(({ name }) => [name, this.variable()]))
    const presence = optional.map(({ name }) => `const ${isThere.get(name)}=H.has(${x},${quote(name)});`)
    const masks = Array.from(
      { length: Math.ceil(optional.length / 8) },
      (_, byte) =>
        `w.byte(${optional.slice(8 * byte, 8 * byte + 8).map(({ name }, bit) => `(${isThere.get(name)}?${1 << bit}:0)`).join("|")});`
    )
    const each = inOrder.map(({ name, plan }) => {
      const value = this.variable()
      const there = isThere.get(name)
      const write = `const ${value}=${x}[${quote(name)}];`
      // What Object.prototype has is no `__proto__` of this object.
      const isAbsent = name === "__proto__" ? "" : `if(${value}===undefined)`
      return there === undefined
        ? `${write}${isAbsent}H.missing(${x},${quote(name)});${this.writeCall(plan, value)}`
        : `if(${there}){${write}${this.writeCall(plan, value)}}`
    })
    const more = rest === undefined ? "" : this.writeRest(rest, x, new Set(inOrder.map(({ name }) => name)))
    return `if(!H.isObject(${x}))H.unfit("an object");${presence.join("")}${masks.join("")}${each.join("")}${more}`
  }

  private writeRest(rest: Plan, x: string, named: ReadonlySet<string>): string {
    const [keys, key, value] = [this.variable(), this.variable(), this.variable()]
    return `const ${keys}=H.rest(${x},${this.constant(named)});w.count(${keys}.length);` +
      `for(const ${key} of ${keys}){w.string(${key});const ${value}=${x}[${key}];${this.writeCall(rest, value)}}`
  }

  private test(test: Test, x: string): string {
    if ("is" in test) return `${this.constant(test.is)}(${x})`
    if ("field" in test) return `(H.isObject(${x})&&${x}[${quote(test.field)}]===${this.literal(test.equals)})`
    if ("equals" in test) return `${x}===${this.literal(test.equals)}`
    switch (test.kind) {
      case "undefined":
      case "null":
        return `${x}===${test.kind}`
      case "bytes":
      case "array":
      case "object":
        return `${this.constant(testOf(test))}(${x})`
      default:
        return `typeof ${x}==="${test.kind}"`
    }
  }

  /** Statements that return the value. */
  private read(plan: Plan): string {
    const { check } = plan
    if (check === undefined) return this.reading(plan)
    return `const x=${this.value({ ...plan, check: undefined })};${this.constant(check)}(x);return x;`
  }

  /** An expression that gives the value. */
  private value(plan: Plan): string {
    if (plan.check !== undefined) return `${this.decoder(plan)}(r)`
    switch (plan.tag) {
      case "bytes":
        return "r.blob()"
      case "null":
        return "null"
      case "undefined":
      case "void":
        return "undefined"
      case "literal":
        return this.literal(plan.value)
      case "json":
        return `${this.constant(plan.via.decode)}(H.parseJson(r.string(),(n)=>r.spend(n)))`
      case "via":
        return `${this.constant(plan.via.decode)}(${this.value(plan.plan)})`
      case "up":
      case "array":
      case "tuple":
      case "object":
      case "union":
        return `${this.decoder(plan)}(r)`
      default:
        return `r.${plan.tag}()`
    }
  }

  private reading(plan: Plan): string {
    switch (plan.tag) {
      case "up":
        return `if(++r.depth>${maxNesting})H.tooDeep();r.spend(1);const x=${this.decoder(plan.target())}(r);r.depth--;return x;`
      case "array":
        return `const n=r.length();${isPlain(plan.item) ? "" : "r.spend(n);"}const x=[];for(let i=0;i<n;i++){${
          this.readItem(plan.item)
        }}return x;`
      case "tuple":
        return this.readTuple(plan)
      case "object":
        return this.readObject(plan)
      case "union":
        return `switch(r.count()){${plan.members.map(({ plan }, index) => `case ${index}:return ${this.value(plan)};`).join("")}` +
          "default:return H.unfit(\"one of the union's members\")}"
      default:
        return `return ${this.value(plan)};`
    }
  }

  /** Adds an item to x. */
  private readItem(plan: Plan): string {
    return mayBeEmpty(plan) ? `const s=r.position;x.push(${this.value(plan)});H.unpad(r,s);` : `x.push(${this.value(plan)});`
  }

  private readTuple({ elements, required, rest }: Extract<Plan, { readonly tag: "tuple" }>): string {
    const fixed = `const x=[${elements.slice(0, required).map((plan) => this.value(plan)).join(",")}];`
    if (rest === undefined && required === elements.length) return `${fixed}return x;`
    const tooMany = rest === undefined ? `||n>${elements.length}` : ""
    const each = elements.slice(required).map((plan, index) => `if(n>${required + index}){${this.readItem(plan)}}`)
    return `const n=r.count();if(n<${required}${tooMany})H.unfit("another number of elements");` +
      (rest === undefined || isPlain(rest) ? "" : `if(n>${elements.length})r.spend(n-${elements.length});`) + fixed + each.join("") +
      (rest === undefined ? "" : `for(let i=${elements.length};i<n;i++){${this.readItem(rest)}}`) + "return x;"
  }

  private readObject({ fields, rest }: Extract<Plan, { readonly tag: "object" }>): string {
    const inOrder = sorted(fields)
    const optional = inOrder.filter(({ optional }) => optional)
    const isThere = new Map(optional.map(({ name }, index) => [name, `m${index >> 3}&${1 << (index & 7)}`]))
    const masks = Array.from({ length: Math.ceil(optional.length / 8) }, (_, byte) => {
      const count = Math.min(8, optional.length - 8 * byte)
      return `const m${byte}=r.byte();` + (count < 8 ? `if(m${byte}>>${count})H.unfit("no more fields than there are");` : "")
    })
    const variables = new Map(inOrder.map(({ name }) => [name, this.variable()]))
    const each = inOrder.map(({ name, plan }) => {
      const there = isThere.get(name)
      const variable = variables.get(name)
      return there === undefined ? `const ${variable}=${this.value(plan)};` : `let ${variable};if(${there})${variable}=${this.value(plan)};`
    })
    const start = fields.findIndex(({ name, optional }) => optional || name === "__proto__")
    const first = start < 0 ? fields : fields.slice(0, start)
    const literal = `const x={${first.map(({ name }) => `${quote(name)}:${variables.get(name)}`).join(",")}};`
    const later = fields.slice(first.length).map(({ name }) => {
      const there = isThere.get(name)
      const assign = name === "__proto__" ? `H.set(x,"__proto__",${variables.get(name)});` : `x[${quote(name)}]=${variables.get(name)};`
      return there === undefined ? assign : `if(${there})${assign}`
    })
    const more = rest === undefined ? "" : `H.readRest(r,x,${this.constant(new Set(variables.keys()))},${this.decoder(rest)});`
    return `${masks.join("")}${each.join("")}${literal}${later.join("")}${more}return x;`
  }
}
