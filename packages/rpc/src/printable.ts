/**
 * A text that a peer may have chosen, as it may stand in a log or on a terminal. Pure.
 */

/** What ends or begins a line, and what a reader takes for space. */
const spaces = /[\t\n\r\u2028\u2029]+/g

/** Control characters, with which terminals are steered, and those that turn the direction of what follows. */
// oxlint-disable-next-line no-control-regex -- they are what is looked for
const controls = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/** What a text that a peer had a hand in may have in an error, in letters. */
const longest = 1000

/** The text, without its end where it is long. */
export const shortened = (text: string): string => text.length > longest ? `${text.slice(0, longest)}…` : text

/** The text in one line, with spaces for the ends of lines, and with what steers a terminal made visible as `\u001b`. */
export const printable = (text: string): string =>
  text.replace(spaces, " ").replace(controls, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)
