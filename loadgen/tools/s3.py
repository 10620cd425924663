"""The objects below a prefix of an S3 bucket; boto3 takes its own configuration, as AWS_PROFILE."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loadgen.errors import DestinationError, install_hint, one_line
from loadgen.tools.tools_file import Tool

_PART = ".part"  # the end of the name of a file that is not complete


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
        except ImportError as exc:
            raise DestinationError(
                f"boto3 is not installed: {install_hint('aws', 'boto3')}"
            ) from exc
        bucket, _, prefix = tool.bucket.removeprefix("s3://").partition("/")
        parts = [prefix.strip("/"), tool.name if tool.runner else ""]
        return cls(boto3.client("s3"), bucket, "/".join(filter(None, parts)))

    @property
    def region(self) -> str:
        """The bucket's region, by boto3's configuration."""
        return str(self._client.meta.region_name)

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
            self._run("delete_objects", Bucket=self.bucket, Delete=objects)

    def mirror(self, folder: Path, first: str) -> None:
        """Give the folder the bucket's objects, and nothing else.

        Those whose names end with `first` are listed before the others: what they name, and was
        written before them, is there then.
        """
        names = {name: of for name, of in self._objects().items() if name.endswith(first)}
        names |= {name: of for name, of in self._objects().items() if not name.endswith(first)}
        for name, (size, changed_at) in names.items():
            file = folder / name
            if not file.exists() or (file.stat().st_size, file.stat().st_mtime) != (
                size,
                changed_at,
            ):
                self._download(name, file, changed_at)
        for file in folder.rglob("*"):
            is_kept = file.suffix == _PART or str(file.relative_to(folder)) in names
            if file.is_file() and not is_kept:
                file.unlink(missing_ok=True)

    def _download(self, name: str, file: Path, changed_at: float) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.{os.getpid()}{_PART}")
        try:
            self._run("download_file", self.bucket, self._key(name), str(part))
            os.utime(part, (changed_at, changed_at))
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)

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
            raise DestinationError(f"S3 bucket {self.bucket}: {one_line(exc)}") from exc
