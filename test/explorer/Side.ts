/**
 * One side as an automaton, found by running its program: each node is an access that the program is about to make, each edge what the
 * access may return.
 *
 * Nodes are told apart by the last marked state and what the accesses since have returned, so programs that go round in circles have few.
 */
import { type Access, type Program, run } from "./access.ts"

export interface Node {
  readonly access: Access
  /** What the accesses before this one returned, from the program's start on, in one of the ways that lead here. */
  readonly inputs: ReadonlyArray<number>
  readonly next: Map<number, number>
}

/** The program's automaton, as far as it has been walked. */
export class Side {
  readonly nodes: Array<Node> = []
  private readonly programs: Array<Program> = []
  private readonly programOf: Array<Program> = []
  private readonly known = new Map<string, number>()

  /** The node in which a program begins. */
  start(program: Program): number {
    this.programs.push(program)
    return this.enter(program, [])
  }

  /** The node after `from`, where its access returned `input`. */
  after(from: number, input: number): number {
    const node = this.node(from)
    const known = node.next.get(input)
    if (known !== undefined) return known
    const program = this.programOf[from]
    if (program === undefined) throw new Error(`there is no node ${from}`)
    const next = this.enter(program, [...node.inputs, input])
    node.next.set(input, next)
    return next
  }

  /** Whether a node belongs to the program that begins at `start`. */
  isIn(id: number, start: number): boolean {
    return this.programOf[id] === this.programOf[start]
  }

  node(id: number): Node {
    const node = this.nodes[id]
    if (node === undefined) throw new Error(`there is no node ${id}`)
    return node
  }

  private enter(program: Program, inputs: ReadonlyArray<number>): number {
    const { access, mark, markedAt } = run(program, inputs)
    const key = `${this.programs.indexOf(program)} ${mark} ${inputs.slice(markedAt).join(",")}`
    const known = this.known.get(key)
    if (known !== undefined) return known
    const id = this.nodes.push({ access, inputs, next: new Map() }) - 1
    this.programOf.push(program)
    this.known.set(key, id)
    return id
  }
}
