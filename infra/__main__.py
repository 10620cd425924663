"""The Pulumi program for the AWS side of a test. README.md explains its use.

Pulumi puts this folder first on the path, so its modules are imported by plain names.
"""

import pulumi

from bucket import LandingBucket
from configuration import read_configuration
from database import SourceDatabase
from policies import Policies

configuration = read_configuration()
bucket = LandingBucket("simplyload-testing")
policies = Policies("simplyload-policies", bucket.arn)

pulumi.export("s3_bucket", bucket.name)
pulumi.export("s3_bucket_arn", bucket.arn)
pulumi.export("simplyload_policy_arn", policies.simplyload)
pulumi.export("costs_policy_arn", policies.costs)

if configuration.database is not None:
    database = SourceDatabase("simplyload-source", configuration.database)
    pulumi.export("database_url", database.url)
