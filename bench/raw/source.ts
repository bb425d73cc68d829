/** Where raw.c is. */
import { fileURLToPath } from "node:url"

export const source = fileURLToPath(new URL("raw.c", import.meta.url))
