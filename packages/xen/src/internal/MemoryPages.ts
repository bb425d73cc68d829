/**
 * The pages behind grant references, in memory: one buffer for each share, the same for both sides.
 *
 * A buffer is dropped when nobody holds its pages any more.
 */
import { type GrantReference, pageSize } from "../GrantTable.ts"

/** Pages by reference. */
export class MemoryPages {
  private readonly buffers = new Map<GrantReference, SharedArrayBuffer>()

  allocate(first: GrantReference, count: number): void {
    this.buffers.set(first, new SharedArrayBuffer(count * pageSize))
  }

  free(first: GrantReference): void {
    this.buffers.delete(first)
  }

  /** Unmap notifies name the first page of a share or a mapping. */
  clearByte(reference: GrantReference, offset: number): void {
    const buffer = this.buffers.get(reference)
    if (buffer !== undefined && offset < buffer.byteLength) new Uint8Array(buffer)[offset] = 0
  }

  /** The buffer of a share that has just been made. */
  bufferAt(first: GrantReference): SharedArrayBuffer {
    const buffer = this.buffers.get(first)
    if (buffer === undefined) throw new Error(`no pages behind reference ${first}`)
    return buffer
  }

  /** The buffer of a whole share, or undefined where the references are not the run of one. */
  bufferOf(references: ReadonlyArray<GrantReference>): SharedArrayBuffer | undefined {
    const first = references[0]
    const buffer = first === undefined ? undefined : this.buffers.get(first)
    if (first === undefined || buffer === undefined || buffer.byteLength !== references.length * pageSize) return undefined
    return references.every((reference, index) => reference === first + index) ? buffer : undefined
  }
}
