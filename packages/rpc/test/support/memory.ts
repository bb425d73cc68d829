/** What this process holds, garbage left out. */
import * as v8 from "node:v8"
import * as vm from "node:vm"

v8.setFlagsFromString("--expose-gc")
const collect: unknown = vm.runInNewContext("gc")

/** The bytes of all buffers outside of the heap. */
export const buffersHeld = (): number => {
  if (typeof collect !== "function") throw new Error("the engine has no collector to call")
  // The first time finds the buffers, the second frees them.
  for (let time = 0; time < 2; time++) collect()
  return process.memoryUsage().arrayBuffers
}
