/**
 * The `vchan` command.
 */
export { main } from "./main.ts"
