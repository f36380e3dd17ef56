// Starts the language server, `sewdsl lsp`, and talks to it over its standard input and output.

import * as vscode from "vscode";
import { LanguageClient } from "vscode-languageclient/node";

let client: LanguageClient | undefined;

async function start(): Promise<void> {
  const command = vscode.workspace.getConfiguration("sewdsl").get("path", "sewdsl");
  client = new LanguageClient("sewdsl", { command, args: ["lsp"] }, { documentSelector: [{ language: "sewdsl" }] });
  try {
    await client.start();
  } catch {
    const settings = "Open the setting";
    const message = `The command '${command} lsp' does not start: install sewdsl, or say in 'sewdsl.path' where it is.`;
    if ((await vscode.window.showErrorMessage(message, settings)) === settings) {
      await vscode.commands.executeCommand("workbench.action.openSettings", "sewdsl.path");
    }
  }
}

async function stop(): Promise<void> {
  await client?.dispose();
  client = undefined;
}

export function activate(context: vscode.ExtensionContext): void {
  const changed = vscode.workspace.onDidChangeConfiguration(async (event) => {
    if (event.affectsConfiguration("sewdsl.path")) {
      await stop();
      await start();
    }
  });
  context.subscriptions.push(changed);
  void start();
}

export function deactivate(): Promise<void> {
  return stop();
}
