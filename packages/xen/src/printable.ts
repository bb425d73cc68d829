/**
 * A text that another domain may have chosen, as it may stand in a log or on a terminal. Pure.
 */

/** What ends or begins a line, and what a reader takes for space. */
const spaces = /[\t\n\r\u2028\u2029]+/g

/** Control characters, with which terminals are steered, and formats, some of which turn the direction of what follows. */
const unprintable = /[\p{Cc}\p{Cf}]/gu

const escape = (sign: string): string => sign.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")

/** What is told of a text at most, in letters. */
const longest = 1000

/** The text, without its end where it is long. */
export const shortened = (text: string): string => text.length > longest ? `${text.slice(0, longest)}…` : text

/** The text in one line, with spaces for the ends of lines, with what steers a terminal made visible as `\u001b`, and cut where it is long. */
export const printable = (text: string): string => shortened(text).replace(spaces, " ").replace(unprintable, escape)
