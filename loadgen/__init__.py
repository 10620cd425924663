"""SimplyLoad Playground: rate-controlled Postgres load, verification, freshness and cost.

    workload -> load -> source Postgres == tool under test ==> destination
                 |            |                                    |
              metrics   watch: slots, WAL, markers        watch: markers; verify: rows
                 |            |                                    |
              run record: reports/<run-id>/ <- costs (what was written x price lists)
                 |
              report, compare

`load` is the Locust process. It follows the schedule of `workload`, counts every arrival and
writes run.json, samples.csv, generator.csv and deletes.csv. `watch` is a second process without
gevent; it writes slots.csv, tools.csv, markers.csv, freshness.csv and consistency.csv. `verify`
writes verify.json, `costs` writes costs.json, `report` reads all of these. `tools` is everything
about a tool under test, `source` everything about the Postgres under load, `record` the content of
each file.
"""

__version__ = "0.1.0"
