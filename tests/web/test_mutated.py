"""Requests made and mutated from the OpenAPI document: never a 500, and the World stays sound."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from gorun_mem.service.address import Address
from gorun_mem.service.client import Client
from tests.web.web_tools import serving

EXAMPLES = int(os.environ.get("GORUN_MEM_REQUESTS", "300"))
"""Requests about; thousands by the environment."""
CHECKS = "not_a_server_error,response_schema_conformance,status_code_conformance"


def test_mutated_requests_are_4xx_or_served(tmp_path: Path) -> None:
    """schemathesis sends what fits the document and what does not: no 500, every status is one
    that the document names, and good answers fit its schemas."""
    with serving(tmp_path) as page:
        most = max(1, EXAMPLES // 21)
        done = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "run", f"{page.url}api/openapi.json",
                "--checks", CHECKS, "--max-examples", str(most), "--mode", "all",
                "--phases", "examples,coverage,fuzzing", "--request-timeout", "30",
                "--exclude-path", "/api/live", "--exclude-path", "/api/events",
                "--exclude-path", "/api/world/pace", "--generation-deterministic", "--no-color",
                "--warnings", "off",
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=1200, check=False,
        )  # fmt: skip
        told = "\n".join(line[:300] for line in done.stdout.splitlines()[-80:])
        assert done.returncode == 0, told + done.stderr[-2000:]
        address = next(line for line in page.said if "listening on" in line).split()[2].rstrip(":")
        with Client(Address.parse(address), timeout_s=20) as client:
            assert client.ask("alloc 4096").isdigit()
