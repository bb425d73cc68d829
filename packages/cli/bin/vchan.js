#!/usr/bin/env node
console.log(process.version, process.env.NODE_OPTIONS, process.argv.slice(2), import.meta.resolve("@vchan/cli"))
