"""Every operation is asked with whatever its description allows, and with what it does not allow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from rebuilder.service.api.app import description, make_app
from tests.fakes.api_context import SECRET, open_api_context

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
CASES = [
    (path, verb, mode)
    for path, verbs in json.loads(description())["paths"].items()
    for verb, operation in verbs.items()
    for mode in GenerationMode
    if mode.is_positive or operation.keys() & {"parameters", "requestBody"}  # else there is nothing to get wrong
]


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseSchema]:
    """The description the running application gives of itself."""
    with open_api_context(tmp_path_factory.mktemp("api")) as context:
        yield schemathesis.openapi.from_asgi("/api/v1/openapi.json", make_app(context))


@pytest.mark.parametrize(("path", "verb", "mode"), CASES)
def test_every_operation_holds_to_its_description(
    schema: BaseSchema, path: str, verb: str, mode: GenerationMode
) -> None:
    """No request makes it fail, and each answer is one that the description promises."""
    operation = schema[path][verb]

    @settings(
        max_examples=30,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {SECRET}"}, checks=CHECKS)

    ask()
