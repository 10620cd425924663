"""The objects below a prefix of an S3 bucket.

AWS_PROFILE, AWS_REGION and AWS_ENDPOINT_URL of .env apply, else boto3's own configuration.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from loadgen.config.settings import variable
from loadgen.errors import DestinationError, install_hint, one_line
from loadgen.network import is_local
from loadgen.record.files import lock_within
from loadgen.tools.tools_file import Tool

_LOCK_SECONDS: Final = 60.0
_GONE: Final = ("404", "NoSuchKey")
_NO_REGION: Final = (None, "aws-global")  # what boto3 says without one


class _GoneError(DestinationError):
    """There is no such object."""


class S3Prefix:
    """The objects below one prefix; every call raises DestinationError if S3 refuses it."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self.bucket = bucket
        self.prefix = prefix

    @classmethod
    def of(cls, tool: Tool) -> "S3Prefix | None":
        """Return the place of a tool's files; None if it has no bucket. Raises DestinationError.

        That is the prefix of its bucket; below it the tool's name, if a runner writes there.
        """
        if tool.bucket is None:
            return None
        try:
            import boto3  # noqa: PLC0415 - an extra
            from botocore.config import Config  # noqa: PLC0415 - an extra
            from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - an extra
        except ImportError as exc:
            raise DestinationError(
                f"boto3 is not installed: {install_hint('aws', 'boto3')}"
            ) from exc
        bucket, _, prefix = tool.bucket.removeprefix("s3://").partition("/")
        parts = [prefix.strip("/"), tool.name if tool.runner else ""]
        try:
            # A session of its own: the default one must not be shared by threads.
            session = boto3.Session(
                profile_name=variable("AWS_PROFILE"),
                region_name=variable("AWS_REGION") or variable("AWS_DEFAULT_REGION"),
            )
            endpoint = variable("AWS_ENDPOINT_URL")
            is_here = is_local(urlsplit(endpoint or "").hostname or "")
            proxies = Config(proxies={} if is_here else None)  # None: the environment's
            client = session.client("s3", endpoint_url=endpoint, config=proxies)
        except (BotoCoreError, ValueError) as exc:
            raise DestinationError(f"S3 bucket {bucket}: {one_line(exc)}") from exc
        return cls(client, bucket, "/".join(filter(None, parts)))

    @property
    def region(self) -> str:
        """The region of the client. Raises DestinationError if none is configured."""
        region: str | None = self._client.meta.region_name
        if region is None or region in _NO_REGION:
            raise DestinationError(f"S3 bucket {self.bucket} has no region: set AWS_REGION")
        return region

    @property
    def endpoint(self) -> str:
        """The address of S3."""
        return str(self._client.meta.endpoint_url)

    def upload(self, file: Path, name: str) -> None:
        """Copy a local file to the bucket."""
        self._run("upload_file", str(file), self.bucket, f"{self.prefix}/{name}")

    def clear(self) -> None:
        """Delete all objects."""
        while keys := [entry["Key"] for entry in self._page().get("Contents", ())]:
            objects = {"Objects": [{"Key": key} for key in keys]}
            answer = self._run("delete_objects", Bucket=self.bucket, Delete=objects)
            for error in answer.get("Errors", ()):
                raise DestinationError(
                    f"S3 bucket {self.bucket}: {one_line(error['Key'])} can't be deleted: "
                    f"{error['Code']}"
                )

    def mirror(self, folder: Path, wanted: Callable[[str], bool], first: str) -> None:
        """Give the folder the bucket's objects with `wanted` names, and nothing else.

        Those whose names end with `first` are listed before the others: what they name, and was
        written before them, is there then. One reader at a time does so, the others wait.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with folder.with_name(f"{folder.name}.lock").open("ab") as lock:
                if not lock_within(lock.fileno(), _LOCK_SECONDS):
                    raise DestinationError(f"{folder} is being read by another process for long")
                self._fill(folder, wanted, first)
        except OSError as exc:
            raise DestinationError(f"{folder} can't be filled: {one_line(exc)}") from exc

    def _fill(self, folder: Path, wanted: Callable[[str], bool], first: str) -> None:
        names = {n: of for n, of in self._objects().items() if n.endswith(first) and wanted(n)}
        names |= {n: of for n, of in self._objects().items() if not n.endswith(first) and wanted(n)}
        for path in [*folder.rglob("*")]:
            if path.is_file() and str(path.relative_to(folder)) not in names:
                path.unlink()
        for name, (size, changed_at) in names.items():
            file = folder / name
            state = file.stat() if file.exists() else None
            if state is None or (state.st_size, state.st_mtime) != (size, changed_at):
                file.parent.mkdir(parents=True, exist_ok=True)
                # One that is deleted meanwhile is not missed, unless a manifest names it.
                with suppress(_GoneError):
                    self._run("download_file", self.bucket, self._key(name), str(file))
                    os.utime(file, (changed_at, changed_at))

    def _objects(self) -> Mapping[str, tuple[int, float]]:
        """Return size and time of each object by its name below the prefix, as a path below it."""
        start = len(self._key(""))
        return {
            name: (entry["Size"], entry["LastModified"].timestamp())
            for entry in self._entries()
            if not {"", ".", ".."}.intersection((name := entry["Key"][start:]).split("/"))
        }

    def _entries(self) -> Iterator[Mapping[str, Any]]:
        more: dict[str, str] = {}
        while True:
            page = self._page(**more)
            yield from page.get("Contents", ())
            if "NextContinuationToken" not in page:
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _page(self, **more: str) -> Mapping[str, Any]:
        page: Mapping[str, Any] = self._run(
            "list_objects_v2", Bucket=self.bucket, Prefix=self._key(""), **more
        )
        return page

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def _run(self, call: str, *arguments: Any, **keywords: Any) -> Any:
        from boto3.exceptions import Boto3Error  # noqa: PLC0415 - an extra
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - an extra

        try:
            return getattr(self._client, call)(*arguments, **keywords)
        except (Boto3Error, BotoCoreError, ClientError) as exc:
            code = exc.response["Error"]["Code"] if isinstance(exc, ClientError) else ""
            error = _GoneError if code in _GONE else DestinationError
            raise error(f"S3 bucket {self.bucket}: {one_line(exc)}") from exc
