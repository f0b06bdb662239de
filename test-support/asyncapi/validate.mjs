// Reads an AsyncAPI document from standard input with AsyncAPI's own parser, and prints all that the parser has to say,
// hints included: an empty array when there is nothing. Its one argument is the folder of the installed packages.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { Parser } = createRequire(`${process.argv[2]}/`)("@asyncapi/parser");
const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
const said = diagnostics.map(({ code, message, path }) => ({ code, message, path: path.join("/") }));
if (!document && said.length === 0) {
  said.push({ code: "no-document", message: "The parser made no document of it.", path: "" });
}
console.log(JSON.stringify(said));
