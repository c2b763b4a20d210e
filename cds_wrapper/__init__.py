"""A CDS Hooks gateway between an EHR and a vendor's predictive model.

Folders stand in the order a request visits them: ``ehr``, ``patient``, ``vendors``, ``caveats``, ``ledger``.
``invocation`` tells the whole life of one request.
"""

__version__ = "0.1.0"
