#!/usr/bin/env node
import { main } from "@vchan/cli"
import manifest from "../package.json" with { type: "json" }

main({ version: manifest.version })
