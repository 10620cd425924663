"""A Postgres on RDS as the source: logical replication on, TLS forced, known addresses only."""

from typing import Final
from urllib.parse import quote

from pulumi import ComponentResource, Output, ResourceOptions
from pulumi_aws.ec2 import SecurityGroup, SecurityGroupIngressArgs, get_vpc_output
from pulumi_aws.rds import Instance, ParameterGroup, ParameterGroupParameterArgs

from configuration import DatabaseSettings
from labels import tags

USER: Final = "playground"
DATABASE: Final = "playground"
PORT: Final = 5432
_OWNER: Final = "source"  # the customer pays for it, for any tool


class SourceDatabase(ComponentResource):
    """An instance in the default VPC, in one zone, without backups, because its data is made up."""

    url: Output[str]

    def __init__(self, name: str, settings: DatabaseSettings) -> None:
        super().__init__("simplyload:infra:SourceDatabase", name)
        self._name, self._settings = name, settings
        self._opts = ResourceOptions(parent=self)
        password = Output.secret(settings.password)
        instance = self._instance(password, self._group(), self._parameters())
        # The address contains the secret password, so Pulumi treats it as a secret.
        self.url = Output.all(password, instance.address).apply(lambda parts: database_url(*parts))
        self.register_outputs({"url": self.url})

    def _group(self) -> SecurityGroup:
        """Return the security group; its rules are inline, so that Pulumi removes all others."""
        return SecurityGroup(
            self._name,
            description="Postgres, from allowed_ip_cidr only",
            vpc_id=get_vpc_output(default=True).id,
            ingress=[
                SecurityGroupIngressArgs(
                    description="Postgres",
                    protocol="tcp",
                    from_port=PORT,
                    to_port=PORT,
                    cidr_blocks=list(self._settings.allowed),
                )
            ],
            tags=tags(_OWNER),
            opts=self._opts,
        )

    def _parameters(self) -> ParameterGroup:
        kept = self._settings.slot_wal_gb * 1024
        return ParameterGroup(
            self._name,
            family=f"postgres{self._settings.version}",
            description="Logical replication, TLS, and a limit on what a slot keeps",
            parameters=[
                # Postgres reads it at its start; a new instance starts with it.
                ParameterGroupParameterArgs(
                    name="rds.logical_replication", value="1", apply_method="pending-reboot"
                ),
                ParameterGroupParameterArgs(name="rds.force_ssl", value="1"),
                ParameterGroupParameterArgs(name="max_slot_wal_keep_size", value=str(kept)),
            ],
            tags=tags(_OWNER),
            opts=self._opts,
        )

    def _instance(
        self, password: Output[str], group: SecurityGroup, parameters: ParameterGroup
    ) -> Instance:
        return Instance(
            self._name,
            identifier_prefix=f"{self._name}-",
            engine="postgres",
            engine_version=str(self._settings.version),
            engine_lifecycle_support="open-source-rds-extended-support-disabled",
            # No new minor version, and so no restart, in the middle of a test.
            auto_minor_version_upgrade=False,
            instance_class=self._settings.instance_class,
            allocated_storage=self._settings.storage_gb,
            storage_type="gp3",
            storage_encrypted=True,
            multi_az=False,
            db_name=DATABASE,
            username=USER,
            password=password,
            port=PORT,
            parameter_group_name=parameters.name,
            vpc_security_group_ids=[group.id],
            publicly_accessible=True,  # to the security group's addresses
            apply_immediately=True,
            backup_retention_period=0,
            skip_final_snapshot=True,
            tags=tags(_OWNER),
            opts=self._opts,
        )


# Libpq looks for the file in the current folder.
_TLS = "sslmode=verify-full&sslrootcert=global-bundle.pem"


def database_url(password: str, address: str) -> str:
    """Return the value of DATABASE_URL."""
    login = f"{USER}:{quote(password, safe='')}"
    return f"postgresql://{login}@{address}:{PORT}/{DATABASE}?{_TLS}"
