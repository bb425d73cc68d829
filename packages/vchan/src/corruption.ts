/**
 * What a corrupt ring is told as.
 */
import type { Consumer, Producer } from "./Ring.ts"
import type { Vchan } from "./Vchan.ts"
import { RingCorrupt } from "./VchanError.ts"

/** What is wrong with the rings of one side; undefined where nothing is. */
export const corruption = (role: Vchan["role"], consumer: Consumer, producer: Producer): RingCorrupt | undefined => {
  const [read, written] = role === "server" ? ["left", "right"] : ["right", "left"]
  if (consumer.corrupt !== undefined) {
    return new RingCorrupt({ detail: `${read}.prod is ${consumer.corrupt} ahead of ${read}.cons in a ring of ${consumer.size} bytes` })
  }
  if (producer.corrupt !== undefined) {
    return new RingCorrupt({ detail: `${written}.cons is ${producer.corrupt} behind ${written}.prod in a ring of ${producer.size} bytes` })
  }
  return undefined
}
