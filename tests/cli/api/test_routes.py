"""The routing table against Docker's specification of the Engine API 1.47."""

from __future__ import annotations

import pytest

from rootlay.cli.api.errors import ApiError
from rootlay.cli.api.routes import LEFT_OUT, ROUTES, find_route, split_version
from tests.support.docker.schema import specification

pytestmark = [pytest.mark.unit]
PATHS = specification()["paths"]
OPERATIONS = sorted((method.upper(), path) for path, methods in PATHS.items() for method in methods)


def test_every_operation_of_the_specification_has_a_route_and_no_other_has_one() -> None:
    assert sorted((route.method, route.path) for route in ROUTES) == OPERATIONS


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_route_reads_the_parameters_of_the_specification_by_their_types(route: object) -> None:
    assert route in ROUTES
    found = next(each for each in ROUTES if each is route)
    operation = PATHS[found.path][found.method.lower()]
    given = {each["name"]: each for each in operation.get("parameters", []) if each["in"] == "query"}
    kinds = {each.name: each.kind for each in found.parameters}
    assert given.keys() <= kinds.keys()
    for name, each in given.items():
        expected = {"boolean": {"truth"}, "integer": {"number", "text"}, "array": {"many"}}.get(each["type"])
        allowed = expected or {"text", "json", "many", "number"}
        assert kinds[name] in allowed, (name, each)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_route_has_a_handler_that_names_it(route: object) -> None:
    found = next(each for each in ROUTES if each is route)
    handler = found.load()
    assert callable(handler)
    text = handler.__doc__ or ""
    assert found.path in text, text


def test_names_of_images_have_slashes_and_are_not_taken_for_other_routes() -> None:
    found = find_route("GET", "/images/host:5000/team/app:1/json")
    assert found is not None
    assert found[0].handler == "images.inspect"
    assert found[1] == {"name": "host:5000/team/app:1"}
    first = find_route("GET", "/images/json")
    assert first is not None
    assert first[0].handler == "images.list_images"


def test_versions_are_split_from_paths() -> None:
    assert split_version("/v1.24/info") == ("1.24", "/info")
    assert split_version("/info") == ("", "/info")


@pytest.mark.parametrize(
    ("text", "expected"), [("1", True), ("true", True), ("0", False), ("False", False), ("", False)]
)
def test_truth_values_are_dockers(text: str, expected: bool) -> None:
    route = next(route for route in ROUTES if route.path == "/containers/json")
    assert route.read([("all", text)])["all"] is expected


@pytest.mark.parametrize("query", [[("limit", "x")], [("filters", "{")]])
def test_a_bad_parameter_is_named(query: list[tuple[str, str]]) -> None:
    route = next(route for route in ROUTES if route.path == "/containers/json")
    with pytest.raises(ApiError, match=query[0][0]) as caught:
        route.read(query)
    assert caught.value.status == 400


def test_no_route_is_in_a_part_that_is_left_out() -> None:
    assert not [route for route in ROUTES if route.path.strip("/").partition("/")[0] in LEFT_OUT]
