"""Data Docs: Great Expectations' static pages about the windows that were judged last."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from feature_store.validation.engine import load_great_expectations
from feature_store.validation_results import prune_results, read_results

__all__ = ["write_data_docs"]

_log = logging.getLogger(__name__)


def write_data_docs(work: Path, target: Path) -> Path:
    """Build the pages from the results under `work` and put them in place; safe to repeat.

    Pages come before the index that links to them and leave after it, each by an atomic rename, so a reader always
    finds a whole site and a killed build is finished by the next one. Results beyond the newest windows are deleted.

    Args:
        work: the folder that `ingest_metrics` was given.
        target: folder of the site.

    Returns:
        The site's `index.html`.
    """
    prune_results(work)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=target.parent) as building:
        site = Path(building) / "site"
        _build(work, site)
        _put_in_place(site, target)
    return target / "index.html"


def _build(work: Path, site: Path) -> None:
    gx = load_great_expectations()
    context = gx.get_context(mode="ephemeral")
    for name in list(context.variables.data_docs_sites or {}):
        context.delete_data_docs_site(name)
    context.add_data_docs_site(
        site_name="headroom",
        site_config={
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site)},
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        },
    )
    suites: dict[str, Any] = {}
    count = 0
    for document in read_results(work):
        suites[document["result"]["suite_name"]] = _store(context, document)
        count += 1
    for suite in suites.values():
        context.suites.add(suite)
    context.build_data_docs()
    _log.info("Data Docs: %s results of %s contracts", count, len(suites))


def _store(context: Any, document: dict[str, Any]) -> Any:
    """Put one result into the context's store; returns the suite that it was checked against."""
    from great_expectations.core import ExpectationSuite, ExpectationSuiteValidationResult
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResultSchema
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import ExpectationSuiteIdentifier, ValidationResultIdentifier

    result = ExpectationSuiteValidationResultSchema().load(document["result"])
    if not isinstance(result, ExpectationSuiteValidationResult):
        result = ExpectationSuiteValidationResult(**result)
    run = RunIdentifier(run_name=document["run_name"], run_time=pd.Timestamp(document["run_time"]).to_pydatetime())
    result.meta["run_id"] = run
    suite = ExpectationSuiteIdentifier(name=result.suite_name)
    key = ValidationResultIdentifier(expectation_suite_identifier=suite, run_id=run, batch_identifier="result")
    context.validation_results_store.set(key, result)
    expectations = [outcome.expectation_config.to_domain_obj() for outcome in result.results]
    for expectation in expectations:
        expectation.id = None
    return ExpectationSuite(name=result.suite_name, expectations=expectations)


def _put_in_place(site: Path, target: Path) -> None:
    pages = sorted(path.relative_to(site) for path in site.rglob("*") if path.is_file())
    index = Path("index.html")
    for page in [*(p for p in pages if p != index), index]:
        (target / page).parent.mkdir(parents=True, exist_ok=True)
        (site / page).replace(target / page)
    for path in sorted(target.rglob("*"), reverse=True):
        if path.is_file() and path.relative_to(target) not in set(pages):
            path.unlink(missing_ok=True)
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
