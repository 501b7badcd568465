"""The page at /docs works where there is no internet, and shows nothing unescaped."""

import re

from api.app import create_app
from domain.codes import Code
from runtime.settings import Settings
from runtime.web import docs_page


class TestRender:
    def test_loads_nothing_from_elsewhere(self) -> None:
        page = docs_page.render(create_app(Settings.model_validate({})).openapi())
        assert not re.findall(r"<(?:script|link|img|iframe)\b", page)
        assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page)

    def test_lists_every_operation_and_code(self) -> None:
        document = create_app(Settings.model_validate({})).openapi()
        page = docs_page.render(document)
        for path in document["paths"]:
            assert f"<code>{path}</code>" in page
        for code in Code:
            assert f'id="{code.value}"' in page

    def test_escapes_what_a_document_holds(self) -> None:
        evil = "<script>alert(1)</script>"
        page = docs_page.render(
            {
                "info": {"title": evil, "version": evil, "description": evil},
                "paths": {
                    f"/{evil}": {
                        "get": {
                            "summary": evil,
                            "parameters": [{"name": evil, "in": evil, "description": evil}],
                            "responses": {evil: {"description": evil}},
                        }
                    }
                },
                "components": {"schemas": {evil: {"title": evil}}},
            }
        )
        assert evil not in page
