"""Every registered network, and how networks are found by name."""

import pytest

import legato.networks  # noqa: F401, enters the networks
from legato.errors import UsageError
from legato.networks.registry import NETWORKS, Entry
from tests.contract import check_network


@pytest.mark.parametrize("entry", NETWORKS.values(), ids=NETWORKS)
def test_contract(entry: Entry):
    check_network(entry)
