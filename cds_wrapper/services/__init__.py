"""Reads and checks `hooks/` into service definitions. The only room that reads YAML."""

from cds_wrapper.services.clients_file import CLIENTS_FILE, ExaminedClients, examine_clients
from cds_wrapper.services.definitions import ServiceCatalog, ServiceDefinition, VendorConfig
from cds_wrapper.services.load import (
    Examination,
    definition_from_files,
    examine_services,
    load_problems,
    load_services,
    warnings_of,
)
from cds_wrapper.services.placed import mistake_of

__all__ = [
    "CLIENTS_FILE",
    "Examination",
    "ExaminedClients",
    "ServiceCatalog",
    "ServiceDefinition",
    "VendorConfig",
    "definition_from_files",
    "examine_clients",
    "examine_services",
    "load_problems",
    "load_services",
    "mistake_of",
    "warnings_of",
]
