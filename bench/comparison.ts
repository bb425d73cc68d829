/**
 * What a comparison is, and what it finds. Plain data.
 */
import type { Effect, FileSystem, Path, Scope } from "effect"
import type { ChildProcessSpawner } from "effect/process"
import type { AgentError } from "./Agent.ts"
import type { Effort, Figure } from "./measure.ts"

/** One load on all sides that can do it. */
export interface Row {
  readonly load: string
  readonly unit: string
  readonly figures: Readonly<Record<string, Figure>>
}

/** What one comparison found. */
export interface Table {
  readonly title: string
  /** The sides, ours first. */
  readonly sides: ReadonlyArray<string>
  readonly rows: ReadonlyArray<Row>
  /** What could not be measured here, and what is to be done about it. */
  readonly left?: ReadonlyArray<string>
}

type Platform = FileSystem.FileSystem | Path.Path | ChildProcessSpawner.ChildProcessSpawner

/** A comparison: one file in `comparisons/`. */
export type Comparison = (effort: Effort) => Effect.Effect<Table, AgentError, Scope.Scope | Platform>
