"""Files that GitHub reads, against their published schemas, and what the schemas cannot tell."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
SCHEMAS = {
    "github-workflows": "workflows/*.yml",
    "github-actions": "actions/*/action.yml",
    "github-issue-forms": "ISSUE_TEMPLATE/[!c]*.yml",
    "github-issue-config": "ISSUE_TEMPLATE/config.yml",
    "dependabot": "dependabot.yml",
}
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("schema", SCHEMAS)
def test_schema(schema: str) -> None:
    files = sorted(map(str, GITHUB.glob(SCHEMAS[schema])))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *files]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_file_has_a_schema() -> None:
    described = {path for pattern in SCHEMAS.values() for path in GITHUB.glob(pattern)}
    assert {*GITHUB.rglob("*.yml")} == described


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_jobs_end_and_may_only_read(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "concurrency" in workflow
    assert all(1 <= job["timeout-minutes"] <= 360 for job in workflow["jobs"].values())


def test_the_job_that_publishes_has_no_other_permission() -> None:
    permissions = {
        f"{path.stem} {name}": job["permissions"]
        for path in WORKFLOWS
        for name, job in read(path)["jobs"].items()
        if "permissions" in job
    }
    assert permissions == {"release publish": {"id-token": "write"}}


def steps() -> list[dict[str, Any]]:
    jobs = [job for path in WORKFLOWS for job in read(path)["jobs"].values()]
    actions = [read(path)["runs"] for path in GITHUB.glob("actions/*/action.yml")]
    return [step for each in [*jobs, *actions] for step in each["steps"]]


def test_actions_have_one_version() -> None:
    used = {step["uses"] for step in steps() if not step.get("uses", "./").startswith("./")}
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", action) for action in used), used
    assert len(used) == len({action.partition("@")[0] for action in used})


def test_commands_are_tasks() -> None:
    commands = [step["run"] for step in steps() if "run" in step]
    others = [command for command in commands if not command.startswith("python -m tools ")]
    assert all(re.match(r"brew install|sudo apt-get", command) for command in others), others
