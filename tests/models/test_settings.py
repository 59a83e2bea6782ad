"""Settings: secrets from files, names of hosts, and what a mistake in them tells."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from models.settings import Settings

PASSWORD = "hunter2"


def test_secrets_may_be_files_and_what_is_given_directly_comes_first(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("api_key", "database_url", "redis_url")}
    for name, file in files.items():
        file.write_text(f"{name}-in-a-file\n")
    named = {f"{name}_file": file for name, file in files.items()}
    settings = Settings.model_validate(named)
    assert settings.bootstrap_key() == "api_key-in-a-file"
    for name in files:
        assert getattr(settings, name).get_secret_value() == f"{name}-in-a-file"
        assert getattr(Settings.model_validate(named | {name: "direct"}), name).get_secret_value() == "direct"
        assert PASSWORD not in repr(Settings.model_validate(named | {name: PASSWORD}))


@pytest.mark.parametrize("name", ["api_key", "database_url", "redis_url"])
def test_the_environment_names_the_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text(PASSWORD)
    monkeypatch.setenv(f"CLINIC_{name.upper()}_FILE", str(tmp_path / "secret"))
    assert getattr(Settings(), name).get_secret_value() == PASSWORD


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for file, reason in ((tmp_path / "none", "No such file"), (tmp_path, "directory"), (tmp_path / "bytes", "no text")):
        with pytest.raises(ValidationError, match=f"CLINIC_REDIS_URL_FILE={file} cannot be read: .*{reason}"):
            Settings(redis_url_file=file)


def test_a_mistake_in_one_setting_tells_no_password(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"postgresql://clinic:{PASSWORD}@host/clinic")
    wrong: list[dict[str, object]] = [{"host": "0.0.0.0"}, {"port": -1}, {"allowed_hosts": "http://x"}]
    for one in wrong:
        with pytest.raises(ValidationError) as refused:
            Settings.model_validate(
                {"redis_url": f"redis://:{PASSWORD}@x/0", "database_url_file": tmp_path / "url"} | one
            )
        assert PASSWORD not in str(refused.value)


def test_names_of_hosts_come_by_comma(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIC_ALLOWED_HOSTS", " Clinic.example, [2001:db8::1] ,10.0.0.7,")
    assert Settings().allowed_hosts == ("clinic.example", "[2001:db8::1]", "10.0.0.7")
    for wrong in ("https://clinic.example", "clinic.example:80", "*", "*.example", "a b"):
        with pytest.raises(ValidationError, match="is no name of a host"):
            Settings(allowed_hosts=(wrong,))
