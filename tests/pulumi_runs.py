"""Runs the program in infra/ as Pulumi's language host does, with mocks in place of the engine.

Run it as a process, `python -m tests.pulumi_runs <cases.json`: importing pulumi_aws warns, and
Pulumi wants an event loop. A case is a stack's configuration. The result of each has the registered
resources with their inputs and the stack's outputs as the engine would get them, or the error.
A secret is {"secret": its value}. The settings that the program knows are added.
"""

import asyncio
import json
import logging
import runpy
import sys
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc, set_all_config, stack
from pulumi.runtime.settings import set_root_resource

PROGRAM = Path(__file__).parents[1] / "infra"
PROJECT = "simplyload-playground"
# Under the key of a marked value, the mark of a secret.
MARKED = (rpc._special_sig_key, rpc._special_secret_sig)


class Aws(mocks.Mocks):
    """Answers as AWS would, with distinct names and addresses."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Return an id and the inputs, with the attributes that AWS adds."""
        state = dict(args.inputs)
        if args.typ == "aws:s3/bucket:Bucket":
            state |= {"bucket": f"{args.name}-1a2b3c4", "arn": f"arn:aws:s3:::{args.name}-1a2b3c4"}
        if args.typ == "aws:iam/policy:Policy":
            state |= {"arn": f"arn:aws:iam::123456789012:policy/{args.name}"}
        if args.typ == "aws:rds/parameterGroup:ParameterGroup":
            state |= {"name": f"{args.name}-group"}
        if args.typ == "aws:rds/instance:Instance":
            state |= {"address": "db.example.com"}
        return f"{args.name}-id", state

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:  # type: ignore[override] # both do
        """Return the default VPC, the only resource that the program looks up."""
        self.calls.append({"token": args.token, "args": args.args})
        return {"id": "vpc-default"}


class Monitor(mocks.MockMonitor):
    """Keeps the registered resources, in order, and the stack's outputs."""

    def __init__(self, aws: Aws) -> None:
        super().__init__(aws)
        self.registered: list[dict[str, Any]] = []
        self.outputs: dict[str, Any] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - Pulumi's name
        """Keep the requested inputs, secrets still marked."""
        if request.type != "pulumi:pulumi:Stack":
            inputs = rpc.deserialize_properties(request.object, keep_unknowns=True)
            self.registered.append(
                {
                    "type": request.type,
                    "name": request.name,
                    "inputs": inputs,
                    "after": [urn.split("::")[2].split("$")[-1] for urn in request.dependencies],
                }
            )
        return super().RegisterResource(request)  # type: ignore[no-untyped-call] # theirs

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - Pulumi's name
        """Keep the stack's outputs; a component's are its own."""
        if "pulumi:pulumi:Stack" in request.urn:
            self.outputs = rpc.deserialize_properties(request.outputs)
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call] # theirs


def plain(value: Any) -> Any:
    """Return a value with its secrets told in our own words."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    if MARKED in value.items():
        return {"secret": value["value"]}
    return {name: plain(one) for name, one in value.items()}


def program() -> None:
    """Run the folder with itself first on the path."""
    runpy.run_path(str(PROGRAM), run_name="__main__")


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Return the result of the program with one configuration."""
    aws = Aws()
    monitor = Monitor(aws)
    config = {f"{PROJECT}:{name}": value for name, value in case["config"].items()}
    set_all_config(config, [f"{PROJECT}:{name}" for name in case.get("secrets", ["db_password"])])
    set_root_resource(None)  # type: ignore[arg-type] # as in a process that has run nothing yet
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    mocks.set_mocks(aws, project=PROJECT, stack="dev", monitor=monitor)
    set_root_resource(None)  # type: ignore[arg-type] # run_in_stack makes its own
    refused = None
    try:
        loop.run_until_complete(stack.run_in_stack(program))
    except pulumi.RunError as exc:
        refused = str(exc)
    finally:
        loop.close()
    return {
        "resources": plain(monitor.registered),
        "calls": aws.calls,
        "outputs": plain(monitor.outputs),
        "refused": refused,
    }


if __name__ == "__main__":
    logging.disable()
    runs = [run(case) for case in json.load(sys.stdin)]
    settings = runpy.run_path(str(PROGRAM / "configuration.py"))["SETTINGS"]
    json.dump({"runs": runs, "settings": settings}, sys.stdout)
