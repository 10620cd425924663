"""SimplyLoad's bucket: private, encrypted, objects expire after a week, requests are counted."""

import json
from typing import Any, Final

from pulumi import ComponentResource, Output, Resource, ResourceOptions
from pulumi_aws.s3 import (
    Bucket,
    BucketLifecycleConfiguration,
    BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs,
    BucketLifecycleConfigurationRuleArgs,
    BucketLifecycleConfigurationRuleExpirationArgs,
    BucketLifecycleConfigurationRuleFilterArgs,
    BucketMetric,
    BucketOwnershipControls,
    BucketOwnershipControlsRuleArgs,
    BucketPolicy,
    BucketPublicAccessBlock,
    BucketServerSideEncryptionConfiguration,
    BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs,
    BucketServerSideEncryptionConfigurationRuleArgs,
)

from labels import tags

DAYS_KEPT: Final = 7
REQUEST_METRICS: Final = (
    "EntireBucket"  # the id by which `loadgen costs` reads the number of requests
)


class LandingBucket(ComponentResource):
    """A bucket for SimplyLoad's staged files; Pulumi adds a random end to its name."""

    name: Output[str]
    arn: Output[str]

    def __init__(self, name: str) -> None:
        super().__init__("simplyload:infra:LandingBucket", name)
        self._name = name
        # Staged files are worthless after a test, so `pulumi destroy` may delete them.
        self._bucket = Bucket(name, force_destroy=True, tags=tags("simplyload"), opts=self._of())
        self.name, self.arn = self._bucket.bucket, self._bucket.arn
        self._close()
        self._keep()
        BucketMetric(name, bucket=self.name, name=REQUEST_METRICS, opts=self._of())
        self.register_outputs({"name": self.name, "arn": self.arn})

    def _close(self) -> None:
        """Block public access, objects of other owners, and connections without TLS."""
        block = BucketPublicAccessBlock(
            self._name,
            bucket=self.name,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._of(),
        )
        owned = BucketOwnershipControls(
            self._name,
            bucket=self.name,
            rule=BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=self._of(block),
        )
        # One after the other, because S3 refuses two such changes of a bucket at once.
        BucketPolicy(
            self._name,
            bucket=self.name,
            policy=self.arn.apply(lambda arn: json.dumps(tls_only(arn))),
            opts=self._of(block, owned),
        )

    def _keep(self) -> None:
        """Encrypt objects, and delete them after a week."""
        default = BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="AES256"
        )
        BucketServerSideEncryptionConfiguration(
            self._name,
            bucket=self.name,
            rules=[
                BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=default
                )
            ],
            opts=self._of(),
        )
        BucketLifecycleConfiguration(
            self._name,
            bucket=self.name,
            rules=[
                BucketLifecycleConfigurationRuleArgs(
                    id="a-week",
                    status="Enabled",
                    filter=BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
                    expiration=BucketLifecycleConfigurationRuleExpirationArgs(days=DAYS_KEPT),
                    abort_incomplete_multipart_upload=(
                        BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                            days_after_initiation=DAYS_KEPT
                        )
                    ),
                )
            ],
            opts=self._of(),
        )

    def _of(self, *after: Resource) -> ResourceOptions:
        return ResourceOptions(parent=self, depends_on=list(after))


def tls_only(arn: str) -> dict[str, Any]:
    """Return the bucket policy that denies requests without TLS."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [arn, f"{arn}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }
