"""IAM policies of least privilege. They are not attached: you choose the users and roles."""

import json
from collections.abc import Callable
from typing import Any, Final

from pulumi import ComponentResource, Output, ResourceOptions
from pulumi_aws.iam import Policy

from labels import tags

# Each call of `loadgen costs`; AWS allows none of them to be limited to a resource.
COST_ACTIONS: Final = (
    "ce:GetCostAndUsage",
    "cloudwatch:GetMetricData",
    "ec2:DescribeInstances",
    "ec2:DescribeVolumes",
    "rds:DescribeDBInstances",
    "tag:GetResources",
)

Document = dict[str, Any]


class Policies(ComponentResource):
    """Rights of SimplyLoad on its bucket, and of `loadgen costs` to read."""

    simplyload: Output[str]
    costs: Output[str]

    def __init__(self, name: str, bucket_arn: Output[str]) -> None:
        super().__init__("simplyload:infra:Policies", name)
        self._bucket_arn = bucket_arn
        self.simplyload = self._policy(
            "simplyload-bucket", "SimplyLoad: its bucket and the objects in it", of_simplyload
        )
        self.costs = self._policy(
            "simplyload-costs", "loadgen costs: reads usage and bills", of_costs
        )
        self.register_outputs({"simplyload": self.simplyload, "costs": self.costs})

    def _policy(
        self, name: str, description: str, document: Callable[[str], Document]
    ) -> Output[str]:
        policy = Policy(
            name,
            description=description,
            policy=self._bucket_arn.apply(lambda arn: json.dumps(document(arn))),
            tags=tags("simplyload"),
            opts=ResourceOptions(parent=self),
        )
        return policy.arn


def of_simplyload(bucket_arn: str) -> Document:
    """Return SimplyLoad's rights on the objects of its bucket; it may not change the bucket."""
    on_bucket = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]
    on_objects = [
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:ListMultipartUploadParts",
        "s3:PutObject",
    ]
    return _document(_allow(on_bucket, bucket_arn), _allow(on_objects, f"{bucket_arn}/*"))


def of_costs(bucket_arn: str) -> Document:
    """Return the rights of `loadgen costs`, which only reads."""
    return _document(_allow(list(COST_ACTIONS), "*"), _allow(["s3:ListBucketVersions"], bucket_arn))


def _document(*statements: Document) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(actions: list[str], resource: str) -> Document:
    return {"Effect": "Allow", "Action": actions, "Resource": resource}
