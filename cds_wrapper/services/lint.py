"""What is allowed and yet worth a second look before go-live: `check` prints it; nothing is refused."""

from __future__ import annotations

from collections.abc import Iterator

from cds_wrapper.caveats.evidence import usable_for_caution
from cds_wrapper.caveats.model_inputs import means
from cds_wrapper.cds_library import HOOKS, Status
from cds_wrapper.errors import Mistake
from cds_wrapper.services import build
from cds_wrapper.services.card_file import CardFile
from cds_wrapper.services.own_keys import own_queries, unanswerable
from cds_wrapper.services.prefetch_rules import beyond_the_subset
from cds_wrapper.services.reading import ReadService
from cds_wrapper.services.sent_features import never_sent
from cds_wrapper.services.service_file import ServiceFile, VendorFile
from cds_wrapper.services.subgroups_file import SubgroupsFile
from cds_wrapper.services.yaml_files import Document


def warnings_about(read: ReadService) -> Iterator[Mistake]:
    """Everything worth a second look in one service, each with its place."""
    if read.service:
        yield from _service_warnings(read.service.document, read.service.model)
    if read.subgroups:
        yield from _proxy_warnings(read.subgroups.document, read.subgroups.model)
    if read.service and read.subgroups:
        yield from _own_key_warnings(
            read.service.document, read.service.model, read.subgroups.document, read.subgroups.model
        )
    if read.service and read.card:
        yield from _question_warnings(read.card.document, read.card.model, read.service.model)
        yield from _threshold_warnings(read.card.document, read.card.model, read.service.model)
        yield from _input_warnings(read.card.document, read.card.model, read.service.model)


def _service_warnings(document: Document, service: ServiceFile) -> Iterator[Mistake]:
    for index, hook in enumerate(service.hook):
        known = HOOKS.get(hook)
        if known and known.status is Status.DEPRECATED:
            problem = f"`{hook}` is deprecated: EHRs of today send {' or '.join(known.instead)}."
            yield document.mistake(("hook", index), problem)
    for key, template in service.prefetch.items():
        for excess in beyond_the_subset(template):
            problem = f"{excess}: not every EHR can answer it (CDS Hooks 2.0.1, prefetch query restrictions)."
            yield document.mistake(("prefetch", key), problem)
    yield from _vendor_warnings(document, service.vendor)
    yield from never_sent(document, service)
    if not service.identifiers.patient:
        problem = "is empty: records can be joined with a warehouse only by the EHR's own patient id."
        yield document.mistake(("identifiers", "patient"), problem)
    if service.displayed == "unknown":
        yield document.mistake(("displayed",), "is `unknown`: say whether the EHR shows these cards.")


def _vendor_warnings(document: Document, vendor: VendorFile) -> Iterator[Mistake]:
    url = vendor.url or ""
    if url.startswith("http:"):
        problem = "is plain http: patient data would travel unprotected. Allowed in development only."
        yield document.mistake(("vendor", "url"), problem)
    if "{" in url:
        problem = (
            "holds an identifier, and whoever stands between us and the vendor may log addresses: use the"
            " body or a header where the vendor can."
        )
        yield document.mistake(("vendor", "url"), problem)
    if vendor.score is not None and vendor.score.kind in _PROBABILITIES:
        yield from _class_warnings(document, vendor)


_PROBABILITIES = ("probability", "percent")


def _class_warnings(document: Document, vendor: VendorFile) -> Iterator[Mistake]:
    """What usually gives a class where a probability is declared; whether it does only the vendor can say."""
    if vendor.inference and vendor.inference.output == "predict":
        problem = (
            "is `predict`, which gives the class and no probability in most servers: write `predict_proba`"
            " with `column: 1`, or see with `check --probe` what comes."
        )
        yield document.mistake(("vendor", "inference", "output"), problem)
    has_path = vendor.score is not None and vendor.score.path is not None
    if vendor.mlflow and vendor.mlflow.column is None and not has_path:
        problem = (
            'has no `column`: a model saved without `pyfunc_predict_fn="predict_proba"` gives the class. With'
            " it write `column: 1`, or see with `check --probe` what comes."
        )
        yield document.mistake(("vendor", "mlflow"), problem)


_PROXIES = ("payer", "deprivation_quintile", "rurality")
"""Attributes that no law on discrimination names (45 CFR 92.210), and that can stand in for one it names."""


def _proxy_warnings(document: Document, subgroups: SubgroupsFile) -> Iterator[Mistake]:
    for name, attribute in subgroups.attributes.listed().items():
        if name in _PROXIES and attribute.display == "show":
            problem = (
                "is `show`: a card would name it. It can stand in for race or disability, and says"
                " nothing a clinician could act on; `never` is the usual choice."
            )
            yield document.mistake(("attributes", name, "display"), problem)


def _own_key_warnings(
    service_document: Document, service: ServiceFile, document: Document, subgroups: SubgroupsFile
) -> Iterator[Mistake]:
    for index, hook in enumerate(service.hook):
        lost = unanswerable(service, subgroups, hook)
        if lost:
            problem = f"names no encounter, so there will never be one for {' and '.join(lost)}."
            yield service_document.mistake(("hook", index), problem)
    queries = (query for hook in service.hook for query in own_queries(service, subgroups, hook))
    for query in dict.fromkeys(queries):
        for excess in () if query.shared else beyond_the_subset(query.template):
            problem = f"{excess}: not every EHR can answer it (CDS Hooks 2.0.1, prefetch query restrictions)."
            yield document.mistake(("queries", query.need.value), problem)


def _question_warnings(document: Document, card: CardFile, service: ServiceFile) -> Iterator[Mistake]:
    """A ratio from elsewhere that could make a finding, were it about this service's outcome and horizon."""
    question = build.question_of(service)
    for index, row in enumerate(card.evidence.metrics):
        estimate = build.estimate_of(row)
        if not usable_for_caution(estimate):
            continue
        if not question.is_about_our_outcome(estimate):
            key, ours, theirs = "outcome", question.outcome, row.outcome
        elif not question.is_within_our_horizon(estimate):
            key, ours, theirs = "horizon", question.horizon, row.horizon
        else:
            continue
        problem = (
            f"is `{theirs}`, the service's is `{ours}`: this figure makes no finding, and its group counts as"
            " reported. Leave it if the study was about something else; write it alike if it was not."
        )
        yield document.mistake(("evidence", "metrics", index, key), problem)


def _input_warnings(document: Document, card: CardFile, service: ServiceFile) -> Iterator[Mistake]:
    """What the card says of an input that no input of the service is: nobody will read it."""
    for index, one in enumerate(card.inputs):
        known = any(means(one.name, name, feature.label) for name, feature in service.features.items())
        if one.measured_less_well and not known:
            problem = f"is about `{one.name}`, which is neither name nor label of an input under `features`."
            yield document.mistake(("inputs", index, "measured_less_well"), problem)


def _threshold_warnings(document: Document, card: CardFile, service: ServiceFile) -> Iterator[Mistake]:
    own = {threshold.at for threshold in service.thresholds}
    for index, row in enumerate(card.evidence.metrics):
        if row.metric.needs_threshold and row.threshold is not None and row.threshold not in own:
            path = ("evidence", "metrics", index, "threshold")
            yield document.mistake(path, "is no threshold of service.yaml: this figure speaks to nobody.")
