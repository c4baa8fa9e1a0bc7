"""`doctor`: what is installed on this machine, and in clear words what will run here."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from cai_core.commands.machine import (
    Finding,
    check_browser,
    check_deep,
    check_demo_model,
    check_gpu,
    check_hardware,
    check_packages,
    check_ports,
    check_workspace,
)
from cai_core.workspace.files import get_workspace


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `doctor` to a command line's subcommands."""
    parser = subparsers.add_parser("doctor", help="what will run here", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--deep", action="store_true", help="also import torch and compute with it")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look and tell; 0 when the workbench can run here, else 1."""
    findings = collect_findings(get_workspace(), deep=args.deep)
    conclusions = build_conclusions(findings)
    broken = [finding.name for finding in findings if finding.state == "missing"]
    if args.json:
        document = {
            "ok": not broken,
            "findings": [finding.as_dict() for finding in findings],
            "conclusions": conclusions,
        }
        print(json.dumps(document, indent=1))
    else:
        for finding in findings:
            print(f"{finding.state:>7}  {finding.name}: {finding.detail}")
        print("\n" + "\n".join(conclusions))
    return 1 if broken else 0


def collect_findings(workspace: Path, *, deep: bool) -> list[Finding]:
    """Every check, in the order in which it is told."""
    findings = [
        *check_packages(),
        check_hardware(),
        check_gpu(),
        check_workspace(workspace),
        *check_ports(),
        check_browser(),
        check_demo_model(),
    ]
    return [*findings, check_deep()] if deep else findings


def build_conclusions(findings: list[Finding]) -> list[str]:
    """What the findings mean for the person, one sentence a line."""
    state = {finding.name: finding.state for finding in findings}
    missing = [finding for finding in findings if finding.state == "missing"]
    lines = [f"To mend: {finding.name}: {finding.detail}" for finding in missing]
    if state["demo model"] == "ok" and not missing:
        lines.append("The demo model runs here, on the CPU: everything can be tried.")
    elif state["demo model"] != "ok":
        lines.append("Without the demo model, give a model folder or a server's URL.")
    if state["gpu"] == "ok" and state["vllm"] == "ok":
        lines.append("vLLM can serve larger models on the GPU here.")
    elif state["gpu"] == "ok":
        lines.append("There is a GPU but no vLLM: the bundled server can use the GPU, slower.")
    else:
        lines.append("No GPU here: small models run; for larger ones give a server's URL.")
    if state["browser"] != "ok":
        lines.append("Browser tests need Chromium (`make test` installs it where it can).")
    return lines
