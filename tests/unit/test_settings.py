"""Settings come from the environment once, and a wrong one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds_wrapper.errors import ConfigurationRefused
from cds_wrapper.production import colliding_paths
from cds_wrapper.settings import Profile, Settings, read_settings


def test_production_is_the_profile_when_nobody_says_otherwise() -> None:
    assert read_settings().profile is Profile.PRODUCTION


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PROFILE", "prod", "CDS_WRAPPER_PROFILE"),
        ("LEDGER", "oracle://x", "write sqlite:///PATH"),
        ("PUBLIC_URL", "cds.example.org", "write an absolute http(s) address"),
        ("PORT", "eighty", "CDS_WRAPPER_PORT"),
        ("EXTENSION_KEY", "prediction", "CDS_WRAPPER_EXTENSION_KEY"),
        ("METRICS", "0.0.0.0", "CDS_WRAPPER_METRICS"),
        ("METRICS", "on", "CDS_WRAPPER_METRICS"),
        ("METRICS", "99999", "CDS_WRAPPER_METRICS"),
        ("METRICS", "me@host:9464", "CDS_WRAPPER_METRICS"),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_write(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CDS_WRAPPER_{name}", value)
    with pytest.raises(ConfigurationRefused) as refused:
        read_settings()
    assert said in refused.value.sentence


def test_a_misspelt_variable_is_named_with_the_nearest_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_WRAPPER_LEGDER", "sqlite:///x.db")
    with pytest.raises(ConfigurationRefused) as refused:
        read_settings()
    assert "`CDS_WRAPPER_LEGDER` is no setting. Did you mean `CDS_WRAPPER_LEDGER`?" in refused.value.sentence


def test_every_wrong_setting_is_listed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_WRAPPER_PORT", "x")
    monkeypatch.setenv("CDS_WRAPPER_LEDGER", "y")
    with pytest.raises(ConfigurationRefused) as refused:
        read_settings()
    assert len(refused.value.mistakes) == 2


def test_what_could_be_a_secret_in_an_address_is_masked_when_shown() -> None:
    shown = read_settings(namespace="https://admin:hunter2@ehr.example.org/fhir?token=hunter3").shown()
    assert shown["namespace"] == "https://***@ehr.example.org/fhir?***"


def test_the_public_address_may_hold_no_secret_since_it_stands_on_every_card() -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        read_settings(public_url="https://admin:hunter2@cds.example.org")
    assert "hunter2" not in refused.value.sentence


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("off", None),
        ("OFF", None),
        ("9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:9464", ("0.0.0.0", 9464)),
        ("[::1]:9464", ("::1", 9464)),
    ],
)
def test_metrics_stay_on_this_machine_unless_a_host_is_named(
    text: str, place: tuple[str, int] | None
) -> None:
    assert read_settings(metrics=text).metrics_at == place


def test_metrics_are_off_until_somebody_asks_for_them() -> None:
    assert read_settings().metrics_at is None


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_the_digest_changes_with_a_setting() -> None:
    assert read_settings(port=8080).digest() != read_settings(port=8081).digest()


@pytest.mark.parametrize(
    "stream", ["ledger.db", "ledger.db-wal", "spool", "spool/lines.jsonl", "replay.db", "sub/../ledger.db"]
)
def test_a_stream_in_the_place_of_something_else_is_refused(tmp_path: Path, stream: str) -> None:
    settings = read_settings(ledger=f"sqlite:///{tmp_path}/ledger.db", stream=stream)
    (mistake,) = colliding_paths(settings)
    assert mistake.key == "CDS_WRAPPER_STREAM" and "a file of its own" in mistake.problem


def test_the_ledger_is_shown_with_all_its_slashes() -> None:
    assert read_settings(ledger="sqlite:///data/ledger.db").shown()["ledger"] == "sqlite:///data/ledger.db"
