/**
 * Two stores take the same steps: each answer, each client's events, and what is in the store at the end have to be the same.
 */
import { clients, type Step, visitor } from "./Step.ts"
import type { Store } from "./Store.ts"

/** What came of a step, for people to read where two differ. */
interface Outcome {
  readonly answer: string
  readonly events: ReadonlyArray<ReadonlyArray<string>>
}

/** One store's way through the steps. It numbers transactions as it likes. */
class Walk {
  readonly store: Store
  readonly #open = clients.map((): Array<number> => [])
  readonly #refused = new Set<string>()
  #visiting = false

  constructor(store: Store) {
    this.store = store
  }

  async take(step: Step): Promise<Outcome> {
    const answer = await this.#take(step)
    // Of events that are the same xenstored leaves out those that come while the first one waits.
    const events = (await this.store.takeEvents()).map((events) => [...new Set(events)].toSorted())
    return { answer, events: step._tag === "Visit" ? events.map((each) => each.filter((event) => event.startsWith("@"))) : events }
  }

  async #take(step: Step): Promise<string> {
    if (step._tag === "Visit") {
      // What a transaction saw of a domain that goes is another question.
      for (const [client, open] of this.#open.entries()) for (const id of open) await this.store.ask(client, "TRANSACTION_END", ["F"], id)
      for (const open of this.#open) open.length = 0
      this.#visiting = !this.#visiting
      await this.store.visit()
      return ""
    }
    if (clients[step.client] === visitor && !this.#visiting) return "not there"
    const open = this.#open[step.client] ?? []
    const place = step.transaction > 0 && open.length > 0 ? (step.transaction - 1) % open.length : -1
    const id = step.transaction < 0 ? 4_000_000_000 : open[place] ?? 0
    switch (step._tag) {
      case "Ask":
        if (step.asked === "RESET_WATCHES") open.length = 0
        return this.#ask(step, id)
      case "Start": {
        const answer = await this.store.ask(step.client, "TRANSACTION_START", [""], id)
        if (!/^\d+$/.test(answer)) return answer
        open.push(Number(answer))
        return "a transaction"
      }
      case "End": {
        const answer = await this.store.ask(step.client, "TRANSACTION_END", [step.verdict], id)
        if (answer !== "EINVAL" && place >= 0) open.splice(place, 1)
        return answer
      }
    }
  }

  /** What a transaction sees once it was refused something halfway, and can only come to its end, is nobody's matter. */
  async #ask({ asked, client, texts }: Extract<Step, { readonly _tag: "Ask" }>, id: number): Promise<string> {
    const name = `${client} ${id}`
    if (this.#refused.has(name)) return "refused before"
    const answer = await this.store.ask(client, asked, texts, id)
    if (id !== 0 && answer === "ENOSPC") this.#refused.add(name)
    return answer
  }

  /** All that is below a path, as domain 0 sees it. */
  async dump(path: string): Promise<ReadonlyArray<string>> {
    const ask = (asked: string) => this.store.ask(0, asked, [path], 0)
    const names = (await ask("DIRECTORY")).split(" ").filter((name) => name !== "")
    const lines = [`${path} = ${await ask("READ")} (${await ask("GET_PERMS")}) [${names.join(" ")}]`]
    for (const name of names) lines.push(...await this.dump(path === "/" ? `/${name}` : `${path}/${name}`))
    return lines
  }
}

/**
 * Whether xenstored gave up where a transaction had seen a node, and saw the one above it only after others had removed both. It could not be
 * committed any more.
 */
const isTorn = (step: Step, one: Outcome, other: Outcome): boolean =>
  step._tag === "Ask" && step.asked === "RM" && step.transaction > 0 &&
  (other.answer === "EIO" || (one.answer === "OK" && other.answer === "EINVAL"))

/** Takes the steps in both stores, and throws where the one differs from the other, which is right. */
export const compare = async (steps: ReadonlyArray<Step>, one: Store, other: Store): Promise<void> => {
  const walks = [new Walk(one), new Walk(other)] as const
  for (const [index, step] of steps.entries()) {
    const [left, right] = [await walks[0].take(step), await walks[1].take(step)]
    if (isTorn(step, left, right)) return
    if (JSON.stringify(left) !== JSON.stringify(right)) {
      throw new Error(`step ${index}, ${JSON.stringify(step)}: ${JSON.stringify(left)} and ${JSON.stringify(right)}`)
    }
  }
  const [left, right] = [await walks[0].dump("/"), await walks[1].dump("/")]
  if (left.join("\n") !== right.join("\n")) throw new Error(`at the end: ${left.join("\n")}\n\nand\n\n${right.join("\n")}`)
}
