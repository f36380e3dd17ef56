// Reads a JSON list of texts, prints for each the innermost scope of every character.
const fs = require("fs");
const path = require("path");
const oniguruma = require("vscode-oniguruma");
const textmate = require("vscode-textmate");

async function main() {
  const wasm = fs.readFileSync(path.join(path.dirname(require.resolve("vscode-oniguruma")), "onig.wasm"));
  await oniguruma.loadWASM(wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.byteLength));
  const file = process.argv[2];
  const registry = new textmate.Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
      createOnigString: (text) => new oniguruma.OnigString(text),
    }),
    loadGrammar: async () => textmate.parseRawGrammar(fs.readFileSync(file, "utf8"), file),
  });
  const grammar = await registry.loadGrammar("source.sewdsl");
  const scopes = (text) => {
    const found = [];
    let state = textmate.INITIAL;
    for (const line of text.split("\n")) {
      const result = grammar.tokenizeLine(line, state);
      state = result.ruleStack;
      const row = new Array(line.length + 1).fill(null);
      for (const token of result.tokens) {
        const scope = token.scopes.length > 1 ? token.scopes[token.scopes.length - 1] : null;
        row.fill(scope, token.startIndex, Math.min(token.endIndex, line.length));
      }
      let unit = 0;
      for (const character of line + "\n") {
        found.push(row[unit]);
        unit += character.length;
      }
    }
    found.pop();
    return found;
  };
  const texts = JSON.parse(fs.readFileSync(0, "utf8"));
  process.stdout.write(JSON.stringify(texts.map(scopes)));
}

main();
