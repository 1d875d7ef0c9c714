from lab import golden


def test_the_golden_base_holds_more_than_the_bare_one() -> None:
    assert set(golden.packages("bare")) < set(golden.packages("golden"))
    assert {"mariadb-server", "keepalived", "chrony", "swift-proxy"} <= set(
        golden.packages("golden")
    )


def test_another_kind_or_recipe_makes_another_base() -> None:
    assert (
        len({golden.digest(k, r) for k in ("bare", "golden") for r in ("recipe", "another")}) == 4
    )
    assert golden.digest("bare", "recipe") == golden.digest("bare", "recipe")


def test_services_of_the_cluster_are_switched_off_and_those_of_a_host_are_kept() -> None:
    listed = (
        "cron.service             enabled enabled\n"
        "mariadb.service          enabled enabled\n"
        "ssh.service              enabled enabled\n"
        "remote-fs.target         enabled enabled\n"
        "dpkg-db-backup.timer     enabled enabled\n"
    )
    assert golden.units_to_disable(listed) == ["mariadb.service", "dpkg-db-backup.timer"]
