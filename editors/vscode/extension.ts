// Starts the language server, `sewdsl lsp`, and talks to it over its standard input and output.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import * as vscode from "vscode";
import { LanguageClient } from "vscode-languageclient/node";

// Files and texts that are not saved yet, but no older versions beside a comparison, whose used files are not at hand.
const TEXTS = ["file", "untitled"].map((scheme) => ({ language: "sewdsl", scheme }));

let client: LanguageClient | undefined;

function command(): string {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? "";
  return vscode.workspace.getConfiguration("sewdsl").get("path", "sewdsl").replaceAll("${workspaceFolder}", folder);
}

async function launch(): Promise<ChildProcess> {
  const server = spawn(command(), ["lsp"]);
  await once(server, "spawn");
  return server;
}

async function start(): Promise<void> {
  let launched: ChildProcess | undefined;
  try {
    launched = await launch();
  } catch {
    void complain();
    return;
  }
  const server = async (): Promise<ChildProcess> => {
    const first = launched ?? (await launch()); // a second one where the client starts a server that broke off again
    launched = undefined;
    return first;
  };
  client = new LanguageClient("sewdsl", "sewdsl", server, { documentSelector: TEXTS });
  await client.start().catch(() => undefined); // the client has said why
}

async function complain(): Promise<void> {
  const message = `The command '${command()}' does not start: pip install 'sewdsl[lsp]', or say in 'sewdsl.path' where it is.`;
  const open = "Open the setting";
  if ((await vscode.window.showErrorMessage(message, open)) === open) {
    await vscode.commands.executeCommand("workbench.action.openSettings", "sewdsl.path");
  }
}

async function stop(): Promise<void> {
  const running = client;
  client = undefined;
  if (running?.isRunning()) {
    await running.dispose();
  }
}

export function activate(context: vscode.ExtensionContext): Promise<void> {
  let settled = start();
  const changed = vscode.workspace.onDidChangeConfiguration((event) => {
    if (event.affectsConfiguration("sewdsl.path")) {
      settled = settled.then(stop).then(start);
    }
  });
  context.subscriptions.push(changed);
  return settled;
}

export function deactivate(): Promise<void> {
  return stop();
}
