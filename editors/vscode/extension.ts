// Start the language server, `sewdsl lsp`, and communicate over its standard input and output.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import * as vscode from "vscode";
import { LanguageClient } from "vscode-languageclient/node";

// Saved and unsaved files. Other schemes, e.g. old versions in a comparison, have no folder with the files they use.
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
    void reportMissingCommand();
    return;
  }
  const server = async (): Promise<ChildProcess> => {
    // The client restarts a server that exits. Then the first process is used up, and a new one is started.
    const process = launched ?? (await launch());
    launched = undefined;
    return process;
  };
  client = new LanguageClient("sewdsl", "sewdsl", server, { documentSelector: TEXTS });
  await client.start().catch(() => undefined); // The client has reported the error.
}

async function reportMissingCommand(): Promise<void> {
  const message = `Cannot start the command '${command()}'. Run "pip install 'sewdsl[lsp]'", or set the path in 'sewdsl.path'.`;
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
